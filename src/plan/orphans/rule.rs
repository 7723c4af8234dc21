//! The rule itself, one function a reason to keep a volume, in the order in which they are asked.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::hub::OrphanRules;
use crate::observed::{Claim, ClaimRef, PersistentVolume, Volume};
use crate::text::count;

use super::claim_name::{is_claim_name, uuid};
use super::references::{Reference, References, Referrer};
use super::{Class, Evidence, Verdict, marks};

/// A volume is there before its PV, and clocks differ.
const BEFORE_ITS_PV: SignedDuration = SignedDuration::from_hours(1);

/// What a volume is judged in.
#[derive(Debug)]
pub(super) struct Scene<'v, 's> {
    /// What the clusters use.
    pub(super) references: References<'v, 's>,
    /// The names that volumes of the fleet's own clusters carry.
    pub(super) hubs: BTreeSet<&'v str>,
    /// What the fleet goes by.
    pub(super) rules: &'s OrphanRules,
    /// Ages are counted up to here.
    pub(super) now: Timestamp,
    /// Whether every hub and every project answered in full.
    pub(super) complete: bool,
    /// Clusters that may use the project's volumes, and that nobody answered for.
    pub(super) unknown: Vec<&'v str>,
}

/// A volume with what it is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'v, 'c> {
    pub(super) volume: &'v Volume,
    pub(super) snapshots: &'c [&'v str],
    pub(super) scene: &'c Scene<'v, 'c>,
}

/// One part of the rule.
pub(super) struct Check {
    /// What has to hold for an orphan.
    pub(super) rule: &'static str,
    /// What speaks against it, if anything does.
    pub(super) against: for<'v, 'c> fn(Case<'v, 'c>) -> Option<Verdict<'v>>,
    /// What was looked at, where nothing does.
    pub(super) holds: for<'v, 'c> fn(Case<'v, 'c>) -> String,
}

/// The rule, in the order in which it is asked. It is judged by this list, and explained by it.
pub(super) const CHECKS: [Check; 12] = [
    Check {
        rule: "no PV and no claim of any hub refers to it",
        against: |case| referred_to(case.volume, case.scene),
        holds: |case| case.scene.references.looked_at(),
    },
    Check {
        rule: "nobody asked to keep it",
        against: |case| kept(case.volume, case.scene),
        holds: |_| "its metadata has no fleet.keep, and no fleet.keep-until that is still to come".to_owned(),
    },
    Check {
        rule: "it names no cluster that is not of this fleet",
        against: |case| foreign(case.volume, case.scene),
        holds: |case| clusters_named(case.volume),
    },
    Check {
        rule: "it is not in error",
        against: |case| in_error(case.volume),
        holds: |case| status_is(case.volume),
    },
    Check {
        rule: "it is not attached",
        against: |case| attached(case.volume),
        holds: |case| format!("{}, and it has no attachment", status_is(case.volume)),
    },
    Check {
        rule: "it is available",
        against: |case| busy(case.volume),
        holds: |case| status_is(case.volume),
    },
    Check {
        rule: "it has no snapshot",
        against: |case| snapshotted(case.snapshots),
        holds: |_| "no snapshot in any project is of it".to_owned(),
    },
    Check {
        rule: "it was made for a claim",
        against: |case| unmanaged(case.volume),
        holds: |case| format!("its whole name is {}, and it is not bootable", case.volume.name),
    },
    Check {
        rule: "it is old enough",
        against: |case| young(case.volume, case.scene),
        holds: |case| age(case.volume, case.scene),
    },
    Check {
        rule: "it is older than every removal of a hub that is remembered",
        against: |case| made_after_a_removal(case.volume, case.scene),
        holds: |case| removals(case.scene),
    },
    Check {
        rule: "every hub and every project answered in full",
        against: |case| cannot_tell(case.scene),
        holds: |_| "they did".to_owned(),
    },
    Check {
        rule: "no cluster that fleet does not know of may use its project",
        against: |case| may_be_of_another(case.scene),
        holds: |_| "all that were found are hubs, or were answered for in fleet.toml".to_owned(),
    },
];

/// Judges one volume. The first reason to keep it decides its class; only where there is none, it is an orphan.
pub(super) fn judge<'v>(case: Case<'v, '_>) -> Verdict<'v> {
    CHECKS.iter().find_map(|check| (check.against)(case)).unwrap_or_else(|| orphan(case.volume, case.scene))
}

