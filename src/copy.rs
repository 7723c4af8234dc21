//! Copying files into sandboxes and out of them: streamed through a command there, and at the far end complete or not at all.

mod pack;
mod place;
mod pull;
mod push;
mod sources;
mod stage;
mod unpack;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::exec::{Caretaker, End};
use crate::hub::{Hub, HubName};
use crate::interrupt::Interrupt;
use crate::plan::copy::{Told, told};
use crate::report::duration;
use crate::systems::docker::Engine;

pub use place::{Conflicts, Target};
pub use pull::pull;
pub use push::{Destination, push};
pub use sources::{Source, Sources, look};

/// For `scripts/fuzz`.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::path::Path;

    /// Into an empty directory, as `x`.
    pub fn unpack(archive: &[u8], stage: &Path) -> Result<u64, String> {
        super::unpack::unpack(archive, stage, "x", "x".as_ref()).map(|unpacked| unpacked.copied.files)
    }
}

/// Names that are told of what was left out; the others are counted.
const TOLD: usize = 20;

/// Where it is copied to or from.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The hub.
    pub hub: &'a Hub,
    /// Its container.
    pub sandbox: &'a str,
    /// How long all of it may take.
    pub limit: Duration,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Who ends what runs in the sandbox where fleet is killed.
    pub caretaker: Option<&'a Caretaker>,
    /// Bytes that have been moved, over all hubs, for those who wait.
    pub moved: &'a AtomicU64,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// What was not copied: links and what is no file.
    pub left_out: LeftOut,
}

/// What is not copied of a directory, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The first of them.
    pub told: Vec<String>,
    /// How many there are.
    pub count: u64,
}

impl LeftOut {
    fn add(&mut self, name: &str, what: &str) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{name} ({what})"));
        }
    }

    fn join(&mut self, more: Self) {
        self.count += more.count;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(more.told.into_iter().take(room));
    }
}

impl Copied {
    /// With more of the same hub.
    pub fn join(&mut self, more: Self) {
        self.files += more.files;
        self.bytes += more.bytes;
        self.left_out.join(more.left_out);
    }
}

/// Why nothing was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody stopped it.
    Interrupted,
    /// This.
    Failed(Told),
}

impl Trouble {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self::Failed(Told { reason: reason.to_string(), hint: None })
    }
}

/// What a far end's end that is none in good order comes to.
fn trouble(hub: &HubName, path: &str, end: End, stderr: &[u8]) -> Trouble {
    match end {
        End::Exited(status) => Trouble::Failed(told(hub, path, status, &String::from_utf8_lossy(stderr))),
        End::TimedOut(limit) => Trouble::Failed(Told {
            reason: format!("stopped after {}", duration(limit)),
            hint: Some("nothing was changed; --timeout gives it more time".to_owned()),
        }),
        End::Interrupted => Trouble::Interrupted,
        End::Failed { reason, hint } => Trouble::Failed(Told { reason, hint }),
    }
}
