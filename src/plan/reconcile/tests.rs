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
        assert_eq!(what(|sandbox| sandbox.state = state), Action::Remake { why: Why::Unfinished }, "{state}");
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
    for (images, obstacles) in [(BTreeMap::new(), vec![]), (images(), vec!["there is no /openrc".to_owned()])]
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
    let step = reconcile(&[Found { aside: Some(&aside), ..found(&hub, &spec, None) }], &images()).remove(0);
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
    assert!(matches!(gone, Action::Blocked { reason } if reason.contains("no container mvu with its state")));
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
    assert_eq!(reconcile(&[silent], &images()).remove(0).action, Action::Blocked { reason: silence.reason });
}
