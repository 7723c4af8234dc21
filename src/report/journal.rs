//! The report on the journal: runs of deletions, and what became of each volume.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::apply::delete::{Evidence, Outcome};
use crate::files::lines::Problem;
use crate::hub::HubName;
use crate::journal::{Begin, Fate, History, RunHistory, VolumeHistory, Who};
use crate::observed::Project;
use crate::plan::orphans::Decided;

use super::Table;
use crate::text::{clean, count, or_dash};

/// What of a journal is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'c> {
    /// One run.
    pub run: Option<&'c str>,
    /// One volume, with the evidence.
    pub volume: Option<&'c str>,
}

impl Choice<'_> {
    fn runs<'h>(&self, history: &'h History) -> impl Iterator<Item = &'h RunHistory> {
        let runs = history.runs.iter().filter(|run| self.run.is_none_or(|wanted| run.id == wanted));
        runs.filter(|run| self.volume.is_none() || self.volumes(run).next().is_some())
    }

    fn volumes<'h>(&self, run: &'h RunHistory) -> impl Iterator<Item = &'h VolumeHistory> {
        run.volumes.iter().filter(|volume| self.volume.is_none_or(|wanted| volume.id == wanted))
    }
}

/// The report for people: runs, then volumes.
pub fn table(
    out: &mut impl Write,
    history: &History,
    choice: Choice<'_>,
    width: Option<u16>,
) -> io::Result<()> {
    let headings =
        ["RUN", "BEGUN", "BY", "CONFIRMED", ">PLANNED", ">DELETED", ">NOT KNOWN", ">NOT DONE", "END"];
    let mut runs = Table::new(&headings, width);
    for run in choice.runs(history) {
        let (deleted, unknown, not_done) = run.counts();
        runs.row([
            run.id.as_str(),
            &at(run.since),
            &run.begin.as_ref().map_or_else(|| "-".to_owned(), by),
            run.begin.as_ref().map_or("-", |begin| begin.confirmed.as_str()),
            &run.volumes.len().to_string(),
            &deleted.to_string(),
            &unknown.to_string(),
            &not_done.to_string(),
            &end(run),
        ]);
    }
    if runs.is_empty() {
        return writeln!(out, "The journal has no such deletions.");
    }
    write!(out, "{runs}")?;
    writeln!(out)?;
    volumes(out, history, choice, width)?;
    if choice.volume.is_some() {
        evidence(out, history, choice)?;
    }
    Ok(())
}

fn volumes(
    out: &mut impl Write,
    history: &History,
    choice: Choice<'_>,
    width: Option<u16>,
) -> io::Result<()> {
    let headings = ["RUN", "AT", "OUTCOME", "PROJECT", "VOLUME", "NAME", ">GiB", "MADE FOR", "REASON"];
    let mut table = Table::new(&headings, width);
    for run in choice.runs(history) {
        for volume in choice.volumes(run) {
            let (what, reason) = fate(volume);
            let known_at = volume.over.as_ref().map(|(at, ..)| *at).or(volume.deleting_at);
            let decided = volume.decided.as_ref();
            table.row([
                run.id.as_str(),
                &known_at.map_or_else(|| "-".to_owned(), at),
                what,
                decided.map_or("-", |decided| decided.project.name.as_str()),
                &volume.id,
                or_dash(decided.map(|decided| decided.volume.name.as_str())).as_ref(),
                &decided.map_or_else(|| "-".to_owned(), |decided| decided.volume.size_gib.to_string()),
                or_dash(volume.made_for.as_deref()).as_ref(),
                or_dash(Some(reason)).as_ref(),
            ]);
        }
    }
    write!(out, "{table}")
}

fn evidence(out: &mut impl Write, history: &History, choice: Choice<'_>) -> io::Result<()> {
    for run in choice.runs(history) {
        for Evidence { hubs, hubs_asked_at, snapshots_asked_at, volume_asked_at } in
            choice.volumes(run).filter_map(|volume| volume.evidence.as_ref())
        {
            let hubs: Vec<String> = hubs
                .iter()
                .map(|asked| {
                    let pvs = count(asked.persistent_volumes as u64, "PV");
                    format!("{} ({pvs}, {})", asked.hub, count(asked.claims as u64, "claim"))
                })
                .collect();
            writeln!(out, "\nEvidence in run {}:", clean(&run.id))?;
            writeln!(
                out,
                "  no PV and no claim of {} refers to it, asked at {hubs_asked_at:.3}",
                hubs.join(", ")
            )?;
            writeln!(out, "  it has no snapshot, asked at {snapshots_asked_at:.3}")?;
            writeln!(out, "  it was unchanged, asked at {volume_asked_at:.3}")?;
        }
    }
    Ok(())
}

/// One line about a volume whose end was found out later.
pub fn settled(run: &str, decided: &Decided, outcome: &Outcome) -> String {
    let (what, reason) = in_words(outcome);
    let separator = if reason.is_empty() { "" } else { ": " };
    let Decided { project, volume } = decided;
    let text = format!(
        "run {run}: {what} {} ({}, {} GiB, project {}){separator}{reason}",
        volume.id, volume.name, volume.size_gib, project.name
    );
    clean(&text).into_owned()
}

