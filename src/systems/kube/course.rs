//! Whether a list that comes in chunks goes on as it should. Pure.

use std::collections::HashSet;

use super::objects::Incomplete;
use crate::text::excerpt;

/// More pages than any list has, empty ones included, which a server may send: one that goes on for ever has to be stopped
/// somewhere.
const PAGES: usize = 10_000;

/// What has been read of a list so far.
#[derive(Debug, Default)]
pub struct Course {
    keys: HashSet<String>,
    places: HashSet<String>,
}

impl Course {
    /// Takes an object. One that came already stands where another one is missing.
    pub fn take(&mut self, key: String) -> Result<(), Incomplete> {
        match self.keys.replace(key) {
            None => Ok(()),
            Some(key) => Err(Incomplete::Twice(excerpt(&key))),
        }
    }

    /// Goes on at a place, which must be a new one.
    pub fn go_to(&mut self, place: &str) -> Result<(), Incomplete> {
        if !self.places.insert(place.to_owned()) {
            return Err(Incomplete::GoesInCircles);
        }
        if self.places.len() < PAGES { Ok(()) } else { Err(Incomplete::Endless(PAGES)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_comes_twice_and_a_place_that_was_there_are_errors() {
        let mut course = Course::default();
        assert_eq!(course.take("a".into()), Ok(()));
        assert_eq!(course.take("b".into()), Ok(()));
        assert_eq!(course.take("a".into()), Err(Incomplete::Twice("a".into())));
        assert_eq!(course.go_to("x"), Ok(()));
        assert_eq!(course.go_to("y"), Ok(()));
        assert_eq!(course.go_to("x"), Err(Incomplete::GoesInCircles));
    }

    #[test]
    fn a_list_that_goes_on_for_ever_in_empty_pages_is_an_error() {
        let mut course = Course::default();
        let end = (0..=PAGES).find_map(|place| course.go_to(&place.to_string()).err());
        assert_eq!(end, Some(Incomplete::Endless(PAGES)));
    }
}
