//! The journal: everything that fleet ever deleted, with the evidence, one JSON object a line.
//!
//! It is in `<state_dir>/_fleet/journal.jsonl`: no hub can be called `_fleet`, and whoever moves the state directories
//! takes it along. It is appended to and never rewritten. What it says was on the disk before the deletion was sent, so
//! that a crash at any point loses no record of what was deleted.

mod entry;
mod history;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::exit::Failure;
use crate::files;
use crate::hub::Fleet;

pub use self::entry::{Begin, DeletingEntry, End, Entry, Line, OverEntry, PlannedVolume, Who};
pub use self::history::{Fate, History, RunHistory, VolumeHistory};
pub(crate) use self::writer::who;
pub use self::writer::{Journal, RunRecord, is_under_way};

/// What fleet keeps beside the hubs' own directories.
pub(crate) const DIRECTORY: &str = "_fleet";

/// The journal's name in it.
const FILE: &str = "journal.jsonl";

/// Where a fleet's journal is.
pub fn path_of(fleet: &Fleet) -> PathBuf {
    fleet.state_dir.join(DIRECTORY).join(FILE)
}

/// Everything that it says; nothing where there is none yet.
pub fn read(fleet: &Fleet) -> Result<History, Failure> {
    let path = path_of(fleet);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(History::parse(&bytes)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(History::default()),
        Err(source) => Err(Failure::failed(&files::Error::new("read", &path, source))),
    }
}
