//! `fleet orphans`: volumes that nothing uses any more, found and, when it is confirmed, deleted.

mod delete;

use std::io::{BufWriter, StdoutLock, Write as _};

use super::context::{Context, print, tell, tell_unseen, written};
use crate::apply::world::RealWorld;
use crate::cli::Format;
use crate::exit::{Exit, Failure};
use crate::observe::{Sandboxes, look_at_volumes};
use crate::plan::orphans::{OrphanPlan, plan};
use crate::report::Progress;
use crate::report::orphans::{self as report, Look};

/// Find volumes that nothing uses any more, and delete them when that is confirmed
///
/// Volumes of all projects are listed first, then the PVs of all hubs. A volume is an orphan only if it was made for a claim,
/// no PV of any hub refers to it, it is available, old enough, without attachment or snapshot, and nothing marks it as kept or
/// as somebody else's. If one hub or one page is missing, the answer is "cannot tell", and nothing is deleted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet orphans\n  fleet orphans --all\n  fleet orphans --format json | jq '.projects'\n  fleet orphans \
--delete                what would be deleted; exits 4\n  fleet orphans --delete --confirm      delete it, by id, after a second look at \
each\n\nExit status: 0 done; 1 a deletion failed; 3 cannot tell, nothing was deleted; 4 confirmation is missing."
)]
pub struct Args {
    /// Delete the orphans: shows the plan, and asks for --confirm
    #[arg(long)]
    delete: bool,

    /// Yes, delete them
    #[arg(long, requires = "delete")]
    confirm: bool,

    /// Show every volume with its class and the evidence, not the orphans alone
    #[arg(long)]
    all: bool,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Finds them, and deletes them if that is confirmed.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
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
    if !args.delete {
        show(args, &plan)?;
        return Ok(Exit::Done);
    }
    delete::run(args, context, &fleet, &deletions, &RealWorld::new(&clusters, &clouds)).await
}

fn shown(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut out = Vec::new();
    written(write(&mut out))?;
    print(&String::from_utf8_lossy(&out))
}

/// Writes as it goes: the whole of a large document in memory would be more than all that it is about.
fn streamed(
    write: impl FnOnce(&mut BufWriter<StdoutLock<'_>>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    written(write(&mut out).and_then(|()| out.flush()))
}

fn show(args: &Args, plan: &OrphanPlan<'_>) -> Result<(), Failure> {
    match args.format {
        Format::Json => streamed(|out| report::json(out, plan)),
        Format::Table => {
            shown(|out| report::table(out, plan, Look { width: terminal_width(), all: args.all }))
        }
    }
}

/// The width of the terminal that standard output is; `None` for a pipe or a file.
fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}
