//! The brake: whoever deletes a lot has to say how much.
//!
//! A wrong view makes many volumes look orphaned at once, and nobody reads a list of hundreds line by line. So a number
//! that is unusual has to be named, which takes knowing it.

use std::collections::BTreeMap;
use std::fmt;

use crate::hub::OrphanRules;
use crate::observed::Project;

use super::orphans::{Deletions, OrphanPlan};

/// The share counts only in projects of at least this many volumes. Of 5 volumes 2 are 40 %, and that is a Tuesday: a hub
/// with a handful of users has lost two. Lists that short are read line by line, and a warning that comes every time is
/// one that nobody reads.
const SHARE_FROM: u64 = 10;

/// Why a number has to be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There are more than a set number.
    Volumes {
        /// That number.
        most: u64,
    },
    /// They are more than a set share of a project's volumes.
    Share {
        /// The project.
        project: Project,
        /// How many of it.
        volumes: u64,
        /// How many it has.
        of: u64,
        /// That share.
        percent: u64,
    },
    /// A number was named, and it is too small.
    Max {
        /// That number.
        max: u64,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volumes { most } => write!(f, "more than {most} at once (brake_volumes)"),
            Self::Share { project, volumes, of, percent } => write!(
                f,
                "{volumes} of the {of} volumes of project {}, more than {percent} % (brake_percent)",
                crate::text::clean(&project.name)
            ),
            Self::Max { max } => write!(f, "more than --max {max}"),
        }
    }
}

/// What holds deletions back, if anything does. `max` is the number that was named. A project's share is that of the
/// volumes that the same view shows in it.
pub fn brake(
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
    rules: &OrphanRules,
    max: Option<u64>,
) -> Vec<Why> {
    let all = deletions.total().volumes;
    if let Some(max) = max {
        return if all > max { vec![Why::Max { max }] } else { Vec::new() };
    }
    let mut why = Vec::new();
    if all > rules.brake_volumes {
        why.push(Why::Volumes { most: rules.brake_volumes });
    }
    let mut in_project = BTreeMap::<&Project, u64>::new();
    for ((project, _), total) in plan.totals() {
        *in_project.entry(project).or_default() += total.volumes;
    }
    for (project, total) in deletions.totals() {
        // A project that the view does not have would be all orphans.
        let of = in_project.get(project).copied().unwrap_or(total.volumes);
        let (volumes, percent) = (total.volumes, rules.brake_percent);
        if of >= SHARE_FROM && u128::from(volumes) * 100 > u128::from(percent) * u128::from(of) {
            why.push(Why::Share { project: project.clone(), volumes, of, percent });
        }
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::VolumeView;
    use crate::plan::orphans::plan;
    use crate::plan::orphans::samples::{project, pv, rules, view, volume};

    /// A project of so many volumes, of which so many are orphans.
    fn a_view(volumes: u64, orphans: u64) -> VolumeView {
        view((0..volumes).map(volume).collect(), vec![(orphans..volumes).map(pv).collect()])
    }

    fn held_by(view: &VolumeView, rules: &OrphanRules, max: Option<u64>) -> Vec<Why> {
        let plan = plan(view, rules);
        brake(&plan, &plan.deletions().unwrap(), rules, max)
    }

    fn held(volumes: u64, orphans: u64) -> Vec<Why> {
        held_by(&a_view(volumes, orphans), &rules(), None)
    }

    fn share(volumes: u64, of: u64) -> Why {
        Why::Share { project: project("alpha"), volumes, of, percent: 20 }
    }

    #[test]
    fn more_than_a_set_number_have_to_be_asked_for_by_number() {
        assert_eq!(held(400, 50), []);
        assert_eq!(held(400, 51), [Why::Volumes { most: 50 }]);
    }

    #[test]
    fn more_than_a_set_share_of_a_project_have_to_be_asked_for_by_number() {
        assert_eq!(held(100, 20), []);
        assert_eq!(held(100, 21), [share(21, 100)]);
        assert_eq!(held(200, 60), [Why::Volumes { most: 50 }, share(60, 200)]);
        assert_eq!(held(100, 0), []);
    }

    #[test]
    fn a_share_of_a_handful_says_nothing() {
        assert_eq!(held(5, 2), []);
        assert_eq!(held(9, 9), []);
        assert_eq!(held(10, 2), []);
        assert_eq!(held(10, 3), [share(3, 10)]);
        assert_eq!(held(10, 10), [share(10, 10)]);
    }

    #[test]
    fn the_share_is_of_each_project_and_the_number_is_of_all() {
        let mut both = a_view(200, 30);
        let mut other = a_view(200, 30);
        for (number, volume) in (1000..).zip(&mut other.projects[0].volumes) {
            *volume = crate::plan::orphans::samples::volume(number);
        }
        other.projects[0].project = project("beta");
        other.projects[0].volumes.truncate(30);
        both.projects.append(&mut other.projects);
        let beta = Why::Share { project: project("beta"), volumes: 30, of: 30, percent: 20 };
        assert_eq!(held_by(&both, &rules(), None), [Why::Volumes { most: 50 }, beta]);
    }

    #[test]
    fn a_number_that_was_named_is_the_most_that_is_deleted() {
        for (volumes, orphans) in [(400, 51), (100, 21), (5, 2)] {
            let view = a_view(volumes, orphans);
            assert_eq!(held_by(&view, &rules(), Some(orphans)), []);
            assert_eq!(held_by(&view, &rules(), Some(1000)), []);
            let max = orphans - 1;
            assert_eq!(held_by(&view, &rules(), Some(max)), [Why::Max { max }]);
        }
    }

    #[test]
    fn both_are_settings() {
        let always = OrphanRules { brake_volumes: 0, ..rules() };
        assert_eq!(held_by(&a_view(5, 1), &always, None), [Why::Volumes { most: 0 }]);
        assert_eq!(held_by(&a_view(5, 0), &always, None), []);
        let never = OrphanRules { brake_volumes: 1000, brake_percent: 100, ..rules() };
        assert_eq!(held_by(&a_view(400, 400), &never, None), []);
    }

    #[test]
    fn what_holds_is_told_with_the_numbers() {
        let told: Vec<String> = held(200, 60).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "more than 50 at once (brake_volumes)",
                "60 of the 200 volumes of project alpha, more than 20 % (brake_percent)"
            ]
        );
        assert_eq!(Why::Max { max: 3 }.to_string(), "more than --max 3");
    }
}
