//! The sandboxes that the engines have for a fleet.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;

use crate::hub::{EngineName, Fleet, Hub, HubName};
use crate::observed::{Sandbox, SandboxState, Subject, Unseen};
use crate::sandbox::SandboxSpec;
use crate::systems::docker::{Engine, Error, Inside, Silent};
use crate::systems::wire::{Detour, Route};

/// How a hub's API server is reached: by the tunnel's socket in its state, and where that may be on another machine, by way of its
/// sandbox.
pub fn route(engine: &Engine, fleet: &Fleet, hub: &Hub, sandbox: &str) -> Route {
    let detour = fleet.may_be_elsewhere(hub).then(|| {
        let inside = Inside::new(engine, sandbox, &SandboxSpec::socket_in(hub));
        Arc::new(inside) as Arc<dyn Detour>
    });
    Route::new(&hub.api_socket(), detour)
}

/// What an engine's silence means for a hub.
pub fn silence(hub: &Hub, silent: &Silent) -> Unseen {
    let Silent { engine, reason, hint } = silent;
    let whose = if *engine == hub.engine { "its " } else { "" };
    Unseen {
        subject: Subject::Hub(hub.name.clone()),
        reason: format!("{whose}engine {engine} does not answer: {reason}"),
        hint: hint.clone(),
    }
}

/// A fleet's sandboxes, in one look at all engines.
#[derive(Debug, Clone, Default)]
pub struct Sandboxes {
    /// A hub's own first: the one on the engine that it lives on.
    found: Vec<Sandbox>,
    silent: BTreeMap<EngineName, Silent>,
    /// Who was asked.
    engine: Option<Engine>,
}

impl Sandboxes {
    /// Asks the engines. One that does not answer hides nobody else's sandboxes.
    pub async fn look(engine: &Engine, fleet: &Fleet) -> Result<Self, Error> {
        Self::look_at(engine, fleet, None).await
    }

    /// Asks for these hubs' sandboxes: what is said of others is not to be relied on. An engine with hundreds of containers tells of
    /// one in a tenth of the time.
    pub async fn look_for(engine: &Engine, fleet: &Fleet, hubs: &[&Hub]) -> Result<Self, Error> {
        match hubs {
            [hub] => Self::look_at(engine, fleet, Some(&hub.name)).await,
            _ => Self::look_at(engine, fleet, None).await,
        }
    }

    async fn look_at(engine: &Engine, fleet: &Fleet, only: Option<&HubName>) -> Result<Self, Error> {
        let is_adopted = |hub: &HubName| fleet.hub(hub).is_some_and(|hub| hub.container.is_some());
        let asked = engine.sandboxes(&fleet.name, only.map(HubName::as_str)).await?;
        let mut found = asked.found;
        let mut silent: BTreeMap<EngineName, Silent> =
            asked.silent.into_iter().map(|silent| (silent.engine.clone(), silent)).collect();
        // One that fleet made before is not the hub's any more, if its container is another one now.
        found.retain(|sandbox| !is_adopted(&sandbox.hub));
        let answers = |hub: &&Hub| !silent.contains_key(&hub.engine);
        let is_meant = |hub: &&Hub| only.is_none_or(|only| hub.name == *only);
        let adopted = fleet
            .hubs
            .iter()
            .filter(is_meant)
            .filter(answers)
            .filter_map(|hub| Some((hub, hub.container.as_deref()?)));
        let adopted =
            adopted.map(async |(hub, container)| (&hub.engine, engine.adopted(container, hub).await));
        for (name, answer) in join_all(adopted).await {
            match answer {
                Ok(adopted) => found.extend(adopted),
                Err(error) if fleet.engines.len() == 1 => return Err(error),
                Err(error) => {
                    silent.insert(name.clone(), Silent::of(name, &error));
                }
            }
        }
        let lives_on = |sandbox: &Sandbox| fleet.hub(&sandbox.hub).map(|hub| &hub.engine);
        // What the engine that a hub lives on would say of it counts, and nobody else's word.
        found.retain(|sandbox| lives_on(sandbox).is_none_or(|engine| !silent.contains_key(engine)));
        found.sort_by_key(|sandbox| lives_on(sandbox).is_some_and(|engine| *engine != sandbox.engine));
        // Two names may lead to one engine.
        let mut seen = HashSet::new();
        found.retain(|sandbox| seen.insert(sandbox.id.clone()));
        Ok(Self { found, silent, engine: Some(engine.clone()) })
    }

