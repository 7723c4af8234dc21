//! One volume explained: every part of the rule with its answer, by the same checks that judge it, and what was looked at,
//! where and when.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use crate::hub::{HubName, OrphanRules};
use crate::observed::{Project, Unseen, VolumeView};

use super::rule::{self, CHECKS, Case};
use super::{
    Class, Evidence, ForeignCluster, Index, Judged, OrphanPlan, Scene, claim_name, snapshots_by_volume,
    with_scenes,
};

/// One part of the rule, asked of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part<'v> {
    /// What has to hold for an orphan.
    pub rule: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Whether it is the first that does not, and so the one that the volume's class comes from.
    pub decides: bool,
    /// What speaks against it, or what was looked at.
    pub reason: String,
    /// What that rests on.
    pub evidence: Vec<Evidence<'v>>,
}

/// A volume with everything that its class comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained<'v> {
    /// The volume, and what it is.
    pub judged: Judged<'v>,
    /// Its snapshots.
    pub snapshots: Vec<&'v str>,
    /// The rule, in the order in which it is asked.
    pub parts: Vec<Part<'v>>,
}

/// A project that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskedProject<'v> {
    /// The project.
    #[serde(flatten)]
    pub project: &'v Project,
    /// The hubs whose openrc leads to it.
    pub hubs: &'v [HubName],
    /// How many volumes it has.
    pub volumes: usize,
    /// How many snapshots.
    pub snapshots: usize,
    /// How many servers.
    pub servers: usize,
    /// When all of this had arrived.
    pub seen_at: Timestamp,
}

/// A hub that was asked, or is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskedHub<'v> {
    /// The hub.
    pub hub: &'v HubName,
    /// How many PVs its cluster has, or had.
    pub persistent_volumes: usize,
    /// When it was taken out of the fleet; then nobody asked it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// When its list had arrived.
    pub seen_at: Timestamp,
}

/// What was looked at, where and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked<'v> {
    /// Every project that answered.
    pub projects: Vec<AskedProject<'v>>,
    /// Every hub that answered, and every one that is remembered.
    pub hubs: Vec<AskedHub<'v>>,
    /// How many containers of the old scripts the engine has.
    pub old_containers: usize,
    /// Clusters that are no hub's, known ones and others.
    pub foreign_clusters: Vec<ForeignCluster<'v>>,
    /// Who did not answer.
    pub unseen: Vec<Unseen>,
    /// When the last answer had arrived.
    pub seen_at: Timestamp,
}

/// The answer to `fleet orphans --why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why<'v> {
    /// What was asked for: an id or a name.
    pub wanted: String,
    /// Every volume that has it.
    pub volumes: Vec<Explained<'v>>,
    /// What was looked at.
    pub asked: Asked<'v>,
}

impl Why<'_> {
    /// Whether every hub and every project answered in full.
    pub fn is_complete(&self) -> bool {
        self.asked.unseen.is_empty()
    }
}

/// Explains the volume of an id, or all volumes of a name.
pub fn why<'v>(view: &'v VolumeView, rules: &OrphanRules, wanted: &str) -> Why<'v> {
    let index = Index::new(&view.clusters);
    let (plan, scenes) = with_scenes(view, rules, &index);
    let is_id = |judged: &&Judged<'v>| judged.volume.id.eq_ignore_ascii_case(wanted);
    let mut judged: Vec<&Judged<'v>> = plan.volumes.iter().filter(is_id).collect();
    if judged.is_empty() {
        judged = plan.volumes.iter().filter(|judged| judged.volume.name == wanted).collect();
    }
    let volumes: Vec<Explained<'v>> =
        judged.into_iter().filter_map(|judged| explain(judged, view, &scenes)).collect();
    Why { wanted: wanted.to_owned(), volumes, asked: asked(view, plan) }
}

/// `None` never comes about: every judged volume is in the view.
fn explain<'v>(judged: &Judged<'v>, view: &'v VolumeView, scenes: &[Scene<'v, '_>]) -> Option<Explained<'v>> {
    let all = snapshots_by_volume(view.projects.iter().flat_map(|half| &half.snapshots));
    let snapshots = all.get(claim_name::folded(&judged.volume.id).as_ref()).cloned().unwrap_or_default();
    let is_it = |id: &str| id == judged.volume.id;
    let scene = view
        .projects
        .iter()
        .zip(scenes)
        .find(|(half, _)| half.volumes.iter().any(|volume| is_it(&volume.id)))
        .map(|(_, scene)| scene)?;
    let case = Case { volume: judged.volume, snapshots: &snapshots, scene };
    let mut parts: Vec<Part<'v>> = CHECKS.iter().map(|check| ask(check, case)).collect();
    // A volume that two lists have is judged by both.
    if judged.verdict != rule::judge(case) {
        parts.push(Part {
            rule: "every list that has it says the same of it",
            holds: false,
            decides: false,
            reason: judged.verdict.reason.clone(),
            evidence: judged.verdict.evidence.clone(),
        });
    }
    if let Some(first) = parts.iter_mut().find(|part| !part.holds) {
        first.decides = true;
    }
    Some(Explained { judged: judged.clone(), snapshots, parts })
}

fn ask<'v>(check: &rule::Check, case: Case<'v, '_>) -> Part<'v> {
    match (check.against)(case) {
        Some(verdict) => Part {
            rule: check.rule,
            holds: false,
            decides: false,
            reason: verdict.reason,
            evidence: verdict.evidence,
        },
        None => Part {
            rule: check.rule,
            holds: true,
            decides: false,
            reason: (check.holds)(case),
            evidence: Vec::new(),
        },
    }
}

fn asked<'v>(view: &'v VolumeView, plan: OrphanPlan<'v>) -> Asked<'v> {
    let projects = view.projects.iter().map(|half| AskedProject {
        project: &half.project,
        hubs: &half.hubs,
        volumes: half.volumes.len(),
        snapshots: half.snapshots.len(),
        servers: half.servers.len(),
        seen_at: half.seen_at,
    });
    let hubs = view.clusters.iter().map(|cluster| AskedHub {
        hub: &cluster.hub,
        persistent_volumes: cluster.persistent_volumes.len(),
        removed_at: cluster.removed_at,
        seen_at: cluster.seen_at,
    });
    Asked {
        projects: projects.collect(),
        hubs: hubs.collect(),
        old_containers: view.outside.containers.len(),
        foreign_clusters: plan.foreign,
        unseen: plan.unseen,
        seen_at: view.seen_at,
    }
}

impl Explained<'_> {
    /// Whether nobody can tell what it is.
    pub fn cannot_tell(&self) -> bool {
        self.judged.verdict.class == Class::CannotTell
    }
}
