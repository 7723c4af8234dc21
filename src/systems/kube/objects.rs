//! What a Kubernetes API server sends, and fleet's own types made of it. Pure.
//!
//! Only what fleet needs is decoded. What is missing is an error and never skipped: a PV that is not seen is a volume
//! that looks like nobody's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::observed::{CINDER_IN_TREE, Claim, ClaimRef, Node, PersistentVolume};
use crate::systems::{quantity, unique};
use crate::text::excerpt;

/// Where kubespawner writes the user that a claim was made for: a label (escaped) or, as it is, an annotation.
const USERNAME: &str = "hub.jupyter.org/username";

/// What kubespawner's names of claims begin with.
const CLAIM_PREFIX: &str = "claim-";

/// An answer that is not the whole of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// Not JSON, or not of the form that was asked for.
    #[error("{0}")]
    NotThat(String),
    /// A list of something else.
    #[error("it is a {found:?}, not a {expected}")]
    OtherKind {
        /// What was asked for.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// More is left, and the answer does not say where.
    #[error("{0} more are left, and it does not say where")]
    Cut(i64),
    /// The next page would be the one that just came.
    #[error("the next page is the same one again")]
    GoesInCircles,
    /// A page that came before comes again, in the place of another one.
    #[error("{0} came twice")]
    Twice(String),
    /// It has no end.
    #[error("it goes on after {0} pages")]
    Endless(usize),
}

fn not_that(error: &serde_json::Error) -> Incomplete {
    Incomplete::NotThat(excerpt(&error.to_string()))
}

/// An object as it is sent, and what fleet sees of it.
pub trait Wire: DeserializeOwned {
    /// What fleet sees.
    type Seen;
    /// Where all of them are listed.
    const PATH: &'static str;
    /// What such a list calls itself.
    const LIST: &'static str;
    /// What fleet sees of this one.
    fn seen(self) -> Result<Self::Seen, Incomplete>;
    /// What tells it from all others of the list.
    fn key(seen: &Self::Seen) -> String;
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    kind: String,
    metadata: ListMeta,
    /// Its objects.
    pub items: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(rename = "continue", default)]
    next: Option<String>,
    #[serde(default)]
    remaining_item_count: Option<i64>,
}

impl<T: Wire> Page<T> {
    /// Reads a page.
    pub fn parse(text: &str) -> Result<Self, Incomplete> {
        let page: Self = serde_json::from_str(text).map_err(|error| not_that(&error))?;
        if page.kind == T::LIST {
            Ok(page)
        } else {
            Err(Incomplete::OtherKind { expected: T::LIST, found: excerpt(&page.kind) })
        }
    }

    /// Where the next page begins; `None` after the last one. `from` is where this one began.
    pub fn next(&self, from: Option<&str>) -> Result<Option<String>, Incomplete> {
        let next = self.metadata.next.clone().filter(|next| !next.is_empty());
        match (&next, self.metadata.remaining_item_count) {
            (None, Some(left)) if left != 0 => Err(Incomplete::Cut(left)),
            (Some(next), _) if Some(next.as_str()) == from => Err(Incomplete::GoesInCircles),
            _ => Ok(next),
        }
    }
}

