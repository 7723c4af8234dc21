//! Views, volumes and PVs for tests.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::hub::{EngineName, Foreign, HubName, OrphanRules};
use crate::observed::{
    CINDER_CSI, Claim, ClaimRef, ClusterVolumes, Metadata, OldContainer, Outside, PersistentVolume, Project,
    ProjectKey, ProjectVolumes, Server, Snapshot, Subject, Unseen, Volume, VolumeView,
};

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn hours_ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

pub(crate) fn rules() -> OrphanRules {
    OrphanRules {
        min_age: Duration::from_hours(24),
        parallel: 4,
        brake_volumes: 50,
        brake_percent: 20,
        plan_expires: Duration::from_hours(24),
        foreign: Vec::new(),
    }
}

pub(crate) fn hub(name: &str) -> HubName {
    HubName::new(name).unwrap()
}

pub(crate) fn uuid(number: u64) -> String {
    format!("{number:08x}-0000-4000-8000-{number:012x}")
}

/// An id that no number's claim has.
pub(crate) fn volume_id(number: u64) -> String {
    format!("{number:08x}-1111-4000-8000-{number:012x}")
}

pub(crate) fn project(name: &str) -> Project {
    Project {
        key: ProjectKey {
            auth_url: "https://cloud:5000/v3".to_owned(),
            region: "here".to_owned(),
            id: format!("id-of-{name}"),
        },
        name: name.to_owned(),
    }
}

/// A volume that is an orphan as long as nothing speaks against it.
pub(crate) fn volume(number: u64) -> Volume {
    let metadata = [
        ("cinder.csi.openstack.org/cluster", "kubernetes"),
        ("csi.storage.k8s.io/pvc/name", "claim-alice"),
        ("csi.storage.k8s.io/pvc/namespace", "jhub"),
    ];
    Volume {
        id: volume_id(number),
        name: format!("pvc-{}", uuid(number)),
        status: "available".to_owned(),
        size_gib: 10,
        created_at: Some(hours_ago(24 * 30)),
        attachments: Vec::new(),
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect(),
        bootable: false,
    }
}

pub(crate) fn with_metadata(number: u64, key: &str, value: &str) -> Volume {
    let mut volume = volume(number);
    volume.metadata.insert(key.to_owned(), value.to_owned());
    volume
}

/// The PV that the CSI driver makes for that volume.
pub(crate) fn pv(number: u64) -> PersistentVolume {
    PersistentVolume {
        name: format!("pvc-{}", uuid(number)),
        phase: "Bound".to_owned(),
        reclaim_policy: "Delete".to_owned(),
        storage_class: "csi-cinder".to_owned(),
        volume_ids: vec![volume_id(number)],
        driver: CINDER_CSI.to_owned(),
        claim: Some(ClaimRef { namespace: "jhub".to_owned(), name: "claim-alice".to_owned() }),
        created_at: Some(hours_ago(24 * 30)),
    }
}

/// The claim that the volume of that number was made for. Its PV is not there.
pub(crate) fn claim(number: u64) -> Claim {
    Claim {
        namespace: "jhub".to_owned(),
        name: "claim-alice".to_owned(),
        uid: uuid(number),
        user: Some("alice".to_owned()),
        phase: "Lost".to_owned(),
        size_bytes: Some(10 << 30),
        volume_name: None,
        created_at: Some(hours_ago(24 * 30)),
    }
}

/// One project, and one hub a list of PVs: `hub-0`, `hub-1`, ...
pub(crate) fn view(volumes: Vec<Volume>, clusters: Vec<Vec<PersistentVolume>>) -> VolumeView {
    let clusters: Vec<ClusterVolumes> = clusters
        .into_iter()
        .enumerate()
        .map(|(number, persistent_volumes)| ClusterVolumes {
            hub: hub(&format!("hub-{number}")),
            persistent_volumes,
            claims: Vec::new(),
            removed_at: None,
            seen_at: now(),
        })
        .collect();
    VolumeView {
        projects: vec![ProjectVolumes {
            project: project("alpha"),
            hubs: clusters.iter().map(|cluster| cluster.hub.clone()).collect(),
            volumes,
            snapshots: Vec::new(),
            servers: Vec::new(),
            seen_at: now(),
        }],
        clusters,
        outside: Outside::default(),
        unseen: Vec::new(),
        seen_at: now(),
    }
}

/// A server without anything but a name.
pub(crate) fn server(name: &str) -> Server {
    Server {
        id: format!("id-of-{name}"),
        name: name.to_owned(),
        addresses: Vec::new(),
        metadata: Metadata::new(),
        tags: Vec::new(),
        security_groups: vec!["default".to_owned()],
        key_name: None,
        created_at: Some(hours_ago(24 * 30)),
    }
}

/// A container that the old scripts made for a cluster.
pub(crate) fn old_container(cluster: &str, ip: &str) -> OldContainer {
    OldContainer {
        id: format!("id-of-{cluster}"),
        engine: EngineName::default(),
        name: cluster.to_owned(),
        image: "unidata/science-gateway".to_owned(),
        state: "exited".to_owned(),
        cluster: Some(cluster.to_owned()),
        ip: ip.parse().ok(),
        has_kubeconfig: true,
        mounts: Vec::new(),
    }
}

pub(crate) fn answered(name: &str, project: Option<&str>) -> Foreign {
    Foreign { name: name.to_owned(), reason: "it has none".to_owned(), project: project.map(str::to_owned) }
}

pub(crate) fn snapshot_of(number: u64) -> Snapshot {
    Snapshot { id: format!("snapshot-{number}"), volume_id: volume_id(number) }
}

pub(crate) fn silent(name: &str) -> Unseen {
    Unseen { subject: Subject::Hub(hub(name)), reason: "it hangs".to_owned(), hint: None }
}

#[test]
fn samples_are_what_they_say() {
    assert_eq!(uuid(1).len(), 36);
    assert_ne!(uuid(1), volume_id(1));
    let _: Metadata = volume(1).metadata;
}
