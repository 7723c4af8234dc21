//! What a history says, put together.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Begin, End, Entry, Line};
use crate::files::lines;

/// All that a history says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// What was run, in the order in which it began.
    pub ran: Vec<Ran>,
    /// What cannot be read of it, one line each.
    pub problems: Vec<String>,
    places: HashMap<String, usize>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its id.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// What it was. None where only its end is left.
    pub begin: Option<Begin>,
    /// What came of it. None where it was killed, or is still at it.
    pub end: Option<End>,
}

impl Past {
    /// Reads a file. A line that cannot be read hides no other one.
    pub fn take(&mut self, path: &Path, bytes: &[u8]) {
        for line in lines::read::<Line>(bytes) {
            match line {
                Ok(line) => self.add(line),
                Err(problem) => self.problems.push(format!("{}: {problem}", path.display())),
            }
        }
    }

    fn add(&mut self, Line { id, at, entry }: Line) {
        let place = *self.places.entry(id.clone()).or_insert_with(|| {
            self.ran.push(Ran { id, at, begin: None, end: None });
            self.ran.len() - 1
        });
        match entry {
            Entry::Begin(begin) => self.ran[place].begin = Some(begin),
            Entry::End(end) => self.ran[place].end = Some(end),
        }
    }

    /// What somebody asks for: of one hub, since then, and of that the last ones. The oldest first.
    pub fn chosen(&self, hub: Option<&str>, since: Option<Timestamp>, limit: Option<usize>) -> Vec<&Ran> {
        let is_of = |ran: &&Ran| hub.is_none_or(|hub| ran.is_of(hub));
        let mut chosen: Vec<&Ran> =
            self.ran.iter().filter(|ran| since.is_none_or(|since| ran.at >= since)).filter(is_of).collect();
        let too_many = limit.map_or(0, |limit| chosen.len().saturating_sub(limit));
        chosen.drain(..too_many);
        chosen
    }
}

impl Ran {
    fn is_of(&self, hub: &str) -> bool {
        self.begin.as_ref().is_some_and(|begin| begin.hubs.iter().any(|name| name.as_str() == hub))
    }

    /// How long it took.
    pub fn took(&self) -> Option<Duration> {
        self.end.as_ref().map(|end| Duration::from_millis(end.milliseconds))
    }
}
