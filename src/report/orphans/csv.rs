//! The report for spreadsheets: RFC 4180, a heading and one line a volume.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, quoted or not, and whoever can name a
//! volume could have one run on the machine of whoever opens the file. Such a cell gets an apostrophe in front, which
//! spreadsheets show as text. That changes the value, and it is right here: no claim's volume is called that, the file is
//! for eyes, and programs have the JSON, where nothing is changed.

use std::io::{self, Write};

use ::csv::{Terminator, WriterBuilder};

use crate::plan::orphans::{Judged, OrphanPlan};
use crate::text::clean;

use super::evidence_text;

const HEADINGS: [&str; 15] = [
    "project",
    "project_id",
    "region",
    "class",
    "id",
    "name",
    "size_gib",
    "status",
    "created_at",
    "namespace",
    "claim",
    "user",
    "pv",
    "reason",
    "evidence",
];

/// Every volume with its class, the reason and the evidence.
pub fn csv(out: &mut impl Write, plan: &OrphanPlan<'_>) -> io::Result<()> {
    let mut lines = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    lines.write_record(HEADINGS)?;
    for judged in plan.volumes() {
        lines.write_record(line(judged).iter().map(|cell| safe(cell)))?;
    }
    lines.flush()
}

/// Empty where there is nothing: a dash would look like the beginning of a formula.
fn line(judged: &Judged<'_>) -> [String; 15] {
    let Judged { project, volume, verdict, made_for } = judged;
    let maybe = |text: Option<&str>| text.unwrap_or_default().to_owned();
    [
        project.name.clone(),
        project.key.id.clone(),
        project.key.region.clone(),
        verdict.class.to_string(),
        volume.id.clone(),
        volume.name.clone(),
        volume.size_gib.to_string(),
        volume.status.clone(),
        volume.created_at.map(|at| at.to_string()).unwrap_or_default(),
        maybe(made_for.namespace),
        maybe(made_for.claim),
        maybe(made_for.user),
        maybe(made_for.pv),
        verdict.reason.clone(),
        verdict.evidence.iter().map(evidence_text).collect::<Vec<_>>().join("; "),
    ]
}

/// A cell that no spreadsheet takes for a formula. Some trim blanks first, and some know the wide forms too.
fn safe(cell: &str) -> String {
    let cell = clean(cell);
    let formula = cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if formula { format!("'{cell}") } else { cell.into_owned() }
}
