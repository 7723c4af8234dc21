//! What `fuzz/` judges with.

use jiff::{SignedDuration, Timestamp};

use super::plan;
use crate::hub::{HubName, OrphanRules};
use crate::observed::{
    ClusterVolumes, Outside, PersistentVolume, Project, ProjectKey, ProjectVolumes, Volume, VolumeView,
};

/// The ids of the orphans among volumes, where a fleet of one hub has these PVs.
pub fn orphans(volumes: Vec<Volume>, persistent_volumes: Vec<PersistentVolume>) -> Vec<String> {
    let Ok(hub) = HubName::new("hub") else { return Vec::new() };
    let seen_at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 60);
    let key =
        ProjectKey { auth_url: "https://cloud:5000/v3".into(), region: String::new(), id: "project".into() };
    let view = VolumeView {
        projects: vec![ProjectVolumes {
            project: Project { key, name: "alpha".into() },
            hubs: vec![hub.clone()],
            volumes,
            snapshots: Vec::new(),
            servers: Vec::new(),
            seen_at,
        }],
        clusters: vec![ClusterVolumes {
            hub,
            persistent_volumes,
            claims: Vec::new(),
            removed_at: None,
            seen_at,
        }],
        outside: Outside::default(),
        unseen: Vec::new(),
        seen_at,
    };
    let rules = OrphanRules {
        min_age: std::time::Duration::ZERO,
        parallel: 1,
        brake_volumes: 50,
        brake_percent: 20,
        plan_expires: std::time::Duration::ZERO,
        foreign: Vec::new(),
    };
    let plan = plan(&view, &rules);
    let Ok(deletions) = plan.deletions() else { return Vec::new() };
    deletions.volumes().iter().map(|planned| planned.volume().id.clone()).collect()
}
