//! `fleet journal`: what was ever deleted, when, by whom, and on what evidence.

use super::context::{Context, print, tell, terminal_width, written};
use crate::commands::format::Format;
use crate::exit::{Exit, Failure};
use crate::journal::{self, History};
use crate::report::journal::{self as report, Choice};
use crate::text::clean;

/// Show what fleet has deleted: runs, and what became of each volume
///
/// Every deletion is written down before it is sent and once its outcome is known, in `_fleet/journal.jsonl` in the state
/// directory, one JSON object a line.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet journal\n  fleet journal --run 20260301T120000Z-4711\n  fleet journal --volume \
6ec122bb-8936-436b-9806-50eeffc60e68   with the evidence\n  fleet journal --format json | jq -r '.runs[].volumes[] | \
select(.outcome == \"deleted\").id'"
)]
pub struct Args {
    /// This run alone; the beginning of its id is enough
    #[arg(long, value_name = "ID")]
    run: Option<String>,

    /// This volume alone, with the evidence
    #[arg(long, value_name = "ID")]
    volume: Option<String>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Shows it.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let path = journal::path_of(&fleet).display().to_string();
    let history = journal::read(&fleet)?;
    let run = args.run.as_deref().map(|wanted| one_run(&history, wanted)).transpose()?;
    let choice = Choice { run, volume: args.volume.as_deref() };
    let mut out = Vec::new();
    match args.format {
        Format::Json => written(report::json(&mut out, &path, &history, choice))?,
        Format::Table => written(report::table(&mut out, &history, choice, terminal_width()))?,
    }
    print(&String::from_utf8_lossy(&out))?;
    for problem in &history.problems {
        tell(&format!("{path}: {}\n", clean(&problem.to_string())));
    }
    Ok(Exit::Done)
}

fn one_run<'h>(history: &'h History, wanted: &str) -> Result<&'h str, Failure> {
    let begins = |run: &&crate::journal::RunHistory| run.id.starts_with(wanted);
    if let Some(run) = history.runs.iter().find(|run| run.id == wanted) {
        return Ok(&run.id);
    }
    let found: Vec<&str> = history.runs.iter().filter(begins).map(|run| run.id.as_str()).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            Err(Failure::usage(format!("the journal has no run {wanted:?}")).hint("fleet journal shows all"))
        }
        _ => Err(Failure::usage(format!("several runs begin with {wanted:?}")).hint(found.join(", "))),
    }
}
