//! The confirmation that everything destructive asks for.

use crate::observed::Project;
use crate::plan::orphans::Deletions;

/// Somebody saw what will be deleted and said yes. Functions that destroy something demand one; only this module can
/// make one.
#[derive(Debug)]
pub struct Confirmed {
    how: String,
}

impl Confirmed {
    /// From `--confirm` on the command line. It is asked for what is deleted, so that nothing can be confirmed before
    /// there is a plan; nothing to delete needs no confirmation and gets none.
    pub fn by_flag(shown: &Deletions, confirm: bool) -> Option<Self> {
        (confirm && !shown.is_empty()).then(|| Self { how: "--confirm".to_owned() })
    }

    /// From what was typed after the plan was shown: for every project the number of its volumes and its name, as
    /// [`to_type`] says them, in any order.
    pub fn by_typing(shown: &Deletions, typed: &str) -> Option<Self> {
        let words = |text: &str| {
            let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        let wanted = to_type(shown);
        (!shown.is_empty() && words(typed) == words(&wanted)).then_some(Self { how: wanted })
    }

    /// How it was confirmed: the option, or what was typed.
    pub fn how(&self) -> &str {
        &self.how
    }
}

/// What has to be typed to confirm: `12@alpha`, and the same for every other project, separated by blanks.
pub fn to_type(shown: &Deletions) -> String {
    let totals = shown.totals();
    let words = totals.iter().map(|(project, total)| {
        let others: Vec<&Project> = totals.keys().copied().filter(|other| other != project).collect();
        format!("{}@{}", total.volumes, called(project, &others))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A project's name where it can be typed and is no other one's too; else its id; else that with its region and cloud.
fn called(project: &Project, others: &[&Project]) -> String {
    let is_typed = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let id = &project.key.id;
    if is_typed(&project.name) && !others.iter().any(|other| other.name == project.name) {
        project.name.clone()
    } else if !others.iter().any(|other| other.key.id == *id) {
        id.clone()
    } else {
        format!("{id}/{}/{}", project.key.region, project.key.auth_url)
    }
}
