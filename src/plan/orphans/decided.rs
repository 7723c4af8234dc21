//! What was decided earlier **and** what is seen now: a plan may shrink, never grow.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::observed::{Project, ProjectKey, Volume};

use super::{Class, Deletions, Judged, OrphanPlan, Planned, changed};

/// A volume whose deletion was decided earlier, as it was seen then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The project it was in.
    pub project: Project,
    /// The volume as it was.
    pub volume: Volume,
}

impl From<&Planned> for Decided {
    fn from(planned: &Planned) -> Self {
        Self { project: planned.project.clone(), volume: planned.volume.clone() }
    }
}

/// A volume whose deletion was decided earlier, and that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The volume, as it was when its deletion was decided.
    pub decided: Decided,
    /// What it is now; `None` where it is nowhere.
    pub now: Option<Class>,
    /// Why it dropped out.
    pub reason: String,
}

/// Two volumes are one exactly when both are equal: ids are unique within one Cinder only.
type Identity<'a> = (&'a ProjectKey, &'a str);

fn identity(decided: &Decided) -> Identity<'_> {
    (&decided.project.key, &decided.volume.id)
}

impl Deletions {
    /// Leaves only what was also decided earlier and has not changed since; what is decided now alone is left out without
    /// a word, and what was decided earlier alone is returned with the reason. `fresh` is the plan that these deletions
    /// are from: it knows what has become of the others.
    pub fn only(&self, fresh: &OrphanPlan<'_>, decided: &[Decided]) -> (Deletions, Vec<Dropped>) {
        let mut earlier = BTreeMap::<Identity<'_>, Vec<&Decided>>::new();
        for one in decided {
            earlier.entry(identity(one)).or_default().push(one);
        }
        let now = Now::new(self, fresh);
        let mut both: HashSet<Identity<'_>> = HashSet::new();
        let mut dropped = Vec::new();
        for (identity, same) in earlier {
            match now.against(&same) {
                None => {
                    both.insert(identity);
                }
                Some((class, reason)) => {
                    // Not the first: the same in whatever order they came.
                    let decided = same.into_iter().min_by_key(|one| order(one)).cloned();
                    dropped.extend(decided.map(|decided| Dropped { decided, now: class, reason }));
                }
            }
        }
        dropped.sort_by(|a, b| order(&a.decided).cmp(&order(&b.decided)));
        let in_both = |planned: &&Planned| both.contains(&(&planned.project.key, planned.volume.id.as_str()));
        let volumes = self.volumes.iter().filter(in_both).cloned().collect();
        (Deletions { volumes, hubs: self.hubs.clone() }, dropped)
    }
}

/// The order of every report on volumes, and then whatever tells two apart.
fn order(decided: &Decided) -> impl Ord + use<'_> {
    let Decided { project, volume } = decided;
    let Volume { id, name, status, size_gib, created_at, attachments, metadata, bootable } = volume;
    (project, name, id, (status, size_gib, created_at, attachments, metadata, bootable))
}

/// What is known now.
struct Now<'n> {
    deletable: HashMap<Identity<'n>, &'n Planned>,
    judged: HashMap<&'n str, Vec<&'n Judged<'n>>>,
    projects: HashSet<&'n ProjectKey>,
}

impl<'n> Now<'n> {
    fn new(deletions: &'n Deletions, fresh: &'n OrphanPlan<'n>) -> Self {
        let mut judged = HashMap::<&str, Vec<&Judged<'_>>>::new();
        for one in &fresh.volumes {
            judged.entry(&one.volume.id).or_default().push(one);
        }
        Self {
            deletable: deletions
                .volumes
                .iter()
                .map(|planned| ((&planned.project.key, planned.volume.id.as_str()), planned))
                .collect(),
            judged,
            projects: fresh.projects.iter().map(|project| &project.key).collect(),
        }
    }

    /// What speaks against deleting a volume of which an earlier plan says this, once or more often.
    fn against(&self, same: &[&Decided]) -> Option<(Option<Class>, String)> {
        let (first, rest) = same.split_first()?;
        if rest.iter().any(|other| other.volume != first.volume) {
            return Some((None, "it was decided twice, and the two do not agree".to_owned()));
        }
        match self.deletable.get(&identity(first)) {
            Some(planned) => {
                changed(&first.volume, &planned.volume).map(|change| (Some(Class::Orphan), change))
            }
            None => Some(self.what_it_is(first)),
        }
    }

    fn what_it_is(&self, decided: &Decided) -> (Option<Class>, String) {
        let Decided { project, volume } = decided;
        let found = self.judged.get(volume.id.as_str()).map_or(&[][..], Vec::as_slice);
        if let Some(here) = found.iter().find(|judged| judged.project.key == project.key) {
            let class = here.verdict.class;
            let reason = match changed(volume, here.volume) {
                Some(change) if class == Class::Orphan => change,
                None if class == Class::Orphan => {
                    "it is an orphan, but none that is to be deleted now".to_owned()
                }
                _ => format!("{class}: {}", here.verdict.reason),
            };
            return (Some(class), reason);
        }
        if let Some(elsewhere) = found.first() {
            let reason = format!("it is in another project now: {}", elsewhere.project.name);
            return (Some(elsewhere.verdict.class), reason);
        }
        let reason = if self.projects.contains(&project.key) {
            "it is gone: its project does not have it any more"
        } else {
            "the credentials of no hub lead to its project any more"
        };
        (None, reason.to_owned())
    }
}
