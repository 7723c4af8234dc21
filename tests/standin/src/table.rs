//! Entries in the order in which Cinder and Nova list them: the newest first, equally old ones by id, backwards.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use jiff::Timestamp;

type Place = (Reverse<Timestamp>, Reverse<String>);

/// See the module.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: BTreeMap<Place, T>,
    places: HashMap<String, Place>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), places: HashMap::new() }
    }
}

impl<T> Table<T> {
    pub(crate) fn insert(&mut self, created_at: Timestamp, id: &str, row: T) {
        let place = (Reverse(created_at), Reverse(id.to_owned()));
        self.places.insert(id.to_owned(), place.clone());
        self.rows.insert(place, row);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.places.get(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(self.places.get(id)?)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        self.rows.remove(&self.places.remove(id)?)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }

    /// The ids before one, the nearest first, that one included.
    pub(crate) fn up_to(&self, id: &str) -> Vec<String> {
        let Some(place) = self.places.get(id) else { return Vec::new() };
        self.rows.range(..=place).rev().map(|((_, Reverse(id)), _)| id.clone()).collect()
    }

    /// So many entries after a marker, each with its id; `None` where there is no such marker.
    pub(crate) fn page(&self, marker: Option<&str>, limit: usize) -> Option<Vec<(&str, &T)>> {
        let from = match marker {
            Some(marker) => Bound::Excluded(self.places.get(marker)?.clone()),
            None => Bound::Unbounded,
        };
        let rows = self.rows.range((from, Bound::Unbounded)).take(limit);
        Some(rows.map(|((_, Reverse(id)), row)| (id.as_str(), row)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<u8> {
        let mut table = Table::default();
        for (second, id, row) in [(1, "a", 1), (3, "b", 2), (3, "c", 3), (2, "d", 4)] {
            table.insert(Timestamp::from_second(second).unwrap(), id, row);
        }
        table
    }

    #[test]
    fn the_newest_comes_first_and_equally_old_ones_backwards() {
        let table = table();
        let ids = |marker, limit| -> Option<String> {
            Some(table.page(marker, limit)?.into_iter().map(|(id, _)| id).collect())
        };
        assert_eq!(ids(None, 9).as_deref(), Some("cbda"));
        assert_eq!(ids(Some("b"), 1).as_deref(), Some("d"));
        assert_eq!(ids(Some("a"), 1).as_deref(), Some(""));
        assert_eq!(ids(Some("x"), 1), None);
        assert_eq!(table.up_to("d").concat(), "dbc");
    }

    #[test]
    fn what_is_removed_is_no_marker_any_more() {
        let mut table = table();
        assert_eq!(table.remove("d"), Some(4));
        assert_eq!(table.page(Some("d"), 1), None);
        assert_eq!(table.get("d"), None);
        assert_eq!(table.values().count(), 3);
    }
}
