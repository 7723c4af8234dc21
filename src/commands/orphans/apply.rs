//! `fleet orphans --apply`: deletes what is in a saved plan and is found once more.

use std::path::Path;

use super::Args;
use super::delete::{self, Wanted};
use crate::apply::world::RealWorld;
use crate::clock;
use crate::commands::context::{Context, tell};
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::plan::orphans::{Deletions, OrphanPlan};
use crate::plan::saved::SavedPlan;
use crate::report::orphans as report;
use crate::saved_plan;
use crate::text::count;

/// Reads a plan that this fleet may apply now.
pub(super) fn read(path: &Path, fleet: &Fleet) -> Result<SavedPlan, Failure> {
    let saved = saved_plan::read(path)?;
    let refusals = saved.terms.refusals(&fleet.name, fleet.orphans.plan_expires, clock::now());
    if refusals.is_empty() {
        return Ok(saved);
    }
    Err(Failure {
        exit: Exit::Usage,
        problems: refusals.iter().map(|refusal| format!("{}: {refusal}", path.display())).collect(),
        hint: Some("save a new one: fleet orphans --save FILE".to_owned()),
    })
}

/// Goes on with what is in both, as if it had just been found, and tells what dropped out. That is no failure: a plan is
/// a bound and not an order.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    saved: &SavedPlan,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
    world: &RealWorld<'_>,
) -> Result<Exit, Failure> {
    let missing = saved.terms.not_asked_again(plan);
    if !missing.is_empty() {
        let problem =
            |hub| format!("hub {hub} was asked when the plan was saved, and is not in the fleet any more");
        return Err(Failure {
            exit: Exit::CannotTell,
            problems: missing.iter().map(problem).collect(),
            hint: Some("nothing is deleted; save a new plan: fleet orphans --save FILE".to_owned()),
        });
    }
    let (both, dropped) = deletions.only(plan, &saved.volumes);
    for one in &dropped {
        tell(&format!("{}\n", report::dropped(one)));
    }
    let (all, left) = (saved.volumes.len() as u64, both.volumes().len());
    tell(&format!("of {} in the plan, {left} can be deleted\n", count(all, "volume")));
    let wanted = Wanted { plan, deletions: &both, dropped: Some(&dropped), earlier: None };
    delete::run(args, context, fleet, wanted, world).await
}
