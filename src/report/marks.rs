//! The report on the quarantine's marks.

use std::io::{self, Write};

use serde::Serialize;

use crate::apply::mark::{MarkOutcome, Marked};
use crate::plan::orphans::Decided;
use crate::text::{clean, count};

use super::orphans::document::OutcomeEntry;

/// For people: how many of each, then what was not just marked.
pub fn table(out: &mut impl Write, marked: &Marked<'_>) -> io::Result<()> {
    let number = |wanted: &dyn Fn(&MarkOutcome) -> bool| {
        count(marked.outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count() as u64, "volume")
    };
    writeln!(out, "Marked: {}", number(&|outcome| *outcome == MarkOutcome::Marked))?;
    writeln!(out, "Marked already: {}", number(&|outcome| matches!(outcome, MarkOutcome::Stays { .. })))?;
    writeln!(out, "Taken off: {}", number(&|outcome| matches!(outcome, MarkOutcome::TakenOff { .. })))?;
    for (decided, outcome) in &marked.outcomes {
        let (what, reason) = match outcome {
            MarkOutcome::Marked | MarkOutcome::Stays { .. } => continue,
            MarkOutcome::TakenOff { reason } => ("taken off", reason.as_str()),
            MarkOutcome::Left { reason } => ("left", reason.as_str()),
            MarkOutcome::Failed { reason } => ("FAILED", reason.as_str()),
            MarkOutcome::NotStarted => ("not started", "fleet was stopped"),
        };
        let Decided { project, volume } = decided;
        let text = format!("  {what} {} ({}, project {}): {reason}", volume.id, volume.name, project.name);
        writeln!(out, "{}", clean(&text))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    interrupted: bool,
    volumes: Vec<OutcomeEntry<'a, MarkOutcome>>,
}

/// The same for scripts.
pub fn json(out: &mut impl Write, marked: &Marked<'_>) -> io::Result<()> {
    let volumes = marked
        .outcomes
        .iter()
        .map(|(decided, outcome)| OutcomeEntry::of(&decided.project, &decided.volume, outcome));
    let document = Document { interrupted: marked.interrupted, volumes: volumes.collect() };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::orphans::samples::{now, project, volume};

    #[test]
    fn what_was_not_just_marked_is_told_one_by_one() {
        let decided: Vec<Decided> =
            (1..6).map(|number| Decided { project: project("alpha"), volume: volume(number) }).collect();
        let outcomes = [
            MarkOutcome::Marked,
            MarkOutcome::Stays { since: now() },
            MarkOutcome::TakenOff { reason: "in use: hub hub-0: claim jhub/claim-alice".to_owned() },
            MarkOutcome::Left { reason: "its status changed\u{1b}".to_owned() },
            MarkOutcome::Failed { reason: "HTTP 403".to_owned() },
        ];
        let marked = Marked { outcomes: decided.iter().zip(outcomes).collect(), interrupted: false };
        let mut out = Vec::new();
        table(&mut out, &marked).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        Marked: 1 volume
        Marked already: 1 volume
        Taken off: 1 volume
          taken off 00000003-1111-4000-8000-000000000003 (pvc-00000003-0000-4000-8000-000000000003, project alpha): in use: hub hub-0: claim jhub/claim-alice
          left 00000004-1111-4000-8000-000000000004 (pvc-00000004-0000-4000-8000-000000000004, project alpha): its status changed�
          FAILED 00000005-1111-4000-8000-000000000005 (pvc-00000005-0000-4000-8000-000000000005, project alpha): HTTP 403
        ");
        let mut out = Vec::new();
        json(&mut out, &marked).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(document["volumes"][1]["outcome"], "stays");
        assert_eq!(document["volumes"][4]["reason"], "HTTP 403");
    }
}
