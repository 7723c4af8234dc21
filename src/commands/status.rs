//! `fleet status`: what is there of each hub, and whether it works.

use serde::Serialize;

use super::choose::Hubs;
use super::context::{Context, print, print_json, tell, tell_silent};
use crate::clock;
use crate::commands::format::Format;
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observe::{Depth, Sandboxes, look_at_hubs};
use crate::observed::{Answer, HubLook};
use crate::plan::adopt::{beside_the_fleet, read};
use crate::plan::diagnose::{Finding, diagnose, tunnel_word, works};
use crate::report::{Progress, Table, gib};
use crate::systems::docker::{Engine, Error, Of, Silent};
use crate::text::one_line;

/// Show what is there of each hub, and whether it works
///
/// Per hub: the sandbox, whether it holds the openrc that is at the path now, the tunnel, the cluster's API, the
/// credentials and how long they are valid, nodes that are ready, claims and their GiB. All hubs are asked at once; one
/// that hangs costs its own time limit alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet status\n  fleet status ou23s mvu23s\n  fleet status --format json\n\nExit status: 0 when \
all work, 1 otherwise."
)]
pub struct Args {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    hubs: Hubs,
}

/// One hub with what is wrong with it.
#[derive(Debug, Serialize)]
pub(super) struct Diagnosed {
    #[serde(flatten)]
    pub look: HubLook,
    pub findings: Vec<Finding>,
}

/// Prints it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let diagnosed = examine(context, &engine, &fleet, &sandboxes, &hubs, Depth::Health).await?;
    match args.format {
        Format::Json => print_json(&diagnosed)?,
        Format::Table => {
            print(&table(&diagnosed).to_string())?;
            let silent = |silent: &Silent| {
                let on_it = hubs.iter().filter(|hub| hub.engine == silent.engine);
                on_it.map(|hub| hub.name.to_string()).collect()
            };
            tell_silent(sandboxes.silent(), silent);
            // One line for the engine says it for all of its hubs.
            for one in diagnosed.iter().filter(|one| one.look.sandbox.unseen.is_none()) {
                for finding in &one.findings {
                    tell(&format!("{}: {}\n", one.look.hub, one_line(&finding.what)));
                    if let Some(hint) = &finding.hint {
                        tell(&format!("    {hint}\n"));
                    }
                }
            }
            let old = context.unless_interrupted(old_containers(&engine, &fleet)).await??;
            let is_told = |one: &&Silent| sandboxes.silent().any(|silent| silent.engine == one.engine);
            tell_silent(old.silent.iter().filter(|one| !is_told(one)), |_| Vec::new());
            for finding in old.found {
                tell(&format!("{}\n", one_line(&finding.what)));
                finding.hint.iter().for_each(|hint| tell(&format!("    {hint}\n")));
            }
        }
    }
    Ok(if diagnosed.iter().all(|one| works(&one.findings)) { Exit::Done } else { Exit::Failed })
}

/// What the engines have of the old scripts that belongs to no hub of the fleet.
pub(super) async fn old_containers(engine: &Engine, fleet: &Fleet) -> Result<Of<Finding>, Error> {
    let Of { found, silent } = engine.old_containers().await?;
    let read = found.iter().map(|container| read(container, fleet, &|path| path.exists()));
    Ok(Of { found: read.filter_map(|reading| beside_the_fleet(&reading)).collect(), silent })
}

/// Looks at hubs and judges what is seen.
pub(super) async fn examine(
    context: &Context,
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hubs: &[&Hub],
    depth: Depth,
) -> Result<Vec<Diagnosed>, Failure> {
    let progress = Progress::new("asking hubs", hubs.len());
    let looking =
        look_at_hubs(engine, fleet, sandboxes, hubs, depth, &context.interrupt, || progress.done_one());
    let looks = context.unless_interrupted(looking).await?;
    drop(progress);
    let now = clock::now();
    let diagnosed = hubs.iter().zip(looks).map(|(hub, look)| {
        let unavailable = sandboxes.running(fleet, hub).err();
        Diagnosed { findings: diagnose(&look, unavailable.as_ref(), now), look }
    });
    Ok(diagnosed.collect())
}

fn table(diagnosed: &[Diagnosed]) -> Table {
    let mut table = Table::new(
        &["HUB", "SANDBOX", "OPENRC", "TUNNEL", "API", "PROJECT", "VALID UNTIL", ">NODES", ">CLAIMS", ">GIB"],
        None,
    );
    for Diagnosed { look, .. } in diagnosed {
        let credentials = look.credentials.seen();
        let claims = look.claims.seen();
        let bytes: Option<u64> =
            claims.map(|claims| claims.iter().filter_map(|claim| claim.size_bytes).sum());
        let dash = || "-".to_owned();
        table.row([
            look.hub.as_str(),
            match look.sandbox.unseen {
                Some(_) => "unseen",
                None => look.sandbox.state.unwrap_or("none"),
            },
            openrc_word(look),
            tunnel_word(look.tunnel.seen()),
            match &look.api {
                Answer::Seen(()) => "ready",
                Answer::Unseen(_) => "no",
                Answer::NotAsked => "-",
            },
            match (&look.credentials, credentials) {
                (_, Some(credentials)) => &credentials.project.name,
                (Answer::Unseen(_), None) => "no",
                _ => "-",
            },
            &credentials.map_or_else(dash, |credentials| {
                credentials
                    .expires_at
                    .map_or_else(|| "no end".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
            }),
            &look.nodes.seen().map_or_else(dash, |nodes| {
                format!("{}/{}", nodes.iter().filter(|node| node.ready).count(), nodes.len())
            }),
            &claims.map_or_else(dash, |claims| claims.len().to_string()),
            &bytes.map_or_else(dash, gib),
        ]);
    }
    table
}

fn openrc_word(look: &HubLook) -> &'static str {
    match (&look.openrc_stale, look.openrc_open_to_others) {
        (_, None) => "gone",
        (Answer::Seen(true), _) => "stale",
        (Answer::Seen(false), _) => "ok",
        (Answer::Unseen(_), _) => "no",
        (Answer::NotAsked, _) => "-",
    }
}
