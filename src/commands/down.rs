//! `fleet down`: sandboxes are stopped.

use futures_util::future::join_all;

use super::choose::Hubs;
use super::context::{Context, tell};
use crate::config;
use crate::exit::{Exit, Failure, chain};
use crate::observe::Sandboxes;
use crate::observed::SandboxState;
use crate::text::one_line;

/// Stop sandboxes: their tunnels close, and what runs in them ends
///
/// They stay stopped, also after a reboot, until `fleet up`. A hub whose sandbox is stopped is a silent hub: as long as it is,
/// fleet cannot tell which volumes are orphans.
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
    let stopping = join_all(hubs.iter().map(async |hub| {
        if let Some(silence) = sandboxes.silence_of(hub) {
            tell(&format!("error: {}: {}\n", silence.subject, one_line(&silence.reason)));
            return false;
        }
        let sandbox = sandboxes.of(&hub.name).filter(|sandbox| sandbox.state != SandboxState::Exited);
        let Some(sandbox) = sandbox else { return true };
        // A paused process hears no signal.
        if sandbox.state == SandboxState::Paused {
            let _ = engine.unpause(&sandbox.id).await;
        }
        match engine.stop(&sandbox.id).await {
            Ok(()) => tell(&format!("{}: stopped\n", hub.name)),
            Err(error) => {
                tell(&format!("error: hub {}: {}\n", hub.name, chain(&error)));
                return false;
            }
        }
        true
    }));
    let stopped = context.unless_interrupted(stopping).await?;
    Ok(if stopped.into_iter().all(|stopped| stopped) { Exit::Done } else { Exit::Failed })
}
