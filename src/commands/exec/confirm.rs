//! Asking whether a guarded command is meant for so many hubs.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Args, Work};
use crate::commands::context::{Context, tell};
use crate::exec::Event;
use crate::exit::{Exit, Failure};
use crate::hub::Hub;
use crate::plan::guard::guarded;
use crate::text::quoted;

/// How long fleet waits for somebody who reads which hubs they are.
const PATIENCE: Duration = Duration::from_mins(10);

/// Goes on where the command may run in these hubs.
pub(super) async fn ask(
    args: &Args,
    context: &Context,
    guards: &[String],
    hubs: &[&Hub],
) -> Result<(), Failure> {
    if args.confirm_each {
        can_be_asked()?;
    }
    let (count, names) = (hubs.len(), names(hubs));
    if let Some(meant) = args.yes {
        if meant == count {
            return Ok(());
        }
        return Err(unconfirmed(
            format!("--yes {meant}, and {count} hubs are chosen: {names}"),
            format!("if they are all meant: --yes {count}"),
        ));
    }
    let Some(guard) = guarded(guards, &args.command).filter(|_| count > 1) else { return Ok(()) };
    let command = quoted(&args.command);
    // What is piped in is the command's, where it is to have it.
    let can_type = !args.stdin
        && !args.output.is_json()
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal();
    if !can_type {
        return Err(unconfirmed(
            format!("{command:?} is guarded ({guard:?}), and {count} hubs are chosen: {names}"),
            format!("if they are all meant: --yes {count}"),
        ));
    }
    tell(&format!(
        "{command} would run in {count} hubs: {names}\nTo go on, type the number of hubs (anything else runs nothing): "
    ));
    match context.typed(PATIENCE).await? {
        Some(typed) if typed.trim() == count.to_string() => Ok(()),
        Some(_) => {
            Err(unconfirmed("that is something else; nothing is run".to_owned(), "run it again".to_owned()))
        }
        None => Err(unconfirmed(
            format!("nothing was typed within {} minutes; nothing is run", PATIENCE.as_secs() / 60),
            "run it again".to_owned(),
        )),
    }
}

/// Whether it may go on with these hubs, once everything before is shown.
pub(super) async fn ask_for_round(
    args: &Args,
    context: &Context,
    work: &[Work<'_>],
    round: &[usize],
    events: &mpsc::Sender<Event>,
) -> bool {
    let (shown, mut is_shown) = mpsc::channel(1);
    if events.send(Event::Pause(shown)).await.is_err() || is_shown.recv().await.is_none() {
        // Nobody reads any more.
        return false;
    }
    let hubs: Vec<&Hub> = round.iter().map(|place| work[*place].1).collect();
    tell(&format!("run {} in {}? [y/N] ", quoted(&args.command), names(&hubs)));
    matches!(context.typed(PATIENCE).await, Ok(Some(typed)) if ["y", "yes"].contains(&typed.trim()))
}

/// Fails where nobody is there who could be asked.
fn can_be_asked() -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("--confirm-each needs a terminal").hint("for scripts: --serial N, --canary HUB"))
}

fn names(hubs: &[&Hub]) -> String {
    hubs.iter().map(|hub| hub.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn unconfirmed(problem: String, hint: String) -> Failure {
    Failure { exit: Exit::Unconfirmed, problems: vec![problem], hint: Some(hint) }
}