fn at(time: Timestamp) -> String {
    time.strftime("%F %TZ").to_string()
}

fn by(begin: &Begin) -> String {
    let Who { user, host, process: _ } = &begin.by;
    format!("{user}@{host}")
}

fn end(run: &RunHistory) -> String {
    match &run.end {
        None => "none: fleet orphans --resume".to_owned(),
        Some((ended, end)) => match (&end.resumed_by, end.exit) {
            (Some(by), _) => format!("resumed by {by}"),
            (None, Some(exit)) => format!("{}, status {exit}", at(*ended)),
            (None, None) => format!("{}, settled", at(*ended)),
        },
    }
}

fn fate(volume: &VolumeHistory) -> (&'static str, &str) {
    match volume.fate() {
        Fate::Over(outcome) => in_words(outcome),
        Fate::Unknown => ("not known", "fleet ended before it was"),
        Fate::NotDone => ("not done", ""),
    }
}

fn in_words(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Deleted => ("deleted", ""),
        Outcome::AlreadyGone => ("gone already", ""),
        Outcome::Kept { reason } => ("kept", reason),
        Outcome::Failed { reason } => ("FAILED", reason),
        Outcome::Pending { reason } => ("PENDING", reason),
        Outcome::NotStarted => ("not done", ""),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    journal: &'a str,
    problems: &'a [Problem],
    runs: Vec<RunEntry<'a>>,
}

#[derive(Serialize)]
struct RunEntry<'a> {
    id: &'a str,
    begun_at: Timestamp,
    fleet: Option<&'a str>,
    by: Option<&'a Who>,
    version: Option<&'a str>,
    confirmed: Option<&'a str>,
    resumes: &'a [String],
    hubs: &'a [HubName],
    ended_at: Option<Timestamp>,
    exit: Option<u8>,
    resumed_by: Option<&'a str>,
    volumes: Vec<VolumeEntry<'a>>,
}

#[derive(Serialize)]
struct VolumeEntry<'a> {
    id: &'a str,
    name: Option<&'a str>,
    size_gib: Option<u64>,
    project: Option<&'a Project>,
    made_for: Option<&'a str>,
    /// `deleted`, `already_gone`, `kept`, `failed`, `not_started`; `not_known` and `not_done` where that is not over.
    outcome: &'static str,
    reason: Option<&'a str>,
    settled: bool,
    deleting_at: Option<Timestamp>,
    over_at: Option<Timestamp>,
    evidence: Option<&'a Evidence>,
}

/// The same for scripts.
pub fn json(out: &mut impl Write, journal: &str, history: &History, choice: Choice<'_>) -> io::Result<()> {
    let document = Document {
        journal,
        problems: &history.problems,
        runs: choice.runs(history).map(|run| run_entry(run, choice)).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn run_entry<'a>(run: &'a RunHistory, choice: Choice<'_>) -> RunEntry<'a> {
    let begin = run.begin.as_ref();
    let end = run.end.as_ref();
    RunEntry {
        id: &run.id,
        begun_at: run.since,
        fleet: begin.map(|begin| begin.fleet.as_str()),
        by: begin.map(|begin| &begin.by),
        version: begin.map(|begin| begin.version.as_str()),
        confirmed: begin.map(|begin| begin.confirmed.as_str()),
        resumes: begin.map_or(&[], |begin| begin.resumes.as_slice()),
        hubs: begin.map_or(&[], |begin| begin.hubs.as_slice()),
        ended_at: end.map(|(at, _)| *at),
        exit: end.and_then(|(_, end)| end.exit),
        resumed_by: end.and_then(|(_, end)| end.resumed_by.as_deref()),
        volumes: choice.volumes(run).map(volume_entry).collect(),
    }
}

fn volume_entry(volume: &VolumeHistory) -> VolumeEntry<'_> {
    let (outcome, reason) = match volume.fate() {
        Fate::Over(Outcome::Deleted) => ("deleted", None),
        Fate::Over(Outcome::AlreadyGone) => ("already_gone", None),
        Fate::Over(Outcome::Kept { reason }) => ("kept", Some(reason.as_str())),
        Fate::Over(Outcome::Failed { reason }) => ("failed", Some(reason.as_str())),
        Fate::Over(Outcome::Pending { reason }) => ("pending", Some(reason.as_str())),
        Fate::Over(Outcome::NotStarted) => ("not_started", None),
        Fate::Unknown => ("not_known", None),
        Fate::NotDone => ("not_done", None),
    };
    let decided = volume.decided.as_ref();
    VolumeEntry {
        id: &volume.id,
        name: decided.map(|decided| decided.volume.name.as_str()),
        size_gib: decided.map(|decided| decided.volume.size_gib),
        project: decided.map(|decided| &decided.project),
        made_for: volume.made_for.as_deref(),
        outcome,
        reason,
        settled: volume.over.as_ref().is_some_and(|(.., settled)| *settled),
        deleting_at: volume.deleting_at,
        over_at: volume.over.as_ref().map(|(at, ..)| *at),
        evidence: volume.evidence.as_ref(),
    }
}
