//! Quarantine: orphans are marked on first sight, and deleted only when the mark is old enough.
//!
//! A mark can only ever keep a volume for longer: what is deleted has to be an orphan by the whole rule, marked or not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::observed::{Metadata, Unseen, Volume};

use super::{Class, Decided, Deletions, Judged, OrphanPlan, changed};

/// Since when a volume has been known as an orphan.
pub const SINCE: &str = "fleet.orphan-since";

/// Since when a volume is marked. A mark that cannot be read, or is of the future, is none.
fn since(metadata: &Metadata, now: Timestamp) -> Option<Timestamp> {
    metadata.get(SINCE)?.trim().parse().ok().filter(|since| *since <= now)
}

/// What marks have to be set and taken off. Only a complete view has it ([`OrphanPlan::marking`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Marking {
    /// Orphans without a mark.
    pub put: Vec<Decided>,
    /// Volumes that carry one and are no orphans, each with what it is.
    pub take: Vec<(Decided, String)>,
    /// Orphans that are marked, with since when.
    pub stay: Vec<(Decided, Timestamp)>,
}

impl OrphanPlan<'_> {
    /// What marks have to be set and taken off.
    pub fn marking(&self) -> Result<Marking, &[Unseen]> {
        if !self.is_complete() {
            return Err(&self.unseen);
        }
        let mut marking = Marking { put: Vec::new(), take: Vec::new(), stay: Vec::new() };
        for judged in &self.volumes {
            let Judged { project, volume, verdict, made_for: _ } = judged;
            let decided = || Decided { project: (*project).clone(), volume: (*volume).clone() };
            match since(&volume.metadata, self.seen_at) {
                Some(since) if verdict.class == Class::Orphan => marking.stay.push((decided(), since)),
                None if verdict.class == Class::Orphan => marking.put.push(decided()),
                _ if volume.metadata.contains_key(SINCE) => {
                    marking.take.push((decided(), format!("{}: {}", verdict.class, verdict.reason)));
                }
                _ => {}
            }
        }
        Ok(marking)
    }
}

impl Deletions {
    /// Leaves only what has been marked for so long.
    pub fn marked_for(&self, at_least: Duration, now: Timestamp) -> Deletions {
        let is_ripe = |volume: &Volume| {
            let marked = since(&volume.metadata, now).map(|since| now.duration_since(since));
            // Longer than time is nothing: then no mark is old enough.
            let wanted = SignedDuration::try_from(at_least).unwrap_or(SignedDuration::MAX);
            marked.is_some_and(|marked| marked >= wanted)
        };
        let volumes = self.volumes.iter().filter(|planned| is_ripe(&planned.volume)).cloned().collect();
        Deletions { volumes, hubs: self.hubs.clone() }
    }
}

/// Whether a volume may be marked: it has to be what it was when it was judged. The error says what is not.
pub fn still_to_mark(decided: &Decided, fresh: &Volume) -> Result<(), String> {
    changed(&decided.volume, fresh).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::orphans::plan;
    use crate::plan::orphans::samples::{
        hours_ago, now, pv, rules, silent, view, volume, volume_id, with_metadata,
    };

    fn marked(number: u64, hours: i64) -> Volume {
        with_metadata(number, SINCE, &hours_ago(hours).to_string())
    }

    fn ids<'d>(all: impl IntoIterator<Item = &'d Decided>) -> Vec<&'d str> {
        all.into_iter().map(|decided| decided.volume.id.as_str()).collect()
    }

    #[test]
    fn orphans_without_a_mark_get_one_and_what_is_no_orphan_loses_it() {
        let mut kept = marked(4, 5);
        kept.metadata.insert("fleet.keep".to_owned(), "true".to_owned());
        let view =
            view(vec![volume(1), marked(2, 5), marked(3, 5), kept, volume(5)], vec![vec![pv(3), pv(5)]]);
        let marking = plan(&view, &rules()).marking().unwrap();
        assert_eq!(ids(&marking.put), [volume_id(1)]);
        assert_eq!(marking.stay.iter().map(|(_, since)| *since).collect::<Vec<_>>(), [hours_ago(5)]);
        assert_eq!(ids(marking.take.iter().map(|(decided, _)| decided)), [volume_id(3), volume_id(4)]);
        assert_eq!(marking.take[0].1, "in use: hub hub-0: claim jhub/claim-alice");
    }

    #[test]
    fn an_incomplete_view_marks_nothing_and_takes_no_mark_off() {
        let mut view = view(vec![volume(1), marked(2, 5)], vec![vec![]]);
        view.unseen = vec![silent("hub-7")];
        assert!(plan(&view, &rules()).marking().is_err());
    }

    #[test]
    fn only_what_was_marked_for_so_long_is_deleted() {
        let volumes = vec![volume(1), marked(2, 167), marked(3, 168), marked(4, 1000)];
        let view = view(volumes, vec![vec![]]);
        let all = plan(&view, &rules()).deletions().unwrap();
        let week = Duration::from_hours(7 * 24);
        let ripe = all.marked_for(week, now());
        let found: Vec<&str> = ripe.volumes().iter().map(|planned| planned.volume.id.as_str()).collect();
        assert_eq!(found, [volume_id(3), volume_id(4)]);
        assert_eq!(ripe.hubs(), all.hubs());
        // However short: whatever has no mark is kept.
        assert_eq!(all.marked_for(Duration::ZERO, now()).volumes().len(), 3);
        assert!(all.marked_for(Duration::MAX, now()).is_empty());
    }

    #[test]
    fn a_mark_of_the_future_or_one_that_cannot_be_read_does_not_count() {
        for mark in [&hours_ago(-1).to_string(), "yesterday", "", "2026-02-01", "0"] {
            let view = view(vec![with_metadata(1, SINCE, mark)], vec![vec![]]);
            let plan = plan(&view, &rules());
            assert!(plan.deletions().unwrap().marked_for(Duration::ZERO, now()).is_empty(), "{mark}");
            assert_eq!(plan.marking().unwrap().put.len(), 1, "{mark}");
        }
        let zoned = with_metadata(1, SINCE, "2026-02-01T12:00:00+02:00");
        let view = view(vec![zoned], vec![vec![]]);
        let plan = plan(&view, &rules());
        assert_eq!(plan.marking().unwrap().stay.len(), 1);
    }

    #[test]
    fn a_volume_that_is_in_use_is_not_deleted_however_long_it_has_been_marked() {
        let view = view(vec![marked(1, 10_000)], vec![vec![pv(1)]]);
        assert!(plan(&view, &rules()).deletions().unwrap().is_empty());
    }
}
