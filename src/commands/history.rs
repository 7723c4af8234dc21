//! `fleet history`: who ran what where, when, and what came of it.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::context::{Context, print, print_json, tell, terminal_width};
use crate::clock;
use crate::commands::format::Format;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::history::{self, Ran};
use crate::hub::HubName;
use crate::report::{Table, duration};
use crate::text::{clean, quoted};

/// So many hubs are named in the table; the JSON has all.
const NAMED: usize = 3;

/// Show who ran what where, when, and what came of it
///
/// Every command that changes or runs something is written down when it begins and when it ends, in `_fleet/history.jsonl` in the state
/// directory (readable by you alone, and bounded). One without an end was killed, or is still running. What looks like a secret is
/// masked before it is written. What was deleted, and on what evidence, is in `fleet journal`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet history\n  fleet history --hub ou23s --since 7d\n  fleet history --limit 0 --format json | jq -r '.[] | \
select(.exit != 0) | .arguments | join(\" \")'"
)]
pub struct Args {
    /// What was run for this hub; one that is gone, too
    #[arg(long, value_name = "HUB")]
    hub: Option<HubName>,

    /// What was begun since then: 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = config::values::lifetime)]
    since: Option<Duration>,

    /// The last ones alone, 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Shows it.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let past = history::read(&fleet)?;
    let since = args.since.and_then(|since| SignedDuration::try_from(since).ok());
    let since = since.and_then(|since| clock::now().checked_sub(since).ok());
    let limit = (args.limit > 0).then_some(args.limit);
    let chosen = past.chosen(args.hub.as_ref().map(HubName::as_str), since, limit);
    match args.format {
        Format::Json => print_json(&chosen.iter().map(|ran| document(ran)).collect::<Vec<_>>())?,
        Format::Table => {
            let mut table = Table::new(&["BEGUN", "BY", "TOOK", "END", "HUBS", "COMMAND"], terminal_width());
            for ran in &chosen {
                table.row(row(ran));
            }
            print(&table.to_string())?;
        }
    }
    for problem in &past.problems {
        tell(&format!("{}\n", clean(problem)));
    }
    Ok(Exit::Done)
}

fn row(ran: &Ran) -> [String; 6] {
    let begin = ran.begin.as_ref();
    let by = begin.map(|begin| format!("{}@{}", begin.by.who.user, begin.by.who.host));
    let hubs = begin.map(|begin| {
        let mut names: Vec<&str> = begin.hubs.iter().take(NAMED).map(HubName::as_str).collect();
        let more = begin.hubs.len().saturating_sub(NAMED);
        let and = format!("and {more} more");
        names.extend((more > 0).then_some(and.as_str()));
        names.join(", ")
    });
    let or_dash =
        |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    [
        format!("{:.0}", ran.at),
        or_dash(by),
        or_dash(
            ran.took().map(|took| duration(Duration::from_secs_f64(took.as_secs_f64().round().max(1.0)))),
        ),
        end(ran),
        or_dash(hubs),
        or_dash(begin.map(|begin| quoted(&begin.arguments))),
    ]
}

/// fleet's status, and in how many hubs it was another one.
fn end(ran: &Ran) -> String {
    let Some(end) = &ran.end else { return "none".to_owned() };
    let others: Vec<String> = end
        .hubs
        .iter()
        .filter(|(how, _)| *how != "0")
        .map(|(how, number)| format!("{how} in {number}"))
        .collect();
    if others.is_empty() { end.exit.to_string() } else { format!("{} ({})", end.exit, others.join(", ")) }
}

fn document(ran: &Ran) -> Value {
    json!({
        "id": ran.id,
        "begun": ran.at,
        "by": ran.begin.as_ref().map(|begin| &begin.by),
        "fleet": ran.begin.as_ref().map(|begin| &begin.fleet),
        "version": ran.begin.as_ref().map(|begin| &begin.version),
        "arguments": ran.begin.as_ref().map(|begin| &begin.arguments),
        "hubs": ran.begin.as_ref().map(|begin| &begin.hubs),
        "ended": ran.end.is_some(),
        "exit": ran.end.as_ref().map(|end| end.exit),
        "milliseconds": ran.end.as_ref().map(|end| end.milliseconds),
        "hubs_by_status": ran.end.as_ref().map(|end| &end.hubs),
    })
}
