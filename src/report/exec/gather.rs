//! Equal output of many hubs once, with the hubs that gave it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use similar::TextDiff;

use super::kept::Kept;
use super::{Paper, Show};
use crate::exec::{Event, Fate, Fingerprint, Spool};
use crate::plan::fold::{fold, most_frequent_first};

/// The most bytes of an output that are compared line by line: comparing holds both.
const COMPARED: u64 = 4 << 20;

/// Two outputs that have little in common are compared for so long; then the rest counts as different.
const COMPARING: Duration = Duration::from_secs(5);

/// What two hubs have to have in common to be shown as one.
type Key = (Option<Fate>, Fingerprint, Fingerprint);

/// Shows groups of hubs when all have ended.
pub struct Gathered {
    paper: Paper,
    kept: Kept,
    keys: Vec<Option<Key>>,
    /// The hub whose output is kept for all that have the same.
    keeper: HashMap<Key, usize>,
    diff: bool,
}

impl Gathered {
    /// Writes there; with `diff` the others as their difference from the most frequent.
    pub fn new(paper: Paper, diff: bool) -> Self {
        let hubs = paper.hubs.len();
        Self { kept: Kept::new(hubs), keys: vec![None; hubs], keeper: HashMap::new(), paper, diff }
    }

    /// One group of hubs.
    fn group(&mut self, places: &[usize], base: Option<(&[usize], usize)>) -> io::Result<()> {
        let one = self.kept.of(keeper(&self.keys, &self.keeper, places[0]));
        let why = one.outcome.as_ref().and_then(|outcome| outcome.fate.why());
        let out_heading = self.paper.heading(places, self.paper.colours.0);
        let err_heading = self.paper.heading(places, self.paper.colours.1);
        let mut is_headed = false;
        if !one.stdout.is_empty() || base.is_some_and(|(_, hub)| !self.kept.of(hub).stdout.is_empty()) {
            is_headed = self.paper.one_screen;
            self.paper.out.write_all(out_heading.as_bytes())?;
            match base {
                Some((others, hub)) => {
                    let names = (self.paper.names(others), self.paper.names(places));
                    difference(&mut self.paper.out, &self.kept.of(hub).stdout, &one.stdout, &names)?;
                }
                None => write(&mut self.paper.out, &one.stdout)?,
            }
            self.paper.out.flush()?;
        }
        if one.stderr.is_empty() && why.is_none() {
            return Ok(());
        }
        if !is_headed {
            self.paper.err.write_all(err_heading.as_bytes())?;
        }
        write(&mut self.paper.err, &one.stderr)?;
        match why {
            Some(why) => self.paper.err.write_all(format!("fleet: {why}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

/// The hub whose output is that of another one, and is still kept.
fn keeper(keys: &[Option<Key>], keeper: &HashMap<Key, usize>, hub: usize) -> usize {
    keys[hub].as_ref().and_then(|key| keeper.get(key)).copied().unwrap_or(hub)
}

impl Show for Gathered {
    fn event(&mut self, event: Event) -> io::Result<()> {
        let Some(hub) = self.kept.take(event)? else { return Ok(()) };
        let one = self.kept.of(hub);
        let fate = one.outcome.as_ref().map(|outcome| outcome.fate.clone());
        let key = (fate, one.stdout.fingerprint(), one.stderr.fingerprint());
        self.keys[hub] = Some(key.clone());
        if *self.keeper.entry(key).or_insert(hub) != hub {
            self.kept.forget(hub);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut groups = fold(&self.keys);
        if self.diff {
            groups = most_frequent_first(groups);
        }
        let mut base = None;
        for group in &groups {
            self.group(group, base)?;
            if self.diff && base.is_none() {
                base = Some((group.as_slice(), keeper(&self.keys, &self.keeper, group[0])));
            }
        }
        self.paper.summary(&self.kept.outcomes())
    }
}

/// All of it, and then a new line begins.
fn write(to: &mut impl Write, spool: &Spool) -> io::Result<()> {
    spool.each(|piece| to.write_all(piece))?;
    if spool.ends_a_line() { Ok(()) } else { to.write_all(b"\n") }
}

/// What one output has and the other has not, as `diff -u` shows it.
fn difference(to: &mut impl Write, base: &Spool, other: &Spool, names: &(String, String)) -> io::Result<()> {
    if base.fingerprint() == other.fingerprint() {
        return to.write_all(b"(the same output)\n");
    }
    let (Some(old), Some(new)) = (base.whole(COMPARED)?, other.whole(COMPARED)?) else {
        to.write_all(b"(too much to compare: all of it)\n")?;
        return write(to, other);
    };
    let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
    let diff = TextDiff::configure().timeout(COMPARING).diff_lines(&*old, &*new);
    let text = diff.unified_diff().context_radius(3).header(&names.0, &names.1).to_string();
    to.write_all(text.as_bytes())
}
