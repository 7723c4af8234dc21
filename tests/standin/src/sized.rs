//! Content of any size, the same each time.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};

use crate::content::{Content, Hub, PersistentVolume, Project, Server, Volume};

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Hubs.
    pub hubs: usize,
    /// Projects, which the hubs take in turn.
    pub projects: usize,
    /// Volumes, over all projects.
    pub volumes: usize,
    /// PVs, over all hubs, each with a claim and a volume. What volumes are left over are orphans.
    pub persistent_volumes: usize,
}

/// A number as a UUID, spread so that neighbours do not look alike.
pub fn uuid(number: u64) -> String {
    // The multipliers of splitmix64: any odd ones would do.
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^= mixed >> 27;
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{number:012x}",
        mixed >> 32,
        (mixed >> 16) & 0xffff,
        (mixed >> 4) & 0xfff,
        mixed & 0xfff
    )
}

/// A moment, that many hours ago.
pub fn hours_ago(now: Timestamp, hours: u64) -> Timestamp {
    i64::try_from(hours).ok().and_then(|hours| now.checked_sub(hours.hours()).ok()).unwrap_or(now)
}

/// A volume as the CSI driver makes one for a claim of that number.
pub fn claimed(number: u64, created_at: Timestamp) -> Volume {
    let pv = format!("pvc-{}", uuid(number * 2));
    let metadata = BTreeMap::from([
        ("cinder.csi.openstack.org/cluster".to_owned(), "kubernetes".to_owned()),
        ("csi.storage.k8s.io/pv/name".to_owned(), pv.clone()),
        ("csi.storage.k8s.io/pvc/name".to_owned(), claim(number)),
        ("csi.storage.k8s.io/pvc/namespace".to_owned(), "jhub".to_owned()),
    ]);
    Volume {
        id: uuid(number * 2 + 1),
        name: pv,
        created_at,
        size: number % 20 + 1,
        status: "available".to_owned(),
        metadata,
        attached_to: Vec::new(),
        bootable: false,
    }
}

/// The name of that claim.
pub fn claim(number: u64) -> String {
    format!("claim-user-{number}")
}

/// Content of a size.
pub fn content(size: &Size, now: Timestamp) -> Content {
    let mut projects: Vec<Project> = (0..size.projects.max(1))
        .map(|place| Project {
            name: format!("project-{place}"),
            id: format!("{:032x}", place + 1),
            ..Project::default()
        })
        .collect();
    let mut hubs: Vec<Hub> = (0..size.hubs)
        .map(|place| Hub {
            name: format!("hub-{place:03}"),
            project: format!("project-{}", place % projects.len()),
            nodes: vec![format!("hub-{place:03}-1")],
            ..Hub::default()
        })
        .collect();
    for place in 0..size.volumes {
        let number = place as u64;
        // Between two days and two years old.
        let volume = claimed(number, hours_ago(now, 48 + number * 7919 % 17_000));
        if place < size.persistent_volumes && !hubs.is_empty() {
            let at = place % hubs.len();
            hubs[at].volumes.push(PersistentVolume {
                name: volume.name.clone(),
                handle: volume.id.clone(),
                created_at: volume.created_at,
                phase: "Bound".to_owned(),
                claim: claim(number),
                size: volume.size,
                in_tree: false,
            });
            // In the project of the hub, as the driver makes it.
            let project = at % projects.len();
            projects[project].volumes.push(volume);
        } else {
            let project = place % projects.len();
            projects[project].volumes.push(volume);
        }
    }
    for (place, hub) in hubs.iter().enumerate() {
        let project = place % projects.len();
        projects[project].servers.push(Server {
            id: uuid(u64::MAX / 4 - place as u64),
            name: format!("{}-1", hub.name),
            created_at: hours_ago(now, 20_000),
            addresses: vec![format!("10.200.{}.{}", place / 250, place % 250 + 1)],
            metadata: BTreeMap::new(),
        });
    }
    Content { projects, hubs, ..Content::default() }
}