fn verdict(class: Class, reason: impl Into<String>, evidence: Vec<Evidence<'_>>) -> Verdict<'_> {
    Verdict { class, reason: reason.into(), evidence }
}

fn referred_to<'v>(volume: &Volume, scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    let references = scene.references.to(volume);
    // One that is not released is enough: another may have been left over beside it.
    let decisive = references.iter().find(|reference| !is_released(reference)).or(references.first())?;
    let class = if is_released(decisive) { Class::Released } else { Class::InUse };
    let reason = describe(decisive);
    Some(verdict(class, reason, references.iter().map(as_evidence).collect()))
}

/// `Failed` is what a released PV becomes whose volume could not be deleted.
fn is_released(reference: &Reference<'_>) -> bool {
    match reference.referrer {
        Referrer::Pv(pv, _) => matches!(pv.phase.as_str(), "Released" | "Failed"),
        Referrer::Claim(_) => false,
    }
}

fn describe(reference: &Reference<'_>) -> String {
    let Reference { hub, removed_at, referrer } = reference;
    let hub = match removed_at {
        None => hub.to_string(),
        Some(at) => {
            format!("{hub}, which was taken out of the fleet on {} and used it then", at.strftime("%F"))
        }
    };
    match referrer {
        Referrer::Pv(pv, _) => format!("hub {hub}: {}", describe_pv(pv)),
        Referrer::Claim(Claim { namespace, name, .. }) => {
            format!("hub {hub}: claim {namespace}/{name} is there, and its PV is not")
        }
    }
}

fn describe_pv(pv: &PersistentVolume) -> String {
    let phase = if pv.phase.is_empty() { "in a phase that is not known" } else { pv.phase.as_str() };
    match &pv.claim {
        Some(ClaimRef { namespace, name }) if phase == "Bound" => format!("claim {namespace}/{name}"),
        Some(ClaimRef { namespace, name }) => {
            format!("PV {} is {phase}, of claim {namespace}/{name}", pv.name)
        }
        None => format!("PV {} is {phase}", pv.name),
    }
}

fn as_evidence<'v>(reference: &Reference<'v>) -> Evidence<'v> {
    let hub = reference.hub;
    match reference.referrer {
        Referrer::Pv(pv, by) => Evidence::PersistentVolume {
            hub,
            name: &pv.name,
            phase: &pv.phase,
            reclaim_policy: &pv.reclaim_policy,
            claim: pv.claim.as_ref(),
            by,
        },
        Referrer::Claim(claim) => Evidence::Claim {
            hub,
            namespace: &claim.namespace,
            name: &claim.name,
            phase: &claim.phase,
            volume_name: claim.volume_name.as_deref(),
        },
    }
}

fn kept<'v>(volume: &'v Volume, scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    let (key, value, reason) = marks::keep(&volume.metadata, scene.now)?;
    Some(verdict(Class::Kept, reason, vec![Evidence::Metadata { key, value }]))
}

fn foreign<'v>(volume: &'v Volume, scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    let (key, value, cluster) = marks::foreign(&volume.metadata, &scene.hubs)?;
    let reason = format!("it names cluster {cluster:?}, which is not in this fleet");
    Some(verdict(Class::Foreign, reason, vec![Evidence::Metadata { key, value }]))
}

fn status_is(volume: &Volume) -> String {
    format!("its status is {:?}", volume.status)
}

fn in_error(volume: &Volume) -> Option<Verdict<'_>> {
    volume.status.to_ascii_lowercase().starts_with("error").then_some(())?;
    Some(verdict(Class::Error, status_is(volume), vec![Evidence::Status { status: &volume.status }]))
}

fn attached(volume: &Volume) -> Option<Verdict<'_>> {
    let held = matches!(volume.status.as_str(), "in-use" | "attaching" | "detaching" | "reserved");
    let status = Evidence::Status { status: &volume.status };
    match volume.attachments.as_slice() {
        [] => held.then(|| verdict(Class::Attached, status_is(volume), vec![status])),
        ids @ [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let reason = format!("it is attached to {first}{more}");
            Some(verdict(Class::Attached, reason, vec![Evidence::Attachments { ids }, status]))
        }
    }
}

/// Every status but `available`, those included that nobody has thought of here.
fn busy(volume: &Volume) -> Option<Verdict<'_>> {
    (volume.status != "available").then_some(())?;
    Some(verdict(Class::Busy, status_is(volume), vec![Evidence::Status { status: &volume.status }]))
}

fn snapshotted<'v>(snapshots: &[&'v str]) -> Option<Verdict<'v>> {
    let reason = match snapshots {
        [] => return None,
        [one] => format!("it has snapshot {one}"),
        more => format!("it has {} snapshots", more.len()),
    };
    let mut ids = snapshots.to_vec();
    ids.sort_unstable();
    Some(verdict(Class::Snapshots, reason, vec![Evidence::Snapshots { ids }]))
}