    /// How a hub's API server is reached, where its sandbox runs.
    pub fn route(&self, fleet: &Fleet, hub: &Hub) -> Route {
        match (&self.engine, self.running(fleet, hub)) {
            (Some(engine), Ok(sandbox)) => route(engine, fleet, hub, &sandbox.id),
            _ => Route::from(&hub.api_socket()),
        }
    }

    /// The engines that did not answer.
    pub fn silent(&self) -> impl Iterator<Item = &Silent> {
        self.silent.values()
    }

    /// Why nobody can tell what there is of a hub: the engine that it lives on does not answer.
    pub fn silence_of(&self, hub: &Hub) -> Option<Unseen> {
        self.silent.get(&hub.engine).map(|silent| silence(hub, silent))
    }

    /// An engine that has answered once does not any more.
    pub fn hush(&mut self, silent: Silent) {
        self.silent.insert(silent.engine.clone(), silent);
    }

    /// All sandboxes of a hub, wherever they are, and those that were put aside.
    pub fn all_of(&self, hub: &HubName) -> impl Iterator<Item = &Sandbox> {
        self.found.iter().filter(move |sandbox| sandbox.hub == *hub)
    }

    /// Further sandboxes of a hub, which it had on other engines before.
    pub fn spare(&self, hub: &HubName) -> impl Iterator<Item = &Sandbox> {
        self.found.iter().filter(move |sandbox| sandbox.hub == *hub && !sandbox.aside).skip(1)
    }

    /// A hub's sandbox, in whatever state.
    pub fn of(&self, hub: &HubName) -> Option<&Sandbox> {
        self.found.iter().find(|sandbox| sandbox.hub == *hub && !sandbox.aside)
    }

    /// A hub's sandbox that was put aside for one of another image.
    pub fn aside(&self, hub: &HubName) -> Option<&Sandbox> {
        self.found.iter().find(|sandbox| sandbox.hub == *hub && sandbox.aside)
    }

    /// Sandboxes of hubs that `fleet.toml` does not have.
    pub fn strangers<'a>(&'a self, fleet: &'a Fleet) -> impl Iterator<Item = &'a Sandbox> {
        self.found.iter().filter(|sandbox| fleet.hub(&sandbox.hub).is_none())
    }

    /// A hub's sandbox, if commands can run in it; otherwise why not, and what to do.
    pub fn running(&self, fleet: &Fleet, hub: &Hub) -> Result<&Sandbox, Unseen> {
        let unseen = |reason: String, hint: String| Unseen {
            subject: Subject::Hub(hub.name.clone()),
            reason,
            hint: Some(hint),
        };
        if let Some(silence) = self.silence_of(hub) {
            return Err(silence);
        }
        let container = fleet.container_of(&hub.name);
        match self.of(&hub.name) {
            None => Err(unseen(
                match hub.container {
                    None => format!("it has no sandbox: there is no container {container}"),
                    Some(_) => {
                        format!(
                            "it has no sandbox: there is no container {container} with {} mounted",
                            hub.state.display()
                        )
                    }
                },
                format!("fleet up {}", hub.name),
            )),
            Some(sandbox) => match sandbox.state {
                SandboxState::Running => Ok(sandbox),
                SandboxState::Paused => {
                    Err(unseen("its sandbox is paused".to_owned(), format!("fleet up {}", hub.name)))
                }
                state => Err(unseen(
                    format!("its sandbox is not running ({state})"),
                    format!("fleet up {}", hub.name),
                )),
            },
        }
    }
}
