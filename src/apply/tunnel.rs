//! A new connection for a hub's tunnel, and what a master that was rebuilt needs first: its new host key pinned, its new
//! kubeconfig fetched.

use std::path::PathBuf;

use super::create::{Event, kubeconfig_of_master, look_at_keys, wait_for_tunnel};
use super::host_keys::{Demanded, files_of, pins, reach, write_adopted};
use crate::clock;
use crate::exec::{End, capture_fed};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::report::duration;
use crate::sandbox::{PAYLOADS, SandboxSpec, paths};
use crate::systems::docker::Engine;
use crate::systems::ssh::Pins;

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
    let Some(pins) = pins(hub) else {
        let problem = "no host keys are pinned for the way to its master".to_owned();
        return Err(Failure { exit: Exit::Failed, problems: vec![problem], hint: None }
            .hint(format!("fleet trust {} shows them, and pins them", hub.name)));
    };
    write_adopted(hub, &files_of(hub, &pins))?;
    engine.start_detached(container, &[paths::HOLD_TUNNEL], SandboxSpec::adopted_tunnel_env(hub)).await?;
    let way = SandboxSpec::adopted_way(hub);
    files::replace(&hub.adopted_way(), way.as_bytes(), 0o644).map_err(|error| Failure::failed(&error))
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

/// Pins other host keys. `sandbox` is the id of the hub's container, where it runs.
///
/// The way through the old connection is closed first, so that a master that is no longer the hub's never answers under the new
/// pin.
pub async fn pin(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: Option<&str>,
    keys: &Pins,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    close(hub)?;
    let files = files_of(hub, keys);
    // First what a tunnel goes by, wherever one may still run, and then what fleet believes.
    if hub.container.is_some() {
        write_adopted(hub, &files)?;
    }
    for (path, text) in &files {
        files::replace(path, text.as_bytes(), 0o600).map_err(|error| Failure::failed(&error))?;
    }
    match sandbox {
        Some(sandbox) => connect_again(engine, fleet, hub, sandbox, interrupt).await,
        None => Ok(()),
    }
}

/// Has the tunnel of a container that fleet did not make go the way to the master that `fleet.toml` has now, once fleet itself has got there
/// by it.
pub async fn go_another_way(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    container: &str,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let reached = async {
        let pins = look_at_keys(fleet, hub, Demanded::default(), tell).await?;
        reach(fleet, hub, &pins).await?;
        Ok(pins)
    };
    let pins = reached.await.map_err(|mut failure: Failure| {
        failure.problems.push("its tunnel stays as it is".to_owned());
        failure
    })?;
    pin(engine, fleet, hub, Some(container), &pins, interrupt).await?;
    wait_for_tunnel(engine, fleet, hub, container).await
}

/// Fetches the cluster's kubeconfig from its master again. The one that was there is kept beside it; returns where.
pub async fn fetch_kubeconfig(fleet: &Fleet, hub: &Hub, keys: &Pins) -> Result<Option<PathBuf>, Failure> {
    let text = kubeconfig_of_master(fleet, hub, keys).await?;
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
