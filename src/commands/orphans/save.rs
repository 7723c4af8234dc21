//! `fleet orphans --save` and `--report`: what is written into files, and nothing is deleted.

use std::path::Path;

use super::{Args, Format, shown, terminal_width};
use crate::commands::context::tell;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::Fleet;
use crate::observed::VolumeView;
use crate::plan::orphans::{Deletions, OrphanPlan};
use crate::plan::saved::Terms;
use crate::report::orphans::{self as report, Look};
use crate::saved_plan;
use crate::text::count;

/// It has users' names in it.
const MODE: u32 = 0o600;

/// Whether the files may be written, before everybody is asked. (When they are written, it is asked once more.)
pub(super) fn check(args: &Args) -> Result<(), Failure> {
    let paths = [&args.save, &args.report].into_iter().flatten();
    let problems: Vec<String> = paths.clone().filter_map(|path| wrong_with(path, args.overwrite)).collect();
    if !problems.is_empty() {
        return Err(Failure { exit: Exit::Usage, problems, hint: None });
    }
    if args.save.is_some() && args.save == args.report {
        return Err(Failure::usage("--save and --report name one file"));
    }
    Ok(())
}

fn wrong_with(path: &Path, overwrite: bool) -> Option<String> {
    if path.is_dir() {
        return Some(format!("{} is a directory", path.display()));
    }
    if !files::parent(path).is_dir() {
        return Some(format!("{} is no directory", files::parent(path).display()));
    }
    let there = std::fs::symlink_metadata(path).is_ok();
    (there && !overwrite)
        .then(|| format!("{} is there already; take another name, or add --overwrite", path.display()))
}

/// Saves what may be deleted, and shows it.
pub(super) fn run(
    args: &Args,
    path: &Path,
    fleet: &Fleet,
    view: &VolumeView,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
) -> Result<Exit, Failure> {
    let terms = Terms::new(&fleet.name, view, fleet.orphans.plan_expires);
    saved_plan::write(path, &terms, plan, deletions, args.overwrite)?;
    match args.format {
        Format::Json => shown(|out| report::deletions_json(out, deletions, None))?,
        Format::Table | Format::Csv => {
            shown(|out| report::deletions(out, deletions, Look { width: terminal_width(), all: false }))?;
        }
    }
    let total = deletions.total();
    tell(&format!(
        "saved {}: {}, {} GiB; it expires at {}\n",
        path.display(),
        count(total.volumes, "volume"),
        total.gib,
        terms.expires_at
    ));
    if !deletions.is_empty() {
        tell(&format!(
            "    take out of it what is to stay; then: fleet orphans --apply {} --confirm\n",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

/// Writes the page, if one is wanted. It has no say in what is deleted; where it cannot be written, nothing is, because
/// whoever asked for it wants to have it.
pub(super) fn report(args: &Args, fleet: &Fleet, plan: &OrphanPlan<'_>) -> Result<(), Failure> {
    let Some(path) = &args.report else { return Ok(()) };
    let page = report::page(plan, &fleet.name);
    let write = if args.overwrite { files::replace } else { files::create };
    write(path, page.as_bytes(), MODE).map_err(|error| Failure::failed(&error))?;
    tell(&format!("wrote {}\n", path.display()));
    Ok(())
}
