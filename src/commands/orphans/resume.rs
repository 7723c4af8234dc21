//! `fleet orphans --resume`: settles runs of deletions that did not live to see their end, and goes on with the rest.

use futures_util::{StreamExt as _, stream};

use super::Args;
use super::delete::{self, Earlier, Wanted};
use crate::apply::delete::{Limits, Outcome, Settled, Trouble, settle};
use crate::apply::world::RealWorld;
use crate::commands::context::{Context, tell};
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::journal::{History, Journal};
use crate::observe::Clouds;
use crate::plan::orphans::{Decided, Deletions, OrphanPlan};
use crate::report::Progress;
use crate::report::journal::settled as report;
use crate::report::orphans::dropped as dropped_line;
use crate::text::clean;

/// Runs that are being resumed.
pub(super) struct Resumed {
    earlier: Earlier,
    /// Volumes of their plans that are not done with.
    wanted: Vec<Decided>,
    /// Volumes of which nobody knows what became of them.
    open: Vec<Open>,
}

/// A deletion that nobody followed to its end.
struct Open {
    run: String,
    decided: Decided,
    /// Its run did not end, so that what is left of its plan is gone on with.
    goes_on: bool,
}

/// How settling went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settling {
    /// What became of every volume is known.
    Known,
    /// Cinder is still at some of them.
    Pending,
    /// Somebody did not answer.
    CannotTell,
}

impl Resumed {
    /// Runs of the fleet with something to settle; none where there is nothing to resume.
    pub(super) async fn find(fleet: &Fleet) -> Result<Option<Self>, Failure> {
        let journal = Journal::open(fleet).await?;
        let history = journal.history()?;
        for problem in &history.problems {
            tell(&format!("the journal: {}\n", clean(&problem.to_string())));
        }
        let found = Self::of(journal, &history, &fleet.name);
        Ok((!found.earlier.runs.is_empty() || !found.open.is_empty()).then_some(found))
    }

    fn of(journal: Journal, history: &History, fleet: &str) -> Self {
        let earlier = Earlier { journal, runs: Vec::new() };
        let mut found = Self { earlier, wanted: Vec::new(), open: Vec::new() };
        for run in history.unsettled(fleet) {
            let goes_on = run.end.is_none();
            if goes_on {
                found.earlier.runs.push(run.id.clone());
            }
            for volume in run.volumes.iter().filter(|volume| !volume.is_done()) {
                // Without a line that tells which volume it was, there is nothing to ask for.
                let Some(decided) = volume.decided.clone() else { continue };
                if volume.is_open() {
                    found.open.push(Open { run: run.id.clone(), decided, goes_on });
                } else if goes_on {
                    found.wanted.push(decided);
                }
            }
        }
        found
    }

    /// Asks Cinder for every volume of which nobody knows, and writes down what it says.
    pub(super) async fn settle(
        &mut self,
        context: &Context,
        fleet: &Fleet,
        clouds: &Clouds,
        world: &RealWorld<'_>,
        plan: &OrphanPlan<'_>,
    ) -> Result<Settling, Failure> {
        let open = std::mem::take(&mut self.open);
        let progress = Progress::new("settling deletions that nobody followed to their end", open.len());
        let ask = async |open: Open| {
            let settled = what_became_of(&open.decided, clouds, world, plan).await;
            (open, settled)
        };
        let mut answers =
            std::pin::pin!(stream::iter(open).map(ask).buffer_unordered(fleet.orphans.parallel.max(1)));
        let mut all = Settling::Known;
        // Nothing is changed here: whoever stops it loses only what has not been written down yet, and it is asked again.
        while let Some((open, settled)) = context.unless_interrupted(answers.next()).await? {
            let Open { run, decided, goes_on } = open;
            progress.done_one();
            let say = |line: String| progress.aside(|| tell(&format!("{line}\n")));
            let outcome = match settled {
                Ok(outcome) => outcome,
                Err(trouble) => {
                    say(format!("volume {}: cannot tell what became of it: {trouble}", decided.volume.id));
                    all = Settling::CannotTell;
                    continue;
                }
            };
            self.earlier.journal.go_on(&run).settle(&decided.volume.id, &outcome).await?;
            say(report(&run, &decided, &outcome));
            match outcome {
                Outcome::Failed { .. } if goes_on => self.wanted.push(decided),
                Outcome::Pending { .. } if all == Settling::Known => all = Settling::Pending,
                _ => {}
            }
        }
        Ok(all)
    }
}

async fn what_became_of(
    decided: &Decided,
    clouds: &Clouds,
    world: &RealWorld<'_>,
    plan: &OrphanPlan<'_>,
) -> Result<Outcome, Trouble> {
    let key = &decided.project.key;
    if clouds.of(key).is_none() && plan.is_complete() {
        let reason = "nobody knows: the credentials of no hub lead to its project any more".to_owned();
        return Ok(Outcome::Failed { reason });
    }
    Ok(match settle(world, &Limits::default(), key, &decided.volume.id).await? {
        Settled::Over(outcome) => outcome,
        Settled::There(now) => {
            Outcome::Failed { reason: format!("it was not deleted: its status is {:?}", now.status) }
        }
    })
}

/// Goes on with what is left of their plans: what is an orphan now, too.
pub(super) async fn go_on(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
    world: &RealWorld<'_>,
    resumed: Resumed,
) -> Result<Exit, Failure> {
    let Resumed { earlier, wanted, open: _ } = resumed;
    let (rest, dropped) = deletions.only(plan, &wanted);
    for one in &dropped {
        tell(&format!("{}\n", dropped_line(one)));
    }
    if rest.is_empty() {
        earlier.journal.end_all(&earlier.runs, None).await?;
        if !earlier.runs.is_empty() {
            tell(&format!("nothing is left to do of {}\n", earlier.runs.join(", ")));
        }
    }
    let wanted = Wanted { plan, deletions: &rest, dropped: Some(&dropped), earlier: Some(earlier) };
    delete::run(args, context, fleet, wanted, world).await
}
