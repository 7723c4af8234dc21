//! What has to be done so that every hub has the sandbox that `fleet.toml` asks for, and nothing else.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::diagnose::parts;
use crate::hub::{DEFAULT_ENGINE, EngineName, Hub, HubName};
use crate::observed::{Sandbox, SandboxState, Unseen};
use crate::sandbox::{Part, SandboxSpec};

/// What one hub needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Nothing: its sandbox runs, and is what it should be.
    None,
    /// A sandbox: it has none.
    Make,
    /// Its sandbox has to be started.
    Start,
    /// Its sandbox has to go on.
    Unpause,
    /// The tunnel in its container of the old scripts has to go another way to the master.
    Reconnect,
    /// A sandbox of another image was being put in its place, and that was cut off.
    Finish,
    /// It has a sandbox on another engine too, where it lived before, and that has to go.
    Clear {
        /// On which.
        engines: Vec<EngineName>,
    },
    /// Its sandbox has to be made again.
    Remake {
        /// Why.
        why: Why,
    },
    /// Nothing can be done.
    Blocked {
        /// Why not.
        reason: String,
    },
}

/// Why a sandbox has to be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// These parts are not what `fleet.toml` asks for.
    Drift(Vec<Part>),
    /// The engine has another image under the name now.
    NewImage,
    /// Somebody was stopped while making it.
    Unfinished,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Drift(drift) => f.write_str(&parts(drift)),
            Self::NewImage => f.write_str("a new image"),
            Self::Unfinished => f.write_str("it was never finished"),
        }
    }
}

impl Action {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Make => "make",
            Self::Start => "start",
            Self::Unpause => "unpause",
            Self::Reconnect => "reconnect",
            Self::Finish => "finish",
            Self::Clear { .. } => "clear away",
            Self::Remake { .. } => "make again",
            Self::Blocked { .. } => "cannot",
        }
    }

    /// Why, where there is more to say than the word.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Remake { why } => Some(why.to_string()),
            Self::Blocked { reason } => Some(reason.clone()),
            Self::Finish => Some("an upgrade was cut off".to_owned()),
            Self::Reconnect => Some("another way to the master".to_owned()),
            Self::Clear { engines } => {
                let engines: Vec<&str> = engines.iter().map(EngineName::as_str).collect();
                Some(format!("it has a sandbox on engine {} too", engines.join(", ")))
            }
            Self::None | Self::Make | Self::Start | Self::Unpause => None,
        }
    }
}

/// One hub's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The hub.
    pub hub: HubName,
    /// What it needs.
    #[serde(flatten)]
    pub action: Action,
    /// The engine's id of the sandbox that is there.
    pub sandbox: Option<String>,
    /// The engine's id of one that was put aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
    /// The engines' ids of those on other engines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spare: Vec<String>,
}

impl Step {
    /// Whether its sandbox is made again because it may go by another jump host, or by none, or with an agent: the new way has to be tried
    /// before the old one is given up. `had_jump` is whether a jump host was ever gone by. A change of the master itself is none of
    /// that: the old way leads to another one then.
    pub fn changes_the_way(&self, hub: &Hub, had_jump: bool) -> bool {
        let Action::Remake { why: Why::Drift(parts) } = &self.action else { return false };
        let is_special = had_jump || hub.ssh.jump.is_some() || hub.ssh.agent.is_some();
        is_special && parts.iter().any(|part| matches!(part, Part::Environment | Part::Mounts))
    }

    /// Whether another image or engine alone is why its sandbox is made again: then one that works is at stake, and it goes on
    /// until the new one does.
    pub fn is_upgrade(&self) -> bool {
        match &self.action {
            Action::Remake { why: Why::NewImage } => true,
            Action::Remake { why: Why::Drift(parts) } => is_a_move(parts),
            _ => false,
        }
    }
}

/// What there is of one hub.
#[derive(Debug)]
pub struct Found<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// What `fleet.toml` asks for.
    pub spec: &'a SandboxSpec,
    /// Its container.
    pub sandbox: Option<&'a Sandbox>,
    /// A container of its that was put aside.
    pub aside: Option<&'a Sandbox>,
    /// Containers of its on engines that it does not live on.
    pub spare: Vec<&'a Sandbox>,
    /// The ids of all sandboxes that this fleet has made, as far as it knows.
    pub known: &'a BTreeSet<String>,
    /// Why nobody can tell what there is: its engine does not answer.
    pub silence: Option<Unseen>,
    /// Whether the tunnel in its container of the old scripts goes another way to the master than `fleet.toml` has now.
    pub goes_another_way: bool,
    /// Why no sandbox could be made: what of the operator's would have to be mounted, and cannot be.
    pub obstacles: Vec<String>,
    /// What people run in its sandbox, and would be cut off from.
    pub at_work: Vec<String>,
}

/// The ids of the images that each engine has, by name.
pub type Images = BTreeMap<(EngineName, String), String>;

