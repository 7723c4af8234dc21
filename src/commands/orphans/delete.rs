//! `fleet orphans --delete`: what is done once the orphans are known.

use super::{Args, Format, shown, terminal_width};
use crate::apply::delete::{self, Limits, Summary};
use crate::apply::world::RealWorld;
use crate::commands::context::{Context, tell, tell_unseen};
use crate::confirm::Confirmed;
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::plan::orphans::{Deletions, Dropped};
use crate::report::Progress;
use crate::report::orphans::{self as report, Look};

/// Shows what would be deleted, and deletes it if that is confirmed. `dropped` is what a saved plan has beside it.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    deletions: &Deletions,
    dropped: Option<&[Dropped]>,
    world: &RealWorld<'_>,
) -> Result<Exit, Failure> {
    let confirmed = Confirmed::by_flag(deletions, args.confirm);
    // With --confirm, the one JSON document that is written is about what was done.
    match args.format {
        Format::Table | Format::Csv => {
            shown(|out| report::deletions(out, deletions, Look { width: terminal_width(), all: false }))?;
        }
        Format::Json if !args.confirm => shown(|out| report::deletions_json(out, deletions, dropped))?,
        Format::Json if deletions.is_empty() => {
            shown(|out| report::summary_json(out, &Summary::default(), dropped))?;
        }
        Format::Json => {}
    }
    let Some(confirmed) = confirmed else {
        return if deletions.is_empty() { Ok(Exit::Done) } else { Err(unconfirmed(args, deletions)) };
    };
    // A hub that was declared meanwhile has not been asked.
    if context.fleet()? != *fleet {
        return Err(Failure {
            exit: Exit::CannotTell,
            problems: vec![format!("{} was changed meanwhile; nothing is deleted", fleet.path.display())],
            hint: Some("run it again".to_owned()),
        });
    }
    let summary = carry_out(context, fleet, world, deletions, &confirmed).await;
    match args.format {
        Format::Json => shown(|out| report::summary_json(out, &summary, dropped))?,
        Format::Table | Format::Csv => shown(|out| report::summary(out, &summary))?,
    }
    tell_unseen(&summary.silent);
    Ok(summary.exit())
}

fn unconfirmed(args: &Args, deletions: &Deletions) -> Failure {
    let total = deletions.total();
    let what = match &args.apply {
        Some(path) => format!("--apply {}", path.display()),
        None => "--delete".to_owned(),
    };
    Failure {
        exit: Exit::Unconfirmed,
        problems: vec![format!("{} volumes, {} GiB, would be deleted for good", total.volumes, total.gib)],
        hint: Some(format!("look at each of them above; then: fleet orphans {what} --confirm")),
    }
}

async fn carry_out<'p>(
    context: &Context,
    fleet: &Fleet,
    world: &RealWorld<'_>,
    deletions: &'p Deletions,
    confirmed: &Confirmed,
) -> Summary<'p> {
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
    summary
}
