//! `fleet orphans --mark`: the quarantine's marks.

use super::{Args, Format, shown};
use crate::apply::delete::Limits;
use crate::apply::mark::mark;
use crate::apply::world::RealWorld;
use crate::clock;
use crate::commands::context::Context;
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::plan::orphans::Marking;
use crate::report::Progress;
use crate::report::marks as report;

/// Sets and takes off marks.
pub(super) async fn run(
    args: &Args,
    context: &Context,
    fleet: &Fleet,
    marking: &Marking,
    world: &RealWorld<'_>,
) -> Result<Exit, Failure> {
    context.begins(fleet, []);
    let progress = Progress::new("marking orphans", 0);
    let stop = context.interrupt.receiver();
    let marked = mark(world, marking, clock::now(), fleet.orphans.parallel, &Limits::default(), stop).await;
    drop(progress);
    match args.format {
        Format::Json => shown(|out| report::json(out, &marked))?,
        Format::Table | Format::Csv => shown(|out| report::table(out, &marked))?,
    }
    Ok(marked.exit())
}
