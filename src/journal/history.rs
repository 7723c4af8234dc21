//! What a journal says, put together: runs, and what became of each volume.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::apply::delete::{Evidence, Outcome};
use crate::files::lines::{self, Problem};
use crate::plan::orphans::Decided;

use super::{Begin, DeletingEntry, End, Entry, Line};

/// All that a journal says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Its runs, the oldest first.
    pub runs: Vec<RunHistory>,
    /// What cannot be read of it.
    pub problems: Vec<Problem>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHistory {
    /// Its id.
    pub id: String,
    /// When its first line was written.
    pub since: Timestamp,
    /// Its beginning; none where that line cannot be read.
    pub begin: Option<Begin>,
    /// Its end, with when. None where it did not live to see one.
    pub end: Option<(Timestamp, End)>,
    /// Its volumes, in the plan's order.
    pub volumes: Vec<VolumeHistory>,
}

/// One volume of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeHistory {
    /// Cinder's id.
    pub id: String,
    /// The volume as it was when its deletion was decided, or about to be sent; none where no line that can be read
    /// tells.
    pub decided: Option<Decided>,
    /// Whom it was made for.
    pub made_for: Option<String>,
    /// When its deletion was about to be sent, the last time.
    pub deleting_at: Option<Timestamp>,
    /// What that rests on.
    pub evidence: Option<Evidence>,
    /// What became of it, with when that was known, and whether a later run found it out.
    pub over: Option<(Timestamp, Outcome, bool)>,
}

/// What became of a volume, as far as the journal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'h> {
    /// This.
    Over(&'h Outcome),
    /// Its deletion was sent, or was about to be.
    Unknown,
    /// Nothing.
    NotDone,
}

impl VolumeHistory {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            decided: None,
            made_for: None,
            deleting_at: None,
            evidence: None,
            over: None,
        }
    }

    /// What became of it.
    pub fn fate(&self) -> Fate<'_> {
        match (&self.over, self.deleting_at) {
            (Some((_, outcome, _)), _) => Fate::Over(outcome),
            (None, Some(_)) => Fate::Unknown,
            (None, None) => Fate::NotDone,
        }
    }

    /// Whether its deletion was sent, or was about to be, and nobody knows what became of it.
    pub fn is_open(&self) -> bool {
        matches!(self.fate(), Fate::Unknown | Fate::Over(Outcome::Pending { .. }))
    }

    /// Whether its run is done with it: it was deleted, or looked at and kept. A failure is not done with.
    pub fn is_done(&self) -> bool {
        matches!(self.fate(), Fate::Over(Outcome::Deleted | Outcome::AlreadyGone | Outcome::Kept { .. }))
    }
}

impl RunHistory {
    /// Volumes of which nobody knows whether they were deleted.
    pub fn open(&self) -> impl Iterator<Item = &VolumeHistory> {
        self.volumes.iter().filter(|volume| volume.is_open())
    }

    /// How many were deleted, are not known of, and were not done.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: &dyn Fn(Fate<'_>) -> bool| {
            self.volumes.iter().filter(|volume| wanted(volume.fate())).count()
        };
        (
            count(&|fate| fate == Fate::Over(&Outcome::Deleted)),
            self.open().count(),
            count(&|fate| matches!(fate, Fate::NotDone | Fate::Over(Outcome::NotStarted))),
        )
    }

    /// Whether it is one of a fleet of this name: fleets may share a state directory, and with it the journal. A run whose
    /// beginning cannot be read is anybody's.
    pub fn is_of(&self, fleet: &str) -> bool {
        self.begin.as_ref().is_none_or(|begin| begin.fleet == fleet)
    }

    fn volume<'v>(
        volumes: &'v mut Vec<VolumeHistory>,
        places: &mut Places,
        run: usize,
        id: &str,
    ) -> &'v mut VolumeHistory {
        let place = *places.volumes.entry((run, id.to_owned())).or_insert_with(|| {
            volumes.push(VolumeHistory::new(id));
            volumes.len() - 1
        });
        &mut volumes[place]
    }
}

/// Where things are, so that a long journal is read in one go.
#[derive(Default)]
struct Places {
    runs: HashMap<String, usize>,
    volumes: HashMap<(usize, String), usize>,
}

impl History {
    /// Reads a journal. A line that cannot be read hides no other one.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut history = Self::default();
        let mut places = Places::default();
        for line in lines::read::<Line>(bytes) {
            match line {
                Ok(line) => history.take(line, &mut places),
                Err(problem) => history.problems.push(problem),
            }
        }
        history
    }

    fn take(&mut self, line: Line, places: &mut Places) {
        let Line { run, at, entry } = line;
        let place = *places.runs.entry(run.clone()).or_insert_with(|| {
            self.runs.push(RunHistory { id: run, since: at, begin: None, end: None, volumes: Vec::new() });
            self.runs.len() - 1
        });
        let run = &mut self.runs[place];
        match entry {
            Entry::Begin(begin) => {
                for planned in &begin.volumes {
                    let id = &planned.decided.volume.id;
                    let volume = RunHistory::volume(&mut run.volumes, places, place, id);
                    volume.decided = Some(planned.decided.clone());
                    volume.made_for.clone_from(&planned.made_for);
                }
                run.begin = Some(begin);
            }
            Entry::Deleting(deleting) => {
                let volume = RunHistory::volume(&mut run.volumes, places, place, &deleting.volume.id);
                let DeletingEntry { project, volume: seen, evidence } = deleting;
                volume.evidence = Some(evidence);
                volume.decided.get_or_insert(Decided { project, volume: seen });
                volume.deleting_at = Some(at);
                volume.over = None;
            }
            Entry::Over(over) => {
                let volume = RunHistory::volume(&mut run.volumes, places, place, &over.id);
                volume.over = Some((at, over.outcome, over.settled));
            }
            Entry::End(end) => run.end = Some((at, end)),
        }
    }

    /// Runs that did not live to see their end, the oldest first.
    pub fn unended(&self) -> impl Iterator<Item = &RunHistory> {
        self.runs.iter().filter(|run| run.end.is_none())
    }

    /// Runs of a fleet of this name that have something to settle: they did not end, or some of their deletions were not
    /// followed to the end.
    pub fn unsettled<'h>(&'h self, fleet: &'h str) -> impl Iterator<Item = &'h RunHistory> {
        self.runs
            .iter()
            .filter(move |run| run.is_of(fleet) && (run.end.is_none() || run.open().next().is_some()))
    }
}
