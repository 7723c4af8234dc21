//! `fleet tunnel logs`: what tunnels say.

use std::io::IsTerminal as _;

use futures_util::{StreamExt as _, stream};

use crate::commands::choose::Hubs;
use crate::commands::context::{Context, print, tell};
use crate::exec::Lines;
use crate::exit::{Exit, Failure, chain};
use crate::hub::{Fleet, Hub};
use crate::observe::{Sandboxes, tunnel_log};
use crate::report::Prefixes;
use crate::systems::docker::Engine;
use crate::text::clean;

/// Show what tunnels say
///
/// A tunnel says why a connection ended or could not be made, each reason once as long as it stays the same. Times are UTC.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet tunnel logs ou23s\n  fleet tunnel logs --lines 5\n  fleet tunnel logs ou23s --follow\n\nExit \
                  status: 0 when all could be read, 1 otherwise."
)]
pub struct Args {
    /// The last lines of each
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    lines: usize,

    /// Go on with what they say from now on, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    #[command(flatten)]
    hubs: Hubs,
}

/// Prints it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let prefixes = Prefixes::new(hubs.iter().map(|hub| &hub.name), std::io::stdout().is_terminal());
    let reading = stream::iter(&hubs).map(async |hub| {
        if let Some(silence) = sandboxes.silence_of(hub) {
            tell(&format!("error: {}: {}\n", silence.subject, silence.reason));
            return Ok(false);
        }
        let Some(sandbox) = sandboxes.of(&hub.name) else {
            tell(&format!("error: hub {0}: it has no sandbox\nhint: fleet up {0}\n", hub.name));
            return Ok(false);
        };
        let prefix = if hubs.len() > 1 { prefixes.of(&hub.name) } else { String::new() };
        if hub.container.is_some() {
            return read_adopted(args, &engine, &fleet, hub, &sandbox.id, &prefix).await;
        }
        read(args, &engine, hub, &sandbox.id, &prefix).await
    });
    // One after the other, unless they go on: then whoever speaks is heard.
    let at_once = if args.follow { hubs.len().max(1) } else { 1 };
    let read = context.unless_interrupted(reading.buffered(at_once).collect::<Vec<_>>()).await?;
    let read: Vec<bool> = read.into_iter().collect::<Result<_, Failure>>()?;
    Ok(if read.into_iter().all(|well| well) { Exit::Done } else { Exit::Failed })
}

/// Prints the lines of a tunnel in a container that fleet did not make.
async fn read_adopted(
    args: &Args,
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    container: &str,
    prefix: &str,
) -> Result<bool, Failure> {
    match tunnel_log(engine, fleet, hub, container, args.lines).await {
        Ok(log) => {
            for line in log.lines() {
                print(&format!("{prefix}{}\n", clean(line)))?;
            }
            if args.follow {
                tell(&format!(
                    "error: hub {}: in a container of the old scripts the tunnel cannot be followed\n",
                    hub.name
                ));
            }
            Ok(!args.follow)
        }
        Err(why) => {
            tell(&format!("error: hub {}: {why}\n", hub.name));
            Ok(false)
        }
    }
}

/// Prints one tunnel's lines as they come. Whether they could be read.
async fn read(args: &Args, engine: &Engine, hub: &Hub, sandbox: &str, prefix: &str) -> Result<bool, Failure> {
    let (mut lines, mut printed) = (Lines::default(), Ok(()));
    let mut log = std::pin::pin!(engine.log(sandbox, args.lines, args.follow)?);
    let mut show = |line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        printed = std::mem::replace(&mut printed, Ok(()))
            .and_then(|()| print(&format!("{prefix}{}\n", clean(line.trim_end()))));
    };
    while let Some(piece) = log.next().await {
        match piece {
            Ok(piece) => lines.push(&piece, &mut show),
            Err(error) => {
                tell(&format!("error: hub {}: {}\n", hub.name, chain(&error)));
                return Ok(false);
            }
        }
    }
    lines.finish(&mut show);
    printed.map(|()| true)
}
