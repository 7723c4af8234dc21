//! The report on orphans: what every volume is, what would be deleted, and what was.

mod csv;
pub(super) mod document;
mod foreign;
mod page;
mod why;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::apply::delete::{Event, Outcome, Step, Summary};
use crate::observed::{ClaimRef, Unseen};
use crate::plan::orphans::{By, Class, Deletions, Dropped, Evidence, Judged, OrphanPlan, Planned, Total};

pub use self::csv::csv;
pub use self::foreign::unknown_in_words;
pub use self::page::page;
pub use self::why::{why, why_json};

use super::{Table, age};
use crate::text::{clean, count, or_dash};

/// How a report for people looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// The terminal's width; `None` for a pipe or a file, where every row is one line.
    pub width: Option<u16>,
    /// Show the volumes of all classes, with reason and evidence, and not only the orphans.
    pub all: bool,
}

/// The report for people: totals, then orphans (or everything), then PVs without a volume, then clusters that are no hub's,
/// then what was not seen.
pub fn table(out: &mut impl Write, plan: &OrphanPlan<'_>, look: Look) -> io::Result<()> {
    totals(out, plan, look)?;
    if look.all {
        every_volume(out, plan, look)?;
    } else {
        orphans(out, plan, look)?;
    }
    lost(out, plan, look)?;
    foreign::write(out, plan)?;
    unseen(out, plan.unseen())
}

/// The same for scripts: one JSON document with every volume.
pub fn json(out: &mut impl Write, plan: &OrphanPlan<'_>) -> io::Result<()> {
    document::write(out, &document::plan(plan))
}

/// What will be deleted, shown before anything is.
pub fn deletions(out: &mut impl Write, deletions: &Deletions, look: Look) -> io::Result<()> {
    if deletions.is_empty() {
        return writeln!(out, "No orphans: there is nothing to delete.");
    }
    let mut table = Table::new(&["PROJECT", "VOLUME", "NAME", ">GiB", "CREATED", "MADE FOR"], look.width);
    for planned in deletions.volumes() {
        let volume = planned.volume();
        let created = volume.created_at.map_or_else(|| "-".to_owned(), |at| at.strftime("%F").to_string());
        table.row([
            &planned.project().name,
            &volume.id,
            &volume.name,
            &volume.size_gib.to_string(),
            &created,
            or_dash(planned.made_for()).as_ref(),
        ]);
    }
    write!(out, "{table}")?;
    writeln!(out)?;
    for (project, total) in deletions.totals() {
        writeln!(out, "To delete in {}: {}", clean(&project.name), in_words(total))?;
    }
    Ok(())
}

/// The same for scripts.
pub fn deletions_json(
    out: &mut impl Write,
    deletions: &Deletions,
    dropped: Option<&[Dropped]>,
) -> io::Result<()> {
    document::write(out, &document::deletions(deletions, dropped))
}

/// One line about a volume of a saved plan that is not deleted.
pub fn dropped(dropped: &Dropped) -> String {
    let Dropped { decided, now: _, reason } = dropped;
    let volume = &decided.volume;
    let text = format!(
        "dropped out {} ({}, {} GiB, project {}): {reason}",
        volume.id, volume.name, volume.size_gib, decided.project.name
    );
    clean(&text).into_owned()
}

/// One line about something that happened, where it is worth one.
pub fn event(event: &Event<'_>) -> Option<String> {
    match &event.step {
        Step::Looking | Step::Deleting => None,
        Step::Over(outcome) => Some(line(event.planned, outcome)),
    }
}

