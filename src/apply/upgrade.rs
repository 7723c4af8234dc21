//! A sandbox of another image, or on another engine, in the place of one that works: made beside it, and only once its API answers does the old one go.
//! Whatever goes wrong, the old one goes on.

use super::create::{self, Creation, complete, try_credentials, wait_for_tunnel};
use super::turns::Turns;
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observe::Sandboxes;
use crate::observed::{Sandbox, SandboxState};
use crate::plan::openrc::at_work;
use crate::systems::docker::Engine;

/// What an upgrade is about.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The hub.
    pub hub: &'a Hub,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
}

/// Replaces the sandbox of that id. The two never run at once: they would have one tunnel's socket.
pub async fn upgrade(
    what: Upgrade<'_>,
    old: &str,
    tell: &mut dyn FnMut(create::Event<'_>),
) -> Result<(), Failure> {
    let Upgrade { engine, fleet, hub, interrupt } = what;
    engine.rename(old, &fleet.aside_of(&hub.name)).await?;
    let making = async {
        engine.stop(old).await?;
        let turns = Turns::of(1);
        complete(&Creation::new(engine, fleet, hub, interrupt), turns.turn().await, tell).await
    };
    let made = interrupt.or(Box::pin(making)).await.unwrap_or_else(|| Err(Failure::interrupted()));
    match made {
        Ok(()) => Ok(engine.remove(old).await?),
        Err(mut failure) => {
            failure.problems.push(match back(what, old).await {
                Ok(()) => "its old sandbox goes on".to_owned(),
                Err(error) => {
                    format!("and its old sandbox does not go on: {}", error.problems.join("; "))
                }
            });
            Err(failure)
        }
    }
}

/// Ends what an upgrade left that was killed: the new sandbox stays if it is the one that runs and works, and otherwise the old one
/// comes back. One in which somebody works is not taken away.
pub async fn finish(what: Upgrade<'_>) -> Result<(), Failure> {
    let Upgrade { engine, fleet, hub, interrupt } = what;
    let sandboxes = Sandboxes::look(engine, fleet).await?;
    let Some(old) = sandboxes.aside(&hub.name) else { return Ok(()) };
    let new = sandboxes.of(&hub.name);
    let runs = |sandbox: &Sandbox| sandbox.state == SandboxState::Running;
    // Both have one tunnel's socket: where both run, nobody knows which of them answers.
    if let Some(new) = new.filter(|new| runs(new) && !runs(old))
        && wait_for_tunnel(engine, fleet, hub, &new.id).await.is_ok()
        && try_credentials(engine, fleet, hub, interrupt).await.is_ok()
    {
        return Ok(engine.remove(&old.id).await?);
    }
    if let Some(new) = new.filter(|new| runs(new)) {
        nobody_works(engine, &new.id).await?;
    }
    back(what, &old.id).await
}

/// Fails where somebody works in a sandbox, who would lose by it.
pub async fn nobody_works(engine: &Engine, sandbox: &str) -> Result<(), Failure> {
    let work = at_work(&engine.processes(sandbox).await?);
    if work.is_empty() {
        return Ok(());
    }
    let problem = format!("somebody works in its sandbox: {}", work.join(", "));
    Err(Failure {
        exit: Exit::Failed,
        problems: vec![problem],
        hint: Some("wait until they are done".to_owned()),
    })
}

/// Takes the new sandbox away, as far as there is one, and lets the old one go on.
async fn back(what: Upgrade<'_>, old: &str) -> Result<(), Failure> {
    let Upgrade { engine, fleet, hub, .. } = what;
    let name = fleet.sandbox_of(&hub.name);
    let of_new = engine.on(&hub.engine)?;
    if of_new.container_is_ours(&name, &fleet.name).await? == Some(true) {
        of_new.remove(&name).await?;
    }
    engine.rename(old, &name).await?;
    engine.start(old).await?;
    wait_for_tunnel(engine, fleet, hub, old).await.map_err(|mut failure| {
        failure.problems.iter_mut().for_each(|problem| *problem = format!("it was started, and {problem}"));
        failure
    })
}
