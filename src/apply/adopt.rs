//! Takes containers of the old scripts over: as they are, or with a sandbox of fleet's own in their place. What cannot be
//! finished is undone.

use std::path::PathBuf;

use super::create::{
    Creation, Event, Step, check_kubeconfig, create, declare, look_at_keys, try_credentials, wait_for_tunnel,
};
use super::host_keys::{Demanded, files_of};
use super::tunnel::{end, start_anew};
use crate::config::NewHub;
use crate::exit::{Exit, Failure, chain};
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observe::{pinned_elsewhere, route};
use crate::plan::adopt::Adoption;
use crate::sandbox::Owner;
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
    /// The fingerprints that must be shown, where the operator knows them.
    pub host_keys: Demanded<'a>,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
}

/// Lets the container be the hub's sandbox as it is: started, the tunnel in it. Nothing that is in its state changes.
pub async fn as_it_is(taking: Taking<'_>, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    let (mut made, mut at, mut started) = (Vec::new(), Step::HostKey, false);
    let steps = Box::pin(adopt_steps(taking, &mut made, &mut at, &mut started, tell));
    let ended = taking.interrupt.or(steps).await.unwrap_or_else(|| Err(Failure::interrupted()));
    let Err(mut failure) = ended else { return Ok(()) };
    for problem in &mut failure.problems {
        *problem = format!("hub {}: cannot {at}: {problem}", taking.hub.name);
    }
    if matches!(at, Step::Tunnel | Step::Credentials | Step::Declare) {
        // Also after Ctrl-C, which this one does not hear.
        let (_never, interrupt) = Interrupt::manual();
        // One that does not end goes by a key that is not there any more.
        let _ = end(taking.engine, taking.fleet, &taking.adoption.id, &interrupt).await;
        let hub = taking.hub;
        made.extend([hub.adopted_known_hosts(), hub.adopted_jump_known_hosts(), hub.adopted_way()]);
    }
    if started && let Err(error) = taking.engine.stop(&taking.adoption.id).await {
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
    started: &mut bool,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let Taking { engine, fleet, hub, new, adoption, host_keys, interrupt } = taking;
    let keys = look_at_keys(fleet, hub, host_keys, tell).await?;
    check_kubeconfig(&hub.kubeconfig())?;

    *at = Step::State;
    let failed = |error: &files::Error| Failure::failed(error);
    let owner =
        Owner::of(&hub.state).map_err(|source| failed(&files::Error::new("look at", &hub.state, source)))?;
    let dir = hub.tunnel_dir();
    let give = |path: &PathBuf| {
        std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))
            .map_err(|source| failed(&files::Error::new("give to its owner", path, source)))
    };
    if !dir.is_dir() {
        files::private_dir(&dir).map_err(|error| failed(&error))?;
        made.push(dir.clone());
        give(&dir)?;
    }
    for (pins, text) in files_of(hub, &keys) {
        if !pins.exists() {
            files::create(&pins, text.as_bytes(), 0o600).map_err(|error| failed(&error))?;
            made.push(pins.clone());
            give(&pins)?;
        }
    }

    *at = Step::Tunnel;
    tell(Event::Begin(Step::Tunnel));
    if !adoption.running {
        engine.start(&adoption.id).await?;
        *started = true;
    }
    bring_tunnel_up(engine, fleet, hub, &adoption.id, interrupt).await?;

    *at = Step::Credentials;
    tell(Event::Begin(Step::Credentials));
    let project = try_credentials(engine, fleet, hub, interrupt).await?;
    tell(Event::Project(&project));

    *at = Step::Declare;
    tell(Event::Begin(Step::Declare));
    declare(engine, fleet, hub, new, tell).await
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
    // What answers would be another hub's master.
    if let Some(why) = pinned_elsewhere(hub) {
        return Err(Failure { exit: Exit::Failed, problems: vec![why.reason], hint: why.hint });
    }
    let limit = fleet.timeouts.kubernetes;
    if let Ok(cluster) =
        Cluster::connect(&hub.kubeconfig(), route(engine, fleet, hub, container), limit).await
        && cluster.ready().await.is_ok()
    {
        return Ok(());
    }
    start_anew(engine, fleet, hub, container, interrupt).await?;
    wait_for_tunnel(engine, fleet, hub, container).await
}

/// Puts a sandbox of fleet's own, with the same state, in the place of the container. That stays, stopped, until somebody
/// removes it: only they know whether there is something in it. Where the sandbox does not come up, the container goes on.
pub async fn recreate(taking: Taking<'_>, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    let Taking { engine, fleet, hub, new, adoption, host_keys, interrupt } = taking;
    if adoption.running {
        engine.stop(&adoption.id).await?;
    }
    let creation = Creation { host_keys, ..Creation::new(engine, fleet, hub, interrupt) };
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
