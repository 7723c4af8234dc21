//! Which hubs are meant: by name, by tag, by project, and not those that are excluded.
//!
//! What one option names several times is any of it; what several options name is all of it, so that one option more never
//! makes it more hubs. Whatever matches nothing is an error: a slip of the pen must neither widen a choice nor empty it.

mod pattern;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::hub::{Fleet, Hub};
use crate::observed::OpenrcFile;

use super::openrc::{NoProject, of_project};
use pattern::{Pattern, pieces};

/// What was asked for, as it was written. Each text may be a list with commas.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Every hub.
    pub all: bool,
    /// Names.
    pub hubs: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Projects, by name or id.
    pub projects: Vec<String>,
    /// Engines, by name.
    pub engines: Vec<String>,
    /// Names of hubs that are not meant, whatever else they match.
    pub exclude: Vec<String>,
}

/// Why no hubs are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong, one line each.
    pub problems: Vec<String>,
    /// What to do about it.
    pub hint: String,
    /// It is not the words that are wrong: something could not be seen.
    pub cannot_tell: bool,
}

impl Refused {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()], hint: hint.into(), cannot_tell: false }
    }
}

impl Asked {
    /// Whether nothing is asked for.
    pub fn is_nothing(&self) -> bool {
        !self.all
            && [&self.hubs, &self.tags, &self.projects, &self.engines].iter().all(|words| words.is_empty())
    }

    /// The projects, one by one.
    pub fn projects(&self) -> Vec<&str> {
        self.projects.iter().flat_map(|text| text.split(',')).map(str::trim).collect()
    }
}

/// The hubs that are meant, in the order of `fleet.toml`, as far as that can be told without knowing projects: with
/// `--project`, [`in_projects`] has the last word. Every problem is told at once.
pub fn choose<'f>(fleet: &'f Fleet, asked: &Asked) -> Result<Vec<&'f Hub>, Refused> {
    if fleet.hubs.is_empty() {
        return Err(Refused::new(
            format!("{} declares no hubs", fleet.path.display()),
            "add one: fleet new --name NAME --ip IP --openrc PATH",
        ));
    }
    if asked.is_nothing() {
        return Err(Refused::new(
            "no hubs are chosen",
            "choose with --hub, --tag, --project or --engine, or say --all; `fleet list` with the same words shows a choice",
        ));
    }
    let mut problems = Vec::new();
    let hubs = patterns("--hub", &asked.hubs, &mut problems);
    let tags = patterns("--tag", &asked.tags, &mut problems);
    let engines = patterns("--engine", &asked.engines, &mut problems);
    let exclude = patterns("--exclude", &asked.exclude, &mut problems);
    for pattern in hubs.iter().chain(&exclude) {
        if !fleet.hubs.iter().any(|hub| pattern.matches(hub.name.as_str())) {
            problems.push(no_hub(fleet, pattern));
        }
    }
    for pattern in &tags {
        if !fleet.hubs.iter().any(|hub| pattern.matches_any(&hub.tags)) {
            problems.push(no_tag(fleet, pattern));
        }
    }
    for pattern in &engines {
        if !fleet.hubs.iter().any(|hub| pattern.matches(hub.engine.as_str())) {
            problems.push(no_engine(fleet, pattern));
        }
    }
    if asked.projects().iter().any(|project| project.is_empty()) {
        problems.push("--project has an empty name in it".to_owned());
    }
    if !problems.is_empty() {
        problems.dedup();
        let hint = format!("'fleet list' shows the hubs of {} and their tags", fleet.path.display());
        return Err(Refused { problems, hint, cannot_tell: false });
    }
    let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    let meant: Vec<&Hub> = fleet
        .hubs
        .iter()
        .filter(|hub| hubs.is_empty() || any(&hubs, hub.name.as_str()))
        .filter(|hub| engines.is_empty() || any(&engines, hub.engine.as_str()))
        .filter(|hub| tags.is_empty() || tags.iter().any(|pattern| pattern.matches_any(&hub.tags)))
        .collect();
    if meant.is_empty() {
        return Err(Refused::new(
            "no hub is chosen: of the hubs that one option names, none is what another one says",
            "a hub is chosen where --hub, --tag and --engine all say so; `fleet list` shows hubs, their tags and engines",
        ));
    }
    let left: Vec<&Hub> = meant.into_iter().filter(|hub| !any(&exclude, hub.name.as_str())).collect();
    if left.is_empty() {
        return Err(Refused::new("no hub is chosen: --exclude takes every one of them", "exclude fewer"));
    }
    Ok(left)
}

fn patterns(option: &str, texts: &[String], problems: &mut Vec<String>) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for piece in texts.iter().flat_map(|text| pieces(text)) {
        match Pattern::parse(piece) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => problems.push(format!("{option}: {why}")),
        }
    }
    patterns
}

