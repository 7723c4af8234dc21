//! `fleet orphans`: volumes that nothing uses any more, found and, when it is confirmed, deleted.

use super::context::{Context, print, tell, tell_unseen, written};
use crate::apply::delete::{self, Limits, Summary};
use crate::apply::world::RealWorld;
use crate::cli::Format;
use crate::confirm::Confirmed;
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::observe::{Sandboxes, look_at_volumes};
use crate::plan::orphans::{Deletions, OrphanPlan, plan};
use crate::report::Progress;
use crate::report::orphans::{self as report, Look};

/// Find volumes that nothing uses any more, and delete them when that is confirmed
///
/// Volumes of all projects are listed first, then the PVs of all hubs. A volume is an orphan only if it was made for a claim,
/// no PV of any hub refers to it, it is available, old enough, without attachment or snapshot, and nothing marks it as kept or
/// as somebody else's. If one hub or one page is missing, the answer is "cannot tell", and nothing is deleted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet orphans\n  fleet orphans --all\n  fleet orphans --format json | jq '.totals'\n  fleet orphans \
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
    let confirmed = Confirmed::by_flag(&deletions, args.confirm);
    // With --confirm, the one JSON document that is written is about what was done.
    match args.format {
        Format::Table => {
            shown(|out| report::deletions(out, &deletions, Look { width: terminal_width(), all: false }))?;
        }
        Format::Json if !args.confirm => shown(|out| report::deletions_json(out, &deletions))?,
        Format::Json if deletions.is_empty() => shown(|out| report::summary_json(out, &Summary::default()))?,
        Format::Json => {}
    }
    let Some(confirmed) = confirmed else {
        return if deletions.is_empty() { Ok(Exit::Done) } else { Err(unconfirmed(&deletions)) };
    };
    // A hub that was declared meanwhile has not been asked.
    if context.fleet()? != fleet {
        return Err(Failure {
            exit: Exit::CannotTell,
            problems: vec![format!("{} was changed meanwhile; nothing is deleted", fleet.path.display())],
            hint: Some("run it again".to_owned()),
        });
    }
    let world = RealWorld::new(&clusters, &clouds);
    carry_out(args, context, &fleet, &world, &deletions, &confirmed).await
}

fn shown(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut out = Vec::new();
    written(write(&mut out))?;
    print(&String::from_utf8_lossy(&out))
}

fn show(args: &Args, plan: &OrphanPlan<'_>) -> Result<(), Failure> {
    match args.format {
        Format::Json => shown(|out| report::json(out, plan)),
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

fn unconfirmed(deletions: &Deletions) -> Failure {
    let total = deletions.total();
    Failure {
        exit: Exit::Unconfirmed,
        problems: vec![format!("{} volumes, {} GiB, would be deleted for good", total.volumes, total.gib)],
        hint: Some("look at each of them above; then: fleet orphans --delete --confirm".to_owned()),
    }
}

async fn carry_out(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    world: &RealWorld<'_>,
    deletions: &Deletions,
    confirmed: &Confirmed,
) -> Result<Exit, Failure> {
    let progress = Progress::new("deleting", deletions.volumes().len());
    let said = |event: delete::Event<'_>| {
        if let delete::Step::Over(_) = event.step {
            progress.done_one();
        }
        if let Some(line) = report::event(&event) {
            progress.aside(|| tell(&format!("{line}\n")));
        }
    };
    let summary = delete::delete(
        world,
        deletions,
        confirmed,
        &fleet.orphans,
        &Limits::default(),
        context.interrupt.receiver(),
        &said,
    )
    .await;
    drop(progress);
    match args.format {
        Format::Json => shown(|out| report::summary_json(out, &summary))?,
        Format::Table => shown(|out| report::summary(out, &summary))?,
    }
    tell_unseen(&summary.silent);
    Ok(summary.exit())
}
