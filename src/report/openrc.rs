//! The report on openrc files.

use std::fmt::Write as _;

use serde::Serialize;

use super::Table;
use crate::observed::{OpenrcFile, Project, Validity};
use crate::plan::openrc::Judgement;
use crate::text::one_line;

/// For eyes.
pub fn table(judged: &[(OpenrcFile, Judgement)]) -> String {
    let mut table = Table::new(&["FILE", "HUBS", "PROJECT", "KIND", "VALID UNTIL", "MODE", "STATE"], None);
    for (file, judgement) in judged {
        let dash = || "-".to_owned();
        table.row([
            file.file.display().to_string(),
            file.hub_names(),
            file.project().map_or_else(dash, |project| project.name.clone()),
            file.kind.map_or_else(dash, |kind| kind.to_string()),
            valid(file),
            mode(file).unwrap_or_else(dash),
            judgement.word(),
        ]);
    }
    table.to_string()
}

/// Until when a file's credentials are valid: a day, `no end`, or `-` where nobody says.
fn valid(file: &OpenrcFile) -> String {
    match file.login.seen().map(|login| login.valid) {
        Some(Validity::Until(at)) => at.strftime("%Y-%m-%d").to_string(),
        Some(Validity::NoEnd) => "no end".to_owned(),
        Some(Validity::Unknown) | None => "-".to_owned(),
    }
}

/// As `chmod` takes it.
fn mode(file: &OpenrcFile) -> Option<String> {
    file.mode.map(|mode| format!("{mode:04o}"))
}

/// What is wrong, each with what to do.
pub fn findings(judged: &[(OpenrcFile, Judgement)]) -> String {
    let mut text = String::new();
    for (file, judgement) in judged {
        for finding in &judgement.findings {
            let _ = writeln!(text, "{}: {}", file.file.display(), one_line(&finding.what));
            if let Some(hint) = &finding.hint {
                let _ = writeln!(text, "    {hint}");
            }
        }
    }
    text
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    file: &'a OpenrcFile,
    mode: Option<String>,
    /// Where it leads, or led.
    project: Option<&'a Project>,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

/// For programs.
pub fn document(judged: &[(OpenrcFile, Judgement)]) -> impl Serialize {
    judged
        .iter()
        .map(|(file, judgement)| Entry { file, mode: mode(file), project: file.project(), judgement })
        .collect::<Vec<_>>()
}