/// How it went.
pub fn summary(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    for (number, name) in OUTCOMES.into_iter().enumerate() {
        let mut total = Total::default();
        for (planned, _) in summary.outcomes.iter().filter(|(_, outcome)| place(outcome) == number) {
            total.volumes += 1;
            total.gib = total.gib.saturating_add(planned.volume().size_gib);
        }
        // How many were deleted is told even if it is none.
        if total.volumes > 0 || name == OUTCOMES[0] {
            writeln!(out, "{name}: {}", in_words(total))?;
        }
    }
    for (planned, outcome) in &summary.outcomes {
        if matches!(outcome, Outcome::Kept { .. } | Outcome::Failed { .. } | Outcome::Pending { .. }) {
            writeln!(out, "  {}", line(planned, outcome))?;
        }
    }
    if !summary.silent.is_empty() {
        writeln!(
            out,
            "Stopped: before deleting, fleet looks at all hubs once more, and not all could be seen."
        )?;
    }
    if let Some(reason) = &summary.unrecorded {
        writeln!(out, "Stopped: {}. What cannot be written down is not done.", clean(reason))?;
    }
    unseen(out, &summary.silent)
}

/// The same for scripts.
pub fn summary_json(
    out: &mut impl Write,
    summary: &Summary<'_>,
    dropped: Option<&[Dropped]>,
) -> io::Result<()> {
    document::write(out, &document::summary(summary, dropped))
}

/// What the counts of a summary are called.
const OUTCOMES: [&str; 6] = ["Deleted", "Gone already", "Kept", "Failed", "Pending", "Not started"];

fn place(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Deleted => 0,
        Outcome::AlreadyGone => 1,
        Outcome::Kept { .. } => 2,
        Outcome::Failed { .. } => 3,
        Outcome::Pending { .. } => 4,
        Outcome::NotStarted => 5,
    }
}

fn line(planned: &Planned, outcome: &Outcome) -> String {
    let volume = planned.volume();
    let (what, reason) = match outcome {
        Outcome::Deleted => ("deleted", ""),
        Outcome::AlreadyGone => ("gone already", ""),
        Outcome::Kept { reason } => ("kept", reason.as_str()),
        Outcome::Failed { reason } => ("FAILED", reason.as_str()),
        Outcome::Pending { reason } => ("PENDING", reason.as_str()),
        Outcome::NotStarted => ("not started", ""),
    };
    let separator = if reason.is_empty() { "" } else { ": " };
    let text = format!(
        "{what} {} ({}, {} GiB, project {}){separator}{reason}",
        volume.id,
        volume.name,
        volume.size_gib,
        planned.project().name
    );
    clean(&text).into_owned()
}

fn in_words(total: Total) -> String {
    format!("{}, {} GiB", count(total.volumes, "volume"), total.gib)
}

fn totals(out: &mut impl Write, plan: &OrphanPlan<'_>, look: Look) -> io::Result<()> {
    let totals = plan.totals();
    let mut table = Table::new(&["PROJECT", "CLASS", ">VOLUMES", ">GiB"], look.width);
    for project in plan.projects() {
        for class in Class::ALL {
            if let Some(total) = totals.get(&(project, class)) {
                table.row([
                    &project.name,
                    class.as_str(),
                    &total.volumes.to_string(),
                    &total.gib.to_string(),
                ]);
            }
        }
    }
    if table.is_empty() {
        return writeln!(out, "No volumes.");
    }
    write!(out, "{table}")
}

fn orphans(out: &mut impl Write, plan: &OrphanPlan<'_>, look: Look) -> io::Result<()> {
    // In an incomplete view, or where an unknown cluster blocks, what may be orphans is shown too, under its own heading.
    for (class, heading) in [(Class::Orphan, "Orphans"), (Class::CannotTell, "Cannot tell")] {
        let mut table =
            Table::new(&["PROJECT", "VOLUME", "NAME", ">GiB", ">AGE", "MADE FOR", "USER"], look.width);
        for judged in plan.of(class) {
            table.row([
                judged.project.name.as_str(),
                &judged.volume.id,
                &judged.volume.name,
                &judged.volume.size_gib.to_string(),
                &age(judged.volume.created_at, plan.seen_at()),
                or_dash(judged.made_for.to_text().as_deref()).as_ref(),
                or_dash(judged.made_for.user).as_ref(),
            ]);
        }
        if !table.is_empty() {
            writeln!(out, "\n{heading}")?;
            write!(out, "{table}")?;
        }
    }
    if plan.is_complete() && !plan.is_blocked() && plan.is_empty() {
        writeln!(out, "\nNo orphans.")?;
    }
    Ok(())
}

