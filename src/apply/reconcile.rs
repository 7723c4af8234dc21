//! Gives every hub the sandbox that a plan says it needs.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use super::adopt::bring_tunnel_up;
use super::create::{self, Creation, complete, wait_for_tunnel};
use super::tunnel::{go_another_way, reconnect};
use super::turns::{Turn, Turns};
use super::upgrade::{Upgrade, finish, nobody_works, upgrade};
use crate::exit::Failure;
use crate::hub::{EngineName, Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::plan::reconcile::{Action, Step};
use crate::systems::docker::Engine;

/// How many hubs at once, with those whose API is waited for.
const UNDER_WAY: usize = 64;

/// What happens while sandboxes are made.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step of making one.
    Making(&'a Hub, create::Event<'a>),
    /// A hub is as it should be.
    Done(&'a Hub, &'a Action),
    /// It could not be.
    Failed(&'a Hub, Failure),
}

/// Puts sandboxes of another image in the place of those that there are, one after the other. Where one does not come up, its old
/// sandbox goes on, and so do those of the hubs that were to come after it.
pub async fn upgrade_all(
    engine: &Engine,
    fleet: &Fleet,
    steps: &[(&Hub, &Step)],
    force: bool,
    interrupt: &Interrupt,
    tell: &(dyn Fn(Event<'_>) + Sync),
) {
    let mut steps = steps.iter();
    for (hub, step) in steps.by_ref() {
        if interrupt.is_asked() {
            return;
        }
        let Some(old) = step.sandbox.as_deref() else { continue };
        let what = Upgrade { engine, fleet, hub, interrupt };
        // Its turn comes late: somebody may have come meanwhile.
        if !force && let Err(failure) = nobody_works(engine, old).await {
            tell(Event::Failed(hub, failure));
            continue;
        }
        match Box::pin(upgrade(what, old, &mut |event| tell(Event::Making(hub, event)))).await {
            Ok(()) => tell(Event::Done(hub, &step.action)),
            Err(failure) => {
                tell(Event::Failed(hub, failure));
                break;
            }
        }
    }
    for (hub, _) in steps {
        tell(Event::Failed(
            hub,
            Failure {
                exit: crate::exit::Exit::Failed,
                problems: vec![
                    "it keeps its old image, because the hub before it did not come up with the new one"
                        .to_owned(),
                ],
                hint: None,
            },
        ));
    }
}

/// Carries a plan out, and tells of every hub that needed something or does not answer. `steps` and `hubs` belong together.
pub async fn reconcile(
    engine: &Engine,
    fleet: &Fleet,
    steps: &[(&Hub, &Step)],
    interrupt: &Interrupt,
    tell: &(dyn Fn(Event<'_>) + Sync),
) {
    // Each engine's own: one that hangs keeps nobody waiting elsewhere.
    let mut to_make: BTreeMap<&EngineName, usize> = BTreeMap::new();
    for (hub, step) in steps {
        *to_make.entry(&hub.engine).or_default() +=
            usize::from(matches!(step.action, Action::Make | Action::Remake { .. }));
    }
    let turns: &BTreeMap<_, _> =
        &to_make.into_iter().map(|(engine, count)| (engine, Turns::of(count))).collect();
    stream::iter(steps)
        .for_each_concurrent(UNDER_WAY, |(hub, step)| async move {
            let Some(turns) = turns.get(&hub.engine) else { return };
            let turn = turns.turn().await;
            if interrupt.is_asked() {
                return;
            }
            match Box::pin(one(engine, fleet, hub, step, (turns, turn), interrupt, tell)).await {
                Ok(()) if step.action == Action::None => {}
                Ok(()) => tell(Event::Done(hub, &step.action)),
                Err(failure) => tell(Event::Failed(hub, failure)),
            }
        })
        .await;
}

/// Waits until a hub's API answers. In a container of the old scripts the tunnel does not come up by itself.
async fn answers(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    id: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    if hub.container.is_some() {
        bring_tunnel_up(engine, fleet, hub, id, interrupt).await
    } else {
        wait_for_tunnel(engine, fleet, hub, id).await
    }
}

/// Takes away what a hub has on engines that it does not live on, once its API answers through the one that stays. All of them have
/// the tunnel's socket in common, so that the others have to be stopped for that.
async fn clear(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    step: &Step,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let Some(own) = step.sandbox.as_deref() else { return Ok(()) };
    let stopped = async {
        for id in &step.spare {
            engine.stop(id).await?;
        }
        reconnect(engine, fleet, hub, own, interrupt).await
    };
    if let Err(mut failure) = stopped.await {
        for id in &step.spare {
            if let Err(error) = engine.start(id).await {
                failure.problems.push(format!(
                    "and what it has on another engine was not started again: {}",
                    crate::exit::chain(&error)
                ));
            }
        }
        return Err(failure);
    }
    for id in &step.spare {
        engine.remove(id).await?;
    }
    Ok(())
}

/// Takes one step.
async fn one(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    step: &Step,
    (turns, turn): (&Turns, Turn<'_>),
    interrupt: &Interrupt,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<(), Failure> {
    let make = async |replaces: Option<&str>, turn| {
        let by_another_way = replaces.is_some() && step.changes_the_way(hub, hub.jump_known_hosts().exists());
        let creation = Creation { replaces, by_another_way, ..Creation::new(engine, fleet, hub, interrupt) };
        complete(&creation, turn, &mut |event| tell(Event::Making(hub, event))).await
    };
    match (&step.action, step.sandbox.as_deref()) {
        // Its tunnel may still be coming up: whoever started it may have been stopped before that was seen.
        (Action::None, Some(id)) => {
            drop(turn);
            answers(engine, fleet, hub, id, interrupt).await
        }
        (Action::None, None) => Ok(()),
        (Action::Blocked { reason }, _) => {
            Err(Failure { exit: crate::exit::Exit::Failed, problems: vec![reason.clone()], hint: None })
        }
        (Action::Finish, _) => finish(Upgrade { engine, fleet, hub, interrupt }).await,
        (Action::Clear { .. }, _) => clear(engine, fleet, hub, step, interrupt).await,
        (Action::Start, Some(id)) => {
            drop(turn);
            let to_start = turns.to_start().await;
            engine.start(id).await?;
            drop(to_start);
            answers(engine, fleet, hub, id, interrupt).await
        }
        (Action::Unpause, Some(id)) => {
            engine.unpause(id).await?;
            drop(turn);
            answers(engine, fleet, hub, id, interrupt).await
        }
        (Action::Reconnect, Some(id)) => {
            let mut tell = |event: create::Event<'_>| tell(Event::Making(hub, event));
            go_another_way(engine, fleet, hub, id, interrupt, &mut tell).await
        }
        (
            Action::Make | Action::Remake { .. } | Action::Start | Action::Unpause | Action::Reconnect,
            sandbox,
        ) => make(sandbox, turn).await,
    }
}
