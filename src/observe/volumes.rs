//! The view that orphans are judged in: volumes first, then PVs.

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::clusters::Clusters;
use super::openrc::look_at_openrc;
use super::sandboxes::Sandboxes;
use crate::clock;
use crate::exit::{Failure, chain};
use crate::hub::{Fleet, Hub, HubName};
use crate::interrupt::Interrupt;
use crate::observed::{Outside, ProjectKey, ProjectVolumes, Sandbox, Subject, Unseen, VolumeView};
use crate::secret::OpenrcEnv;
use crate::systems::docker::Engine;
use crate::systems::openstack::{Cloud, Error};
use crate::tombstone;

/// The projects that the fleet's openrc files lead to, each once, however many hubs are in it.
#[derive(Debug, Default)]
pub struct Clouds {
    by_project: Vec<(Arc<Cloud>, Vec<HubName>)>,
}

impl Clouds {
    /// The client for a project.
    pub fn of(&self, project: &ProjectKey) -> Option<&Arc<Cloud>> {
        self.by_project.iter().map(|(cloud, _)| cloud).find(|cloud| cloud.project().key == *project)
    }

    /// Sources every openrc and gets a token for each, all at once.
    async fn connect(
        engine: &Engine,
        fleet: &Fleet,
        sandboxes: &Sandboxes,
        interrupt: &Interrupt,
    ) -> (Self, Vec<Unseen>) {
        let mut unseen = Vec::new();
        // Hubs that share an openrc share what sourcing it gives: one of them is asked.
        let mut files: Vec<(&Hub, Vec<HubName>)> = Vec::new();
        for hub in &fleet.hubs {
            match files.iter_mut().find(|(first, _)| first.openrc == hub.openrc) {
                Some((_, hubs)) => hubs.push(hub.name.clone()),
                None => files.push((hub, vec![hub.name.clone()])),
            }
        }
        let connected = join_all(files.into_iter().map(|(hub, hubs)| async move {
            let env = source(engine, fleet, sandboxes, hub, interrupt).await?;
            let cloud = Cloud::connect(&env, fleet.timeouts.openstack)
                .await
                .map_err(|error| credentials_unseen(&hub.name, &error))?;
            Ok((cloud, hubs))
        }))
        .await;
        let mut clouds = Self::default();
        for one in connected {
            match one {
                Ok((cloud, hubs)) => clouds.add(cloud, hubs),
                Err(missing) => unseen.push(missing),
            }
        }
        (clouds, unseen)
    }

    fn add(&mut self, cloud: Cloud, hubs: Vec<HubName>) {
        match self.by_project.iter_mut().find(|(known, _)| known.project().key == cloud.project().key) {
            Some((_, known)) => known.extend(hubs),
            None => self.by_project.push((Arc::new(cloud), hubs)),
        }
    }

    async fn volumes(&self) -> (Vec<ProjectVolumes>, Vec<Unseen>) {
        let listed = join_all(self.by_project.iter().map(|(cloud, hubs)| async move {
            let all = tokio::try_join!(cloud.volumes(), cloud.snapshots(), cloud.servers());
            match all {
                Ok((volumes, snapshots, servers)) => Ok(ProjectVolumes {
                    project: cloud.project().clone(),
                    hubs: hubs.clone(),
                    volumes,
                    snapshots,
                    servers,
                    seen_at: clock::now(),
                }),
                Err(error) => Err(Unseen {
                    subject: Subject::Project(cloud.project().name.clone()),
                    reason: chain(&error),
                    hint: error.hint(),
                }),
            }
        }))
        .await;
        let (mut seen, mut missing) = (Vec::new(), Vec::new());
        for one in listed {
            match one {
                Ok(one) => seen.push(one),
                Err(one) => missing.push(one),
            }
        }
        (seen, missing)
    }
}

pub(super) fn credentials_unseen(hub: &HubName, error: &Error) -> Unseen {
    Unseen { subject: Subject::Hub(hub.clone()), reason: chain(error), hint: error.hint() }
}

