//! The file as it is written. What the reader needs of a volume is sealed; the rest is for people.

use std::collections::HashMap;

use serde::Serialize;

use crate::observed::{Project, Volume};
use crate::plan::orphans::{Class, Decided, Deletions, Evidence, Judged, MadeFor, OrphanPlan, Total};
use crate::plan::saved::{Terms, VERSION};

#[derive(Serialize)]
struct Document<'a> {
    fleet_plan: u64,
    #[serde(flatten)]
    terms: &'a Terms,
    totals: Vec<ProjectTotal<'a>>,
    volumes: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct ProjectTotal<'a> {
    #[serde(flatten)]
    project: &'a Project,
    #[serde(flatten)]
    total: Total,
}

#[derive(Serialize)]
struct Entry<'a> {
    project: &'a Project,
    volume: &'a Volume,
    made_for: MadeFor<'a>,
    reason: &'a str,
    evidence: &'a [Evidence<'a>],
    seal: String,
}

pub(super) fn bytes(
    terms: &Terms,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
) -> serde_json::Result<Vec<u8>> {
    let judged: HashMap<&str, &Judged<'_>> =
        plan.of(Class::Orphan).map(|judged| (judged.volume.id.as_str(), judged)).collect();
    let volumes = deletions
        .volumes()
        .iter()
        .map(|planned| {
            let judged = judged.get(planned.volume().id.as_str());
            Entry {
                project: planned.project(),
                volume: planned.volume(),
                made_for: MadeFor::of(&planned.volume().metadata),
                reason: judged.map_or("", |judged| &judged.verdict.reason),
                evidence: judged.map_or(&[], |judged| &judged.verdict.evidence),
                seal: terms.seal(&Decided::from(planned)),
            }
        })
        .collect();
    let totals =
        deletions.totals().into_iter().map(|(project, total)| ProjectTotal { project, total }).collect();
    let mut bytes = serde_json::to_vec_pretty(&Document { fleet_plan: VERSION, terms, totals, volumes })?;
    bytes.push(b'\n');
    Ok(bytes)
}
