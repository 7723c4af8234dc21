//! What has to be done so that every hub has the sandbox that `fleet.toml` asks for, and nothing else.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Owner;

    static KNOWN: std::sync::OnceLock<BTreeSet<String>> = std::sync::OnceLock::new();

    fn hub() -> Hub {
        crate::hub::samples::hub("ou23s")
    }

    fn spec(hub: &Hub, memory: u64) -> SandboxSpec {
        SandboxSpec::of("fleet", hub, Owner { uid: 0, gid: 0 }, memory, 512, None)
    }

    fn images() -> Images {
        BTreeMap::from([((EngineName::default(), "sandbox".to_owned()), "sha256:1".to_owned())])
    }

    /// One that runs, and is what it should be.
    fn sandbox(hub: &Hub, spec: &SandboxSpec) -> Sandbox {
        Sandbox {
            id: "id".to_owned(),
            hub: hub.name.clone(),
            state: SandboxState::Running,
            image: "sha256:1".to_owned(),
            fingerprint: spec.fingerprint(),
            adopted: false,
            engine: EngineName::default(),
            aside: false,
        }
    }

    fn found<'a>(hub: &'a Hub, spec: &'a SandboxSpec, sandbox: Option<&'a Sandbox>) -> Found<'a> {
        Found {
            hub,
            spec,
            sandbox,
            aside: None,
            spare: Vec::new(),
            known: KNOWN.get_or_init(|| ["id", "left"].map(str::to_owned).into()),
            silence: None,
            goes_another_way: false,
            obstacles: Vec::new(),
            at_work: Vec::new(),
        }
    }

    fn what(change: impl FnOnce(&mut Sandbox)) -> Action {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let mut sandbox = sandbox(&hub, &spec);
        change(&mut sandbox);
        let found = found(&hub, &spec, Some(&sandbox));
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
        let another_way = Some("another way to the master".to_owned());
        assert_eq!(said(&Action::Reconnect), ("reconnect", another_way));
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
        let found = || found(&hub, &spec, None);
        assert_eq!(reconcile(&[found()], &images())[0].action, Action::Make);
        let none = reconcile(&[found()], &BTreeMap::new());
        assert_eq!(none[0].action, Action::Blocked { reason: "the engine has no image sandbox".to_owned() });
    }

    #[test]
    fn a_sandbox_is_never_taken_away_where_no_other_can_be_made() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let sandbox = Sandbox { fingerprint: String::new(), ..sandbox(&hub, &spec) };
        for (images, obstacles) in
            [(BTreeMap::new(), vec![]), (images(), vec!["there is no /openrc".to_owned()])]
        {
            let found = Found { obstacles, ..found(&hub, &spec, Some(&sandbox)) };
            let step = reconcile(&[found], &images).remove(0);
            assert!(matches!(step.action, Action::Blocked { .. }), "{:?}", step.action);
        }
    }

    #[test]
    fn a_sandbox_that_somebody_works_in_is_not_taken_from_them() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let mut sandbox = Sandbox { image: "sha256:0".to_owned(), ..sandbox(&hub, &spec) };
        let busy = Found { at_work: vec!["bash".to_owned()], ..found(&hub, &spec, Some(&sandbox)) };
        let Action::Blocked { reason } = reconcile(&[busy], &images()).remove(0).action else {
            panic!("not blocked")
        };
        assert!(reason.contains("somebody works in it: bash"), "{reason}");
        // Where nothing has to change, whoever works is nobody's trouble.
        sandbox.image = "sha256:1".to_owned();
        let busy = Found { at_work: vec!["bash".to_owned()], ..found(&hub, &spec, Some(&sandbox)) };
        assert_eq!(reconcile(&[busy], &images()).remove(0).action, Action::None);
    }

    #[test]
    fn only_another_image_is_an_upgrade_that_can_go_back() {
        let step = |why| Step {
            hub: hub().name,
            action: Action::Remake { why },
            sandbox: Some("id".to_owned()),
            aside: None,
            spare: Vec::new(),
        };
        assert!(step(Why::NewImage).is_upgrade());
        assert!(step(Why::Drift(vec![Part::Image, Part::Programs])).is_upgrade());
        assert!(step(Why::Drift(vec![Part::Engine])).is_upgrade());
        assert!(step(Why::Drift(vec![Part::Engine, Part::Network])).is_upgrade());
        assert!(!step(Why::Drift(vec![Part::Engine, Part::Mounts])).is_upgrade());
        assert!(!step(Why::Drift(vec![Part::Network])).is_upgrade());
        // The old one leads to another master, or is not what was asked for.
        assert!(!step(Why::Drift(vec![Part::Image, Part::Environment])).is_upgrade());
        assert!(!step(Why::Drift(vec![Part::Limits])).is_upgrade());
        assert!(!step(Why::Unfinished).is_upgrade());
    }

    #[test]
    fn another_way_to_the_master_is_tried_before_the_old_one_is_given_up() {
        let step = |drift| Step {
            hub: hub().name,
            action: Action::Remake { why: Why::Drift(vec![drift]) },
            sandbox: Some("id".to_owned()),
            aside: None,
            spare: Vec::new(),
        };
        let mut hub = hub();
        assert!(!step(Part::Environment).changes_the_way(&hub, false));
        assert!(step(Part::Environment).changes_the_way(&hub, true));
        assert!(!step(Part::Limits).changes_the_way(&hub, true));
        hub.ssh.agent = Some("/agent/sock".into());
        assert!(step(Part::Mounts).changes_the_way(&hub, false));
    }

    #[test]
    fn an_upgrade_that_was_cut_off_is_finished_before_anything_else() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let aside = Sandbox {
            id: "old".to_owned(),
            hub: hub.name.clone(),
            state: SandboxState::Exited,
            image: "sha256:0".to_owned(),
            fingerprint: spec.fingerprint(),
            adopted: false,
            engine: EngineName::default(),
            aside: true,
        };
        let step =
            reconcile(&[Found { aside: Some(&aside), ..found(&hub, &spec, None) }], &images()).remove(0);
        assert_eq!((step.action, step.aside.as_deref()), (Action::Finish, Some("old")));
    }

    #[test]
    fn a_container_of_the_old_scripts_is_started_and_never_made() {
        let hub = Hub { container: Some("mvu".to_owned()), ..hub() };
        let spec = spec(&hub, 1 << 30);
        let of = |state| {
            let sandbox = Sandbox {
                id: "id".to_owned(),
                hub: hub.name.clone(),
                state,
                image: "sha256:0".to_owned(),
                fingerprint: String::new(),
                adopted: true,
                engine: EngineName::default(),
                aside: false,
            };
            reconcile(&[found(&hub, &spec, Some(&sandbox))], &images()).remove(0).action
        };
        assert_eq!(of(SandboxState::Running), Action::None);
        assert_eq!(of(SandboxState::Exited), Action::Start);
        assert_eq!(of(SandboxState::Created), Action::Start);
        assert_eq!(of(SandboxState::Paused), Action::Unpause);
        let running = Sandbox { adopted: true, fingerprint: String::new(), ..sandbox(&hub, &spec) };
        let another = Found { goes_another_way: true, ..found(&hub, &spec, Some(&running)) };
        assert_eq!(reconcile(&[another], &images()).remove(0).action, Action::Reconnect);
        let gone = reconcile(&[found(&hub, &spec, None)], &images()).remove(0).action;
        assert!(
            matches!(gone, Action::Blocked { reason } if reason.contains("no container mvu with its state"))
        );
    }

    #[test]
    fn a_sandbox_on_another_engine_than_the_hubs_is_made_again_where_the_hub_lives_now() {
        let east = EngineName::new("east").unwrap();
        let hub = Hub { engine: east.clone(), ..hub() };
        let spec = spec(&hub, 1 << 30);
        let old = sandbox(&hub, &spec);
        let of = |images: &Images| reconcile(&[found(&hub, &spec, Some(&old))], images).remove(0);
        let there = BTreeMap::from([((east.clone(), "sandbox".to_owned()), "sha256:1".to_owned())]);
        assert_eq!(of(&there).action, Action::Remake { why: Why::Drift(vec![Part::Engine]) });
        // The image on the old engine makes no sandbox on the new one.
        let step = of(&images());
        assert_eq!(step.action, Action::Blocked { reason: "engine east has no image sandbox".to_owned() });
        let moved = Sandbox { engine: east, ..old.clone() };
        assert_eq!(reconcile(&[found(&hub, &spec, Some(&moved))], &there).remove(0).action, Action::None);
    }

    #[test]
    fn what_a_hub_left_on_another_engine_goes_before_anything_else_is_done() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let own = sandbox(&hub, &spec);
        let west = EngineName::new("west").unwrap();
        let left = Sandbox { id: "left".to_owned(), engine: west.clone(), ..own.clone() };
        let two = Found { spare: vec![&left], ..found(&hub, &spec, Some(&own)) };
        let step = reconcile(&[two], &images()).remove(0);
        assert_eq!(step.action, Action::Clear { engines: vec![west] });
        assert_eq!((step.spare, step.sandbox.as_deref()), (vec!["left".to_owned()], Some("id")));
        assert_eq!(step.action.reason().as_deref(), Some("it has a sandbox on engine west too"));
    }

    #[test]
    fn what_is_on_another_engine_is_left_alone_unless_it_is_known_and_the_hubs_own_one_runs() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let own = sandbox(&hub, &spec);
        let west = EngineName::new("west").unwrap();
        let left = Sandbox { id: "left".to_owned(), engine: west.clone(), ..own.clone() };
        let blocked = |found: Found<'_>, why: &str| {
            let action = reconcile(&[found], &images()).remove(0).action;
            assert!(matches!(&action, Action::Blocked { reason } if reason.contains(why)), "{action:?}");
        };
        // Somebody else's, by another control VM say.
        let theirs = Sandbox { id: "theirs".to_owned(), ..left.clone() };
        blocked(Found { spare: vec![&theirs], ..found(&hub, &spec, Some(&own)) }, "does not know");
        blocked(found(&hub, &spec, Some(&theirs)), "does not know");
        blocked(Found { aside: Some(&theirs), ..found(&hub, &spec, Some(&own)) }, "does not know");
        // The hub's own one is none that works.
        for state in [SandboxState::Created, SandboxState::Exited, SandboxState::Paused] {
            let own = Sandbox { state, ..own.clone() };
            blocked(Found { spare: vec![&left], ..found(&hub, &spec, Some(&own)) }, "none that runs");
        }
        let other = Sandbox { id: "id".to_owned(), engine: EngineName::new("east").unwrap(), ..own.clone() };
        blocked(Found { spare: vec![&left], ..found(&hub, &spec, Some(&other)) }, "none that runs");
        // A move is only a move where the old one can go on meanwhile.
        let changed = self::spec(&hub, 2 << 30);
        blocked(found(&hub, &changed, Some(&left)), "one after the other");
    }

    #[test]
    fn nothing_is_done_for_a_hub_whose_engine_does_not_answer() {
        let hub = hub();
        let spec = spec(&hub, 1 << 30);
        let silence = Unseen {
            subject: crate::observed::Subject::Hub(hub.name.clone()),
            reason: "its engine east does not answer: x".to_owned(),
            hint: None,
        };
        let silent = Found { silence: Some(silence.clone()), ..found(&hub, &spec, None) };
        assert_eq!(
            reconcile(&[silent], &images()).remove(0).action,
            Action::Blocked { reason: silence.reason }
        );
    }
}
