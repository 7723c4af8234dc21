//! The sandboxes that an engine has for a fleet.

use futures_util::future::try_join_all;

use crate::hub::{Fleet, Hub, HubName};
use crate::observed::{Sandbox, SandboxState, Subject, Unseen};
use crate::systems::docker::{Engine, Error};

/// A fleet's sandboxes, in one look at the engine.
#[derive(Debug, Clone, Default)]
pub struct Sandboxes {
    found: Vec<Sandbox>,
}

impl Sandboxes {
    /// Asks the engine.
    pub async fn look(engine: &Engine, fleet: &Fleet) -> Result<Self, Error> {
        let is_adopted = |hub: &HubName| fleet.hub(hub).is_some_and(|hub| hub.container.is_some());
        let mut found = engine.sandboxes(&fleet.name).await?;
        // One that fleet made before is not the hub's any more, if its container is another one now.
        found.retain(|sandbox| !is_adopted(&sandbox.hub));
        let adopted = fleet.hubs.iter().filter_map(|hub| Some((hub, hub.container.as_deref()?)));
        let adopted = try_join_all(adopted.map(|(hub, container)| engine.adopted(container, hub))).await?;
        found.extend(adopted.into_iter().flatten());
        Ok(Self { found })
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
