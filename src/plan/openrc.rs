//! What is wrong with openrc files and what mends it; which files new credentials are for, and whether they may go there.

mod mend;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::diagnose::{Finding, works};
use crate::observed::{OpenrcFile, Project, SandboxState, Validity};

pub use mend::{AtWork, Mend, at_work, mends, wants_mending};

/// One thing that an openrc file is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// There is no such file.
    Gone,
    /// Keystone does not accept the credentials.
    Refused,
    /// It could not be tried.
    NotTried,
    /// A sandbox holds another file than the one at the path.
    Stale,
    /// It is about to expire.
    Expires,
    /// Others on this machine can read it.
    OpenToOthers,
}

impl Flaw {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Refused => "expired or refused",
            Self::NotTried => "not tried",
            Self::Stale => "stale",
            Self::Expires => "expires soon",
            Self::OpenToOthers => "open to others",
        }
    }
}

/// What is to be said of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// What it is not, the worst first.
    pub state: Vec<Flaw>,
    /// The same in words, each with what to do about it.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// Whether it does what it is for, and goes on doing so for a while.
    pub fn works(&self) -> bool {
        works(&self.findings)
    }

    /// The words for the state.
    pub fn word(&self) -> String {
        if self.state.is_empty() {
            return "ok".to_owned();
        }
        self.state.iter().map(|flaw| flaw.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn add(&mut self, flaw: Flaw, finding: Finding) {
        if !self.state.contains(&flaw) {
            self.state.push(flaw);
        }
        self.findings.push(finding);
    }
}

/// What is wrong with a file. Credentials that end `within` this are as good as ended: new ones have to be made.
pub fn judge(file: &OpenrcFile, now: Timestamp, within: SignedDuration) -> Judgement {
    let mut judged = Judgement { state: Vec::new(), findings: Vec::new() };
    let path = file.file.display();
    let first = file.hubs.first().map_or("HUB", |mount| mount.hub.as_str());
    if file.mode.is_none() {
        let what = "there is no such file; a sandbox that runs still holds the one that was mounted, and none can be started";
        judged.add(
            Flaw::Gone,
            Finding::error(what, format!("put it back, then: fleet openrc check {first} --fix")),
        );
    }
    if let Some(unseen) = file.unseen() {
        let (flaw, what) = if file.refused {
            (Flaw::Refused, unseen.reason.clone())
        } else {
            (Flaw::NotTried, format!("{}: {}", unseen.subject, unseen.reason))
        };
        let hint = match (&unseen.hint, file.refused) {
            (_, true) => format!(
                "make a new application credential in the project, then: fleet openrc set {first} NEW.sh"
            ),
            (Some(hint), false) => hint.clone(),
            (None, false) => format!("fleet status {first}"),
        };
        judged.add(flaw, Finding::error(what, hint));
    }
    sandboxes(file, &mut judged);
    if let Some(Validity::Until(end)) = file.login.seen().map(|login| login.valid)
        && end.duration_since(now) < within
    {
        let what = format!("its credentials expire {}, on {end:.0}", from_now(end.duration_since(now)));
        let hint = format!("make a new application credential, then: fleet openrc set {first} NEW.sh");
        judged.add(Flaw::Expires, Finding::error(what, hint));
    }
    if let Some(mode) = file.mode.filter(|mode| mode & 0o077 != 0) {
        let what = format!("others on this machine can open it (mode {mode:04o}), and secrets are in it");
        judged.add(Flaw::OpenToOthers, Finding::warning(what, format!("chmod 600 {path}, or --fix")));
    }
    judged
}

fn sandboxes(file: &OpenrcFile, judged: &mut Judgement) {
    let stale: Vec<&str> = file
        .hubs
        .iter()
        .filter(|mount| mount.stale.seen() == Some(&true))
        .map(|mount| mount.hub.as_str())
        .collect();
    if let Some(first) = stale.first() {
        let (whose, hubs) = (stale.join(", "), stale.join(" "));
        let (noun, hold, go) = match stale.len() {
            1 => ("sandbox", "holds", "goes"),
            _ => ("sandboxes", "hold", "go"),
        };
        let what = format!(
            "the {noun} of {whose} {hold} another file than the one at the path now, because something has put a new file in \
             its place, and {go} on with the old credentials"
        );
        let hint = format!("fleet openrc check {hubs} --fix; from now on: fleet openrc set {first} NEW.sh");
        judged.add(Flaw::Stale, Finding::error(what, hint));
    }
    for mount in &file.hubs {
        let hub = &mount.hub;
        // Where nobody could try it, that has been told. A sandbox that is stopped gets the file when it is started.
        let runs = mount.state == Some(SandboxState::Running) || mount.unseen;
        if let (true, Some(unseen), None) = (runs, mount.stale.unseen(), file.unseen()) {
            let hint = unseen.hint.clone().unwrap_or_else(|| format!("fleet status {hub}"));
            judged.add(Flaw::NotTried, Finding::error(format!("hub {hub}: {}", unseen.reason), hint));
        }
    }
}

fn from_now(left: SignedDuration) -> String {
    let hours = left.as_hours();
    match hours {
        ..1 => "within the hour".to_owned(),
        1..48 => format!("in {hours} hours"),
        _ => format!("in {} days", hours / 24),
    }
}

/// The files whose credentials lead to the project of that id or name, as indices.
pub fn of_project(files: &[OpenrcFile], wanted: &str) -> Result<Vec<usize>, NoProject> {
    let unknown: Vec<usize> = (0..files.len()).filter(|index| files[*index].project().is_none()).collect();
    let by = |is: &dyn Fn(&Project) -> bool| -> Vec<usize> {
        (0..files.len()).filter(|index| files[*index].project().is_some_and(is)).collect()
    };
    let by_id = by(&|project| project.key.id == wanted);
    let found = if by_id.is_empty() { by(&|project| project.name == wanted) } else { by_id };
    let mut keys: Vec<&Project> = found.iter().filter_map(|index| files[*index].project()).collect();
    keys.sort_by(|one, other| one.key.cmp(&other.key));
    keys.dedup_by(|one, other| one.key == other.key);
    if keys.len() > 1 {
        return Err(NoProject::Several(keys.into_iter().cloned().collect()));
    }
    match (found.is_empty(), unknown.is_empty()) {
        (_, false) => Err(NoProject::CannotTell(unknown)),
        (true, true) => Err(NoProject::None),
        (false, true) => Ok(found),
    }
}

/// Why no project is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProject {
    /// No file's credentials lead to such a project.
    None,
    /// Several projects of that name, of several clouds or domains.
    Several(Vec<Project>),
    /// Of these files, by index, nobody knows which project their credentials lead to.
    CannotTell(Vec<usize>),
}

/// Why new credentials may not take the place of those in a file: the old ones led to another project, or nobody knows where
/// they led. `None` where they may.
pub fn objection(file: &OpenrcFile, new: &Project) -> Option<String> {
    let path = file.file.display();
    match file.project() {
        Some(old) if old.key == new.key => None,
        Some(old) => Some(format!(
            "the new credentials lead to project {} ({}), and those in {path} to project {} ({})",
            new.name,
            whereabouts(new),
            old.name,
            whereabouts(old)
        )),
        None => Some(format!(
            "cannot tell which project the credentials in {path} lead to; the new ones lead to project {} ({})",
            new.name,
            whereabouts(new)
        )),
    }
}

fn whereabouts(project: &Project) -> String {
    let key = &project.key;
    let region = if key.region.is_empty() { String::new() } else { format!(", region {}", key.region) };
    format!("id {} at {}{region}", key.id, key.auth_url)
}
