//! For a terminal: what is over soon is gathered, what goes on is shown as it comes.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::{Gathered, Paper, Show, Streamed};
use crate::exec::Event;

/// How long somebody at a terminal waits without a sign. `kubectl get` takes half of it.
const SOON: Duration = Duration::from_millis(1200);

/// More than this is not held back.
const HELD: usize = 1 << 20;

/// See the module.
pub struct Deciding {
    held: Vec<Event>,
    bytes: usize,
    until: Instant,
    gathered: Gathered,
    streamed: Streamed,
    /// It goes on: everything is shown as it comes.
    is_late: bool,
}

impl Deciding {
    /// Writes on one of two papers for the same hubs.
    pub fn new(gathered: Paper, streamed: Paper) -> Self {
        Self {
            held: Vec::new(),
            bytes: 0,
            until: Instant::now() + SOON,
            gathered: Gathered::new(gathered, false),
            streamed: Streamed::new(streamed),
            is_late: false,
        }
    }
}

impl Show for Deciding {
    fn event(&mut self, event: Event) -> io::Result<()> {
        if self.is_late {
            return self.streamed.event(event);
        }
        if let Event::Output { bytes, .. } = &event {
            self.bytes += bytes.len();
        }
        self.held.push(event);
        if self.bytes > HELD { self.late() } else { Ok(()) }
    }

    fn waits_until(&self) -> Option<Instant> {
        (!self.is_late).then_some(self.until)
    }

    fn late(&mut self) -> io::Result<()> {
        self.is_late = true;
        std::mem::take(&mut self.held).into_iter().try_for_each(|event| self.streamed.event(event))
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.is_late {
            return self.streamed.finish();
        }
        std::mem::take(&mut self.held).into_iter().try_for_each(|event| self.gathered.event(event))?;
        self.gathered.finish()
    }
}
