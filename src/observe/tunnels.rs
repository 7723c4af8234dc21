//! The tunnels alone: what `fleet tunnel status` shows.

use std::time::Instant;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::clusters::{cluster_of, unseen};
use super::sandboxes::Sandboxes;
use crate::exec::{End, capture_fed};
use crate::exit::chain;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observed::{Sandbox, Tunnel, TunnelLook};
use crate::sandbox::{SandboxSpec, paths};
use crate::systems::docker::Engine;
use crate::systems::kube::Kind;
use crate::systems::ssh::HostKey;

/// Lines of a container's log in which the tunnel's last words are looked for.
const LOG: usize = 20;

/// Whether the tunnel in a container of the old scripts was started with another way to the master than `fleet.toml` has now, or nobody
/// knows with which.
pub fn goes_another_way(hub: &Hub) -> bool {
    let started = std::fs::read_to_string(hub.adopted_way()).ok();
    hub.container.is_some() && started.as_deref() != Some(&SandboxSpec::adopted_way(hub))
}

/// Looks at the tunnels of these hubs side by side.
pub async fn look_at_tunnels(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hubs: &[&Hub],
    seen_one: impl Fn(),
) -> Vec<TunnelLook> {
    let seen_one = &seen_one;
    join_all(hubs.iter().map(|hub| async move {
        let look = Box::pin(look(engine, fleet, sandboxes, hub)).await;
        seen_one();
        look
    }))
    .await
}

async fn look(engine: &Engine, fleet: &Fleet, sandboxes: &Sandboxes, hub: &Hub) -> TunnelLook {
    let pinned = std::fs::read_to_string(hub.known_hosts()).unwrap_or_default();
    let mut look = TunnelLook {
        hub: hub.name.clone(),
        master: format!("{}@{}:{}", hub.ssh.user, hub.ip, hub.ssh.port),
        host_key: HostKey::from_known_hosts(&pinned, hub.ip, hub.ssh.port).map(|key| key.fingerprint()),
        jump: hub.ssh.jump.as_ref().map(|jump| jump.at.to_string()),
        jump_host_key: hub.ssh.jump.as_ref().and_then(|jump| {
            let pinned = std::fs::read_to_string(hub.jump_known_hosts()).ok()?;
            Some(HostKey::from_known_hosts(&pinned, &jump.at.host, jump.at.port)?.fingerprint())
        }),
        tunnel: None,
        since: None,
        answered_ms: None,
        said: None,
        problem: None,
    };
    let sandbox = match sandboxes.running(fleet, hub) {
        Ok(sandbox) => sandbox,
        Err(missing) => return TunnelLook { problem: Some(missing), ..look },
    };
    let cluster = match cluster_of(fleet, sandboxes, hub).await {
        Ok(cluster) => cluster,
        Err(missing) => return TunnelLook { problem: Some(missing), ..look },
    };
    let began = Instant::now();
    match cluster.ready().await {
        Ok(()) => {
            look.tunnel = Some(Tunnel::Up);
            look.answered_ms = u64::try_from(began.elapsed().as_millis()).ok();
        }
        Err(error) => {
            look.tunnel = match error.kind() {
                Kind::NoTunnel => Some(Tunnel::Down),
                Kind::Hanging => Some(Tunnel::Hangs),
                Kind::Kubeconfig => None,
                _ => Some(Tunnel::Up),
            };
            look.problem = Some(unseen(&hub.name, &error));
            look.said = tunnel_says(engine, fleet, hub, sandbox).await;
        }
    }
    if look.tunnel != Some(Tunnel::Down) {
        // OpenSSH makes the socket when it has connected.
        let made = std::fs::metadata(hub.api_socket()).and_then(|socket| socket.modified());
        look.since = made.ok().and_then(|made| Timestamp::try_from(made).ok());
    }
    look
}

/// The last thing that a hub's tunnel said; `None` where it has said nothing, or the engine does not tell.
pub(super) async fn tunnel_says(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &Sandbox,
) -> Option<String> {
    let log = tunnel_log(engine, fleet, hub, &sandbox.id, LOG).await.ok()?;
    // As `tunnel.sh` writes it: the time, and whose words they are.
    log.lines().rev().find_map(|line| line.split_once(" tunnel: ").map(|(_, words)| words.trim().to_owned()))
}

/// The last lines that a hub's tunnel wrote. In a container of the old scripts it has a file of its own: that container's log is
/// what people typed and saw, secrets too, and is never read.
pub async fn tunnel_log(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    container: &str,
    lines: usize,
) -> Result<String, String> {
    if hub.container.is_none() {
        return engine.last_words(container, lines).await.map_err(|error| chain(&error));
    }
    let (_never, interrupt) = Interrupt::manual();
    let argv = ["tail", "-n", &lines.to_string(), paths::ADOPTED_LOG];
    let read = capture_fed(engine, container, &argv, b"", fleet.timeouts.openrc, &interrupt).await;
    match read.end {
        End::Exited(0) => Ok(String::from_utf8_lossy(&read.stdout).into_owned()),
        // No tunnel was started yet.
        End::Exited(_) => Ok(String::new()),
        End::Failed { reason, .. } => Err(reason),
        End::TimedOut(_) | End::Interrupted => Err("the container did not answer in time".to_owned()),
    }
}
