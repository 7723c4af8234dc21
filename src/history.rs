//! Who ran what where, when, and with which result: two JSON lines for every command that changes or runs something, one when it
//! begins and one when it ends. Without the second it was killed, or is still at it.
//!
//! It is in `<state_dir>/_fleet/history.jsonl`, beside the journal, which has the evidence for deletions. The journal is kept for
//! ever; this is bounded. A history that cannot be written stops nothing.

mod file;
mod past;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clock;
use crate::exec::Fate;
use crate::exit::Exit;
use crate::hub::{Fleet, HubName};
use crate::journal::{self, Who};
use crate::plan::mask::mask;

pub use self::file::{path_of, read};
pub use self::past::{Past, Ran};

/// The most bytes of a command line that are kept, and of one of its words.
const LINE: usize = 16 << 10;
const WORD: usize = 4 << 10;

/// One line. Its fields are a promise: they are added to, and not renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What belongs together.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A command begins.
    Begin(Begin),
    /// It has ended.
    End(End),
}

/// A command, before anything of it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The fleet's name.
    pub fleet: String,
    /// Who runs it.
    pub by: By,
    /// fleet's version.
    pub version: String,
    /// The command line behind `fleet`, what looks like a secret masked.
    pub arguments: Vec<String>,
    /// The hubs that are meant.
    pub hubs: Vec<HubName>,
}

/// Who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// Account, machine and process.
    #[serde(flatten)]
    pub who: Who,
    /// The account's number, which nobody can choose.
    pub uid: u32,
    /// Who became root by sudo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// fleet's own status.
    pub exit: u8,
    /// How long it took.
    pub milliseconds: u64,
    /// In how many hubs it ended how: by the command's status, or by `failed`, `stopped`, `not begun`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hubs: BTreeMap<String, u64>,
}

/// What is written down of this process's command. Clones are of the same one.
#[derive(Debug, Clone, Default)]
pub struct Record {
    begun: Arc<Mutex<Option<Begun>>>,
}

#[derive(Debug)]
struct Begun {
    path: PathBuf,
    id: String,
    since: Instant,
    /// The first line, where there is no directory for it yet.
    pending: Option<Line>,
    ended: BTreeMap<String, u64>,
}

impl Record {
    /// A command that is about to change or run something begins. What went wrong is for the user to know, and stops nothing.
    pub fn begin<'h>(
        &self,
        fleet: &Fleet,
        hubs: impl IntoIterator<Item = &'h HubName>,
    ) -> Result<(), String> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.is_some() {
            return Ok(());
        }
        let (who, at) = (journal::who(), clock::now());
        let id = format!("{}-{}", at.strftime("%Y%m%dT%H%M%S%.3fZ"), who.process);
        let path = path_of(fleet);
        let what = Begin {
            fleet: fleet.name.clone(),
            by: By {
                who,
                uid: rustix::process::getuid().as_raw(),
                sudo_user: std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty()),
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: arguments(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())),
            hubs: hubs.into_iter().cloned().collect(),
        };
        let line = Line { id: id.clone(), at, entry: Entry::Begin(what) };
        // The first hub's directory is made in the course of the command, and goes again with what is in it if that fails.
        let (now, pending) = if fleet.state_dir.exists() { (Some(line), None) } else { (None, Some(line)) };
        *begun =
            Some(Begun { path: path.clone(), id, since: Instant::now(), pending, ended: BTreeMap::new() });
        now.map_or(Ok(()), |line| file::append(&path, &line))
    }

    /// How it ended in a hub.
    pub fn ended(&self, how: &str) {
        if let Some(begun) = self.begun.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *begun.ended.entry(how.to_owned()).or_default() += 1;
        }
    }

    /// The same for a command in a sandbox.
    pub fn fate(&self, fate: &Fate) {
        match fate {
            Fate::Stopped(_) => self.ended("stopped"),
            Fate::NotBegun(_) => self.ended("not begun"),
            Fate::Ended(_) => match fate.exit_status() {
                Some(status) => self.ended(&status.to_string()),
                None => self.ended("failed"),
            },
        }
    }

    /// It has ended, if it had begun.
    pub fn end(&self, exit: Exit) -> Result<(), String> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Begun { path, id, since, pending, ended }) = begun else { return Ok(()) };
        if let Some(line) = pending {
            let state_dir = path.parent().and_then(Path::parent);
            if !state_dir.is_some_and(Path::exists) {
                return Ok(());
            }
            file::append(&path, &line)?;
        }
        let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let end = End { exit: exit as u8, milliseconds, hubs: ended };
        file::append(&path, &Line { id, at: clock::now(), entry: Entry::End(end) })
    }
}

/// A command line as it is kept: masked first, so that no cut leaves half a secret unseen.
fn arguments(words: impl Iterator<Item = String>) -> Vec<String> {
    let words: Vec<String> = words.collect();
    let (mut kept, mut length) = (Vec::new(), 0);
    for word in mask(&words) {
        if length > LINE {
            kept.push("...".to_owned());
            break;
        }
        let word = match word.char_indices().find(|(at, _)| *at >= WORD) {
            Some((end, _)) => format!("{}...", &word[..end]),
            None => word,
        };
        length += word.len();
        kept.push(word);
    }
    kept
}

#[cfg(test)]
mod tests;
