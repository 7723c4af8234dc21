//! Whole lines as they come, the hub's name in front of each.

use std::io::{self, Write as _};

use super::{Paper, Show};
use crate::exec::{Event, Lines, Outcome, Stream};
use crate::report::Prefixes;

/// Standard output to standard output and standard error to standard error. What the command printed is written as it is:
/// only the prefix has fleet's colours, and only where they are wanted.
pub struct Streamed {
    paper: Paper,
    prefixes: [Prefixes; 2],
    /// What each hub has begun to print, on each output.
    lines: Vec<[Lines; 2]>,
    /// What is about to be written.
    ready: Vec<u8>,
    outcomes: Vec<Outcome>,
}

impl Streamed {
    /// Writes there.
    pub fn new(paper: Paper) -> Self {
        let (out, err) = paper.colours;
        Self {
            prefixes: [Prefixes::new(&paper.hubs, out), Prefixes::new(&paper.hubs, err)],
            lines: paper.hubs.iter().map(|_| [Lines::default(), Lines::default()]).collect(),
            ready: Vec::new(),
            outcomes: Vec::new(),
            paper,
        }
    }

    /// Whole lines in one piece, so that they are written in one piece.
    fn write(
        &mut self,
        hub: usize,
        stream: Stream,
        take: impl FnOnce(&mut Lines, &mut dyn FnMut(&[u8])),
    ) -> io::Result<()> {
        let prefix = self.prefixes[stream as usize].of(&self.paper.hubs[hub]);
        let ready = &mut self.ready;
        ready.clear();
        take(&mut self.lines[hub][stream as usize], &mut |line| {
            ready.extend_from_slice(prefix.as_bytes());
            ready.extend_from_slice(line);
            ready.push(b'\n');
        });
        match stream {
            Stream::Stdout => self.paper.out.write_all(ready),
            Stream::Stderr => self.paper.err.write_all(ready),
        }
    }
}

impl Show for Streamed {
    fn event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Output { hub, stream, bytes } => {
                self.write(hub, stream, |lines, line| lines.push(&bytes, line))
            }
            Event::Ended(outcome) => {
                let hub = outcome.hub;
                for stream in [Stream::Stdout, Stream::Stderr] {
                    self.write(hub, stream, |lines, line| lines.finish(line))?;
                }
                if let Some(why) = outcome.fate.why() {
                    let prefix = self.prefixes[Stream::Stderr as usize].of(&self.paper.hubs[hub]);
                    self.paper.err.write_all(format!("{prefix}fleet: {why}\n").as_bytes())?;
                }
                self.outcomes.push(outcome);
                Ok(())
            }
            Event::Pause(_) => self.paper.out.flush(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.paper.out.flush()?;
        self.paper.summary(&self.outcomes)
    }
}
