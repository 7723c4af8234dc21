//! `fleet orphans`: volumes that nothing uses any more, found and, when it is confirmed, deleted.

mod apply;
mod confirm;
mod delete;
mod keep;
mod mark;
mod resume;
mod save;
mod unended;
mod why;

use std::io::{BufWriter, StdoutLock, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use self::delete::Wanted;
use self::resume::{Resumed, Settling};
use self::save::Files;
use super::context::{Context, print, tell, tell_unseen, terminal_width, written};
use crate::apply::world::RealWorld;
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
/// as somebody else's. If one hub or one page is missing, the answer is "cannot tell", and nothing is deleted. A cluster that
/// fleet.toml does not have, found by its servers, by a container of the old scripts or in a volume's metadata, blocks deletion
/// in its project until you answer for it there ([[foreign]]).
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("file").multiple(true))]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  fleet orphans\n  fleet orphans --all\n  fleet orphans --format json | jq '.projects'\n  fleet orphans \
--delete                what would be deleted; exits 4\n  fleet orphans --delete --confirm      delete it, by id, after a second look at \
each\n  fleet orphans --save plan.json --report out.html\n  fleet orphans --apply plan.json --confirm   delete what is in the plan and \
still an orphan\n  fleet orphans --why VOLUME            one volume explained, by id or name\n  fleet orphans --format csv > \
volumes.csv\n\nExit status: 0 done; 1 a deletion failed; \
3 cannot tell, nothing was deleted; 4 confirmation is missing."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own on the command line")]
pub struct Args {
    #[command(subcommand)]
    action: Option<keep::Action>,

    /// Delete the orphans: shows the plan, and asks for --confirm, or at a terminal for what is to be typed
    #[arg(long, group = "deletion")]
    delete: bool,

    /// Delete what is in a saved plan and is found once more, unchanged: shows it, and asks like --delete
    #[arg(long, value_name = "FILE", group = "deletion")]
    apply: Option<PathBuf>,

    /// Settle deletions that were cut off by a crash, and go on with what is left of them: asks like --delete
    #[arg(long, group = "deletion")]
    resume: bool,

    /// Yes, delete them
    #[arg(long, requires = "deletion")]
    confirm: bool,

    /// Delete so many at most. Needed where they are more than usual (see the brake in fleet.toml)
    #[arg(long, value_name = "N", requires = "deletion")]
    max: Option<u64>,

    /// Delete, apply or save only what --mark has marked for so long: 7d, say
    #[arg(long, value_name = "TIME", conflicts_with_all = ["resume", "mark"], value_parser = values::duration)]
    marked_for: Option<Duration>,

    /// Mark orphans with the time of this run (fleet.orphan-since), and take the mark off what is no orphan any more
    #[arg(long, conflicts_with_all = ["deletion", "file"])]
    mark: bool,

    #[command(flatten)]
    files: Files,

    /// Show every volume with its class and the evidence, not the orphans alone
    #[arg(long)]
    all: bool,

    /// Explain one volume, by its id or its name: every part of the rule, and what was looked at, where and when
    #[arg(long, value_name = "VOLUME", conflicts_with_all = ["deletion", "file", "mark", "all"])]
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
        let other = self.delete || self.resume || self.mark || self.apply.is_some();
        if self.format == Format::Csv && (other || self.files.save.is_some() || self.why.is_some()) {
            let problem = "--format csv is for the report alone, not for --delete, --apply, --resume, --mark, --save or --why";
            return Err(Failure::usage(problem).hint("take --format json"));
        }
        if self.marked_for.is_some() && !self.delete && self.apply.is_none() && self.files.save.is_none() {
            return Err(Failure::usage("--marked-for goes with --delete, --apply or --save"));
        }
        save::check(&self.files)
    }
}

/// Finds them, and deletes them if that is confirmed.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(action) = &args.action {
        return keep::run(action, context).await;
    }
    args.check()?;
    let fleet = context.fleet()?;
    let saved = args.apply.as_deref().map(|path| apply::read(path, &fleet)).transpose()?;
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
    // On the heap: it holds the state of every client.
    let (view, clouds, clusters) = context.unless_interrupted(Box::pin(looking)).await??;
    drop(progress);
    if let Some(wanted) = &args.why {
        return why::run(args, wanted, &fleet, &view);
    }
    let plan = plan(&view, &fleet.orphans);
    save::report(&args.files, &fleet, &plan)?;
    let world = RealWorld::new(&clusters, &clouds);
    let mut settled = Settling::Known;
    if let Some(resumed) = &mut resumed {
        settled = resumed.settle(context, &fleet, &clouds, &world, &plan).await?;
    }
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
    if settled == Settling::CannotTell {
        return Ok(Exit::CannotTell);
    }
    let deletions = ripe(args, &plan, deletions);
    // "Nothing to delete" would not be the truth where all there is to delete is blocked: then the report says why.
    let deletes = args.delete && !(plan.is_blocked() && deletions.is_empty());
    let changes = saved.is_some() || resumed.is_some() || args.files.save.is_some() || deletes || args.mark;
    // Where a cluster that nobody knows blocks one project, the others go on.
    if plan.is_blocked() {
        tell(
            "fleet.toml does not have all clusters that were found; where they may be, nothing is deleted\n",
        );
        // The table says which they are.
        if changes || args.format != Format::Table {
            tell(&report::unknown_in_words(&plan));
        }
    }
    let exit = if let Some(resumed) = resumed {
        resume::go_on(args, context, &fleet, &plan, &deletions, &world, resumed).await?
    } else if let Some(saved) = saved {
        apply::run(args, context, &fleet, &saved, &plan, &deletions, &world).await?
    } else if let Some(path) = &args.files.save {
        save::run(args, path, &fleet, &view, &plan, &deletions)?
    } else if let (true, Ok(marking)) = (args.mark, plan.marking()) {
        mark::run(args, context, &fleet, &marking, &world).await?
    } else if deletes {
        let wanted = Wanted { plan: &plan, deletions: &deletions, dropped: None, earlier: None };
        delete::run(args, context, &fleet, wanted, &world).await?
    } else {
        show(args, &plan)?;
        Exit::Done
    };
    Ok(match exit {
        Exit::Done | Exit::Failed if plan.is_blocked() => Exit::CannotTell,
        Exit::Done if settled == Settling::Pending => Exit::Failed,
        other => other,
    })
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
        Format::Csv => streamed(|out| report::csv(out, plan)),
        Format::Table => {
            shown(|out| report::table(out, plan, Look { width: terminal_width(), all: args.all }))
        }
    }
}