fn no_hub(fleet: &Fleet, pattern: &Pattern) -> String {
    match pattern {
        Pattern::Name(name) => fleet.unknown_hub(name),
        _ => format!(
            "no hub's name matches {:?}{}",
            pattern.text(),
            meant(pattern, fleet.hubs.iter().map(|hub| hub.name.as_str()))
        ),
    }
}

fn no_tag(fleet: &Fleet, pattern: &Pattern) -> String {
    let tags = fleet.hubs.iter().flat_map(|hub| &hub.tags).map(String::as_str);
    let what = if matches!(pattern, Pattern::Name(_)) { "has the tag" } else { "has a tag like" };
    format!("no hub {what} {:?}{}", pattern.text(), meant(pattern, tags))
}

fn no_engine(fleet: &Fleet, pattern: &Pattern) -> String {
    let names = || fleet.engines.iter().map(|engine| engine.name.as_str());
    let is_one = names().any(|name| pattern.matches(name));
    let what = if is_one { "no hub lives on an engine" } else { "there is no engine" };
    format!("{what} {:?}{}", pattern.text(), meant(pattern, names().filter(|name| !pattern.matches(name))))
}

fn meant<'a>(pattern: &Pattern, names: impl Iterator<Item = &'a str>) -> String {
    let near = pattern.near(names);
    let mut text = String::new();
    for (number, name) in near.iter().enumerate() {
        let before = if number == 0 { "; did you mean " } else { " or " };
        // Writing into a string cannot fail.
        let _ = write!(text, "{before}{name:?}");
    }
    if !near.is_empty() {
        text.push('?');
    }
    text
}

/// Of these hubs, those whose credentials lead to one of the projects, by what was seen of their openrc files. A hub of which
/// that cannot be told is never left out: it is an error.
pub fn in_projects<'f>(
    hubs: Vec<&'f Hub>,
    files: &[OpenrcFile],
    projects: &[&str],
) -> Result<Vec<&'f Hub>, Refused> {
    let unknown = unknown_projects(&hubs, files);
    if !unknown.is_empty() {
        return Err(Refused {
            problems: unknown,
            hint: "leave such a hub out with --exclude, or choose by --hub; `fleet openrc check` tells more"
                .to_owned(),
            cannot_tell: true,
        });
    }
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for project in projects {
        match of_project(files, project) {
            Ok(indices) => found.extend(indices),
            Err(NoProject::None) => {
                problems.push(format!(
                    "the credentials of no hub lead to a project {project:?}{}",
                    there_are(files)
                ));
            }
            Err(NoProject::Several(several)) => {
                let ids: Vec<&str> = several.iter().map(|project| project.key.id.as_str()).collect();
                problems.push(format!(
                    "{} projects are called {project:?}: say which by its id: {}",
                    several.len(),
                    ids.join(", ")
                ));
            }
            // Told above, hub by hub.
            Err(NoProject::CannotTell(_)) => {
                problems.push(format!("cannot tell which hubs are in {project:?}"));
            }
        }
    }
    if !problems.is_empty() {
        let hint = "`fleet openrc check` shows which openrc file leads to which project".to_owned();
        return Err(Refused { problems, hint, cannot_tell: false });
    }
    let is_in =
        |hub: &Hub| found.iter().any(|index| files[*index].hubs.iter().any(|mount| mount.hub == hub.name));
    Ok(hubs.into_iter().filter(|hub| is_in(hub)).collect())
}

/// The hubs of which nobody can tell where their sandboxes' credentials lead.
fn unknown_projects(hubs: &[&Hub], files: &[OpenrcFile]) -> Vec<String> {
    let why = |hub: &Hub| {
        let of_hub = |file: &&OpenrcFile| file.hubs.iter().any(|mount| mount.hub == hub.name);
        let Some(file) = files.iter().find(of_hub) else { return Some("nobody looked".to_owned()) };
        if file.project().is_none() {
            return Some(
                file.unseen().map_or("it was not asked", |unseen| unseen.reason.as_str()).to_owned(),
            );
        }
        // It may lead anywhere, and a command would use it.
        let is_stale = |mount: &&crate::observed::OpenrcMount| {
            mount.hub == hub.name && mount.stale.seen() == Some(&true)
        };
        file.hubs
            .iter()
            .any(|mount| is_stale(&mount))
            .then(|| "its sandbox holds another openrc than the one at the path now".to_owned())
    };
    hubs.iter()
        .filter_map(|hub| {
            let why = why(hub)?;
            Some(format!("hub {}: cannot tell which project its credentials lead to: {why}", hub.name))
        })
        .collect()
}

fn there_are(files: &[OpenrcFile]) -> String {
    let mut names: Vec<&str> =
        files.iter().filter_map(OpenrcFile::project).map(|project| project.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    format!(
        "; there are: {}",
        names.iter().map(|name| crate::text::clean(name)).collect::<Vec<_>>().join(", ")
    )
}
