//! `fleet tunnel status`: one line a tunnel.

use jiff::Timestamp;

use crate::clock;
use crate::commands::choose::Hubs;
use crate::commands::context::{Context, print, print_json, tell_unseen};
use crate::commands::format::Format;
use crate::exit::{Exit, Failure};
use crate::observe::{Sandboxes, look_at_tunnels};
use crate::observed::{Tunnel, TunnelLook, Unseen};
use crate::plan::diagnose::tunnel_word;
use crate::plan::tunnel::explained;
use crate::report::{Progress, Table, age};
use crate::text::or_dash;

/// Show each tunnel: whether requests get through, since when, where to, how fast
///
/// A process that is alive and a port that is open say little: `up` means that the API server has answered `/readyz` through
/// it, or at least something. `hangs` means that it takes connections and nothing comes back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet tunnel status\n  fleet tunnel status ou23s --format json\n\nExit status: 0 when every API \
                  answers, 1 otherwise."
)]
pub struct Args {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    hubs: Hubs,
}

/// Prints it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let progress = Progress::new("asking hubs", hubs.len());
    let looking = look_at_tunnels(&engine, &fleet, &sandboxes, &hubs, || progress.done_one());
    let looks = context.unless_interrupted(looking).await?;
    drop(progress);
    match args.format {
        Format::Json => print_json(&looks)?,
        Format::Table => {
            print(&table(&looks, clock::now()).to_string())?;
            let problems: Vec<Unseen> = looks.iter().filter_map(problem).collect();
            tell_unseen(&problems);
        }
    }
    Ok(if looks.iter().all(|look| look.problem.is_none()) { Exit::Done } else { Exit::Failed })
}

fn problem(look: &TunnelLook) -> Option<Unseen> {
    let missing = look.problem.as_ref()?;
    match &look.said {
        // What a tunnel said before it came up is no news.
        Some(said) if look.tunnel != Some(Tunnel::Up) => Some(explained(missing, &look.hub, said)),
        _ => Some(missing.clone()),
    }
}

fn table(looks: &[TunnelLook], now: Timestamp) -> Table {
    let by_way = looks.iter().any(|look| look.jump.is_some());
    let mut headings = vec!["HUB", "TUNNEL", ">SINCE", ">ANSWERS IN", "MASTER", "HOST KEY"];
    if by_way {
        headings.extend(["BY WAY OF", "ITS HOST KEY"]);
    }
    let mut table = Table::new(&headings, None);
    for look in looks {
        let took = look.answered_ms.map(|ms| format!("{ms} ms"));
        let mut row = vec![
            look.hub.as_str().to_owned(),
            tunnel_word(look.tunnel.as_ref()).to_owned(),
            age(look.since, now),
            or_dash(took.as_deref()).into_owned(),
            look.master.clone(),
            or_dash(look.host_key.as_deref()).into_owned(),
        ];
        if by_way {
            row.extend([&look.jump, &look.jump_host_key].map(|cell| or_dash(cell.as_deref()).into_owned()));
        }
        table.row(row);
    }
    table
}
