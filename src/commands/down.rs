//! `fleet down`: sandboxes are stopped.

use futures_util::future::join_all;

use super::choose::Hubs;
use super::context::{Context, tell};
use crate::config;
use crate::exit::{Exit, Failure, chain};
use crate::hub::Hub;
use crate::known;
use crate::observe::Sandboxes;
use crate::observed::{Sandbox, SandboxState};
use crate::plan::reconcile::{is_stranger, not_known};
use crate::systems::docker::Engine;
use crate::text::one_line;

/// Stop sandboxes: their tunnels close, and what runs in them ends
///
/// They stay stopped, also after a reboot, until `fleet up`. A hub whose sandbox is stopped is a silent hub: as long as it is,
/// fleet cannot tell which volumes are orphans. What a hub still has on an engine that it lived on before is stopped, too; an engine that
/// does not answer may have such sandboxes, and is told.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet down ou23s\n  fleet down --all\n\nExit status: 0 when all are stopped, 1 otherwise."
)]
pub struct Args {
    #[command(flatten)]
    hubs: Hubs,
}

/// Stops them.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    let _alone: Vec<_> =
        hubs.iter().map(|hub| config::lock_hub(&fleet, &hub.name)).collect::<Result<_, _>>()?;
    context.begins(&fleet, hubs.iter().map(|hub| &hub.name));
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let known = known::sandboxes(&fleet)?;
    let stopping = join_all(hubs.iter().map(async |hub| {
        if let Some(silence) = sandboxes.silence_of(hub) {
            return told_failed(hub, &silence.reason);
        }
        let mut well = true;
        let all = sandboxes.all_of(&hub.name).filter(|sandbox| sandbox.state != SandboxState::Exited);
        for sandbox in all {
            well &= if is_stranger(hub, sandbox, &known) {
                told_failed(hub, &not_known(sandbox))
            } else {
                stop(&engine, hub, sandbox).await
            };
        }
        well
    }));
    let mut stopped = context.unless_interrupted(stopping).await?;
    // Nobody knows where a hub lived before: what cannot be seen may be there.
    stopped.extend(sandboxes.silent().filter_map(|silent| {
        let others = hubs.iter().filter(|hub| hub.engine != silent.engine && hub.container.is_none());
        let others: Vec<&str> = others.map(|hub| hub.name.as_str()).collect();
        (!others.is_empty()).then(|| {
            tell(&format!(
                "error: engine {} does not answer, and has sandboxes of hubs that lived there before, if any, still running ({}): {}\n",
                silent.engine,
                others.join(", "),
                one_line(&silent.reason)
            ));
            false
        })
    }));
    Ok(if stopped.into_iter().all(|stopped| stopped) { Exit::Done } else { Exit::Failed })
}

/// Stops one, and says so.
async fn stop(engine: &Engine, hub: &Hub, sandbox: &Sandbox) -> bool {
    // A paused process hears no signal.
    if sandbox.state == SandboxState::Paused {
        let _ = engine.unpause(&sandbox.id).await;
    }
    if let Err(error) = engine.stop(&sandbox.id).await {
        return told_failed(hub, &chain(&error));
    }
    if sandbox.engine == hub.engine {
        tell(&format!("{}: stopped\n", hub.name));
    } else {
        tell(&format!("{}: what it has on engine {} is stopped\n", hub.name, sandbox.engine));
    }
    true
}

fn told_failed(hub: &Hub, why: &str) -> bool {
    tell(&format!("error: hub {}: {}\n", hub.name, one_line(why)));
    false
}
