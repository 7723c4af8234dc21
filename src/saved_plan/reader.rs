//! The file as it is read.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::observed::{Project, ProjectKey, Volume};
use crate::plan::orphans::Decided;
use crate::plan::saved::{AskedHub, SavedPlan, Terms, VERSION};
use crate::text::clean;

use super::json::{Object, Problems};

/// Reads a plan from what may be anything. Every problem is `line: message`.
pub(super) fn parse(bytes: &[u8]) -> Result<SavedPlan, Vec<String>> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        vec![format!("{line}: it is not UTF-8 text, so it is no plan")]
    })?;
    // Editors of another system put it there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let whole: &RawValue = serde_json::from_str(text)
        .map_err(|error| vec![format!("{}: {}", error.line(), no_json(text, &error))])?;
    let mut problems = Problems::of(text);
    let plan = plan(whole, &mut problems);
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(problems.told()),
    }
}

fn no_json(text: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if leaves_a_comma(text, line, column) {
        return "it is not JSON: there is a comma after the last of a list; take it out".to_owned();
    }
    // It ends with the place, which stands in front already.
    let told = error.to_string();
    let what = told.split(" at line ").next().unwrap_or_default();
    format!("it is not JSON at column {column}: {what}")
}

/// Whether a closing bracket that is out of place comes after a comma: who takes the last volume out in an editor leaves
/// that behind.
fn leaves_a_comma(text: &str, line: usize, column: usize) -> bool {
    let line_at: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = line_at + column.saturating_sub(1);
    let (Some(before), Some(found)) = (text.as_bytes().get(..at), text.as_bytes().get(at)) else {
        return false;
    };
    matches!(found, b']' | b'}') && before.trim_ascii_end().ends_with(b",")
}

fn plan<'t>(whole: &'t RawValue, problems: &mut Problems<'t>) -> Option<SavedPlan> {
    let mut object = Object::new(whole, "the plan", problems)?;
    let version: u64 = object.value("fleet_plan", "the number of its version", problems)?;
    if version != VERSION {
        // What another version means by its members is not known here.
        let message =
            format!("it is a plan of version {version}, and this fleet knows version {VERSION} alone");
        problems.add(whole.get(), message);
        return None;
    }
    let terms = terms(&mut object, problems);
    let entries = object.list("volumes", problems).unwrap_or_default();
    // For people. They may be as they were before somebody took volumes out.
    object.find("totals");
    object.finish(problems);
    let volumes: Vec<Option<Sealed<'_>>> =
        (1..).zip(entries).map(|(number, raw)| volume(raw, number, problems)).collect();
    let terms = terms?;
    let volumes: Vec<Sealed<'_>> = volumes.into_iter().flatten().collect();
    check(&terms, &volumes, whole, problems);
    Some(SavedPlan { terms, volumes: volumes.into_iter().map(|sealed| sealed.decided).collect() })
}

const TIME: &str = "a time, such as \"2026-06-30T12:00:00Z\"";

fn terms<'t>(object: &mut Object<'t>, problems: &mut Problems<'t>) -> Option<Terms> {
    let fleet = object.value("fleet", "the fleet's name", problems);
    let made_at: Option<Timestamp> = object.value("made_at", TIME, problems);
    let expires_at: Option<Timestamp> = object.value("expires_at", TIME, problems);
    let hubs: Option<Vec<AskedHub>> =
        object.value("hubs", "a list of hubs, each with its \"persistent_volumes\"", problems);
    Some(Terms { fleet: fleet?, made_at: made_at?, expires_at: expires_at?, hubs: hubs? })
}

/// A volume of the file.
struct Sealed<'t> {
    raw: &'t RawValue,
    /// How it is called in messages.
    place: String,
    decided: Decided,
    seal: String,
}

fn volume<'t>(raw: &'t RawValue, number: usize, problems: &mut Problems<'t>) -> Option<Sealed<'t>> {
    let mut place = format!("volume {number}");
    let mut entry = Object::new(raw, &place, problems)?;
    let project = entry.object("project", problems).and_then(|object| project(object, problems));
    let volume = entry.object("volume", problems).and_then(|object| seen(object, problems));
    let seal = entry.value("seal", "text", problems);
    // For people.
    for name in ["made_for", "reason", "evidence"] {
        entry.find(name);
    }
    entry.finish(problems);
    let decided = Decided { project: project?, volume: volume? };
    place = format!("{place} ({})", clean(&decided.volume.id));
    Some(Sealed { raw, place, decided, seal: seal? })
}

fn project<'t>(mut object: Object<'t>, problems: &mut Problems<'t>) -> Option<Project> {
    let auth_url = object.value("auth_url", "text", problems);
    let region = object.value("region", "text", problems);
    let id = object.value("id", "text", problems);
    let name = object.value("name", "text", problems);
    object.finish(problems);
    Some(Project { key: ProjectKey { auth_url: auth_url?, region: region?, id: id? }, name: name? })
}

fn seen<'t>(mut object: Object<'t>, problems: &mut Problems<'t>) -> Option<Volume> {
    let id = object.value("id", "text", problems);
    let name = object.value("name", "text", problems);
    let status = object.value("status", "text", problems);
    let size_gib = object.value("size_gib", "a whole number", problems);
    let created_at = object.value("created_at", "a time, or null", problems);
    let attachments = object.value("attachments", "a list of texts", problems);
    let metadata = object.value("metadata", "an object of texts", problems);
    let bootable = object.value("bootable", "true or false", problems);
    object.finish(problems);
    Some(Volume {
        id: id?,
        name: name?,
        status: status?,
        size_gib: size_gib?,
        created_at: created_at?,
        attachments: attachments?,
        metadata: metadata?,
        bootable: bootable?,
    })
}

/// What only shows when the whole is read: that something is not as it was saved.
fn check<'t>(terms: &Terms, volumes: &[Sealed<'t>], whole: &'t RawValue, problems: &mut Problems<'t>) {
    let broken: Vec<&Sealed<'_>> =
        volumes.iter().filter(|sealed| terms.seal(&sealed.decided) != sealed.seal).collect();
    // A file whose values cannot be read has been told already, and one in which no seal fits was changed at its head.
    if broken.len() == volumes.len() && volumes.len() > 1 {
        let message =
            "no volume is as it was saved: was \"fleet\", \"made_at\", \"expires_at\" or \"hubs\" changed?";
        problems.add(whole.get(), message);
    } else {
        for sealed in broken {
            let message = format!("{} is not as it was saved in this plan", sealed.place);
            problems.add(sealed.raw.get(), message);
        }
    }
    let mut known = HashSet::new();
    for sealed in volumes {
        let Decided { project, volume } = &sealed.decided;
        if !known.insert((&project.key, &volume.id)) {
            problems.add(sealed.raw.get(), format!("{} is in the plan twice", sealed.place));
        }
    }
}
