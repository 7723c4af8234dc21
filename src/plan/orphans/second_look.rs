//! The second look at a volume, just before its own deletion: what the first one found has to hold still, by the same rule.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::hub::{HubName, OrphanRules};
use crate::observed::{ClusterVolumes, Snapshot, Subject, Unseen, Volume};

use super::references::{Index, References};
use super::rule::{self, Case, Scene};
use super::{Class, Planned, claim_name, in_the_fleet, snapshots_by_volume, unknown};

/// What all hubs use, asked for once more just before deletions, and shared by those that begin at the same time.
#[derive(Debug)]
pub struct SecondLook {
    clusters: Vec<ClusterVolumes>,
    index: Index,
}

impl SecondLook {
    /// Takes the lists of all hubs. A hub that was asked for the plan and is not among them is an error: its users'
    /// volumes would look like orphans.
    pub fn new(clusters: Vec<ClusterVolumes>, hubs: &BTreeSet<HubName>) -> Result<Self, Vec<Unseen>> {
        let missing: Vec<Unseen> = hubs
            .iter()
            .filter(|hub| !in_the_fleet(&clusters).any(|cluster| cluster.hub == **hub))
            .map(|hub| Unseen {
                subject: Subject::Hub(hub.clone()),
                reason: "it was asked for the plan and not again before deleting".to_owned(),
                hint: None,
            })
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let index = Index::new(&clusters);
        Ok(Self { clusters, index })
    }

    /// The clusters that were asked.
    pub fn asked(&self) -> impl Iterator<Item = &ClusterVolumes> {
        in_the_fleet(&self.clusters)
    }
}

/// Whether a volume may still be deleted: it must be what it was when the plan was made, and an orphan by the same
/// rule, judged by the same code. The error is the reason to keep it.
pub fn still_orphan(
    planned: &Planned,
    fresh: &Volume,
    snapshots: &[Snapshot],
    look: &SecondLook,
    rules: &OrphanRules,
    now: Timestamp,
) -> Result<(), String> {
    if let Some(change) = changed(&planned.volume, fresh) {
        return Err(change);
    }
    let snapshots = snapshots_by_volume(snapshots.iter());
    let of_volume = snapshots.get(claim_name::folded(&fresh.id).as_ref());
    // More than the hubs of its project, which the plan went by; but its metadata is what it was then.
    let hubs = in_the_fleet(&look.clusters).map(|cluster| cluster.hub.as_str());
    let scene = Scene {
        references: References::new(&look.clusters, &look.index),
        hubs: unknown::own_names(hubs, rules, &planned.project),
        rules,
        now,
        complete: true,
        // Where there was one, nothing was planned.
        unknown: Vec::new(),
    };
    let snapshots = of_volume.map_or(&[][..], Vec::as_slice);
    let verdict = rule::judge(Case { volume: fresh, snapshots, scene: &scene });
    match verdict.class {
        Class::Orphan => Ok(()),
        class => Err(format!("{class}: {}", verdict.reason)),
    }
}

/// What is not as it was. Every field counts: a volume that somebody touched in between is not the one that was shown.
pub(super) fn changed(planned: &Volume, fresh: &Volume) -> Option<String> {
    let Volume { id, name, status, size_gib, created_at, attachments, metadata, bootable } = planned;
    let what = if *id != fresh.id {
        "id"
    } else if *status != fresh.status {
        return Some(format!("its status changed from {status:?} to {:?}", fresh.status));
    } else if *name != fresh.name {
        "name"
    } else if *size_gib != fresh.size_gib {
        "size"
    } else if *created_at != fresh.created_at {
        "time of creation"
    } else if *attachments != fresh.attachments {
        return Some("it was attached since the plan was made".to_owned());
    } else if *metadata != fresh.metadata {
        "metadata"
    } else if *bootable != fresh.bootable {
        "bootable mark"
    } else {
        return None;
    };
    Some(format!("its {what} changed since the plan was made"))
}
