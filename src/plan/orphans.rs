//! Which volumes are orphans, and what every other volume is: the rule, applied to one view.
//!
//! When in doubt, keep. A volume is an orphan only if nothing at all speaks against it, and a set of volumes that may
//! be deleted can only be had from a view in which every hub and every project answered in full.

mod claim_name;
mod decided;
pub mod keep;
mod marks;
mod names;
mod quarantine;
mod references;
mod rule;
mod second_look;
mod unknown;
mod why;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::hub::{HubName, OrphanRules};
use crate::observed::{
    CINDER_CSI, CINDER_IN_TREE, ClaimRef, ClusterVolumes, PersistentVolume, Project, ProjectVolumes,
    Snapshot, Subject, Unseen, Volume, VolumeView,
};

pub use self::decided::{Decided, Dropped};
pub use self::marks::MadeFor;
pub use self::quarantine::{Marking, SINCE, still_to_mark};
pub use self::references::Index;
use self::references::References;
use self::rule::{Case, Scene};
use self::second_look::changed;
pub use self::second_look::{SecondLook, still_orphan};
pub use self::unknown::{Answer, ForeignCluster, Sign};
pub use self::why::{Asked, AskedHub, AskedProject, Explained, Part, Why, why};

/// A PV younger than this is never called lost: volumes are listed before PVs, so that the volume of a claim that is
/// made in between is in no list. An hour also covers clocks that do not agree.
const LOST_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// What a volume is. Every volume is in exactly one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A PV or a claim refers to it.
    InUse,
    /// Only PVs that were released refer to it.
    Released,
    /// Cinder lists an attachment, or is about to make or end one.
    Attached,
    /// Something else is being done with it: it is being made, moved, handed over, deleted.
    Busy,
    /// Too young to be judged.
    Young,
    /// It has snapshots.
    Snapshots,
    /// Its metadata names a cluster that is not of this fleet.
    Foreign,
    /// Somebody asked to keep it.
    Kept,
    /// Cinder says that it is in error.
    Error,
    /// It was not made for a claim.
    Unmanaged,
    /// Nothing speaks against its being an orphan, except that the view was incomplete, or that a cluster which fleet does
    /// not know of may use its project.
    CannotTell,
    /// It may be deleted.
    Orphan,
}

impl Class {
    /// All classes, in the order in which reports show them.
    pub const ALL: [Class; 12] = [
        Class::InUse,
        Class::Released,
        Class::Attached,
        Class::Busy,
        Class::Young,
        Class::Snapshots,
        Class::Foreign,
        Class::Kept,
        Class::Error,
        Class::Unmanaged,
        Class::CannotTell,
        Class::Orphan,
    ];

