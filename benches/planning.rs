//! Planning alone: how long judging a view takes that is there already, for views of growing size. `scripts/bench-sizes`
//! shows it beside the whole.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so by panicking")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use fleet::hub::{HubName, OrphanRules};
use fleet::observed::{
    CINDER_CSI, ClaimRef, ClusterVolumes, Outside, PersistentVolume, Project, ProjectKey, ProjectVolumes,
    Volume, VolumeView,
};
use fleet::plan::orphans::{Class, plan};
use standin::content;
use standin::sized::{self, Size};

const HUBS: usize = 300;

/// How often each size is judged; the fastest counts, as the others were disturbed.
const RUNS: usize = 5;

fn main() {
    let rules = OrphanRules {
        min_age: Duration::from_hours(24),
        parallel: 8,
        brake_volumes: 50,
        brake_percent: 20,
        plan_expires: Duration::from_hours(24),
        foreign: Vec::new(),
    };
    let mut out = std::io::stdout();
    for volumes in [1_000, 10_000, 100_000] {
        let size = Size { hubs: HUBS, projects: 2, volumes, persistent_volumes: volumes / 10 * 9 };
        let view = view(sized::content(&size, standin::now()));
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            let began = Instant::now();
            let judged = plan(&view, &rules);
            best = best.min(began.elapsed());
            assert_eq!(judged.of(Class::Orphan).count(), volumes / 10);
        }
        writeln!(out, "planning volumes={volumes} pvs={} ms={}", size.persistent_volumes, best.as_millis())
            .expect("somebody reads");
    }
}

/// What fleet would have seen of a stand-in's content.
fn view(content: content::Content) -> VolumeView {
    let projects = content.projects.into_iter().map(|project| ProjectVolumes {
        project: Project {
            key: ProjectKey {
                auth_url: "http://127.0.0.1/identity/v3".to_owned(),
                region: "RegionOne".to_owned(),
                id: project.id,
            },
            name: project.name,
        },
        hubs: Vec::new(),
        volumes: project.volumes.into_iter().map(volume).collect(),
        snapshots: Vec::new(),
        servers: Vec::new(),
        seen_at: standin::now(),
    });
    let clusters = content.hubs.into_iter().map(|hub| ClusterVolumes {
        hub: HubName::new(&hub.name).expect("a hub's name"),
        persistent_volumes: hub.volumes.into_iter().map(persistent_volume).collect(),
        claims: Vec::new(),
        removed_at: None,
        seen_at: standin::now(),
    });
    VolumeView {
        projects: projects.collect(),
        clusters: clusters.collect(),
        outside: Outside::default(),
        unseen: Vec::new(),
        seen_at: standin::now(),
    }
}

fn volume(volume: content::Volume) -> Volume {
    Volume {
        id: volume.id,
        name: volume.name,
        status: volume.status,
        size_gib: volume.size,
        created_at: Some(volume.created_at),
        attachments: volume.attached_to,
        metadata: volume.metadata.into_iter().collect(),
        bootable: volume.bootable,
    }
}

fn persistent_volume(pv: content::PersistentVolume) -> PersistentVolume {
    PersistentVolume {
        name: pv.name,
        phase: pv.phase,
        reclaim_policy: "Retain".to_owned(),
        storage_class: "default".to_owned(),
        volume_ids: vec![pv.handle],
        driver: CINDER_CSI.to_owned(),
        claim: Some(ClaimRef { namespace: "jhub".to_owned(), name: pv.claim }),
        created_at: Some(pv.created_at),
    }
}