/// The path of a page's request.
pub fn page_path(path: &str, limit: Option<usize>, from: Option<&str>) -> String {
    let mut query = Vec::new();
    query.extend(limit.map(|limit| format!("limit={limit}")));
    query.extend(from.map(|from| format!("continue={}", percent_encoded(from))));
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A PV as it is sent.
#[derive(Debug, Deserialize)]
pub struct PvWire {
    metadata: Named,
    // Every field as the text that it is: an id may be in any of them.
    #[serde(deserialize_with = "unique::map")]
    spec: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    status: Phase,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Phase {
    #[serde(default)]
    phase: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Csi {
    #[serde(default)]
    driver: String,
    volume_handle: String,
}

#[derive(Debug, Deserialize)]
struct Cinder {
    #[serde(rename = "volumeID")]
    volume_id: String,
}

#[derive(Debug, Deserialize)]
struct ClaimRefWire {
    // Both are optional in the API, so that an object without them is one.
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

impl Wire for PvWire {
    type Seen = PersistentVolume;
    const PATH: &'static str = "/api/v1/persistentvolumes";
    const LIST: &'static str = "PersistentVolumeList";

    fn key(seen: &Self::Seen) -> String {
        seen.name.clone()
    }

    fn seen(self) -> Result<PersistentVolume, Incomplete> {
        let PvWire { metadata: Named { name, creation_timestamp }, spec, status: Phase { phase } } = self;
        let csi: Option<Csi> = field(&spec, "csi")?;
        let cinder: Option<Cinder> = field(&spec, "cinder")?;
        let driver = match (&csi, &cinder) {
            (Some(csi), _) => csi.driver.clone(),
            (None, Some(_)) => CINDER_IN_TREE.to_owned(),
            (None, None) => String::new(),
        };
        let claim: Option<ClaimRefWire> = field(&spec, "claimRef")?;
        Ok(PersistentVolume {
            name,
            phase,
            reclaim_policy: field(&spec, "persistentVolumeReclaimPolicy")?.unwrap_or_default(),
            storage_class: field(&spec, "storageClassName")?.unwrap_or_default(),
            volume_ids: volume_ids(csi, cinder, &spec),
            driver,
            created_at: creation_timestamp.and_then(|time| time.parse().ok()),
            claim: claim.map(|ClaimRefWire { namespace, name }| ClaimRef { namespace, name }),
        })
    }
}

/// A field of a spec. `null` is not there.
fn field<T: DeserializeOwned>(
    spec: &BTreeMap<String, Box<RawValue>>,
    name: &str,
) -> Result<Option<T>, Incomplete> {
    match spec.get(name) {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|error| not_that(&error)),
        None => Ok(None),
    }
}

/// Every id under which a PV may refer to a Cinder volume: what CSI and the in-tree driver call it, and whatever looks
/// like an id anywhere else (flexVolume's options, a path), for one id too many keeps a volume and one too few deletes
/// it. The claim's own uid is the one UUID that is known to be something else.
fn volume_ids(
    csi: Option<Csi>,
    cinder: Option<Cinder>,
    spec: &BTreeMap<String, Box<RawValue>>,
) -> Vec<String> {
    let handles = csi.map(|csi| csi.volume_handle).into_iter().chain(cinder.map(|cinder| cinder.volume_id));
    let elsewhere = spec.iter().filter(|(name, _)| *name != "claimRef").flat_map(|(_, raw)| uuids(raw.get()));
    // The handle comes first: it is the volume, and the others only may be.
    let mut ids: Vec<String> = Vec::new();
    for id in handles.chain(elsewhere) {
        if !id.is_empty() && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Everything in a text that has the form of a UUID, in lower case, as Cinder writes them.
fn uuids(text: &str) -> impl Iterator<Item = String> {
    let found = text.as_bytes().windows(36).filter(|window| {
        window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    });
    found.filter_map(|window| std::str::from_utf8(window).ok().map(str::to_ascii_lowercase))
}

/// A claim as it is sent.
#[derive(Debug, Deserialize)]
pub struct ClaimWire {
    metadata: ClaimMeta,
    #[serde(default)]
    spec: ClaimSpec,
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimMeta {
    name: String,
    namespace: String,
    uid: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec {
    #[serde(default)]
    volume_name: Option<String>,
    #[serde(default)]
    resources: Resources,
}

#[derive(Debug, Default, Deserialize)]
struct Resources {
    #[serde(default)]
    requests: Option<Sizes>,
}

#[derive(Debug, Default, Deserialize)]
struct ClaimStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    capacity: Option<Sizes>,
}

#[derive(Debug, Default, Deserialize)]
struct Sizes {
    #[serde(default)]
    storage: Option<String>,
}

impl Sizes {
    fn bytes(self) -> Option<u64> {
        quantity::bytes(&self.storage?)
    }
}

impl Wire for ClaimWire {
    type Seen = Claim;
    const PATH: &'static str = "/api/v1/persistentvolumeclaims";
    const LIST: &'static str = "PersistentVolumeClaimList";

    fn key(seen: &Self::Seen) -> String {
        format!("{}/{}", seen.namespace, seen.name)
    }

    fn seen(self) -> Result<Claim, Incomplete> {
        let ClaimWire { metadata, spec, status } = self;
        let ClaimMeta { name, namespace, uid, creation_timestamp, labels, annotations } = metadata;
        Ok(Claim {
            user: user(&name, labels, annotations),
            phase: status.phase,
            size_bytes: status
                .capacity
                .and_then(Sizes::bytes)
                .or_else(|| spec.resources.requests.and_then(Sizes::bytes)),
            volume_name: spec.volume_name.filter(|name| !name.is_empty()),
            created_at: creation_timestamp.and_then(|time| time.parse().ok()),
            name,
            namespace,
            uid,
        })
    }
}

/// The user that a claim was made for. The annotation has the name as it is, the label and the claim's name have it
/// escaped, and how depends on kubespawner's version: it is left so, and found in the names of pods like that.
fn user(
    name: &str,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
) -> Option<String> {
    let told = |map: Option<BTreeMap<String, String>>| map?.remove(USERNAME).filter(|user| !user.is_empty());
    told(annotations)
        .or_else(|| told(labels))
        .or_else(|| name.strip_prefix(CLAIM_PREFIX).filter(|user| !user.is_empty()).map(ToOwned::to_owned))
}

/// A node as it is sent.
#[derive(Debug, Deserialize)]
pub struct NodeWire {
    metadata: Named,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Wire for NodeWire {
    type Seen = Node;
    const PATH: &'static str = "/api/v1/nodes";
    const LIST: &'static str = "NodeList";

    fn key(seen: &Self::Seen) -> String {
        seen.name.clone()
    }

    fn seen(self) -> Result<Node, Incomplete> {
        let conditions = self.status.conditions.unwrap_or_default();
        let ready =
            conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True");
        Ok(Node { name: self.metadata.name, ready })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "0d5bb2c4-7c1f-4d3e-9f1a-6a1f0e8c2b11";
    const CLAIM_UID: &str = "11111111-2222-3333-4444-555555555555";

    fn pv(spec: &Value) -> Result<PersistentVolume, Incomplete> {
        let wire = json!({"metadata": {"name": "pvc-1"}, "spec": spec, "status": {"phase": "Bound"}});
        serde_json::from_str::<PvWire>(&wire.to_string()).unwrap().seen()
    }

    fn claim_of(wire: Value) -> Claim {
        serde_json::from_value::<ClaimWire>(wire).unwrap().seen().unwrap()
    }

    fn page(text: &str) -> Result<Page<NodeWire>, Incomplete> {
        Page::parse(text)
    }

    #[test]
    fn a_volume_of_the_csi_driver_is_seen_whole() {
        let seen = pv(&json!({
            "csi": {"driver": "cinder.csi.openstack.org", "volumeHandle": ID, "fsType": "ext4"},
            "claimRef": {"namespace": "jhub", "name": "claim-zoe", "uid": CLAIM_UID},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "default",
        }));
        assert_eq!(
            seen.unwrap(),
            PersistentVolume {
                name: "pvc-1".into(),
                phase: "Bound".into(),
                reclaim_policy: "Retain".into(),
                storage_class: "default".into(),
                volume_ids: vec![ID.into()],
                driver: "cinder.csi.openstack.org".into(),
                created_at: None,
                claim: Some(ClaimRef { namespace: "jhub".into(), name: "claim-zoe".into() }),
            }
        );
    }

    #[test]
    fn an_id_is_found_wherever_a_pv_keeps_it() {
        for (spec, expected) in [
            (json!({"cinder": {"volumeID": ID}}), vec![ID]),
            (json!({"csi": {"driver": "x", "volumeHandle": "not-a-uuid"}}), vec!["not-a-uuid"]),
            (json!({"flexVolume": {"options": {"volumeID": ID}}}), vec![ID]),
            (json!({"hostPath": {"path": format!("/mnt/volume-{}/x", ID.to_uppercase())}}), vec![ID]),
            (
                json!({"csi": {"driver": "x", "volumeHandle": format!("RegionOne/{ID}")}}),
                vec!["RegionOne/0d5bb2c4-7c1f-4d3e-9f1a-6a1f0e8c2b11", ID],
            ),
            (json!({"claimRef": {"uid": CLAIM_UID}, "csi": null}), vec![]),
        ] {
            assert_eq!(pv(&spec).unwrap().volume_ids, expected, "{spec}");
        }
    }

    #[test]
    fn a_pv_that_cannot_be_understood_is_an_error() {
        assert!(pv(&json!({"csi": {"driver": "x"}})).is_err());
        assert!(pv(&json!({"cinder": {"volumeID": 5}})).is_err());
        assert!(serde_json::from_value::<PvWire>(json!({"metadata": {}, "spec": {}})).is_err());
        assert!(serde_json::from_value::<PvWire>(json!({"metadata": {"name": "x"}})).is_err());
    }

    #[test]
    fn a_claim_is_its_annotations_user_then_its_labels_then_its_names() {
        let with = |annotation: Value, label: Value| {
            claim_of(json!({"metadata": {
                "name": "claim-zoe-40x", "namespace": "jhub", "uid": CLAIM_UID,
                "annotations": {USERNAME: annotation}, "labels": {USERNAME: label},
            }}))
        };
        let named = |name: &str| {
            claim_of(json!({"metadata": {"name": name, "namespace": "jhub", "uid": CLAIM_UID}})).user
        };
        assert_eq!(with(json!("zoe@x"), json!("zoe-40x")).user.unwrap(), "zoe@x");
        assert_eq!(with(json!(""), json!("label")).user.unwrap(), "label");
        assert_eq!(named("claim-zoe-40x").unwrap(), "zoe-40x");
        assert_eq!(named("claim-"), None);
        assert_eq!(named("hub-db-dir"), None);
    }

    #[test]
    fn a_claims_size_is_what_is_bound_else_what_is_asked_for() {
        let sized = |status: Value| {
            claim_of(json!({
                "metadata": {
                    "name": "c", "namespace": "n", "uid": CLAIM_UID, "creationTimestamp": "2026-01-02T03:04:05Z",
                },
                "spec": {"volumeName": "pvc-1", "resources": {"requests": {"storage": "5Gi"}}},
                "status": status,
            }))
        };
        let bound = sized(json!({"phase": "Bound", "capacity": {"storage": "10Gi"}}));
        assert_eq!((bound.size_bytes, bound.volume_name.as_deref()), (Some(10 << 30), Some("pvc-1")));
        assert_eq!(bound.created_at, "2026-01-02T03:04:05Z".parse().ok());
        assert_eq!(sized(json!({"phase": "Pending"})).size_bytes, Some(5 << 30));
    }

    #[test]
    fn a_node_is_ready_only_if_it_says_so() {
        let ready = |status: Value| {
            let wire = json!({"metadata": {"name": "n"}, "status": status});
            serde_json::from_value::<NodeWire>(wire).unwrap().seen().unwrap().ready
        };
        assert!(ready(
            json!({"conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"}]})
        ));
        assert!(!ready(json!({"conditions": [{"type": "Ready", "status": "Unknown"}]})));
        assert!(!ready(json!({})));
    }

    #[test]
    fn a_list_that_is_not_whole_is_an_error() {
        assert!(page(r#"{"kind":"NodeList","metadata":{},"items":[]}"#).is_ok());
        assert!(page(r#"{"kind":"NodeList","metadata":{}}"#).is_err());
        assert!(page(r#"{"kind":"NodeList","metadata":{},"items":[{"#).is_err());
        assert!(page(r#"{"kind":"PodList","metadata":{},"items":[]}"#).is_err());
        let page =
            |meta: &str| page(&format!(r#"{{"kind":"NodeList","metadata":{meta},"items":[]}}"#)).unwrap();
        assert_eq!(page(r#"{"remainingItemCount":3}"#).next(None), Err(Incomplete::Cut(3)));
        assert_eq!(page(r#"{"continue":"","remainingItemCount":0}"#).next(None), Ok(None));
        assert_eq!(page(r#"{"continue":"x"}"#).next(Some("w")), Ok(Some("x".into())));
        assert_eq!(page(r#"{"continue":"x"}"#).next(Some("x")), Err(Incomplete::GoesInCircles));
    }

    #[test]
    fn a_place_in_a_list_is_encoded() {
        assert_eq!(page_path("/p", Some(2), Some("a+b=&c")), "/p?limit=2&continue=a%2Bb%3D%26c");
        assert_eq!(page_path("/p", None, None), "/p");
    }

    proptest! {
        #[test]
        fn an_id_is_found_in_the_middle_of_anything(before in "[^0-9a-fA-F]{0,20}", after in "[^0-9a-fA-F]{0,20}") {
            let spec = json!({"local": {"path": format!("{before}{ID}{after}")}});
            prop_assert!(pv(&spec).unwrap().volume_ids.contains(&ID.to_owned()));
        }
    }
}