    /// The name that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::InUse => "in use",
            Class::Released => "released",
            Class::Attached => "attached",
            Class::Busy => "busy",
            Class::Young => "young",
            Class::Snapshots => "snapshots",
            Class::Foreign => "foreign",
            Class::Kept => "kept",
            Class::Error => "error",
            Class::Unmanaged => "unmanaged",
            Class::CannotTell => "cannot tell",
            Class::Orphan => "orphan",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` and not `write_str`: tables ask for a width.
        f.pad(self.as_str())
    }
}

/// What makes a PV refer to a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The PV has the volume's id.
    Id,
    /// The PV has the volume's name, or the name of the claim that the volume is named after.
    Name,
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence<'v> {
    /// A PV that refers to the volume.
    PersistentVolume {
        /// The hub whose cluster has the PV.
        hub: &'v HubName,
        /// The PV's name.
        name: &'v str,
        /// Its phase.
        phase: &'v str,
        /// Its reclaim policy.
        reclaim_policy: &'v str,
        /// The claim that it is, or was, bound to.
        #[serde(skip_serializing_if = "Option::is_none")]
        claim: Option<&'v ClaimRef>,
        /// How it refers to the volume.
        by: By,
    },
    /// A claim that the volume was made for, or that asks for it, and whose PV is not there.
    Claim {
        /// The hub whose cluster has the claim.
        hub: &'v HubName,
        /// Its namespace.
        namespace: &'v str,
        /// Its name.
        name: &'v str,
        /// Its phase.
        phase: &'v str,
        /// The PV that it asks for.
        #[serde(skip_serializing_if = "Option::is_none")]
        volume_name: Option<&'v str>,
    },
    /// A piece of the volume's metadata.
    Metadata {
        /// Its key.
        key: &'v str,
        /// Its value.
        value: &'v str,
    },
    /// Cinder's status.
    Status {
        /// As Cinder writes it.
        status: &'v str,
    },
    /// What holds the volume.
    Attachments {
        /// Ids of servers or attachments.
        ids: &'v [String],
    },
    /// Its snapshots.
    Snapshots {
        /// Their ids.
        ids: Vec<&'v str>,
    },
    /// When Cinder made it.
    Created {
        /// Absent where it is not known.
        at: Option<Timestamp>,
    },
    /// Nothing refers to it in any cluster of the fleet.
    NoReference {
        /// How many hubs were asked.
        hubs: usize,
    },
    /// Clusters that may use its project, and that fleet does not know of.
    UnknownClusters {
        /// What they are called.
        names: Vec<&'v str>,
    },
}

/// What a volume is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'v> {
    /// The class.
    pub class: Class,
    /// Why, in one line.
    pub reason: String,
    /// What that rests on.
    pub evidence: Vec<Evidence<'v>>,
}

/// A volume with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<'v> {
    /// The project it is in.
    pub project: &'v Project,
    /// The volume as it was seen.
    pub volume: &'v Volume,
    /// What it is.
    pub verdict: Verdict<'v>,
    /// Whom it was made for, where its metadata tells. Never a reason for anything.
    pub made_for: MadeFor<'v>,
}

/// A PV whose volume is in no project: the next login of its user fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lost<'v> {
    /// The hub whose cluster has the PV.
    pub hub: &'v HubName,
    /// The PV's name.
    pub name: &'v str,
    /// Its phase.
    pub phase: &'v str,
    /// The claim that it is, or was, bound to.
    pub claim: Option<&'v ClaimRef>,
    /// The ids that Cinder does not know.
    pub volume_ids: &'v [String],
}

/// How many volumes of a class a project has, and how large they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Total {
    /// How many.
    pub volumes: u64,
    /// Their size in GiB.
    pub gib: u64,
}

impl Total {
    fn add(&mut self, volume: &Volume) {
        self.volumes += 1;
        self.gib = self.gib.saturating_add(volume.size_gib);
    }
}

/// What every volume of a view is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanPlan<'v> {
    volumes: Vec<Judged<'v>>,
    lost: Vec<Lost<'v>>,
    unseen: Vec<Unseen>,
    foreign: Vec<ForeignCluster<'v>>,
    hubs: BTreeSet<&'v HubName>,
    projects: BTreeSet<&'v Project>,
    seen_at: Timestamp,
}

/// Judges every volume of a view.
pub fn plan<'v>(view: &'v VolumeView, rules: &OrphanRules) -> OrphanPlan<'v> {
    let index = Index::new(&view.clusters);
    with_scenes(view, rules, &index).0
}

/// The plan, with what the volumes of each project were judged in. The index has to be of the view's clusters.
fn with_scenes<'v, 's>(
    view: &'v VolumeView,
    rules: &'s OrphanRules,
    index: &'s Index,
) -> (OrphanPlan<'v>, Vec<Scene<'v, 's>>) {
    let unseen = unseen(view);
    let references = References::new(&view.clusters, index);
    let foreign = unknown::find(view, rules, references);
    let scenes = scenes(view, rules, references, &foreign, unseen.is_empty());
    let mut volumes = judge_all(view, &scenes);
    volumes.sort_by(|a, b| {
        // Most are of one project, and comparing projects is comparing four texts.
        let same = std::ptr::eq(a.project, b.project);
        let project = if same { std::cmp::Ordering::Equal } else { a.project.cmp(b.project) };
        project.then_with(|| (&a.volume.name, &a.volume.id).cmp(&(&b.volume.name, &b.volume.id)))
    });
    let lost = if unseen.is_empty() { lost(view) } else { Vec::new() };
    let plan = OrphanPlan {
        volumes,
        lost,
        hubs: in_the_fleet(&view.clusters).map(|cluster| &cluster.hub).collect(),
        projects: view.projects.iter().map(|half| &half.project).collect(),
        seen_at: view.seen_at,
        unseen,
        foreign,
    };
    (plan, scenes)
}

/// What the volumes of each project are judged in, in the view's order.
fn scenes<'v, 's>(
    view: &'v VolumeView,
    rules: &'s OrphanRules,
    references: References<'v, 's>,
    foreign: &[ForeignCluster<'v>],
    complete: bool,
) -> Vec<Scene<'v, 's>> {
    let scene = |half: &'v ProjectVolumes| Scene {
        references,
        hubs: unknown::own_names(unknown::hubs_of(half, view), rules, &half.project),
        rules,
        now: view.seen_at,
        complete,
        unknown: foreign
            .iter()
            .filter(|cluster| cluster.blocks.contains(&&half.project))
            .map(|cluster| cluster.name)
            .collect(),
    };
    view.projects.iter().map(scene).collect()
}

/// What was not seen: what the view says, and hubs that it mentions and has no list of. That should not happen; but a
/// hub that is forgotten on the way here would make all its users' volumes look like orphans.
fn unseen(view: &VolumeView) -> Vec<Unseen> {
    let answered: BTreeSet<&HubName> = in_the_fleet(&view.clusters).map(|cluster| &cluster.hub).collect();
    let told: BTreeSet<&Subject> = view.unseen.iter().map(|unseen| &unseen.subject).collect();
    let forgotten: BTreeSet<Subject> = view
        .projects
        .iter()
        .flat_map(|half| &half.hubs)
        .filter(|hub| !answered.contains(hub))
        .map(|hub| Subject::Hub(hub.clone()))
        .filter(|subject| !told.contains(subject))
        .collect();
    let mut unseen = view.unseen.clone();
    unseen.extend(forgotten.into_iter().map(|subject| Unseen {
        subject,
        reason: "its list of persistent volumes is missing".to_owned(),
        hint: None,
    }));
    if answered.is_empty() && unseen.is_empty() {
        unseen.extend(view.projects.iter().map(|half| Unseen {
            subject: Subject::Project(half.project.name.clone()),
            reason: "no cluster that could use its volumes was asked".to_owned(),
            hint: None,
        }));
    }
    unseen.sort_by(|a, b| (&a.subject, &a.reason).cmp(&(&b.subject, &b.reason)));
    unseen
}

/// The clusters that were asked. What a hub used that was taken out of the fleet speaks for its volumes, and for nothing
/// else: it is no answer of a hub of the same name, and a volume that names it names a cluster that is not in the fleet.
fn in_the_fleet(clusters: &[ClusterVolumes]) -> impl Iterator<Item = &ClusterVolumes> {
    clusters.iter().filter(|cluster| cluster.removed_at.is_none())
}

/// The names of all hubs of the fleet, as far as the view mentions them.
fn hubs_named(view: &VolumeView) -> BTreeSet<&str> {
    let silent = view.unseen.iter().filter_map(|unseen| match &unseen.subject {
        Subject::Hub(hub) => Some(hub),
        Subject::Project(_) | Subject::Engine(_) | Subject::FormerEngine(_) => None,
    });
    in_the_fleet(&view.clusters)
        .map(|cluster| &cluster.hub)
        .chain(view.projects.iter().flat_map(|half| &half.hubs))
        .chain(silent)
        .map(HubName::as_str)
        .collect()
}

fn judge_all<'v>(view: &'v VolumeView, scenes: &[Scene<'v, '_>]) -> Vec<Judged<'v>> {
    let snapshots = snapshots_by_volume(view.projects.iter().flat_map(|half| &half.snapshots));
    let mut judged: Vec<Judged<'v>> = Vec::new();
    // Two openrc files may lead to one project under two URLs. Then its volumes are listed twice, and are still one.
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (half, scene) in view.projects.iter().zip(scenes) {
        for volume in &half.volumes {
            let of_volume = snapshots.get(claim_name::folded(&volume.id).as_ref());
            let case = Case { volume, snapshots: of_volume.map_or(&[], Vec::as_slice), scene };
            if let Some(place) = places.get(volume.id.as_str()) {
                merge(&mut judged[*place], &half.project, case);
                continue;
            }
            places.insert(&volume.id, judged.len());
            judged.push(Judged {
                project: &half.project,
                volume,
                verdict: rule::judge(case),
                made_for: MadeFor::of(&volume.metadata),
            });
        }
    }
    judged
}

/// One volume that was listed twice: where the two differ, it is changing right now. What keeps it under one URL keeps it
/// under both.
fn merge<'v>(judged: &mut Judged<'v>, project: &'v Project, case: Case<'v, '_>) {
    let volume = case.volume;
    if judged.verdict.class == Class::Orphan {
        judged.verdict = rule::judge(case);
    }
    if judged.volume != volume && matches!(judged.verdict.class, Class::Orphan | Class::CannotTell) {
        judged.verdict = Verdict {
            class: Class::Busy,
            reason: "it was listed twice, and changed in between".to_owned(),
            evidence: vec![Evidence::Status { status: &volume.status }],
        };
    }
    // The same whichever list comes first.
    judged.project = judged.project.min(project);
}

fn snapshots_by_volume<'v>(
    snapshots: impl Iterator<Item = &'v Snapshot>,
) -> HashMap<Cow<'v, str>, Vec<&'v str>> {
    let mut by_volume = HashMap::<Cow<'v, str>, Vec<&'v str>>::new();
    for snapshot in snapshots {
        by_volume.entry(claim_name::folded(&snapshot.volume_id)).or_default().push(&snapshot.id);
    }
    by_volume
}

fn lost(view: &VolumeView) -> Vec<Lost<'_>> {
    let known: HashSet<u128> = view
        .projects
        .iter()
        .flat_map(|half| &half.volumes)
        .flat_map(|volume| claim_name::uuids_in(&volume.id))
        .collect();
    // What a hub used that was taken out may be gone by now, and nobody logs in there.
    let mut lost: Vec<Lost<'_>> = in_the_fleet(&view.clusters)
        .flat_map(|cluster| cluster.persistent_volumes.iter().map(|pv| (&cluster.hub, pv)))
        .filter(|(_, pv)| is_cinders(pv) && is_settled(pv, view.seen_at))
        .filter(|(_, pv)| {
            let mut ids = pv.volume_ids.iter().flat_map(|id| claim_name::uuids_in(id)).peekable();
            ids.peek().is_some() && ids.all(|id| !known.contains(&id))
        })
        .map(|(hub, pv)| Lost {
            hub,
            name: &pv.name,
            phase: &pv.phase,
            claim: pv.claim.as_ref(),
            volume_ids: &pv.volume_ids,
        })
        .collect();
    lost.sort();
    lost
}

fn is_cinders(pv: &PersistentVolume) -> bool {
    pv.driver == CINDER_CSI || pv.driver == CINDER_IN_TREE
}

fn is_settled(pv: &PersistentVolume, now: Timestamp) -> bool {
    pv.created_at.is_some_and(|at| now.duration_since(at) >= LOST_GRACE)
}

impl<'v> OrphanPlan<'v> {
    /// Every volume with its verdict, by project, name and id.
    pub fn volumes(&self) -> &[Judged<'v>] {
        &self.volumes
    }

    /// The volumes of one class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Judged<'v>> {
        self.volumes.iter().filter(move |judged| judged.verdict.class == class)
    }

    /// PVs whose volume is in no project. Empty where the view is incomplete: then nobody can tell.
    pub fn lost(&self) -> &[Lost<'v>] {
        &self.lost
    }

    /// What was not seen.
    pub fn unseen(&self) -> &[Unseen] {
        &self.unseen
    }

    /// Whether every hub and every project answered in full.
    pub fn is_complete(&self) -> bool {
        self.unseen.is_empty()
    }

    /// Clusters that may use the projects' volumes, and that nobody answered for: they block deletion there.
    pub fn unknown_clusters(&self) -> impl Iterator<Item = &ForeignCluster<'v>> {
        self.foreign.iter().filter(|cluster| cluster.is_unknown())
    }

    /// Clusters that somebody answered for, in some project at least.
    pub fn answered_clusters(&self) -> impl Iterator<Item = &ForeignCluster<'v>> {
        self.foreign.iter().filter(|cluster| !cluster.answered.is_empty())
    }

    /// Whether deletion is blocked anywhere by a cluster that fleet does not know of.
    pub fn is_blocked(&self) -> bool {
        self.unknown_clusters().next().is_some()
    }

    /// Whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.of(Class::Orphan).next().is_none()
    }

    /// The hubs whose PVs were seen.
    pub fn hubs(&self) -> impl Iterator<Item = &'v HubName> {
        self.hubs.iter().copied()
    }

    /// The projects whose volumes were seen.
    pub fn projects(&self) -> impl Iterator<Item = &'v Project> {
        self.projects.iter().copied()
    }

    /// When it was seen.
    pub fn seen_at(&self) -> Timestamp {
        self.seen_at
    }

    /// How much of each class there is in each project.
    pub fn totals(&self) -> BTreeMap<(&'v Project, Class), Total> {
        let mut totals = BTreeMap::<_, Total>::new();
        for judged in &self.volumes {
            totals.entry((judged.project, judged.verdict.class)).or_default().add(judged.volume);
        }
        totals
    }

    /// What may be deleted. This is the only way to such a set, and it leads through a complete view.
    pub fn deletions(&self) -> Result<Deletions, &[Unseen]> {
        if !self.is_complete() {
            return Err(&self.unseen);
        }
        let volumes = self.of(Class::Orphan).map(Planned::new).collect();
        Ok(Deletions { volumes, hubs: self.hubs.iter().map(|hub| (*hub).clone()).collect() })
    }
}

/// A volume that is to be deleted, as it was when that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    project: Project,
    volume: Volume,
    made_for: Option<String>,
}

impl Planned {
    fn new(judged: &Judged<'_>) -> Self {
        Self {
            project: judged.project.clone(),
            volume: judged.volume.clone(),
            made_for: judged.made_for.to_text(),
        }
    }

    /// The project it is in.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The volume as it was seen.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Whom it was made for, where its metadata tells.
    pub fn made_for(&self) -> Option<&str> {
        self.made_for.as_deref()
    }
}

/// Volumes that may be deleted. Only a complete view has them ([`OrphanPlan::deletions`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Deletions {
    volumes: Vec<Planned>,
    hubs: BTreeSet<HubName>,
}

impl Deletions {
    /// The volumes.
    pub fn volumes(&self) -> &[Planned] {
        &self.volumes
    }

    /// The hubs that were asked before, and have to be asked again.
    pub fn hubs(&self) -> &BTreeSet<HubName> {
        &self.hubs
    }

    /// Whether there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }

    /// How many there are, and how large together.
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        for planned in &self.volumes {
            total.add(&planned.volume);
        }
        total
    }

    /// The same for each project.
    pub fn totals(&self) -> BTreeMap<&Project, Total> {
        let mut totals = BTreeMap::<_, Total>::new();
        for planned in &self.volumes {
            totals.entry(&planned.project).or_default().add(&planned.volume);
        }
        totals
    }
}

/// What `fuzz/` judges with.
#[cfg(fuzzing)]
pub mod fuzzing;
