//! The documents that scripts read. Their fields are a promise: they are added to, and not renamed.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::apply::delete::{Outcome, Summary};
use crate::hub::HubName;
use crate::observed::{Metadata, Project, Unseen, Volume, as_map};
use crate::plan::orphans::{
    Class, Deletions, Dropped, Evidence, ForeignCluster, Judged, Lost, MadeFor, OrphanPlan, Total,
};

pub(super) fn write(out: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

#[derive(Serialize)]
pub(super) struct PlanDocument<'a> {
    complete: bool,
    unseen: &'a [Unseen],
    seen_at: Timestamp,
    hubs: Vec<&'a HubName>,
    projects: Vec<ProjectEntry<'a>>,
    volumes: Vec<VolumeEntry<'a>>,
    lost: &'a [Lost<'a>],
    unknown_clusters: Vec<&'a ForeignCluster<'a>>,
    answered_clusters: Vec<&'a ForeignCluster<'a>>,
}

#[derive(Serialize)]
struct ProjectEntry<'a> {
    #[serde(flatten)]
    project: &'a Project,
    totals: BTreeMap<Class, Total>,
}

#[derive(Serialize)]
struct VolumeEntry<'a> {
    id: &'a str,
    name: &'a str,
    project: &'a str,
    project_id: &'a str,
    region: &'a str,
    class: Class,
    reason: &'a str,
    evidence: &'a [Evidence<'a>],
    status: &'a str,
    size_gib: u64,
    created_at: Option<Timestamp>,
    made_for: MadeFor<'a>,
    #[serde(serialize_with = "as_map")]
    metadata: &'a Metadata,
}

pub(super) fn plan<'a>(plan: &'a OrphanPlan<'a>) -> PlanDocument<'a> {
    let totals = plan.totals();
    let projects = plan
        .projects()
        .map(|project| ProjectEntry {
            project,
            totals: Class::ALL
                .into_iter()
                .filter_map(|class| Some((class, *totals.get(&(project, class))?)))
                .collect(),
        })
        .collect();
    PlanDocument {
        complete: plan.is_complete(),
        unseen: plan.unseen(),
        seen_at: plan.seen_at(),
        hubs: plan.hubs().collect(),
        projects,
        volumes: plan.volumes().iter().map(entry).collect(),
        lost: plan.lost(),
        unknown_clusters: plan.unknown_clusters().collect(),
        answered_clusters: plan.answered_clusters().collect(),
    }
}

fn entry<'a>(judged: &'a Judged<'a>) -> VolumeEntry<'a> {
    let Judged { project, volume, verdict, made_for } = judged;
    VolumeEntry {
        id: &volume.id,
        name: &volume.name,
        project: &project.name,
        project_id: &project.key.id,
        region: &project.key.region,
        class: verdict.class,
        reason: &verdict.reason,
        evidence: &verdict.evidence,
        status: &volume.status,
        size_gib: volume.size_gib,
        created_at: volume.created_at,
        made_for: *made_for,
        metadata: &volume.metadata,
    }
}

/// What would be deleted, and, where a saved plan is applied, what of it is not.
#[derive(Serialize)]
pub(super) struct DeletionsDocument<'a> {
    #[serde(flatten)]
    deletions: &'a Deletions,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<Vec<DroppedEntry<'a>>>,
}

#[derive(Serialize)]
struct DroppedEntry<'a> {
    id: &'a str,
    name: &'a str,
    project: &'a str,
    project_id: &'a str,
    size_gib: u64,
    now: Option<Class>,
    reason: &'a str,
}

pub(super) fn deletions<'a>(
    deletions: &'a Deletions,
    dropped: Option<&'a [Dropped]>,
) -> DeletionsDocument<'a> {
    DeletionsDocument { deletions, dropped: dropped.map(dropped_entries) }
}

fn dropped_entries(dropped: &[Dropped]) -> Vec<DroppedEntry<'_>> {
    dropped
        .iter()
        .map(|Dropped { decided, now, reason }| DroppedEntry {
            id: &decided.volume.id,
            name: &decided.volume.name,
            project: &decided.project.name,
            project_id: &decided.project.key.id,
            size_gib: decided.volume.size_gib,
            now: *now,
            reason,
        })
        .collect()
}

#[derive(Serialize)]
pub(super) struct SummaryDocument<'a> {
    deleted: u64,
    deleted_gib: u64,
    interrupted: bool,
    unseen: &'a [Unseen],
    #[serde(skip_serializing_if = "Option::is_none")]
    unrecorded: Option<&'a str>,
    volumes: Vec<OutcomeEntry<'a, Outcome>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<Vec<DroppedEntry<'a>>>,
}

/// A volume with what became of it.
#[derive(Serialize)]
pub(in crate::report) struct OutcomeEntry<'a, O> {
    id: &'a str,
    name: &'a str,
    project: &'a str,
    project_id: &'a str,
    size_gib: u64,
    #[serde(flatten)]
    outcome: &'a O,
}

impl<'a, O> OutcomeEntry<'a, O> {
    pub(in crate::report) fn of(project: &'a Project, volume: &'a Volume, outcome: &'a O) -> Self {
        Self {
            id: &volume.id,
            name: &volume.name,
            project: &project.name,
            project_id: &project.key.id,
            size_gib: volume.size_gib,
            outcome,
        }
    }
}

pub(super) fn summary<'a>(summary: &'a Summary<'_>, dropped: Option<&'a [Dropped]>) -> SummaryDocument<'a> {
    let deleted = || summary.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Deleted);
    SummaryDocument {
        deleted: deleted().count() as u64,
        deleted_gib: deleted().map(|(planned, _)| planned.volume().size_gib).sum(),
        interrupted: summary.interrupted,
        unseen: &summary.silent,
        unrecorded: summary.unrecorded.as_deref(),
        volumes: summary
            .outcomes
            .iter()
            .map(|(planned, outcome)| OutcomeEntry::of(planned.project(), planned.volume(), outcome))
            .collect(),
        dropped: dropped.map(dropped_entries),
    }
}
