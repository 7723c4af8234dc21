//! Asking whether a guarded command is meant for so many hubs.

use tokio::sync::mpsc;

use super::{Args, Work};
use crate::commands::context::Context;
use crate::commands::prompt::{self, unconfirmed};
use crate::exec::Event;
use crate::exit::Failure;
use crate::hub::Hub;
use crate::text::quoted;

/// Goes on where the command may run in these hubs.
pub(super) async fn ask(
    args: &Args,
    context: &Context,
    guard: Option<&str>,
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
    let Some(guard) = guard.filter(|_| count > 1) else { return Ok(()) };
    let command = quoted(&args.said());
    // What is piped in is the command's, where it is to have it.
    let can_type = !args.stdin && !args.output.is_json() && prompt::can_type();
    if !can_type {
        return Err(unconfirmed(
            format!("{command:?} is guarded ({guard:?}), and {count} hubs are chosen: {names}"),
            format!("if they are all meant: --yes {count}"),
        ));
    }
    let question = format!(
        "{command} would run in {count} hubs: {names}\nTo go on, type the number of hubs (anything else runs nothing): "
    );
    let typed = prompt::ask(context, &question, "nothing is run").await?;
    if typed.trim() == count.to_string() {
        return Ok(());
    }
    Err(unconfirmed("that is something else; nothing is run", "run it again"))
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
    let question = format!("run {} in {}? [y/N] ", quoted(&args.said()), names(&hubs));
    let typed = prompt::ask(context, &question, "it does not go on").await;
    matches!(typed, Ok(typed) if ["y", "yes"].contains(&typed.trim()))
}

/// Fails where nobody is there who could be asked.
fn can_be_asked() -> Result<(), Failure> {
    if prompt::can_type() {
        return Ok(());
    }
    Err(Failure::usage("--confirm-each needs a terminal").hint("for scripts: --serial N, --canary HUB"))
}

fn names(hubs: &[&Hub]) -> String {
    hubs.iter().map(|hub| hub.name.as_str()).collect::<Vec<_>>().join(", ")
}