async fn source(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hub: &Hub,
    interrupt: &Interrupt,
) -> Result<OpenrcEnv, Unseen> {
    let sandbox = sandboxes.running(fleet, hub)?;
    let look = look_at_openrc(engine, fleet, hub, sandbox, interrupt).await?;
    // What it holds may lead to another project than the one that the hub is in now.
    if look.stale == Some(true) {
        return Err(Unseen {
            subject: Subject::Hub(hub.name.clone()),
            reason: "its openrc is stale: the sandbox holds another file than the one at the path now"
                .to_owned(),
            hint: Some(format!("docker restart {}", fleet.container_of(&hub.name))),
        });
    }
    Ok(look.env)
}

/// A sandbox of this fleet whose hub is not in `fleet.toml`: somebody has cut it out by hand, and its cluster may live on.
fn undeclared(fleet: &Fleet, stranger: &Sandbox) -> Unseen {
    let (hub, container) = (&stranger.hub, fleet.container_of(&stranger.hub));
    Unseen {
        subject: Subject::Hub(hub.clone()),
        reason: "it has a sandbox of this fleet, and is not in fleet.toml".to_owned(),
        hint: Some(format!(
            "put it back into fleet.toml and take it out with `fleet rm {hub}`; if its cluster is gone for good, docker rm -f \
             {container}"
        )),
    }
}

/// Looks at all volumes of all projects, and at no cluster. Orphans are never judged from this.
pub async fn look_at_projects(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    interrupt: &Interrupt,
) -> (Clouds, Vec<ProjectVolumes>, Vec<Unseen>) {
    let (clouds, mut unseen) = Clouds::connect(engine, fleet, sandboxes, interrupt).await;
    let (projects, missing) = clouds.volumes().await;
    unseen.extend(missing);
    (clouds, projects, unseen)
}

/// Looks at all volumes of all projects, and then at all PVs of all clusters.
///
/// The order is part of the rule: the CSI driver makes the Cinder volume before the PV, so a volume that is listed and
/// has a PV by then has it in a list that is asked for afterwards.
pub async fn look_at_volumes(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    interrupt: &Interrupt,
) -> Result<(VolumeView, Clouds, Clusters), Failure> {
    let mut clusters = Clusters::of(fleet, sandboxes).await;
    clusters.remember(tombstone::all(fleet)?);
    let first = async {
        let asked = look_at_projects(engine, fleet, sandboxes, interrupt);
        let (asked, (), containers) = tokio::join!(asked, clusters.warm_up(), engine.old_containers());
        (asked, containers, clusters)
    };
    let then = async |(_, _, clusters): &(_, _, Clusters)| clusters.volumes_used().await;
    let (((clouds, projects, mut unseen), containers, clusters), seen_at, (seen, missing)) =
        in_order(first, then, clock::now).await;
    let outside = Outside {
        addresses: fleet.hubs.iter().map(|hub| (hub.name.clone(), hub.ip)).collect(),
        containers: containers?,
    };
    unseen.extend(sandboxes.strangers(fleet).map(|stranger| undeclared(fleet, stranger)));
    // A hub whose sandbox is stopped says so once, not once for its openrc and once for its cluster.
    for one in missing {
        if !unseen.contains(&one) {
            unseen.push(one);
        }
    }
    Ok((VolumeView { projects, clusters: seen, outside, unseen, seen_at }, clouds, clusters))
}

/// What holds volumes is asked first, and what uses them only when all of that is there. Ages are counted up to the moment
/// in between: of what was made before it, whatever uses it had that long to show.
pub(crate) async fn in_order<V, U>(
    volumes: impl Future<Output = V>,
    used: impl AsyncFnOnce(&V) -> U,
    now: impl FnOnce() -> Timestamp,
) -> (V, Timestamp, U) {
    let volumes = volumes.await;
    let between = now();
    let used = used(&volumes).await;
    (volumes, between, used)
}
