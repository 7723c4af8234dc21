//! What hubs printed, kept until it is shown.

use std::io;

use crate::exec::{Event, Outcome, Spool, Spools, Stream};

/// What each of the chosen hubs printed, and how it ended.
pub(super) struct Kept {
    hubs: Vec<One>,
}

/// The same of one hub.
pub(super) struct One {
    pub stdout: Spool,
    pub stderr: Spool,
    /// `None` as long as it goes on.
    pub outcome: Option<Outcome>,
}

impl Kept {
    pub(super) fn new(hubs: usize) -> Self {
        let spools = Spools::new(2 * hubs);
        let one = |_| One { stdout: spools.spool(), stderr: spools.spool(), outcome: None };
        Self { hubs: (0..hubs).map(one).collect() }
    }

    /// Takes what has happened. The hub's place, where it has ended now.
    pub(super) fn take(&mut self, event: Event) -> io::Result<Option<usize>> {
        match event {
            Event::Output { hub, stream, bytes } => {
                let one = &mut self.hubs[hub];
                match stream {
                    Stream::Stdout => one.stdout.add(&bytes)?,
                    Stream::Stderr => one.stderr.add(&bytes)?,
                }
                Ok(None)
            }
            Event::Ended(outcome) => {
                let hub = outcome.hub;
                self.hubs[hub].outcome = Some(outcome);
                Ok(Some(hub))
            }
            Event::Pause(_) => Ok(None),
        }
    }

    pub(super) fn of(&self, hub: usize) -> &One {
        &self.hubs[hub]
    }

    pub(super) fn len(&self) -> usize {
        self.hubs.len()
    }

    /// Keeps what a hub printed no longer.
    pub(super) fn forget(&mut self, hub: usize) {
        let empty = Spools::new(0);
        self.hubs[hub].stdout = empty.spool();
        self.hubs[hub].stderr = empty.spool();
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        self.hubs.iter().filter_map(|one| one.outcome.clone()).collect()
    }
}
