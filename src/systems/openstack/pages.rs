//! Whether a list that comes in pages is complete. Whatever is not as it should be is an error: a list that is cut
//! short without a word is the worst that can happen here.

use std::collections::HashSet;

use super::error::Cause;

/// More entries than any project has: a server that goes on for ever has to be stopped somewhere.
const LIMIT: usize = 1_000_000;

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Pages {
    what: &'static str,
    ids: HashSet<String>,
    markers: HashSet<String>,
    marker: Option<String>,
}

/// Where a page says that the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// There is none.
    None,
    /// After this id.
    After(String),
    /// There is one, and its link does not say where it begins: then after the last id of this page.
    AfterLast,
}

impl Pages {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, ids: HashSet::new(), markers: HashSet::new(), marker: None }
    }

    /// Where the page to ask for next begins.
    pub(super) fn marker(&self) -> Option<String> {
        self.marker.clone()
    }

    /// Takes a page's ids and its next link. Says whether there is a page to ask for after it.
    pub(super) fn take<'p>(
        &mut self,
        ids: impl Iterator<Item = &'p str>,
        next: Next,
        page: i32,
    ) -> Result<bool, Cause> {
        let before = self.ids.len();
        let mut last = None;
        for id in ids {
            if !self.ids.insert(id.to_owned()) {
                return Err(self.incomplete(&format!("{id} came twice")));
            }
            last = Some(id.to_owned());
        }
        if self.ids.len() > LIMIT {
            return Err(self.incomplete(&format!("it goes on after {LIMIT}")));
        }
        // A full page without a link is asked for its successor all the same: one request more than needed, against a
        // list that a server cut at its own page size.
        let full = i32::try_from(self.ids.len() - before).is_ok_and(|taken| taken >= page);
        let marker = match (next, last) {
            (Next::None, Some(last)) if full => last,
            (Next::None, _) => return Ok(false),
            (_, None) => return Err(self.incomplete("a page is empty and still has a next one")),
            (Next::After(marker), Some(_)) => marker,
            (Next::AfterLast, Some(last)) => last,
        };
        if !self.markers.insert(marker.clone()) {
            return Err(self.incomplete(&format!("its pages go round in a circle at {marker}")));
        }
        self.marker = Some(marker);
        Ok(true)
    }

    fn incomplete(&self, why: &str) -> Cause {
        Cause::Incomplete(format!("{} after {} entries: {why}", self.what, self.ids.len()))
    }
}
