//! `fleet orphans --delete`: what is done once the orphans are known.

use super::resume::Resumed;
use super::{Args, confirm, shown, text};
use crate::apply::delete::{self, Limits, Summary, Terms};
use crate::apply::world::RealWorld;
use crate::cli::Format;
use crate::commands::context::{Context, tell, tell_unseen, terminal_width};
use crate::confirm::Confirmed;
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::journal::{Journal, RunRecord};
use crate::plan::orphans::{Deletions, OrphanPlan};
use crate::report::Progress;
use crate::report::orphans::{self as report, Look};

/// Shows what would be deleted, and deletes it if that is confirmed.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
    world: &RealWorld<'_>,
    resumed: Option<Resumed>,
) -> Result<Exit, Failure> {
    // With --confirm, the one JSON document that is written is about what was done.
    match args.format {
        Format::Table => {
            let look = Look { width: terminal_width(), all: false };
            shown(|out| report::deletions(out, deletions, look))?;
            if confirm::is_shown_elsewhere(args) {
                tell(&text(|out| report::deletions(out, deletions, look))?);
            }
        }
        Format::Json if !args.confirm => shown(|out| report::deletions_json(out, deletions))?,
        Format::Json if deletions.is_empty() => shown(|out| report::summary_json(out, &Summary::default()))?,
        Format::Json => {}
    }
    if deletions.is_empty() {
        return Ok(Exit::Done);
    }
    let confirmed = confirm::ask(args, context, &fleet.orphans, plan, deletions).await?;
    // A hub that was declared meanwhile has not been asked.
    if context.fleet()? != *fleet {
        return Err(Failure {
            exit: Exit::CannotTell,
            problems: vec![format!("{} was changed meanwhile; nothing is deleted", fleet.path.display())],
            hint: Some("run it again".to_owned()),
        });
    }
    let Some(resumed) = resumed else {
        let journal = Journal::open(fleet).await?;
        let run = journal.begin(fleet, deletions, confirmed.how(), Vec::new()).await?;
        return carry_out(args, context, fleet, world, deletions, &confirmed, &run).await;
    };
    let run = resumed.journal.begin(fleet, deletions, confirmed.how(), resumed.runs.clone()).await?;
    // Only now: what is left of them is in the plan of a run that is written down.
    resumed.end(Some(run.id())).await?;
    carry_out(args, context, fleet, world, deletions, &confirmed, &run).await
}

async fn carry_out(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    world: &RealWorld<'_>,
    deletions: &Deletions,
    confirmed: &Confirmed,
    run: &RunRecord<'_>,
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
    let terms =
        Terms { rules: &fleet.orphans, limits: &Limits::default(), stop: context.interrupt.receiver() };
    let summary = delete::delete(world, run, deletions, confirmed, &terms, &said).await;
    drop(progress);
    // What was done is told whether or not this can still be written.
    let ended = run.end(summary.exit()).await;
    match args.format {
        Format::Json => shown(|out| report::summary_json(out, &summary))?,
        Format::Table => shown(|out| report::summary(out, &summary))?,
    }
    tell_unseen(&summary.silent);
    ended?;
    Ok(summary.exit())
}
