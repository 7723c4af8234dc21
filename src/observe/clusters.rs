//! What the hubs' clusters say, each asked through its sandbox's tunnel.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::Sandboxes;
use crate::clock;
use crate::exit::chain;
use crate::hub::{Fleet, Hub, HubName};
use crate::observed::{Claim, ClusterVolumes, PersistentVolume, Subject, Tombstone, Unseen};
use crate::systems::kube::{Cluster, Error, Kind};
use crate::systems::ssh::HostKey;
use crate::systems::wire::Route;

/// A client for a hub's cluster. Nothing is asked yet, but what must be on this machine is there.
pub async fn cluster_of(fleet: &Fleet, sandboxes: &Sandboxes, hub: &Hub) -> Result<Cluster, Unseen> {
    sandboxes.running(fleet, hub)?;
    through_tunnel(fleet, hub, sandboxes.route(fleet, hub)).await
}

/// The same without a look at the engine: where there is no sandbox, nothing answers.
pub(super) async fn through_tunnel(fleet: &Fleet, hub: &Hub, route: Route) -> Result<Cluster, Unseen> {
    if let Some(unseen) = pinned_elsewhere(hub) {
        return Err(unseen);
    }
    Cluster::connect(&hub.kubeconfig(), route, fleet.timeouts.kubernetes)
        .await
        .map_err(|error| unseen(&hub.name, &error))
}

/// Whether the tunnel leads to another master than the one that `fleet.toml` names: the sandbox was made for that one, and
/// the old cluster would go on answering in the new one's name.
pub fn pinned_elsewhere(hub: &Hub) -> Option<Unseen> {
    let pinned = std::fs::read_to_string(hub.known_hosts()).unwrap_or_default();
    HostKey::from_known_hosts(&pinned, hub.ip, hub.ssh.port).is_none().then(|| Unseen {
        subject: Subject::Hub(hub.name.clone()),
        reason: format!("its tunnel was made for another address than {}, which fleet.toml has now", hub.ip),
        hint: Some(
            "put the old address back; or take the hub out with it, and make it again with the new one"
                .to_owned(),
        ),
    })
}

pub(super) fn unseen(hub: &HubName, error: &Error) -> Unseen {
    Unseen { subject: Subject::Hub(hub.clone()), reason: chain(error), hint: error.hint() }
}

/// Clients for the clusters of all hubs, those without one with the reason.
#[derive(Debug, Default)]
pub struct Clusters {
    by_hub: BTreeMap<HubName, Result<Cluster, Unseen>>,
    remembered: Vec<Tombstone>,
}

impl Clusters {
    /// For every hub of the fleet.
    pub async fn of(fleet: &Fleet, sandboxes: &Sandboxes) -> Self {
        let hubs: Vec<&Hub> = fleet.hubs.iter().collect();
        Self::of_hubs(fleet, sandboxes, &hubs).await
    }

    /// For some hubs. Orphans are never judged from these.
    pub async fn of_hubs(fleet: &Fleet, sandboxes: &Sandboxes, hubs: &[&Hub]) -> Self {
        let clusters = join_all(
            hubs.iter().map(async |hub| (hub.name.clone(), cluster_of(fleet, sandboxes, hub).await)),
        );
        Self { by_hub: clusters.await.into_iter().collect(), remembered: Vec::new() }
    }

    /// Counts what hubs used that were taken out of the fleet. A hub of the same name that is in the fleet now does not
    /// speak for it: it may be another cluster.
    pub fn remember(&mut self, stones: Vec<Tombstone>) {
        self.remembered = stones;
    }

    /// Asks every cluster something at once. What one does not answer hides nobody else's answer.
    async fn ask<T>(
        &self,
        question: impl AsyncFn(&Cluster) -> Result<T, Error>,
    ) -> (Vec<(HubName, T)>, Vec<Unseen>) {
        let question = &question;
        let answers = join_all(self.by_hub.iter().map(|(hub, cluster)| async move {
            match cluster {
                Err(missing) => Err(missing.clone()),
                Ok(cluster) => match question(cluster).await {
                    Ok(answer) => Ok((hub.clone(), answer)),
                    Err(error) => Err(unseen(hub, &error)),
                },
            }
        }))
        .await;
        let (mut seen, mut missing) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(answer) => seen.push(answer),
                Err(one) => missing.push(one),
            }
        }
        (seen, missing)
    }

    /// All PVs of every cluster, in every phase, and all claims; those that are remembered too.
    pub async fn volumes_used(&self) -> (Vec<ClusterVolumes>, Vec<Unseen>) {
        let ask = async |cluster: &Cluster| Ok((used(cluster).await?, clock::now()));
        let (seen, missing) = self.ask(ask).await;
        let live = seen.into_iter().map(|(hub, ((persistent_volumes, claims), seen_at))| ClusterVolumes {
            hub,
            persistent_volumes,
            claims,
            removed_at: None,
            seen_at,
        });
        let remembered = self.remembered.iter().map(|stone| ClusterVolumes {
            hub: stone.hub.clone(),
            persistent_volumes: stone.persistent_volumes.clone(),
            claims: stone.claims.clone(),
            removed_at: Some(stone.removed_at),
            seen_at: stone.removed_at,
        });
        (live.chain(remembered).collect(), missing)
    }

    /// Opens the connections, so that the lists that matter come as soon as they are asked for. A cluster that hangs here
    /// is not asked again: it is silent, and it would take the time limit once more to be told the same. Whatever else goes
    /// wrong here goes wrong there again, and is told then.
    pub async fn warm_up(&mut self) {
        let answers = join_all(self.by_hub.iter_mut().map(async |(hub, cluster)| {
            let Ok(connected) = cluster else { return };
            if let Err(error) = connected.ready().await
                && error.kind() == Kind::Hanging
            {
                *cluster = Err(unseen(hub, &error));
            }
        }));
        answers.await;
    }
}

/// What a cluster says of the volumes that it uses. One list after the other: they share a connection that is open, and a
/// second one would take longer to make.
pub(super) async fn used(cluster: &Cluster) -> Result<(Vec<PersistentVolume>, Vec<Claim>), Error> {
    Ok((cluster.persistent_volumes().await?, cluster.claims().await?))
}
