//! `fleet pvc`: every claim of every hub.

use serde::Serialize;
use tokio::sync::SetOnce;

use super::choose::Hubs;
use super::context::{Context, print, print_json, tell_unseen};
use crate::clock;
use crate::commands::format::Format;
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub, HubName};
use crate::observe::{ClaimRow, Sandboxes, look_at_claims};
use crate::observed::Unseen;
use crate::report::{Progress, Table, age, gib};

/// Show every claim of every hub
///
/// Read from each cluster's API through the hub's tunnel, all hubs at once. A hub that does not answer is named, and its
/// claims are not counted as none.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet pvc\n  fleet pvc ou23s --format json | jq -r '.claims[].volume_id'\n\nExit status: 0 when \
every hub answered, 3 otherwise."
)]
pub struct Args {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    hubs: Hubs,
}

/// What hubs say, and what could not be seen.
type Claims = (Vec<(HubName, Vec<ClaimRow>)>, Vec<Unseen>);

#[derive(Serialize)]
struct Row<'a> {
    hub: &'a HubName,
    #[serde(flatten)]
    row: &'a ClaimRow,
}

#[derive(Serialize)]
struct Report<'a> {
    claims: Vec<Row<'a>>,
    unseen: &'a [Unseen],
}

/// Prints it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let progress = Progress::new("asking hubs for their claims", 0);
    let (seen, unseen) = context.unless_interrupted(look(context, &fleet, &hubs)).await??;
    drop(progress);
    let rows = seen.iter().flat_map(|(hub, rows)| rows.iter().map(move |row| Row { hub, row }));
    match args.format {
        Format::Json => print_json(&Report { claims: rows.collect(), unseen: &unseen })?,
        Format::Table => print(&table(rows))?,
    }
    tell_unseen(&unseen);
    Ok(if unseen.is_empty() { Exit::Done } else { Exit::CannotTell })
}

/// Asks the hubs, and the engine meanwhile for what stands in their way.
async fn look(context: &Context, fleet: &Fleet, hubs: &[&Hub]) -> Result<Claims, Failure> {
    let sandboxes = SetOnce::new();
    let look_at_engine = async {
        let engine = context.engine(fleet).await?;
        let found = Sandboxes::look(&engine, fleet).await?;
        // Nobody else sets it.
        let _ = sandboxes.set(found);
        Ok::<(), Failure>(())
    };
    let asking = look_at_claims(fleet, &sandboxes, hubs);
    tokio::pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => return Ok(answer),
        looked = look_at_engine => looked?,
    }
    Ok(asking.await)
}

fn table<'a>(rows: impl Iterator<Item = Row<'a>>) -> String {
    let now = clock::now();
    let mut table =
        Table::new(&["HUB", "NAMESPACE", "NAME", "USER", "PHASE", ">GIB", "PV", "VOLUME ID", ">AGE"], None);
    for Row { hub, row } in rows {
        let ClaimRow { claim, volume_id } = row;
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            hub.as_str(),
            &claim.namespace,
            &claim.name,
            &or_dash(&claim.user),
            &claim.phase,
            &claim.size_bytes.map_or_else(|| "?".to_owned(), gib),
            &or_dash(&claim.volume_name),
            &or_dash(volume_id),
            &age(claim.created_at, now),
        ]);
    }
    table.to_string()
}
