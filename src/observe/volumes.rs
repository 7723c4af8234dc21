//! The view that orphans are judged in: volumes first, then PVs.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::clusters::Clusters;
use super::openrc::look_at_openrc;
use super::order::in_order;
use super::sandboxes::Sandboxes;
use crate::clock;
use crate::exit::{Failure, chain};
use crate::hub::{EngineName, Fleet, Hub, HubName};
use crate::interrupt::Interrupt;
use crate::known;
use crate::observed::{Outside, ProjectKey, ProjectVolumes, Sandbox, Subject, Unseen, VolumeView};
use crate::secret::OpenrcEnv;
use crate::systems::docker::{Engine, Silent};
use crate::systems::openstack::{Cloud, Error, Tokens};
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

    /// Sources every openrc, gets a token for each, and lists every project's volumes; all at once, so that no project waits
    /// for another one's login.
    async fn look(
        engine: &Engine,
        fleet: &Fleet,
        sandboxes: &Sandboxes,
        interrupt: &Interrupt,
    ) -> (Self, Vec<ProjectVolumes>, Vec<Unseen>) {
        // Hubs that share an openrc share what sourcing it gives: one of them is asked.
        let mut files: Vec<(&Hub, Vec<HubName>)> = Vec::new();
        for hub in &fleet.hubs {
            match files.iter_mut().find(|(first, _)| first.openrc == hub.openrc) {
                Some((_, hubs)) => hubs.push(hub.name.clone()),
                None => files.push((hub, vec![hub.name.clone()])),
            }
        }
        let tokens = tokens(fleet);
        // Several files may lead to one project: whoever is first lists it.
        let listed = Mutex::new(BTreeSet::new());
        let looks = join_all(files.into_iter().map(async |(hub, hubs)| {
            let env = source(engine, fleet, sandboxes, hub, interrupt).await?;
            let cloud = Cloud::connect(&env, fleet.timeouts.openstack, &tokens)
                .await
                .map_err(|error| credentials_unseen(&hub.name, &error))?;
            let is_first = listed.lock().await.insert(cloud.project().key.clone());
            let volumes = if is_first { Some(volumes(&cloud).await) } else { None };
            Ok((cloud, hubs, volumes))
        }))
        .await;
        let (mut clouds, mut projects, mut unseen) = (Self::default(), Vec::new(), Vec::new());
        for look in looks {
            match look {
                Ok((cloud, hubs, volumes)) => {
                    clouds.add(cloud, hubs);
                    match volumes {
                        Some(Ok(volumes)) => projects.push(volumes),
                        Some(Err(missing)) => unseen.push(missing),
                        None => {}
                    }
                }
                Err(missing) => unseen.push(missing),
            }
        }
        for project in &mut projects {
            project.hubs = clouds.hubs_of(&project.project.key);
        }
        (clouds, projects, unseen)
    }

    fn add(&mut self, cloud: Cloud, hubs: Vec<HubName>) {
        match self.by_project.iter_mut().find(|(known, _)| known.project().key == cloud.project().key) {
            Some((_, known)) => known.extend(hubs),
            None => self.by_project.push((Arc::new(cloud), hubs)),
        }
    }

    fn hubs_of(&self, project: &ProjectKey) -> Vec<HubName> {
        let of = |(cloud, _): &&(Arc<Cloud>, _)| cloud.project().key == *project;
        self.by_project.iter().find(of).map(|(_, hubs)| hubs.clone()).unwrap_or_default()
    }
}

/// What a project holds, its hubs left out.
async fn volumes(cloud: &Cloud) -> Result<ProjectVolumes, Unseen> {
    // One after the other: a service checks a token that it does not know for every request that brings it, and a snapshot
    // that is made meanwhile is seen.
    let volumes = async { Ok((cloud.volumes().await?, cloud.snapshots().await?)) };
    match tokio::try_join!(volumes, cloud.servers()) {
        Ok(((volumes, snapshots), servers)) => Ok(ProjectVolumes {
            project: cloud.project().clone(),
            hubs: Vec::new(),
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
}

/// The tokens that are kept between runs.
pub(super) fn tokens(fleet: &Fleet) -> Tokens {
    Tokens::within(fleet.state_dir.join("_fleet/tokens"))
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

/// Engines that did not answer: nobody knows what they have of hubs that are not in `fleet.toml`, or of the old scripts.
fn silent_engines(sandboxes: &Sandboxes, asked_for_old: &[Silent]) -> Vec<Unseen> {
    let mut unseen: Vec<Unseen> = Vec::new();
    for Silent { engine, reason, hint } in sandboxes.silent().chain(asked_for_old) {
        let subject = Subject::Engine(engine.clone());
        if unseen.iter().all(|one| one.subject != subject) {
            unseen.push(Unseen { subject, reason: reason.clone(), hint: hint.clone() });
        }
    }
    unseen
}

/// Engines that have answered this fleet once, and that `fleet.toml` has no more: what they have of clusters, nobody sees now.
fn forgotten_engines(fleet: &Fleet, sandboxes: &Sandboxes) -> Result<Vec<Unseen>, Failure> {
    let declared: BTreeSet<String> = fleet.engines.iter().map(|engine| engine.endpoint.to_string()).collect();
    let is_silent = |name: &EngineName| sandboxes.silent().any(|silent| silent.engine == *name);
    let answering = fleet.engines.iter().filter(|engine| !is_silent(&engine.name));
    let answering: Vec<String> = answering.map(|engine| engine.endpoint.to_string()).collect();
    if fleet.state_dir.is_dir() {
        // What cannot be remembered now is the next time; that is no reason to show nothing.
        let _ = known::answered(fleet, &answering);
    }
    let forgotten = known::engines(fleet)?.into_iter().filter(|engine| !declared.contains(engine));
    Ok(forgotten
        .map(|engine| Unseen {
            subject: Subject::FormerEngine(engine),
            reason: "this fleet was on it, and fleet.toml does not have it any more: nobody sees what it has of clusters that use \
                     these projects"
                .to_owned(),
            hint: Some(format!(
                "put it into [engines] again; if it is gone for good, or has nothing of that kind, take its line out of {}",
                known::engines_path(fleet).display()
            )),
        })
        .collect())
}

/// Looks at all volumes of all projects, and at no cluster. Orphans are never judged from this.
pub async fn look_at_projects(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    interrupt: &Interrupt,
) -> (Clouds, Vec<ProjectVolumes>, Vec<Unseen>) {
    Clouds::look(engine, fleet, sandboxes, interrupt).await
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
    let containers = containers?;
    let outside = Outside {
        addresses: fleet.hubs.iter().map(|hub| (hub.name.clone(), hub.ip)).collect(),
        engines: fleet.hubs.iter().map(|hub| (hub.name.clone(), hub.engine.clone())).collect(),
        containers: containers.found,
    };
    unseen.extend(silent_engines(sandboxes, &containers.silent));
    unseen.extend(forgotten_engines(fleet, sandboxes)?);
    unseen.extend(sandboxes.strangers(fleet).map(|stranger| undeclared(fleet, stranger)));
    // A hub whose sandbox is stopped says so once, not once for its openrc and once for its cluster.
    for one in missing {
        if !unseen.contains(&one) {
            unseen.push(one);
        }
    }
    Ok((VolumeView { projects, clusters: seen, outside, unseen, seen_at }, clouds, clusters))
}
