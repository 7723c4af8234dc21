//! The confirmation that everything destructive asks for.

use std::collections::HashSet;

use crate::observed::{Project, ProjectKey};
use crate::plan::orphans::{Deletions, Planned};

/// Somebody saw what will be deleted and said yes. Functions that destroy something demand one; only this module can
/// make one, and it is good for what was shown and for nothing else.
#[derive(Debug)]
pub struct Confirmed {
    how: String,
    volumes: HashSet<(ProjectKey, String)>,
}

impl Confirmed {
    /// From `--confirm` on the command line. It is asked for what is deleted, so that nothing can be confirmed before
    /// there is a plan; nothing to delete needs no confirmation and gets none.
    pub fn by_flag(shown: &Deletions, confirm: bool) -> Option<Self> {
        (confirm && !shown.is_empty()).then(|| Self::of(shown, "--confirm".to_owned()))
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
        (!shown.is_empty() && words(typed) == words(&wanted)).then(|| Self::of(shown, wanted))
    }

    fn of(shown: &Deletions, how: String) -> Self {
        let each = |planned: &Planned| (planned.project().key.clone(), planned.volume().id.clone());
        Self { how, volumes: shown.volumes().iter().map(each).collect() }
    }

    /// Whether it is good for a volume: whether that was among what was shown.
    pub fn covers(&self, project: &ProjectKey, id: &str) -> bool {
        self.volumes.contains(&(project.clone(), id.to_owned()))
    }

    /// How it was confirmed: the option, or what was typed.
    pub fn how(&self) -> &str {
        &self.how
    }
}

/// What has to be typed to confirm: `12@alpha`, and the same for every other project, separated by blanks.
pub fn to_type(shown: &Deletions) -> String {
    let mut totals: Vec<_> = shown.totals().into_iter().collect();
    totals.sort_by_key(|(project, _)| (&project.name, *project));
    let words = totals.iter().map(|(project, total)| {
        let others: Vec<&Project> =
            totals.iter().map(|(other, _)| *other).filter(|other| other != project).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::orphans::plan;
    use crate::plan::orphans::samples::{project, rules, view, volume};

    /// Two of alpha and one of another project.
    fn shown(other: Project) -> Deletions {
        let mut both = view(vec![volume(1), volume(2)], vec![vec![]]);
        let mut more = view(vec![volume(3)], vec![vec![]]);
        more.projects[0].project = other;
        both.projects.append(&mut more.projects);
        plan(&both, &rules()).deletions().unwrap()
    }

    #[test]
    fn only_the_number_and_the_project_confirm() {
        let shown = shown(project("beta"));
        assert_eq!(to_type(&shown), "2@alpha 1@beta");
        for typed in ["2@alpha 1@beta", "  1@beta\t2@alpha \n"] {
            let confirmed = Confirmed::by_typing(&shown, typed).unwrap();
            assert_eq!(confirmed.how(), "2@alpha 1@beta");
        }
        for typed in [
            "",
            "y",
            "yes",
            "2@alpha",
            "3@alpha 1@beta",
            "2@ALPHA 1@beta",
            "2@alpha1@beta",
            "2@alpha 1@beta 1@beta",
            "2@alpha 1@beta x",
            "12@alpha 1@beta",
        ] {
            assert!(Confirmed::by_typing(&shown, typed).is_none(), "{typed:?}");
        }
    }

    #[test]
    fn what_was_not_shown_is_not_confirmed() {
        let confirmed = Confirmed::by_flag(&shown(project("beta")), true).unwrap();
        let (alpha, beta) = (project("alpha").key, project("beta").key);
        for (project, number, covered) in [
            (&alpha, 1, true),
            (&alpha, 2, true),
            (&beta, 3, true),
            (&alpha, 3, false),
            (&beta, 1, false),
            (&alpha, 4, false),
        ] {
            assert_eq!(confirmed.covers(project, &volume(number).id), covered, "{number} in {project:?}");
        }
    }

    #[test]
    fn nothing_to_delete_is_confirmed_by_nothing() {
        let nothing = plan(&view(vec![], vec![vec![]]), &rules()).deletions().unwrap();
        assert!(Confirmed::by_typing(&nothing, "").is_none());
        assert!(Confirmed::by_flag(&nothing, true).is_none());
        assert!(Confirmed::by_flag(&shown(project("beta")), false).is_none());
        assert_eq!(Confirmed::by_flag(&shown(project("beta")), true).unwrap().how(), "--confirm");
    }

    #[test]
    fn a_project_whose_name_cannot_be_typed_or_tells_nothing_is_called_by_its_id() {
        let spaced = Project { name: "TG ABC\u{1b}".to_owned(), ..project("beta") };
        assert_eq!(to_type(&shown(spaced)), "1@id-of-beta 2@alpha");
        let namesake = Project { name: "alpha".to_owned(), ..project("beta") };
        assert_eq!(to_type(&shown(namesake)), "2@id-of-alpha 1@id-of-beta");
        let mut elsewhere = project("alpha");
        elsewhere.key.region = "there".to_owned();
        assert_eq!(
            to_type(&shown(elsewhere)),
            "2@id-of-alpha/here/https://cloud:5000/v3 1@id-of-alpha/there/https://cloud:5000/v3"
        );
    }
}
