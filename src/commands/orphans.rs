//! `fleet orphans`: volumes that nothing uses any more, found and, when it is confirmed, deleted.

mod confirm;
mod delete;
mod keep;
mod mark;
mod resume;
mod unended;

use std::time::Duration;

use self::resume::Resumed;
use super::context::{Context, print, tell, tell_unseen, terminal_width, written};
use crate::apply::world::RealWorld;
use crate::cli::Format;
use crate::config::values;
use crate::exit::{Exit, Failure};
use crate::observe::{Sandboxes, look_at_volumes};
use crate::plan::orphans::{Deletions, OrphanPlan, plan};
use crate::report::orphans::{self as report, Look};
use crate::report::{Progress, duration};
use crate::text::count;

/// Find volumes that nothing uses any more, and delete them when that is confirmed
///
/// Volumes of all projects are listed first, then the PVs of all hubs. A volume is an orphan only if it was made for a claim,
/// no PV of any hub refers to it, it is available, old enough, without attachment or snapshot, and nothing marks it as kept or
/// as somebody else's. If one hub or one page is missing, the answer is "cannot tell", and nothing is deleted.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  fleet orphans\n  fleet orphans --all\n  fleet orphans --format json | jq '.projects'\n  fleet orphans \
--delete                what would be deleted; exits 4\n  fleet orphans --delete --confirm      delete it, by id, after a second look at \
each\n\nExit status: 0 done; 1 a deletion failed; 3 cannot tell, nothing was deleted; 4 confirmation is missing."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own on the command line")]
pub struct Args {
    #[command(subcommand)]
    action: Option<keep::Action>,

    /// Delete the orphans: shows the plan, and asks for --confirm, or at a terminal for what is to be typed
    #[arg(long, group = "deed")]
    delete: bool,

    /// Settle deletions that were cut off by a crash, and go on with what is left of them: like --delete
    #[arg(long, group = "deed")]
    resume: bool,

    /// Yes, delete them
    #[arg(long, requires = "deed")]
    confirm: bool,

    /// Delete so many at most. Needed where they are more than usual (see the brake in fleet.toml)
    #[arg(long, value_name = "N", requires = "deed")]
    max: Option<u64>,

    /// Mark orphans with the time of this run (fleet.orphan-since), and take the mark off what is no orphan any more
    #[arg(long, conflicts_with = "deed")]
    mark: bool,

    /// Delete only what --mark has marked for so long: 7d, say
    #[arg(long, value_name = "TIME", requires = "delete", value_parser = values::duration)]
    marked_for: Option<Duration>,

    /// Show every volume with its class and the evidence, not the orphans alone
    #[arg(long)]
    all: bool,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Finds them, and deletes them if that is confirmed.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(action) = &args.action {
        return keep::run(action, context).await;
    }
    let fleet = context.fleet()?;
    let mut resumed = None;
    if args.resume {
        resumed = Resumed::find(&fleet).await?;
        if resumed.is_none() {
            tell("every run of deletions has come to its end; there is nothing to resume\n");
            return Ok(Exit::Done);
        }
    } else {
        unended::tell_unended(&fleet);
    }
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let progress = Progress::new("asking all projects for their volumes, then all hubs for their PVs", 0);
    let looking = look_at_volumes(&engine, &fleet, &sandboxes, &context.interrupt);
    let (view, clouds, clusters) = tokio::select! {
        seen = looking => seen?,
        () = context.interrupt.asked() => return Err(Failure::interrupted()),
    };
    drop(progress);
    let plan = plan(&view, &fleet.orphans);
    let world = RealWorld::new(&clusters, &clouds);
    let mut all_settled = true;
    if let Some(resumed) = &mut resumed {
        all_settled = resumed.settle(&clouds, &world, &plan).await?;
    }
    let deletions = match plan.deletions() {
        Ok(deletions) => deletions,
        Err(unseen) => {
            show(args, &plan)?;
            tell("cannot tell what is orphaned, because not everybody answered; nothing is deleted\n");
            // The table has said which; the JSON says it where nobody reads along.
            if args.format == Format::Json {
                tell_unseen(unseen);
            }
            return Ok(Exit::CannotTell);
        }
    };
    if let Some(resumed) = resumed {
        if !all_settled {
            return Ok(Exit::CannotTell);
        }
        return resume::go_on(args, context, &fleet, &plan, &deletions, &world, resumed).await;
    }
    if let (true, Ok(marking)) = (args.mark, plan.marking()) {
        return mark::run(args, context, &fleet, &marking, &world).await;
    }
    if !args.delete {
        show(args, &plan)?;
        return Ok(Exit::Done);
    }
    let deletions = ripe(args, &plan, deletions);
    delete::run(args, context, &fleet, &plan, &deletions, &world, None).await
}

/// With `--marked-for`, what has been marked for so long.
fn ripe(args: &Args, plan: &OrphanPlan<'_>, deletions: Deletions) -> Deletions {
    let Some(at_least) = args.marked_for else { return deletions };
    let ripe = deletions.marked_for(at_least, plan.seen_at());
    let rest = (deletions.volumes().len() - ripe.volumes().len()) as u64;
    if rest > 0 {
        let at_least = duration(at_least);
        tell(&format!("{} not marked for {at_least} yet: kept\n", count(rest, "orphan")));
    }
    ripe
}

fn shown(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Failure> {
    print(&text(write)?)
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<String, Failure> {
    let mut out = Vec::new();
    written(write(&mut out))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn show(args: &Args, plan: &OrphanPlan<'_>) -> Result<(), Failure> {
    match args.format {
        Format::Json => shown(|out| report::json(out, plan)),
        Format::Table => {
            shown(|out| report::table(out, plan, Look { width: terminal_width(), all: args.all }))
        }
    }
}
