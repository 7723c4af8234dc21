//! What a command prints across hubs, in the forms that it is shown in. All of them are made from the same events.

mod columns;
mod deciding;
mod files;
mod gather;
mod json;
mod kept;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use tokio::time::Instant;

use crate::exec::{Event, Fate, Outcome};
use crate::hub::HubName;

pub use deciding::Deciding;
pub use files::{Files, free_directory};
pub use gather::Gathered;
pub use json::{Form, Json};
pub use stream::Streamed;
pub use table::Tables;

/// Shows what happens. Errors are those of writing, and of keeping what has to wait.
pub trait Show: Send {
    /// Something has happened.
    fn event(&mut self, event: Event) -> io::Result<()>;

    /// Until when it waits to see whether there is more to come.
    fn waits_until(&self) -> Option<Instant> {
        None
    }

    /// That time is over.
    fn late(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Nothing happens any more.
    fn finish(&mut self) -> io::Result<()>;
}

/// What is written on, and for which hubs.
pub struct Paper {
    /// Standard output.
    out: Box<dyn Write + Send>,
    /// Standard error.
    err: Box<dyn Write + Send>,
    /// Whether each wants colours.
    colours: (bool, bool),
    /// Both are one screen: what stands on one is seen on the other.
    one_screen: bool,
    /// The chosen hubs.
    hubs: Vec<HubName>,
}

impl Paper {
    /// This process's own.
    pub fn standard(hubs: Vec<HubName>) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let colours =
            (AutoStream::choice(&out) != ColorChoice::Never, AutoStream::choice(&err) != ColorChoice::Never);
        let one_screen = out.is_terminal() && err.is_terminal();
        Self { out: Box::new(out), err: Box::new(err), colours, one_screen, hubs }
    }

    /// The names of some of the hubs.
    fn names(&self, places: &[usize]) -> String {
        places.iter().map(|place| self.hubs[*place].as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What stands above the output of some of the hubs.
    fn heading(&self, places: &[usize], colour: bool) -> String {
        let style = if colour { Style::new().bold() } else { Style::new() };
        let names = self.names(places);
        match places.len() {
            1 => format!("{style}== {names}{style:#}\n"),
            all if all == self.hubs.len() => format!("{style}== {names} (all {all} hubs){style:#}\n"),
            some => format!("{style}== {names} ({some} of {} hubs){style:#}\n", self.hubs.len()),
        }
    }

    /// Said at the end where more than one hub was asked and not all went well: the lines have scrolled away by then.
    fn summary(&mut self, outcomes: &[Outcome]) -> io::Result<()> {
        if self.hubs.len() < 2 {
            return Ok(());
        }
        let mut said = Vec::new();
        for what in ["failed", "stopped", "not begun"] {
            let is_it = |outcome: &&Outcome| !outcome.fate.is_success() && word(&outcome.fate) == what;
            let mut places: Vec<usize> = outcomes.iter().filter(is_it).map(|outcome| outcome.hub).collect();
            places.sort_unstable();
            if !places.is_empty() {
                let (some, all) = (places.len(), self.hubs.len());
                said.push(format!("{what} in {some} of {all} hubs: {}", self.names(&places)));
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        self.err.write_all(format!("fleet: {}\n", said.join("; ")).as_bytes())
    }
}

/// What a fate is called where hubs are counted.
fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Ended(_) => "failed",
        Fate::Stopped(_) => "stopped",
        Fate::NotBegun(_) => "not begun",
    }
}