fn every_volume(out: &mut impl Write, plan: &OrphanPlan<'_>, look: Look) -> io::Result<()> {
    let headings = ["PROJECT", "CLASS", "VOLUME", "NAME", ">GiB", ">AGE", "MADE FOR", "REASON", "EVIDENCE"];
    let mut table = Table::new(&headings, look.width);
    for judged in plan.volumes() {
        table.row([
            judged.project.name.as_str(),
            judged.verdict.class.as_str(),
            &judged.volume.id,
            or_dash(Some(&judged.volume.name)).as_ref(),
            &judged.volume.size_gib.to_string(),
            &age(judged.volume.created_at, plan.seen_at()),
            or_dash(judged.made_for.to_text().as_deref()).as_ref(),
            &judged.verdict.reason,
            &evidence(judged),
        ]);
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    write!(out, "{table}")
}

fn lost(out: &mut impl Write, plan: &OrphanPlan<'_>, look: Look) -> io::Result<()> {
    if plan.lost().is_empty() {
        return Ok(());
    }
    writeln!(out, "\nLost: the volume of these PVs is not in Cinder any more, so the next login fails")?;
    let mut table = Table::new(&["HUB", "PV", "PHASE", "CLAIM", "VOLUME"], look.width);
    for lost in plan.lost() {
        table.row([
            lost.hub.as_str(),
            lost.name,
            or_dash(Some(lost.phase)).as_ref(),
            or_dash(lost.claim.map(claim).as_deref()).as_ref(),
            &lost.volume_ids.join(" "),
        ]);
    }
    write!(out, "{table}")
}

fn unseen(out: &mut impl Write, unseen: &[Unseen]) -> io::Result<()> {
    if unseen.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nCannot tell which volumes are orphans. Not seen:")?;
    for Unseen { subject, reason, hint } in unseen {
        writeln!(out, "  {}: {}", clean(&subject.to_string()), clean(reason))?;
        if let Some(hint) = hint {
            writeln!(out, "    {}", clean(hint))?;
        }
    }
    Ok(())
}

fn claim(claim: &ClaimRef) -> String {
    format!("{}/{}", claim.namespace, claim.name)
}

fn evidence(judged: &Judged<'_>) -> String {
    let parts: Vec<String> = judged.verdict.evidence.iter().map(evidence_text).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

/// A piece of evidence, in words.
fn evidence_text(evidence: &Evidence<'_>) -> String {
    match evidence {
        Evidence::PersistentVolume { hub, name, phase, reclaim_policy, claim: of, by } => {
            let by = match by {
                By::Id => "id",
                By::Name => "name",
            };
            let of = of.map_or_else(String::new, |of| format!(" of {}", claim(of)));
            format!("PV {name} on {hub}{of}, {phase}, {reclaim_policy}, by {by}")
        }
        Evidence::Claim { hub, namespace, name, phase, .. } => {
            format!("claim {namespace}/{name} on {hub}, {phase}, without a PV")
        }
        Evidence::Metadata { key, value } => format!("{key}={value}"),
        Evidence::Status { status } => format!("status {status}"),
        Evidence::Attachments { ids } => format!("attached to {}", ids.join(" ")),
        Evidence::Snapshots { ids } => format!("snapshots {}", ids.join(" ")),
        Evidence::Created { at: Some(at) } => format!("created {at}"),
        Evidence::Created { at: None } => "created at a time that is not known".to_owned(),
        Evidence::NoReference { hubs } => format!("no PV in {}", count(*hubs as u64, "hub")),
        Evidence::UnknownClusters { names } => format!("unknown clusters {}", names.join(" ")),
    }
}