/// What every hub needs.
pub fn reconcile(found: &[Found<'_>], images: &Images) -> Vec<Step> {
    found
        .iter()
        .map(|found| Step {
            hub: found.hub.name.clone(),
            action: action(found, images),
            sandbox: found.sandbox.map(|sandbox| sandbox.id.clone()),
            aside: found.aside.map(|sandbox| sandbox.id.clone()),
            spare: found.spare.iter().map(|sandbox| sandbox.id.clone()).collect(),
        })
        .collect()
}

fn action(found: &Found<'_>, images: &Images) -> Action {
    let Found { hub, spec, sandbox, aside, spare, known, silence, goes_another_way, obstacles, at_work } =
        found;
    if let Some(silence) = silence {
        return Action::Blocked { reason: silence.reason.clone() };
    }
    let mut all = sandbox.iter().chain(aside).chain(spare);
    if let Some(stranger) = all.find(|sandbox| is_stranger(hub, sandbox, known)) {
        return Action::Blocked { reason: not_known(stranger) };
    }
    if aside.is_some() {
        return Action::Finish;
    }
    if !spare.is_empty() {
        let engines = spare.iter().map(|sandbox| sandbox.engine.clone()).collect();
        let clear = Action::Clear { engines };
        // What is left elsewhere may be the one that works.
        if sandbox.is_none_or(|own| own.engine != hub.engine || own.state != SandboxState::Running) {
            return Action::Blocked {
                reason: format!(
                    "{}, and none that runs on engine {}: take away what is not to stay, with docker on its engine",
                    clear.reason().unwrap_or_default(),
                    hub.engine
                ),
            };
        }
        if at_work.is_empty() {
            return clear;
        }
        return Action::Blocked {
            reason: format!(
                "{}, and somebody works in it: {}; wait, or --force",
                clear.reason().unwrap_or_default(),
                at_work.join(", ")
            ),
        };
    }
    let image = images.get(&(hub.engine.clone(), hub.image.clone()));
    // A sandbox that is there is better than none: it is only taken away where another can be made.
    let makes = |action| match (image, obstacles.first()) {
        (Some(_), None) if at_work.is_empty() => action,
        (Some(_), None) => Action::Blocked {
            reason: format!(
                "it has to be made again, and somebody works in it: {}; wait, or --force",
                at_work.join(", ")
            ),
        },
        (None, _) => Action::Blocked { reason: no_image(hub) },
        (_, Some(obstacle)) => Action::Blocked { reason: obstacle.clone() },
    };
    let Some(sandbox) = sandbox else {
        return match &hub.container {
            None => makes(Action::Make),
            Some(container) => Action::Blocked {
                reason: format!(
                    "there is no container {container} with its state; without `container` in fleet.toml it gets a sandbox of fleet's own"
                ),
            },
        };
    };
    if sandbox.adopted {
        return match sandbox.state {
            SandboxState::Running if *goes_another_way => Action::Reconnect,
            SandboxState::Running | SandboxState::Restarting => Action::None,
            SandboxState::Paused => Action::Unpause,
            SandboxState::Created | SandboxState::Exited => Action::Start,
            SandboxState::Removing | SandboxState::Dead => {
                Action::Blocked { reason: format!("its container is {}", sandbox.state) }
            }
        };
    }
    let drift = spec.drift_of(sandbox);
    let moves = drift.contains(&Part::Engine);
    if moves && !is_a_move(&drift) {
        return Action::Blocked {
            reason: format!(
                "it is to move from engine {} to {}, and something else of it is another one now, too: do one after the other, \
                 so that it keeps a sandbox that works",
                sandbox.engine, hub.engine
            ),
        };
    }
    if !drift.is_empty() {
        return makes(Action::Remake { why: Why::Drift(drift) });
    }
    if image.is_some_and(|id| *id != sandbox.image) {
        return makes(Action::Remake { why: Why::NewImage });
    }
    match sandbox.state {
        SandboxState::Running | SandboxState::Restarting => Action::None,
        SandboxState::Paused => Action::Unpause,
        SandboxState::Exited => Action::Start,
        // Never started: what fleet brings along may not be in it yet.
        SandboxState::Created | SandboxState::Removing | SandboxState::Dead => {
            makes(Action::Remake { why: Why::Unfinished })
        }
    }
}

/// Whether another image, other programs or another engine are all that differs.
fn is_a_move(drift: &[Part]) -> bool {
    // Each engine has networks of its own.
    let moves = drift.contains(&Part::Engine);
    drift.iter().all(|part| match part {
        Part::Engine | Part::Image | Part::Programs => true,
        Part::Network => moves,
        _ => false,
    })
}

/// Whether one of a hub's sandboxes is on an engine that it does not live on, and none that this fleet knows: another one of the name may
/// have made it, and nothing is done with it.
pub fn is_stranger(hub: &Hub, sandbox: &Sandbox, known: &BTreeSet<String>) -> bool {
    sandbox.engine != hub.engine && !sandbox.adopted && !known.contains(&sandbox.id)
}

/// Says that a container has the labels of this fleet's, and that this fleet does not know it.
pub fn not_known(sandbox: &Sandbox) -> String {
    format!(
        "engine {} has a sandbox of its name (container {}) of which this fleet does not know that it has made it: another one of the \
         name may have. If it is this hub's, remove it there: docker rm -f",
        sandbox.engine,
        sandbox.id.get(..12).unwrap_or(&sandbox.id)
    )
}

/// Says that the engine that a hub lives on has no image to make its sandbox of.
pub fn no_image(hub: &Hub) -> String {
    match hub.engine.as_str() {
        DEFAULT_ENGINE => format!("the engine has no image {}", hub.image),
        name => format!("engine {name} has no image {}", hub.image),
    }
}
