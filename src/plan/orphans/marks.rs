//! What a volume's metadata says. It can keep a volume, and it can tell whom it was made for; it is never a reason to
//! delete anything, because everybody can write it and kubespray writes the same cluster name on every cluster.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::observed::Metadata;
use crate::text::{clean, excerpt};

/// The cluster name that kubespray gives to every cluster, so it names none.
const ANY_CLUSTER: &str = "kubernetes";

/// In these, the cluster's name is a part of the key: `kubernetes.io/cluster/<name>: owned`.
const CLUSTER_KEY_PREFIXES: [&str; 2] = ["kubernetes.io/cluster/", "kubernetes.io-cluster-"];

/// What a key that speaks of a cluster has in it, in upper or lower case.
const CLUSTER: &[u8] = b"cluster";

/// Keep the volume, for good.
pub(super) const KEEP: &str = "fleet.keep";

/// Keep the volume until a date or a time.
pub(super) const KEEP_UNTIL: &str = "fleet.keep-until";

/// Why to keep it. For eyes alone.
pub(super) const KEEP_REASON: &str = "fleet.keep-reason";

/// A day has ended everywhere on Earth only 12 hours after it ended at UTC. Whoever wrote a date meant their own.
const LAST_ZONE: SignedDuration = SignedDuration::from_hours(12);

/// A piece of metadata that asks to keep the volume, with the reason in words.
pub(super) fn keep(metadata: &Metadata, now: Timestamp) -> Option<(&str, &str, String)> {
    metadata.iter().find_map(|(key, value)| {
        let is = |name: &str| key.trim().eq_ignore_ascii_case(name);
        let reason = if is(KEEP) && !is_no(value) {
            "somebody asked to keep it".to_owned()
        } else if is(KEEP_UNTIL) {
            keep_until(value, now)?
        } else {
            return None;
        };
        let reason = why(metadata).map_or_else(|| reason.clone(), |why| format!("{reason}: {why}"));
        Some((key.as_str(), value.as_str(), reason))
    })
}

/// What whoever asked to keep it said about it.
fn why(metadata: &Metadata) -> Option<String> {
    let is_why = |key: &str| key.trim().eq_ignore_ascii_case(KEEP_REASON);
    let (_, why) = metadata.iter().find(|(key, _)| is_why(key))?;
    Some(clean(&excerpt(why)).into_owned()).filter(|why| !why.is_empty())
}

/// Every key that has to do with keeping, as it is written in this metadata.
pub(super) fn keep_keys(metadata: &Metadata) -> Vec<String> {
    let ours =
        |key: &str| [KEEP, KEEP_UNTIL, KEEP_REASON].iter().any(|name| key.trim().eq_ignore_ascii_case(name));
    metadata.keys().filter(|key| ours(key)).cloned().collect()
}

/// Only a plain no is a no: an empty value, or one that nobody can read, keeps.
fn is_no(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "false" | "no" | "0" | "off")
}

/// The end of a date, or a time; `None` where it can be read as neither.
pub(super) fn end(value: &str) -> Option<Timestamp> {
    value.parse::<Timestamp>().ok().or_else(|| end_of(value.parse().ok()?))
}

fn keep_until(value: &str, now: Timestamp) -> Option<String> {
    let value = value.trim();
    match end(value) {
        Some(end) if end < now => None,
        Some(_) => Some(format!("somebody asked to keep it until {value}")),
        None => Some("somebody asked to keep it until a time that cannot be read".to_owned()),
    }
}

fn end_of(date: Date) -> Option<Timestamp> {
    let next = date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    next.timestamp().checked_add(LAST_ZONE).ok()
}

/// A piece of metadata that names a cluster which is none of the fleet's, with that cluster's name.
pub(super) fn foreign<'v>(
    metadata: &'v Metadata,
    hubs: &BTreeSet<&str>,
) -> Option<(&'v str, &'v str, &'v str)> {
    all_foreign(metadata, hubs).next()
}

/// Every one of them.
pub(super) fn all_foreign<'v>(
    metadata: &'v Metadata,
    hubs: &BTreeSet<&str>,
) -> impl Iterator<Item = (&'v str, &'v str, &'v str)> {
    metadata.iter().filter_map(|(key, value)| {
        let cluster = cluster_named(key, value)?;
        let ours = cluster == ANY_CLUSTER || hubs.contains(cluster);
        (!ours).then_some((key.as_str(), value.as_str(), cluster))
    })
}

/// Every piece of metadata that names a cluster, the fleet's own included.
pub(super) fn named(metadata: &Metadata) -> impl Iterator<Item = (&str, &str)> {
    metadata
        .iter()
        .filter(|(key, value)| cluster_named(key, value).is_some())
        .map(|(key, value)| (key.as_str(), value.as_str()))
}

/// The cluster that a piece of metadata names. Every key that speaks of a cluster counts, whoever wrote it: the CSI
/// driver writes `cinder.csi.openstack.org/cluster`, `OpenShift` `openshiftClusterID`, others `KubernetesCluster`.
fn cluster_named<'v>(key: &'v str, value: &'v str) -> Option<&'v str> {
    let in_key = CLUSTER_KEY_PREFIXES.iter().find_map(|prefix| key.trim().strip_prefix(prefix));
    let name = match in_key {
        Some(name) => name,
        None if speaks_of_a_cluster(key) => value,
        None => return None,
    };
    // A CSI driver that was given no cluster's name writes an empty one.
    Some(name.trim()).filter(|name| !name.is_empty())
}

/// Without making a new text: this is asked of every piece of metadata of every volume.
fn speaks_of_a_cluster(key: &str) -> bool {
    key.as_bytes().windows(CLUSTER.len()).any(|part| part.eq_ignore_ascii_case(CLUSTER))
}

/// Whom a volume was made for, as far as its metadata tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct MadeFor<'v> {
    /// The claim's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'v str>,
    /// The claim's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<&'v str>,
    /// The user, from kubespawner's name for a user's claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'v str>,
    /// The PV's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pv: Option<&'v str>,
}

impl<'v> MadeFor<'v> {
    /// Reads what the CSI driver's provisioner and the in-tree plugin leave.
    pub fn of(metadata: &'v Metadata) -> Self {
        let get = |csi: &str, in_tree: &str| {
            let value = metadata.get(csi).or_else(|| metadata.get(in_tree));
            value.map(String::as_str).filter(|value| !value.is_empty())
        };
        let claim = get("csi.storage.k8s.io/pvc/name", "kubernetes.io/created-for/pvc/name");
        Self {
            namespace: get("csi.storage.k8s.io/pvc/namespace", "kubernetes.io/created-for/pvc/namespace"),
            claim,
            user: claim.and_then(|name| name.strip_prefix("claim-")),
            pv: get("csi.storage.k8s.io/pv/name", "kubernetes.io/created-for/pv/name"),
        }
    }

    /// `namespace/claim`.
    pub fn to_text(&self) -> Option<String> {
        let claim = self.claim?;
        Some(self.namespace.map_or_else(|| claim.to_owned(), |namespace| format!("{namespace}/{claim}")))
    }
}
