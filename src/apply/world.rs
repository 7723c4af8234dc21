//! The world that deletions happen in: the fleet's own clients.

use std::sync::Arc;

use jiff::Timestamp;

use super::delete::{Sent, Trouble, TroubleKind, World};
use super::mark::Annotator;
use crate::clock;
use crate::confirm::Confirmed;
use crate::exit::chain;
use crate::observe::{Clouds, Clusters};
use crate::observed::{ClusterVolumes, Metadata, ProjectKey, Snapshot, Unseen, Volume};
use crate::systems::openstack::{Cloud, Deletion, Error, Nature};

/// See the module.
#[derive(Debug)]
pub struct RealWorld<'a> {
    clusters: &'a Clusters,
    clouds: &'a Clouds,
}

impl<'a> RealWorld<'a> {
    /// Of the clients that the plan was made with.
    pub fn new(clusters: &'a Clusters, clouds: &'a Clouds) -> Self {
        Self { clusters, clouds }
    }

    fn cloud(&self, project: &ProjectKey) -> Result<&Arc<Cloud>, Trouble> {
        self.clouds.of(project).ok_or_else(|| Trouble {
            kind: TroubleKind::Refused,
            reason: format!("no openrc leads to project {}", project.id),
            retry_after: None,
        })
    }
}

fn trouble(error: &Error) -> Trouble {
    let kind = match error.nature() {
        Nature::PutOff => TroubleKind::PutOff,
        Nature::Unknown => TroubleKind::Unknown,
        Nature::TimedOut => TroubleKind::TimedOut,
        Nature::Refused => TroubleKind::Refused,
    };
    Trouble { kind, reason: chain(error), retry_after: error.retry_after() }
}

impl World for RealWorld<'_> {
    async fn volumes_used(&self) -> Result<Vec<ClusterVolumes>, Vec<Unseen>> {
        let (seen, unseen) = self.clusters.volumes_used().await;
        if unseen.is_empty() { Ok(seen) } else { Err(unseen) }
    }

    async fn snapshots(&self, project: &ProjectKey) -> Result<Vec<Snapshot>, Trouble> {
        self.cloud(project)?.snapshots().await.map_err(|error| trouble(&error))
    }

    async fn volume(&self, project: &ProjectKey, id: &str) -> Result<Option<Volume>, Trouble> {
        self.cloud(project)?.volume(id).await.map_err(|error| trouble(&error))
    }

    async fn delete(&self, project: &ProjectKey, id: &str, confirmed: &Confirmed) -> Result<Sent, Trouble> {
        match self.cloud(project)?.delete_volume(id, confirmed).await {
            Ok(Deletion::Accepted) => Ok(Sent::Accepted),
            Ok(Deletion::AlreadyGone) => Ok(Sent::AlreadyGone),
            Err(error) => Err(trouble(&error)),
        }
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }
}

impl Annotator for RealWorld<'_> {
    async fn look_up(&self, project: &ProjectKey, id: &str) -> Result<Option<Volume>, Trouble> {
        self.volume(project, id).await
    }

    async fn set(&self, project: &ProjectKey, id: &str, metadata: &Metadata) -> Result<(), Trouble> {
        self.cloud(project)?.set_metadata(id, metadata).await.map_err(|error| trouble(&error))
    }

    async fn remove(&self, project: &ProjectKey, id: &str, key: &str) -> Result<(), Trouble> {
        self.cloud(project)?.delete_metadata(id, key).await.map_err(|error| trouble(&error))
    }
}
