//! What has to be done so that every hub has the sandbox that `fleet.toml` asks for, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::diagnose::parts;
use crate::hub::{Hub, HubName};
use crate::observed::{Sandbox, SandboxState};
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
            Self::Remake { .. } => "make again",
            Self::Blocked { .. } => "cannot",
        }
    }

    /// Why, where there is more to say than the word.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Remake { why } => Some(why.to_string()),
            Self::Blocked { reason } => Some(reason.clone()),
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
    /// Files of the operator's that would have to be mounted, and are not there.
    pub missing: Vec<PathBuf>,
}

/// What every hub needs. `images` has the id of each image that the engine has, by name.
pub fn reconcile(found: &[Found<'_>], images: &BTreeMap<String, String>) -> Vec<Step> {
    found
        .iter()
        .map(|found| Step {
            hub: found.hub.name.clone(),
            action: action(found, images),
            sandbox: found.sandbox.map(|sandbox| sandbox.id.clone()),
        })
        .collect()
}

fn action(found: &Found<'_>, images: &BTreeMap<String, String>) -> Action {
    let Found { hub, spec, sandbox, missing } = found;
    let image = images.get(&hub.image);
    // A sandbox that is there is better than none: it is only taken away where another can be made.
    let makes = |action| match (image, missing.first()) {
        (Some(_), None) => action,
        (None, _) => Action::Blocked { reason: format!("the engine has no image {}", hub.image) },
        (_, Some(path)) => Action::Blocked { reason: format!("there is no {}", path.display()) },
    };
    let Some(sandbox) = sandbox else { return makes(Action::Make) };
    let drift = spec.drift_from(&sandbox.fingerprint);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Owner;

    fn hub() -> Hub {
        Hub {
            name: HubName::new("ou23s").unwrap(),
            ip: "10.0.0.1".parse().unwrap(),
            openrc: "/openrc".into(),
            ssh: crate::hub::SshTarget { user: "ubuntu".to_owned(), port: 22, key: "/key".into() },
            project_domain: None,
            image: "sandbox".to_owned(),
            state: "/jhubs/ou23s".into(),
            tags: Vec::new(),
        }
    }

    fn spec(hub: &Hub, memory: u64) -> SandboxSpec {
        SandboxSpec::of("fleet", hub, Owner { uid: 0, gid: 0 }, memory, 512, None)
    }

    fn images() -> BTreeMap<String, String> {
        BTreeMap::from([("sandbox".to_owned(), "sha256:1".to_owned())])
    }

    fn what(change: impl FnOnce(&mut Sandbox)) -> Action {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let mut sandbox = Sandbox {
            id: "id".to_owned(),
            hub: hub.name.clone(),
            state: SandboxState::Running,
            image: "sha256:1".to_owned(),
            fingerprint: spec.fingerprint(),
        };
        change(&mut sandbox);
        let found = Found { hub: &hub, spec: &spec, sandbox: Some(&sandbox), missing: Vec::new() };
        reconcile(&[found], &images()).remove(0).action
    }

    #[test]
    fn a_sandbox_that_runs_and_is_what_it_should_be_is_left_alone() {
        assert_eq!(what(|_| {}), Action::None);
    }

    #[test]
    fn what_is_stopped_is_started_and_what_is_paused_goes_on() {
        assert_eq!(what(|sandbox| sandbox.state = SandboxState::Exited), Action::Start);
        assert_eq!(what(|sandbox| sandbox.state = SandboxState::Paused), Action::Unpause);
    }

    #[test]
    fn what_was_never_finished_is_made_again() {
        for state in [SandboxState::Created, SandboxState::Dead, SandboxState::Removing] {
            assert_eq!(
                what(|sandbox| sandbox.state = state),
                Action::Remake { why: Why::Unfinished },
                "{state}"
            );
        }
    }

    #[test]
    fn drift_and_a_new_image_make_a_sandbox_again_whatever_state_it_is_in() {
        let other = spec(&hub(), 1 << 20).fingerprint();
        for state in [SandboxState::Running, SandboxState::Exited, SandboxState::Paused] {
            let drifted = what(|sandbox| {
                sandbox.state = state;
                sandbox.fingerprint.clone_from(&other);
            });
            assert_eq!(drifted, Action::Remake { why: Why::Drift(vec![Part::Limits]) });
            let old = what(|sandbox| {
                sandbox.state = state;
                sandbox.image = "sha256:0".to_owned();
            });
            assert_eq!(old, Action::Remake { why: Why::NewImage });
        }
    }

    #[test]
    fn every_action_has_its_word_and_those_that_need_one_a_reason() {
        let said = |action: &Action| (action.as_str(), action.reason());
        let remake = |why| Action::Remake { why };
        assert_eq!(said(&Action::None), ("nothing", None));
        assert_eq!(said(&Action::Make), ("make", None));
        assert_eq!(said(&Action::Start), ("start", None));
        assert_eq!(said(&Action::Unpause), ("unpause", None));
        let drift = remake(Why::Drift(vec![Part::Image, Part::Limits]));
        assert_eq!(said(&drift), ("make again", Some("image, limits".to_owned())));
        assert_eq!(said(&remake(Why::NewImage)), ("make again", Some("a new image".to_owned())));
        assert_eq!(said(&remake(Why::Unfinished)), ("make again", Some("it was never finished".to_owned())));
        assert_eq!(said(&Action::Blocked { reason: "r".to_owned() }), ("cannot", Some("r".to_owned())));
    }

    #[test]
    fn a_hub_without_a_sandbox_gets_one_where_there_is_an_image() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let found = || Found { hub: &hub, spec: &spec, sandbox: None, missing: Vec::new() };
        assert_eq!(reconcile(&[found()], &images())[0].action, Action::Make);
        let none = reconcile(&[found()], &BTreeMap::new());
        assert_eq!(none[0].action, Action::Blocked { reason: "the engine has no image sandbox".to_owned() });
    }

    #[test]
    fn a_sandbox_is_never_taken_away_where_no_other_can_be_made() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let sandbox = Sandbox {
            id: "id".to_owned(),
            hub: hub.name.clone(),
            state: SandboxState::Running,
            image: "sha256:1".to_owned(),
            fingerprint: String::new(),
        };
        for (images, missing) in [(BTreeMap::new(), vec![]), (images(), vec!["/openrc".into()])] {
            let found = Found { hub: &hub, spec: &spec, sandbox: Some(&sandbox), missing };
            let step = reconcile(&[found], &images).remove(0);
            assert!(matches!(step.action, Action::Blocked { .. }), "{:?}", step.action);
        }
    }
}
