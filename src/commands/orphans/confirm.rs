//! Asking whether what was shown may be deleted: the brake, `--confirm`, and what is typed at a terminal.

use std::io::IsTerminal as _;

use super::{Args, Format};
use crate::commands::context::Context;
use crate::commands::prompt::{self, unconfirmed};
use crate::confirm::{Confirmed, to_type};
use crate::exit::Failure;
use crate::hub::OrphanRules;
use crate::plan::brake::brake;
use crate::plan::orphans::{Deletions, OrphanPlan};
use crate::report::duration;
use crate::text::{clean, count, quoted};

/// Whether it may be deleted. The plan has been shown.
pub(super) async fn ask(
    args: &Args,
    context: &Context,
    rules: &OrphanRules,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
) -> Result<Confirmed, Failure> {
    let total = deletions.total();
    let volumes = count(total.volumes, "volume");
    let why = brake(plan, deletions, rules, args.max);
    if !why.is_empty() {
        let why: Vec<String> = why.iter().map(ToString::to_string).collect();
        return Err(unconfirmed(
            format!("{volumes} would be deleted for good: {}", why.join("; ")),
            format!("if they are all meant: {}", command(args, context, Some(total.volumes))),
        ));
    }
    if let Some(confirmed) = Confirmed::by_flag(deletions, args.confirm) {
        return Ok(confirmed);
    }
    if !can_type(args) {
        return Err(unconfirmed(
            format!("{volumes}, {} GiB, would be deleted for good", total.gib),
            format!("look at each of them above; then: {}", command(args, context, args.max)),
        ));
    }
    let question = format!(
        "{volumes}, {} GiB, will be deleted for good.\nTo confirm, type {} (anything else keeps them): ",
        total.gib,
        clean(&to_type(deletions))
    );
    // The second look comes afterwards, so that nothing rests on what was seen before somebody took their time to read.
    let typed = prompt::ask(context, &question, "nothing is deleted").await?;
    Confirmed::by_typing(deletions, &typed)
        .ok_or_else(|| unconfirmed("that is something else; nothing is deleted", "run it again"))
}

/// Whether somebody is there who reads and types. A program that reads JSON is not.
fn can_type(args: &Args) -> bool {
    args.format == Format::Table && prompt::can_type()
}

/// Whether the plan that is shown on standard output goes to the same person.
pub(super) fn is_shown_elsewhere(args: &Args) -> bool {
    !args.confirm && can_type(args) && !std::io::stdout().is_terminal()
}

/// The same command, confirmed.
fn command(args: &Args, context: &Context, max: Option<u64>) -> String {
    let mut words = vec!["fleet".to_owned()];
    if let Some(config) = &context.config {
        words.push(format!("--config {}", quoted(&[config.display().to_string()])));
    }
    words.push("orphans".to_owned());
    words.push(match &args.apply {
        Some(plan) => format!("--apply {}", quoted(&[plan.display().to_string()])),
        None if args.resume => "--resume".to_owned(),
        None => "--delete".to_owned(),
    });
    words.extend(args.marked_for.map(|marked_for| format!("--marked-for {}", duration(marked_for))));
    words.push("--confirm".to_owned());
    words.extend(max.map(|max| format!("--max {max}")));
    words.join(" ")
}
