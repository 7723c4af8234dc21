//! `fleet orphans --resume`: settles runs of deletions that did not live to see their end, and goes on with the rest.

use super::Args;
use super::delete::{self, Wanted};
use crate::apply::delete::{Limits, Outcome, Settled, settle};
use crate::apply::world::RealWorld;
use crate::commands::context::{Context, tell};
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::journal::{Fate, History, Journal, VolumeHistory};
use crate::observe::Clouds;
use crate::plan::orphans::{Decided, Deletions, OrphanPlan};
use crate::report::journal::settled as report;
use crate::report::orphans::dropped as dropped_line;
use crate::text::clean;

/// Runs that are being resumed. As long as this is there, nobody else deletes anything.
pub(super) struct Resumed {
    pub(super) journal: Journal,
    pub(super) runs: Vec<String>,
    /// Volumes of their plans that are not done with.
    wanted: Vec<Decided>,
    /// Volumes of which nobody knows what became of them, each with its run.
    unknown: Vec<(String, VolumeHistory)>,
}

impl Resumed {
    /// Runs that did not end; none where there is nothing to resume.
    pub(super) async fn find(fleet: &Fleet) -> Result<Option<Self>, Failure> {
        let journal = Journal::open(fleet).await?;
        let history = journal.history()?;
        for problem in &history.problems {
            tell(&format!("the journal: {}\n", clean(&problem.to_string())));
        }
        let found = Self::of(journal, &history);
        Ok((!found.runs.is_empty()).then_some(found))
    }

    fn of(journal: Journal, history: &History) -> Self {
        let mut found = Self { journal, runs: Vec::new(), wanted: Vec::new(), unknown: Vec::new() };
        for run in history.unended() {
            found.runs.push(run.id.clone());
            for volume in run.volumes.iter().filter(|volume| !volume.is_done()) {
                match volume.fate() {
                    Fate::Unknown => found.unknown.push((run.id.clone(), volume.clone())),
                    _ => found.wanted.extend(volume.decided.clone()),
                }
            }
        }
        found
    }

    /// Asks Cinder for every volume of which nobody knows, and writes down what it says. Whether that is known of all.
    pub(super) async fn settle(
        &mut self,
        clouds: &Clouds,
        world: &RealWorld<'_>,
        plan: &OrphanPlan<'_>,
    ) -> Result<bool, Failure> {
        let mut all = true;
        for (run, volume) in std::mem::take(&mut self.unknown) {
            let Some(decided) = volume.decided else { continue };
            let key = &decided.project.key;
            let outcome = if clouds.of(key).is_none() && plan.is_complete() {
                let reason =
                    "nobody knows: the credentials of no hub lead to its project any more".to_owned();
                Outcome::Failed { reason }
            } else {
                match settle(world, &Limits::default(), key, &volume.id).await {
                    Ok(Settled::Over(outcome)) => outcome,
                    Ok(Settled::There(now)) => Outcome::Failed {
                        reason: format!("it was not deleted: its status is {:?}", now.status),
                    },
                    Err(trouble) => {
                        tell(&format!("volume {}: cannot tell what became of it: {trouble}\n", volume.id));
                        all = false;
                        continue;
                    }
                }
            };
            self.journal.go_on(&run).settle(&volume.id, &outcome).await?;
            tell(&format!("{}\n", report(&run, &decided, &outcome)));
            if matches!(outcome, Outcome::Failed { .. }) {
                self.wanted.push(decided);
            }
        }
        Ok(all)
    }
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
    let (rest, dropped) = deletions.only(plan, &resumed.wanted);
    for one in &dropped {
        tell(&format!("{}\n", dropped_line(one)));
    }
    if rest.is_empty() {
        resumed.journal.end_all(&resumed.runs, None).await?;
        tell(&format!("nothing is left to do of {}\n", resumed.runs.join(", ")));
    }
    let wanted = Wanted { plan, deletions: &rest, dropped: Some(&dropped), resumed: Some(resumed) };
    delete::run(args, context, fleet, wanted, world).await
}
