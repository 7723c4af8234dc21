//! `fleet orphans`: volumes that nothing uses any more, found and, when it is confirmed, deleted.

mod apply;
mod delete;
mod save;
mod why;

use std::path::PathBuf;

use self::save::Files;
use super::context::{Context, print, tell, tell_unseen, written};
use crate::apply::world::RealWorld;
use crate::exit::{Exit, Failure};
use crate::observe::{Sandboxes, look_at_volumes};
use crate::plan::orphans::{OrphanPlan, plan};
use crate::report::Progress;
use crate::report::orphans::{self as report, Look};

/// Find volumes that nothing uses any more, and delete them when that is confirmed
///
/// Volumes of all projects are listed first, then the PVs of all hubs. A volume is an orphan only if it was made for a claim,
/// no PV of any hub refers to it, it is available, old enough, without attachment or snapshot, and nothing marks it as kept or
/// as somebody else's. If one hub or one page is missing, the answer is "cannot tell", and nothing is deleted. A cluster that
/// fleet.toml does not have, found by its servers, by a container of the old scripts or in a volume's metadata, blocks deletion
/// in its project until you answer for it there ([[foreign]]).
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("file").multiple(true))]
#[command(
    after_help = "Examples:\n  fleet orphans\n  fleet orphans --all\n  fleet orphans --format json | jq '.projects'\n  fleet orphans \
--delete                what would be deleted; exits 4\n  fleet orphans --delete --confirm      delete it, by id, after a second look at \
each\n  fleet orphans --save plan.json --report out.html\n  fleet orphans --apply plan.json --confirm   delete what is in the plan and \
still an orphan\n  fleet orphans --why VOLUME            one volume explained, by id or name\n  fleet orphans --format csv > \
volumes.csv\n\nExit status: 0 done; 1 a deletion failed; \
3 cannot tell, nothing was deleted; 4 confirmation is missing."
)]
pub struct Args {
    /// Delete the orphans: shows the plan, and asks for --confirm
    #[arg(long, group = "deletion")]
    delete: bool,

    /// Delete what is in a saved plan and is found once more, unchanged: shows it, and asks for --confirm
    #[arg(long, value_name = "FILE", group = "deletion")]
    apply: Option<PathBuf>,

    /// Yes, delete them
    #[arg(long, requires = "deletion")]
    confirm: bool,

    #[command(flatten)]
    files: Files,

    /// Show every volume with its class and the evidence, not the orphans alone
    #[arg(long)]
    all: bool,

    /// Explain one volume, by its id or its name: every part of the rule, and what was looked at, where and when
    #[arg(long, value_name = "VOLUME", conflicts_with_all = ["deletion", "file", "all"])]
    why: Option<String>,

    /// How to write it; csv is for the report alone
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table, for eyes.
    Table,
    /// JSON, for programs.
    Json,
    /// CSV, for spreadsheets.
    Csv,
}

impl Args {
    /// What the command line itself does not show to be wrong. Asked first: a scan takes its time.
    fn check(&self) -> Result<(), Failure> {
        if self.format == Format::Csv
            && (self.delete || self.apply.is_some() || self.files.save.is_some() || self.why.is_some())
        {
            let problem = "--format csv is for the report alone, not for --delete, --apply, --save or --why";
            return Err(Failure::usage(problem).hint("take --format json"));
        }
        save::check(&self.files)
    }
}

/// Finds them, and deletes them if that is confirmed.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.check()?;
    let fleet = context.fleet()?;
    let saved = args.apply.as_deref().map(|path| apply::read(path, &fleet)).transpose()?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let progress = Progress::new("asking all projects for their volumes, then all hubs for their PVs", 0);
    let looking = look_at_volumes(&engine, &fleet, &sandboxes, &context.interrupt);
    let (view, clouds, clusters) = context.unless_interrupted(looking).await??;
    drop(progress);
    if let Some(wanted) = &args.why {
        return why::run(args, wanted, &fleet, &view);
    }
    let plan = plan(&view, &fleet.orphans);
    save::report(&args.files, &fleet, &plan)?;
    let deletions = match plan.deletions() {
        Ok(deletions) => deletions,
        Err(unseen) => {
            show(args, &plan)?;
            tell("cannot tell what is orphaned, because not everybody answered; nothing is deleted\n");
            if args.files.save.is_some() {
                tell("no plan is saved\n");
            }
            // The table has said which; the others say it where nobody reads along.
            if args.format != Format::Table {
                tell_unseen(unseen);
            }
            return Ok(Exit::CannotTell);
        }
    };
    let reports = saved.is_none()
        && args.files.save.is_none()
        && (!args.delete || plan.is_blocked() && deletions.is_empty());
    // Where a cluster that nobody knows blocks one project, the others go on.
    if plan.is_blocked() {
        tell(
            "fleet.toml does not have all clusters that were found; where they may be, nothing is deleted\n",
        );
        // The table says which they are.
        if !reports || args.format != Format::Table {
            tell(&report::unknown_in_words(&plan));
        }
    }
    let world = RealWorld::new(&clusters, &clouds);
    let exit = if reports {
        show(args, &plan)?;
        Exit::Done
    } else if let Some(saved) = saved {
        apply::run(args, context, &fleet, &saved, &plan, &deletions, &world).await?
    } else if let Some(path) = &args.files.save {
        save::run(args, path, &fleet, &view, &plan, &deletions)?
    } else {
        delete::run(args, context, &fleet, &deletions, None, &world).await?
    };
    Ok(if plan.is_blocked() && exit <= Exit::Failed { Exit::CannotTell } else { exit })
}

fn shown(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut out = Vec::new();
    written(write(&mut out))?;
    print(&String::from_utf8_lossy(&out))
}

fn show(args: &Args, plan: &OrphanPlan<'_>) -> Result<(), Failure> {
    match args.format {
        Format::Json => shown(|out| report::json(out, plan)),
        Format::Csv => shown(|out| report::csv(out, plan)),
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
