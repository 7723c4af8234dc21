//! One look at each hub, all at once: what `fleet status` shows and `fleet doctor` judges.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::clusters::{cluster_of, unseen};
use super::openrc::look_at_openrc;
use super::sandboxes::Sandboxes;
use super::tunnels::{goes_another_way, tunnel_says};
use crate::exec::{End, capture};
use crate::exit::chain;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observed::{
    Answer, Claim, Credentials, HubLook, Node, Sandbox, SandboxLook, Subject, Tunnel, Unseen,
};
use crate::sandbox::{Owner, Part, SandboxSpec};
use crate::secret::OpenrcEnv;
use crate::systems::docker::Engine;
use crate::systems::kube::{Cluster, Error, Kind};
use crate::systems::openstack::{Cloud, Tokens};

/// How much is asked of each hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What tells whether it works: `fleet status`.
    Health,
    /// The sandbox's own programs too: `fleet doctor`.
    Everything,
}

/// Looks at the chosen hubs side by side. One that hangs costs its own time limits and nobody else's.
pub async fn look_at_hubs(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hubs: &[&Hub],
    depth: Depth,
    interrupt: &Interrupt,
    seen_one: impl Fn(),
) -> Vec<HubLook> {
    let (seen_one, tried) = (&seen_one, &Tried::default());
    join_all(hubs.iter().map(|hub| async move {
        // On the heap: it holds the state of every client, and there is one for each hub.
        let look = Box::pin(look_at_hub(engine, fleet, sandboxes, hub, depth, tried, interrupt)).await;
        seen_one();
        look
    }))
    .await
}

async fn look_at_hub(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hub: &Hub,
    depth: Depth,
    tried: &Tried,
    interrupt: &Interrupt,
) -> HubLook {
    let found = sandboxes.of(&hub.name);
    let running = sandboxes.running(fleet, hub).ok();
    let owner = Owner::of(&hub.state).ok();
    let mut look = HubLook {
        hub: hub.name.clone(),
        engine: hub.engine.clone(),
        sandbox: SandboxLook {
            unseen: sandboxes.silence_of(hub),
            state: found.map(|sandbox| sandbox.state.as_str()),
            running: running.is_some(),
            drift: match (found, owner) {
                (Some(sandbox), Some(owner)) if !sandbox.adopted => {
                    SandboxSpec::new(fleet, hub, owner).drift_of(sandbox)
                }
                _ if running.is_some() && goes_another_way(hub) => vec![Part::Tunnel],
                _ => Vec::new(),
            },
        },
        openrc: hub.openrc.clone(),
        openrc_stale: Answer::NotAsked,
        openrc_open_to_others: std::fs::metadata(&hub.openrc)
            .ok()
            .map(|file| file.permissions().mode() & 0o077 != 0),
        tunnel: Answer::NotAsked,
        tunnel_said: None,
        api: Answer::NotAsked,
        credentials: Answer::NotAsked,
        nodes: Answer::NotAsked,
        claims: Answer::NotAsked,
        lacks: Vec::new(),
    };
    let Some(sandbox) = running else { return look };
    let ((stale, credentials), cluster, lacks) = tokio::join!(
        look_at_project(engine, fleet, hub, sandbox, tried, interrupt),
        look_at_cluster(fleet, sandboxes, hub),
        async {
            match depth {
                Depth::Health => Vec::new(),
                Depth::Everything => missing_programs(engine, fleet, sandbox, interrupt).await,
            }
        },
    );
    look.openrc_stale = stale;
    look.credentials = credentials;
    (look.tunnel, look.api, look.nodes, look.claims) = cluster;
    if matches!(look.tunnel, Answer::Seen(Tunnel::Down | Tunnel::Hangs)) {
        look.tunnel_said = tunnel_says(engine, fleet, hub, sandbox).await;
    }
    look.lacks = lacks;
    look
}

async fn look_at_project(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &Sandbox,
    tried: &Tried,
    interrupt: &Interrupt,
) -> (Answer<bool>, Answer<Credentials>) {
    let seen = match look_at_openrc(engine, fleet, hub, sandbox, interrupt).await {
        Ok(seen) => seen,
        Err(missing) => return (Answer::Unseen(missing), Answer::NotAsked),
    };
    let stale = seen.stale.map_or(Answer::NotAsked, Answer::Seen);
    let credentials = match tried.lead_to(&seen.env, fleet).await {
        Ok(credentials) => Answer::Seen(credentials),
        Err((reason, hint)) => {
            Answer::Unseen(Unseen { subject: Subject::Hub(hub.name.clone()), reason, hint })
        }
    };
    (stale, credentials)
}

