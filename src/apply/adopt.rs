//! Takes containers of the old scripts over: as they are, or with a sandbox of fleet's own in their place. What cannot be
//! finished is undone.

use std::path::PathBuf;

use super::create::{
    Creation, Event, Step, check_kubeconfig, create, declare, shown_key, try_credentials, wait_for_tunnel,
};
use super::tunnel::is_told_to_connect_again;
use crate::config::NewHub;
use crate::exit::{Failure, chain};
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::plan::adopt::Adoption;
use crate::sandbox::{Owner, PAYLOADS, SandboxSpec, paths};
use crate::systems::docker::Engine;
use crate::systems::kube::Cluster;

/// A container that is taken over.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The fleet, with the hub.
    pub fleet: &'a Fleet,
    /// The hub, with what it inherits.
    pub hub: &'a Hub,
    /// The hub as it goes into fleet.toml.
    pub new: &'a NewHub,
    /// What the container says.
    pub adoption: &'a Adoption,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
}

/// Lets the container be the hub's sandbox as it is: started, the tunnel in it. Nothing that is in its state changes.
pub async fn as_it_is(taking: Taking<'_>, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    let (mut made, mut at) = (Vec::new(), Step::HostKey);
    let steps = Box::pin(adopt_steps(taking, &mut made, &mut at, tell));
    let ended = taking.interrupt.or(steps).await.unwrap_or_else(|| Err(Failure::interrupted()));
    let Err(mut failure) = ended else { return Ok(()) };
    for problem in &mut failure.problems {
        *problem = format!("hub {}: cannot {at}: {problem}", taking.hub.name);
    }
    if !taking.adoption.running
        && at != Step::HostKey
        && let Err(error) = taking.engine.stop(&taking.adoption.id).await
    {
        failure.problems.push(format!(
            "and container {} still runs: {}",
            taking.adoption.container,
            chain(&error)
        ));
    }
    for path in made.iter().rev() {
        let _ = if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
    }
    Err(failure)
}

async fn adopt_steps(
    taking: Taking<'_>,
    made: &mut Vec<PathBuf>,
    at: &mut Step,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let Taking { engine, fleet, hub, new, adoption, interrupt } = taking;
    tell(Event::Begin(Step::HostKey));
    let key = shown_key(fleet, hub, None).await?;
    tell(Event::HostKey(&key));
    check_kubeconfig(&hub.kubeconfig())?;

    *at = Step::State;
    let failed = |error: &files::Error| Failure::failed(error);
    let owner =
        Owner::of(&hub.state).map_err(|source| failed(&files::Error::new("look at", &hub.state, source)))?;
    let (dir, pins) = (hub.tunnel_dir(), hub.known_hosts());
    let give = |path: &PathBuf| {
        std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))
            .map_err(|source| failed(&files::Error::new("give to its owner", path, source)))
    };
    if !dir.is_dir() {
        files::private_dir(&dir).map_err(|error| failed(&error))?;
        made.push(dir.clone());
        give(&dir)?;
    }
    if !pins.exists() {
        let line = format!("{}\n", key.known_hosts_line(hub.ip, hub.ssh.port));
        files::create(&pins, line.as_bytes(), 0o600).map_err(|error| failed(&error))?;
        made.push(pins.clone());
        give(&pins)?;
    }

    *at = Step::Tunnel;
    tell(Event::Begin(Step::Tunnel));
    if !adoption.running {
        engine.start(&adoption.id).await?;
    }
    bring_tunnel_up(engine, fleet, hub, &adoption.id, interrupt).await?;

    *at = Step::Credentials;
    tell(Event::Begin(Step::Credentials));
    let project = try_credentials(engine, fleet, hub, interrupt).await?;
    tell(Event::Project(&project));

    *at = Step::Declare;
    tell(Event::Begin(Step::Declare));
    declare(fleet, hub, new, tell).await
}

/// Sees to it that the tunnel in a container that fleet did not make carries requests. Nothing holds it there but fleet's own
/// program, which does not come back with the container.
pub async fn bring_tunnel_up(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    container: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let limit = fleet.timeouts.kubernetes;
    if let Ok(cluster) = Cluster::connect(&hub.kubeconfig(), &hub.api_socket(), limit).await
        && cluster.ready().await.is_ok()
    {
        return Ok(());
    }
    bring_along(engine, hub, container).await?;
    if !is_told_to_connect_again(engine, fleet, container, interrupt).await? {
        engine.start_detached(container, &[paths::HOLD_TUNNEL], SandboxSpec::adopted_tunnel_env(hub)).await?;
    }
    wait_for_tunnel(engine, fleet, hub, container).await
}

/// Brings fleet's programs, and the key that is pinned for the master, into a container that fleet did not make.
pub(super) async fn bring_along(engine: &Engine, hub: &Hub, container: &str) -> Result<(), Failure> {
    let pins = hub.known_hosts();
    let pinned = std::fs::read_to_string(&pins)
        .map_err(|source| Failure::failed(&files::Error::new("read", &pins, source)))?;
    Ok(engine.bring_along(container, &PAYLOADS, &pinned).await?)
}

/// Puts a sandbox of fleet's own, with the same state, in the place of the container. That stays, stopped, until somebody
/// removes it: only they know whether there is something in it. Where the sandbox does not come up, the container goes on.
pub async fn recreate(taking: Taking<'_>, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    let Taking { engine, fleet, hub, new, adoption, interrupt } = taking;
    if adoption.running {
        engine.stop(&adoption.id).await?;
    }
    let creation = Creation { engine, fleet, hub, host_key: None, replaces: None, interrupt };
    let Err(mut failure) = Box::pin(create(&creation, new, tell)).await else { return Ok(()) };
    if adoption.running
        && let Err(error) = engine.start(&adoption.id).await
    {
        failure.problems.push(format!(
            "and container {} is stopped now: {}",
            adoption.container,
            chain(&error)
        ));
    }
    Err(failure)
}
