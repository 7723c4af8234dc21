//! `fleet orphans --delete`: what is done once the orphans are known.

use super::{Args, Format, confirm, shown, text};
use crate::apply::delete::{self, Limits, Summary, Terms};
use crate::apply::world::RealWorld;
use crate::commands::context::{Context, tell, tell_unseen, terminal_width};
use crate::confirm::Confirmed;
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::journal::{Journal, RunRecord};
use crate::plan::orphans::{Deletions, Dropped, OrphanPlan};
use crate::report::Progress;
use crate::report::orphans::{self as report, Look};

/// What is to be deleted.
pub(super) struct Wanted<'w> {
    /// What all volumes are.
    pub(super) plan: &'w OrphanPlan<'w>,
    /// Those that are to be deleted.
    pub(super) deletions: &'w Deletions,
    /// What a saved plan has beside them.
    pub(super) dropped: Option<&'w [Dropped]>,
    /// What they are left of.
    pub(super) earlier: Option<Earlier>,
}

/// Runs that did not live to see their end, and that this one goes on with. As long as this is there, nobody else deletes anything.
pub(super) struct Earlier {
    pub(super) journal: Journal,
    pub(super) runs: Vec<String>,
}

/// Shows what would be deleted, and deletes it if that is confirmed.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    wanted: Wanted<'_>,
    world: &RealWorld<'_>,
) -> Result<Exit, Failure> {
    let Wanted { plan, deletions, dropped, earlier } = wanted;
    // With --confirm, the one JSON document that is written is about what was done.
    match args.format {
        Format::Table | Format::Csv => {
            let look = Look { width: terminal_width(), all: false };
            shown(|out| report::deletions(out, deletions, look))?;
            if confirm::is_shown_elsewhere(args) {
                tell(&text(|out| report::deletions(out, deletions, look))?);
            }
        }
        Format::Json if !args.confirm => shown(|out| report::deletions_json(out, deletions, dropped))?,
        Format::Json if deletions.is_empty() => {
            shown(|out| report::summary_json(out, &Summary::default(), dropped))?;
        }
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
    context.begins(fleet, []);
    let Earlier { journal, runs: resumed } = match earlier {
        Some(earlier) => earlier,
        None => Earlier { journal: Journal::open(fleet).await?, runs: Vec::new() },
    };
    let run = journal.begin(fleet, deletions, confirmed.how(), resumed.clone()).await?;
    // Only now: what is left of them is in the plan of a run that is written down.
    journal.end_all(&resumed, Some(run.id())).await?;
    let summary = carry_out(context, fleet, world, deletions, &confirmed, &run).await;
    // What was done is told whether or not its end can still be written down.
    let ended = run.end(summary.exit()).await;
    match args.format {
        Format::Json => shown(|out| report::summary_json(out, &summary, dropped))?,
        Format::Table | Format::Csv => shown(|out| report::summary(out, &summary))?,
    }
    tell_unseen(&summary.silent);
    ended?;
    Ok(summary.exit())
}

async fn carry_out<'p>(
    context: &Context,
    fleet: &Fleet,
    world: &RealWorld<'_>,
    deletions: &'p Deletions,
    confirmed: &Confirmed,
    run: &RunRecord<'_>,
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
    let terms =
        Terms { rules: &fleet.orphans, limits: &Limits::default(), stop: context.interrupt.receiver() };
    let summary = delete::delete(world, run, deletions, confirmed, &terms, &said).await;
    drop(progress);
    summary
}