fn unmanaged(volume: &Volume) -> Option<Verdict<'_>> {
    let reason = if !is_claim_name(&volume.name) {
        "its name is not that of a claim's volume"
    } else if volume.bootable {
        "it is bootable, so a server's disk, whatever its name says"
    } else if uuid(&volume.id).is_none() {
        // Handles are compared as UUIDs: with another kind of id, no reference to it would be found.
        "its id is not a UUID, so that it cannot be looked up"
    } else {
        return None;
    };
    Some(verdict(Class::Unmanaged, reason, Vec::new()))
}

fn young<'v>(volume: &'v Volume, scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    let reason = match volume.created_at.map(|at| scene.now.duration_since(at)) {
        None => "its age is not known".to_owned(),
        Some(age) if age < SignedDuration::ZERO => "it was made in the future: a clock is wrong".to_owned(),
        Some(age) if age.unsigned_abs() < scene.rules.min_age => {
            format!("it is younger than {}", as_text(scene.rules.min_age))
        }
        Some(_) => return None,
    };
    Some(verdict(Class::Young, reason, vec![Evidence::Created { at: volume.created_at }]))
}

fn age(volume: &Volume, scene: &Scene<'_, '_>) -> String {
    let Some(at) = volume.created_at else { return "its age is not known".to_owned() };
    let hours = scene.now.duration_since(at).as_hours();
    let age = if hours < 48 {
        count(hours.unsigned_abs(), "hour")
    } else {
        count(hours.unsigned_abs() / 24, "day")
    };
    format!("Cinder made it at {at}, {age} ago, and {} are enough", as_text(scene.rules.min_age))
}

fn clusters_named(volume: &Volume) -> String {
    let named: Vec<String> =
        marks::named(&volume.metadata).map(|(key, value)| format!("{key}={value}")).collect();
    if named.is_empty() {
        "its metadata names no cluster".to_owned()
    } else {
        format!("it has {}", named.join(", "))
    }
}

fn removals(scene: &Scene<'_, '_>) -> String {
    match scene.references.first_removed() {
        None => "no hub was taken out of the fleet, or none is remembered".to_owned(),
        Some((hub, at)) => format!("the first one, of hub {hub}, was at {at}"),
    }
}

/// A duration as people say it: `24h`, `1h 30m`.
fn as_text(duration: std::time::Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |d| format!("{d:#}"))
}

/// The cluster of a hub that was taken out of the fleet may go on and make volumes that nobody here ever hears of. As long
/// as the hub is remembered, all that was made since is taken for its.
fn made_after_a_removal<'v>(volume: &'v Volume, scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    let (hub, at) = scene.references.first_removed()?;
    let since = at.checked_sub(BEFORE_ITS_PV).unwrap_or(at);
    volume.created_at.is_none_or(|made| made >= since).then_some(())?;
    let reason = format!(
        "it was made after hub {hub} was taken out of the fleet on {}, and may be of its cluster",
        at.strftime("%F")
    );
    Some(verdict(Class::Foreign, reason, vec![Evidence::Created { at: volume.created_at }]))
}

fn cannot_tell<'v>(scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    (!scene.complete).then_some(())?;
    let evidence = vec![Evidence::NoReference { hubs: scene.references.hubs() }];
    Some(verdict(Class::CannotTell, "no PV that was seen refers to it, but not all were seen", evidence))
}

fn may_be_of_another<'v>(scene: &Scene<'v, '_>) -> Option<Verdict<'v>> {
    let (first, rest) = scene.unknown.split_first()?;
    let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
    let reason = format!(
        "it may be of cluster {first:?}{more}, which fleet.toml does not have and which may use this project"
    );
    let evidence = vec![
        Evidence::NoReference { hubs: scene.references.hubs() },
        Evidence::UnknownClusters { names: scene.unknown.clone() },
    ];
    Some(verdict(Class::CannotTell, reason, evidence))
}

fn orphan<'v>(volume: &'v Volume, scene: &Scene<'v, '_>) -> Verdict<'v> {
    let hubs = scene.references.hubs();
    let asked = if hubs == 1 { "the one hub".to_owned() } else { format!("any of {hubs} hubs") };
    let evidence = vec![Evidence::NoReference { hubs }, Evidence::Created { at: volume.created_at }];
    verdict(Class::Orphan, format!("no PV of {asked} refers to it"), evidence)
}
