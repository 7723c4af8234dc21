//! `fleet tunnel restart`: new connections.

use futures_util::{StreamExt as _, stream};

use crate::apply::tunnel::reconnect;
use crate::commands::choose::Hubs;
use crate::commands::context::{Context, tell};
use crate::config;
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observe::Sandboxes;
use crate::report::{self, Progress};
use crate::systems::docker::Engine;

/// How many at once: sshd resets connections that come all at once.
const PARALLEL: usize = 8;

/// Connect tunnels again
///
/// The SSH connection is ended and made anew at once; the sandbox goes on, and so does what runs in it. What was being sent
/// through the tunnel is cut off.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet tunnel restart ou23s\n  fleet tunnel restart --all\n\nExit status: 0 when every API answers \
                  through its new connection, 1 otherwise."
)]
pub struct Args {
    #[command(flatten)]
    hubs: Hubs,
}

/// Does it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    context.begins(&fleet, hubs.iter().map(|hub| &hub.name));
    let progress = Progress::new("tunnels", hubs.len());
    let all = stream::iter(hubs)
        .map(async |hub| {
            let ended = Box::pin(one(context, &engine, &fleet, &sandboxes, hub)).await;
            progress.done_one();
            progress.aside(|| match &ended {
                Ok(()) => tell(&format!("{}: connected again, and its API answers\n", hub.name)),
                Err(failure) => tell(&report::failure(failure)),
            });
            ended.is_ok()
        })
        .buffer_unordered(PARALLEL)
        .collect::<Vec<bool>>();
    let ended = context.unless_interrupted(all).await?;
    Ok(if ended.into_iter().all(|well| well) { Exit::Done } else { Exit::Failed })
}

async fn one(
    context: &Context,
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hub: &Hub,
) -> Result<(), Failure> {
    let restart = async {
        let _alone = config::lock_hub(fleet, &hub.name)?;
        let sandbox = sandboxes.running(fleet, hub).map_err(|missing| Failure {
            exit: Exit::Failed,
            problems: vec![missing.reason],
            hint: missing.hint,
        })?;
        reconnect(engine, fleet, hub, &sandbox.id, &context.interrupt).await
    };
    restart.await.map_err(|mut failure: Failure| {
        for problem in &mut failure.problems {
            *problem = format!("hub {}: {problem}", hub.name);
        }
        failure
    })
}