/// Where credentials lead, or why they do not, and what to do about it.
type Led = Result<Credentials, (String, Option<String>)>;

/// What has been tried: hubs of one project have one openrc, as a rule, and Keystone takes its time for a login.
#[derive(Default)]
struct Tried(Mutex<Vec<(OpenrcEnv, Arc<OnceCell<Led>>)>>);

impl Tried {
    /// Tries credentials, or waits for whoever does.
    async fn lead_to(&self, env: &OpenrcEnv, fleet: &Fleet) -> Led {
        let trial = || async { credentials(env, fleet).await.map_err(|error| (chain(&error), error.hint())) };
        self.of(env).get_or_init(trial).await.clone()
    }

    fn of(&self, env: &OpenrcEnv) -> Arc<OnceCell<Led>> {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = tried.iter().find(|(known, _)| known == env) {
            return Arc::clone(cell);
        }
        let cell = Arc::default();
        tried.push((env.clone(), Arc::clone(&cell)));
        cell
    }
}

async fn credentials(
    env: &OpenrcEnv,
    fleet: &Fleet,
) -> Result<Credentials, crate::systems::openstack::Error> {
    let cloud = Cloud::connect(env, fleet.timeouts.openstack, &Tokens::not_kept()).await?;
    let expires_at = cloud.credential_expires_at().await?;
    Ok(Credentials { project: cloud.project().clone(), expires_at })
}

type ClusterLook = (Answer<Tunnel>, Answer<()>, Answer<Vec<Node>>, Answer<Vec<Claim>>);

async fn look_at_cluster(fleet: &Fleet, sandboxes: &Sandboxes, hub: &Hub) -> ClusterLook {
    let cluster: Cluster = match cluster_of(fleet, sandboxes, hub).await {
        Ok(cluster) => cluster,
        Err(missing) => {
            return (Answer::NotAsked, Answer::Unseen(missing), Answer::NotAsked, Answer::NotAsked);
        }
    };
    if let Err(error) = cluster.ready().await {
        let tunnel = match error.kind() {
            Kind::NoTunnel => Answer::Seen(Tunnel::Down),
            Kind::Hanging => Answer::Seen(Tunnel::Hangs),
            Kind::Kubeconfig => Answer::NotAsked,
            _ => Answer::Seen(Tunnel::Up),
        };
        return (tunnel, answer_of(hub, Err(error)), Answer::NotAsked, Answer::NotAsked);
    }
    let (nodes, claims) = tokio::join!(cluster.nodes(), cluster.claims());
    (Answer::Seen(Tunnel::Up), Answer::Seen(()), answer_of(hub, nodes), answer_of(hub, claims))
}

fn answer_of<T>(hub: &Hub, answer: Result<T, Error>) -> Answer<T> {
    match answer {
        Ok(seen) => Answer::Seen(seen),
        Err(error) => Answer::Unseen(unseen(&hub.name, &error)),
    }
}

/// What operators use in a sandbox, and an image may lack.
const PROGRAMS: [&str; 7] = ["bash", "ssh", "kubectl", "openstack", "helm", "jq", "curl"];

async fn missing_programs(
    engine: &Engine,
    fleet: &Fleet,
    sandbox: &Sandbox,
    interrupt: &Interrupt,
) -> Vec<String> {
    let script = format!("for p in {}; do command -v $p >/dev/null || echo $p; done", PROGRAMS.join(" "));
    let seen = capture(engine, &sandbox.id, &["sh", "-c", &script], fleet.timeouts.openrc, interrupt).await;
    match seen.end {
        End::Exited(0) => String::from_utf8_lossy(&seen.stdout).lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_credentials_are_one_trial_and_others_are_another() {
        let env = |secret: &str| {
            OpenrcEnv::from_env0(format!("OS_REGION_NAME=a\0OS_PASSWORD={secret}\0").as_bytes())
        };
        let longer = OpenrcEnv::from_env0(b"OS_REGION_NAME=a\0OS_PASSWORD=x\0OS_TOKEN=t\0");
        let tried = Tried::default();
        let first = tried.of(&env("x"));
        assert!(Arc::ptr_eq(&first, &tried.of(&env("x"))));
        for other in [env("y"), longer, OpenrcEnv::default()] {
            assert!(!Arc::ptr_eq(&first, &tried.of(&other)));
        }
    }
}
