//! A directory with three files a hub: what it printed to standard output and to standard error, and how it ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Paper, Show};
use crate::exec::{Event, Outcome, Stream};
use crate::files::private_dir;
use crate::hub::HubName;

/// What commands print may have secrets in it.
const MODE: u32 = 0o600;

/// Writes `HUB.stdout`, `HUB.stderr` and, when it has ended, `HUB.status`.
pub struct Files {
    paper: Paper,
    directory: PathBuf,
    outputs: Vec<[File; 2]>,
    outcomes: Vec<Outcome>,
}

/// Makes a directory, or takes one in which nothing is: what another run left there would be taken for this one's. Why not,
/// otherwise.
pub fn free_directory(path: &Path) -> Result<(), String> {
    private_dir(path).map_err(|error| crate::exit::chain(&error))?;
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("there is something in {} already", path.display())),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

impl Files {
    /// Writes into a [`free_directory`], and tells there what went wrong.
    pub fn new(paper: Paper, directory: &Path) -> io::Result<Self> {
        let new = |name: String| create(&directory.join(name));
        let of_hub = |hub: &HubName| -> io::Result<[File; 2]> {
            Ok([new(format!("{hub}.stdout"))?, new(format!("{hub}.stderr"))?])
        };
        let outputs = paper.hubs.iter().map(of_hub).collect::<io::Result<_>>()?;
        Ok(Self { paper, directory: directory.to_owned(), outputs, outcomes: Vec::new() })
    }
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    file.map_err(|error| io::Error::new(error.kind(), format!("cannot make {}: {error}", path.display())))
}

impl Show for Files {
    fn event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Output { hub, stream, bytes } => {
                let written = self.outputs[hub][stream as usize].write_all(&bytes);
                written.map_err(|error| {
                    let name = match stream {
                        Stream::Stdout => "stdout",
                        Stream::Stderr => "stderr",
                    };
                    let path = self.directory.join(format!("{}.{name}", self.paper.hubs[hub]));
                    // Never as a pipe that broke: nobody is to take this for a reader who has seen enough.
                    io::Error::other(format!("cannot write {}: {error}", path.display()))
                })
            }
            Event::Ended(outcome) => {
                let hub = &self.paper.hubs[outcome.hub];
                let why = outcome.fate.why();
                // A number where there is one; a script that compares it with 0 is right either way.
                let text = match outcome.fate.exit_status() {
                    Some(status) => status.to_string(),
                    None => why.clone().unwrap_or_default(),
                };
                let mut status = create(&self.directory.join(format!("{hub}.status")))?;
                status.write_all(format!("{text}\n").as_bytes())?;
                if let Some(why) = why {
                    self.paper.err.write_all(format!("{hub}: fleet: {why}\n").as_bytes())?;
                }
                self.outcomes.push(outcome);
                Ok(())
            }
            Event::Pause(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.paper.summary(&self.outcomes)
    }
}
