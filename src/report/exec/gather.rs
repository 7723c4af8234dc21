//! Equal output of many hubs once, with the hubs that gave it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use similar::TextDiff;

use super::kept::Kept;
use super::{Paper, Show};
use crate::exec::{Event, Fate, Fingerprint, Spool};
use crate::plan::fold::{fold, most_frequent_first};

/// The most bytes of an output that are compared line by line: comparing holds both.
const COMPARED: u64 = 4 << 20;

/// Outputs that have little in common are compared for so long, all of them together; then the rest counts as different.
const COMPARING: Duration = Duration::from_secs(5);

/// Time that several comparisons share: what one leaves is there for those that follow.
#[derive(Debug, Default)]
struct Shared {
    left: Duration,
    among: usize,
}

impl Shared {
    /// Does the next one, which is told how long it may take.
    fn spend<T>(&mut self, work: impl FnOnce(Duration) -> T) -> T {
        let began = Instant::now();
        let done = work(self.left / u32::try_from(self.among.max(1)).unwrap_or(u32::MAX));
        self.among = self.among.saturating_sub(1);
        self.left = self.left.saturating_sub(began.elapsed());
        done
    }
}

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
    comparing: Shared,
}

impl Gathered {
    /// Writes there; with `diff` the others as their difference from the most frequent.
    pub fn new(paper: Paper, diff: bool) -> Self {
        let hubs = paper.hubs.len();
        Self {
            kept: Kept::new(hubs),
            keys: vec![None; hubs],
            keeper: HashMap::new(),
            paper,
            diff,
            comparing: Shared::default(),
        }
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
                    let (base, out) = (&self.kept.of(hub).stdout, &mut self.paper.out);
                    difference(out, base, &one.stdout, &names, &mut self.comparing)?;
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
        self.comparing = Shared { left: COMPARING, among: groups.len().saturating_sub(1) };
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
fn difference(
    to: &mut impl Write,
    base: &Spool,
    other: &Spool,
    names: &(String, String),
    comparing: &mut Shared,
) -> io::Result<()> {
    if base.fingerprint() == other.fingerprint() {
        return to.write_all(b"(the same output)\n");
    }
    let (Some(old), Some(new)) = (base.whole(COMPARED)?, other.whole(COMPARED)?) else {
        to.write_all(b"(too much to compare: all of it)\n")?;
        return write(to, other);
    };
    let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
    let diff = comparing.spend(|share| TextDiff::configure().timeout(share).diff_lines(&*old, &*new));
    let text = diff.unified_diff().context_radius(3).header(&names.0, &names.1).to_string();
    to.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_share_their_time_and_what_one_leaves_the_others_have() {
        let mut comparing = Shared { left: Duration::from_secs(4), among: 4 };
        let first = comparing.spend(|share| share);
        assert_eq!(first, Duration::from_secs(1));
        let second = comparing.spend(|share| {
            std::thread::sleep(Duration::from_millis(50));
            share
        });
        assert!(second > Duration::from_millis(1300), "{second:?}");
        assert!(comparing.left < Duration::from_millis(3950), "{comparing:?}");
        let (third, last) = (comparing.spend(|share| share), comparing.spend(|share| share));
        assert!(last > third && last <= Duration::from_millis(3950), "{third:?} {last:?}");
    }

    #[test]
    fn without_time_left_a_comparison_takes_none() {
        let mut comparing = Shared { left: Duration::ZERO, among: 1 };
        assert_eq!(comparing.spend(|share| share), Duration::ZERO);
        assert_eq!(comparing.spend(|share| share), Duration::ZERO, "more of them than were expected");
    }
}
