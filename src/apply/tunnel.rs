//! A new connection for a hub's tunnel, and what a master that was rebuilt needs first: its new host key pinned, its new
//! kubeconfig fetched.

use std::path::PathBuf;

use super::create::{kubeconfig_of_master, wait_for_tunnel};
use crate::clock;
use crate::exec::{End, capture_fed};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::report::duration;
use crate::sandbox::{PAYLOADS, SandboxSpec, paths};
use crate::systems::docker::Engine;
use crate::systems::ssh::HostKey;

/// What the tunnel's supervisor makes a new connection at.
const AGAIN: &str = "USR1";

/// Ends a tunnel's connection, and waits until a new one carries requests. `sandbox` is the id of a container that runs.
pub async fn reconnect(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    close(hub)?;
    connect_again(engine, fleet, hub, sandbox, interrupt).await?;
    wait_for_tunnel(engine, fleet, hub, sandbox).await
}

async fn connect_again(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    if hub.container.is_none() {
        return Ok(engine.signal(sandbox, AGAIN).await?);
    }
    // There the first process is somebody else's, and a signal might end it.
    start_anew(engine, fleet, hub, sandbox, interrupt).await
}

/// Starts the tunnel in a container that fleet did not make. One that runs there goes by what was said when it was started, so it is
/// ended.
pub(super) async fn start_anew(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    container: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    engine.bring_along(container, &PAYLOADS).await?;
    end(engine, fleet, container, interrupt).await?;
    let pinned = std::fs::read(hub.known_hosts())
        .map_err(|source| Failure::failed(&files::Error::new("read", &hub.known_hosts(), source)))?;
    pin_adopted(hub, &pinned)?;
    engine.start_detached(container, &[paths::HOLD_TUNNEL], SandboxSpec::adopted_tunnel_env(hub)).await?;
    Ok(())
}

/// Gives the tunnel of a container that fleet did not make another key to go by. It is public, and whoever that container runs as
/// may read it.
fn pin_adopted(hub: &Hub, known_hosts: &[u8]) -> Result<(), Failure> {
    files::replace(&hub.adopted_known_hosts(), known_hosts, 0o644).map_err(|error| Failure::failed(&error))
}

/// Ends the tunnel that fleet started in a container that it did not make; `false` where none runs.
pub async fn end(
    engine: &Engine,
    fleet: &Fleet,
    container: &str,
    interrupt: &Interrupt,
) -> Result<bool, Failure> {
    let argv = [paths::HOLD_TUNNEL, "end"];
    let ran = capture_fed(engine, container, &argv, b"", fleet.timeouts.openrc, interrupt).await;
    match ran.end {
        End::Exited(status) => Ok(status == 0),
        End::Interrupted => Err(Failure::interrupted()),
        End::TimedOut(limit) => Err(Failure {
            exit: Exit::Failed,
            problems: vec![format!(
                "the tunnel's program in {container} did not end within {}",
                duration(limit)
            )],
            hint: None,
        }),
        End::Failed { reason, hint } => Err(Failure { exit: Exit::Failed, problems: vec![reason], hint }),
    }
}

/// Pins another host key. `sandbox` is the id of the hub's container, where it runs.
///
/// The way through the old connection is closed first, so that a master that is no longer the hub's never answers under the new
/// pin.
pub async fn pin(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: Option<&str>,
    key: &HostKey,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    close(hub)?;
    let line = format!("{}\n", key.known_hosts_line(hub.ip, hub.ssh.port));
    // First what a tunnel goes by, wherever one may still run, and then what fleet believes.
    if hub.container.is_some() {
        pin_adopted(hub, line.as_bytes())?;
    }
    files::replace(&hub.known_hosts(), line.as_bytes(), 0o600).map_err(|error| Failure::failed(&error))?;
    match sandbox {
        Some(sandbox) => connect_again(engine, fleet, hub, sandbox, interrupt).await,
        None => Ok(()),
    }
}

/// Fetches the cluster's kubeconfig from its master again. The one that was there is kept beside it; returns where.
pub async fn fetch_kubeconfig(fleet: &Fleet, hub: &Hub, key: &HostKey) -> Result<Option<PathBuf>, Failure> {
    let text = kubeconfig_of_master(fleet, hub, key).await?;
    let path = hub.kubeconfig();
    let kept = path.with_file_name(format!("config.{}", clock::now().strftime("%Y%m%dT%H%M%SZ")));
    // A second name for the old file: it keeps its owner and its mode, and there is no moment without it.
    let kept = match std::fs::hard_link(&path, &kept) {
        Ok(()) => Some(kept),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => {
            return Err(Failure::failed(&files::Error::new("keep the old kubeconfig as", &kept, source)));
        }
    };
    files::replace(&path, text.as_bytes(), 0o600).map_err(|error| Failure::failed(&error))?;
    Ok(kept)
}

/// Takes the way to the API server away that leads through the connection that there is.
fn close(hub: &Hub) -> Result<(), Failure> {
    let socket = hub.api_socket();
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::failed(&files::Error::new("remove", &socket, error)))
        }
        _ => Ok(()),
    }
}
