use proptest::prelude::*;

use super::*;
use crate::hub::{HubName, samples};
use crate::observed::{Answer, Login, OpenrcMount, Subject, Unseen, Validity};
use crate::plan::orphans::samples::{project, rules};

fn hub(name: &str, tags: &[&str]) -> Hub {
    Hub { tags: tags.iter().map(ToString::to_string).collect(), ..samples::hub(name) }
}

fn fleet(hubs: Vec<Hub>) -> Fleet {
    samples::fleet(hubs, rules())
}

fn four() -> Fleet {
    fleet(vec![
        hub("ou23s", &["gpu", "fall"]),
        hub("mvu23s", &["fall"]),
        hub("fsu-s23", &[]),
        hub("pyaos", &["gpu"]),
    ])
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn names(chosen: Result<Vec<&Hub>, Refused>) -> Vec<String> {
    chosen.unwrap().iter().map(|hub| hub.name.to_string()).collect()
}

fn asked(hubs: &[&str], tags: &[&str], exclude: &[&str]) -> Asked {
    Asked { hubs: words(hubs), tags: words(tags), exclude: words(exclude), ..Asked::default() }
}

fn all() -> Asked {
    Asked { all: true, ..Asked::default() }
}

#[test]
fn one_option_is_any_of_what_it_names_and_several_are_all_of_them() {
    let fleet = four();
    let chosen =
        |hubs: &[&str], tags: &[&str], exclude: &[&str]| names(choose(&fleet, &asked(hubs, tags, exclude)));
    assert_eq!(names(choose(&fleet, &all())).len(), 4);
    assert_eq!(chosen(&["pyaos,ou23s", "pyaos"], &[], &[]), ["ou23s", "pyaos"]);
    assert_eq!(chosen(&["*23s"], &[], &[]), ["ou23s", "mvu23s"]);
    assert_eq!(chosen(&["/s23|^py/"], &[], &[]), ["fsu-s23", "pyaos"]);
    assert_eq!(chosen(&[], &["gpu,fall"], &[]), ["ou23s", "mvu23s", "pyaos"]);
    assert_eq!(chosen(&["*23s"], &["gpu"], &[]), ["ou23s"]);
    assert_eq!(chosen(&[], &["fall"], &["ou*"]), ["mvu23s"]);
}

#[test]
fn nothing_chosen_is_never_all_of_them() {
    let fleet = four();
    for nothing in [Asked::default(), asked(&[], &[], &["ou23s"])] {
        assert_eq!(choose(&fleet, &nothing).unwrap_err().problems, ["no hubs are chosen"]);
    }
    let told = |asked: &Asked| choose(&fleet, asked).unwrap_err().problems.join("\n");
    assert!(
        told(&asked(&["fsu-s23"], &["gpu"], &[]))
            .contains("of the hubs that one option names, none is what another one says")
    );
    assert!(told(&Asked { exclude: words(&["*"]), ..all() }).contains("--exclude takes every one"));
    assert!(told(&asked(&[""], &[], &[])).contains("an empty name"));
    assert!(
        told(&Asked { projects: words(&["alpha,"]), ..Asked::default() }).contains("--project has an empty")
    );
    let none = self::fleet(Vec::new());
    assert!(choose(&none, &all()).unwrap_err().problems[0].contains("declares no hubs"));
}

#[test]
fn whatever_matches_nothing_is_told_with_names_that_are_near() {
    let asked = Asked {
        hubs: words(&["ou23,pyaos", "zz*"]),
        tags: words(&["gpus"]),
        exclude: words(&["fsu-s32", "/mvu23s.+/"]),
        ..Asked::default()
    };
    let refused = choose(&four(), &asked).unwrap_err();
    insta::assert_snapshot!(refused.problems.join("\n"), @r#"
    no hub "ou23" in fleet.toml; did you mean "ou23s"?
    no hub's name matches "zz*"
    no hub "fsu-s32" in fleet.toml; did you mean "fsu-s23"?
    no hub's name matches "mvu23s.+"; did you mean "mvu23s" or "ou23s"?
    no hub has the tag "gpus"; did you mean "gpu"?
    "#);
    assert!(!refused.cannot_tell);
}

fn file(hub: &str, login: Answer<Login>, stale: bool) -> OpenrcFile {
    OpenrcFile {
        file: format!("/o/{hub}.sh").into(),
        hubs: vec![OpenrcMount {
            hub: HubName::new(hub).unwrap(),
            state: None,
            unseen: false,
            stale: Answer::Seen(stale),
            held: None,
        }],
        mode: Some(0o600),
        id: None,
        digest: None,
        kind: None,
        login,
        refused: false,
        remembered: None,
    }
}

fn leads_to(name: &str) -> Answer<Login> {
    Answer::Seen(Login { project: project(name), valid: Validity::NoEnd })
}

#[test]
fn a_project_is_where_the_credentials_lead() {
    let fleet = four();
    let hubs = choose(&fleet, &all()).unwrap();
    let files = [("ou23s", "alpha"), ("mvu23s", "beta"), ("fsu-s23", "alpha"), ("pyaos", "gamma")]
        .map(|(hub, project)| file(hub, leads_to(project), false));
    assert_eq!(names(in_projects(hubs.clone(), &files, &["alpha"])), ["ou23s", "fsu-s23"]);
    assert_eq!(names(in_projects(hubs.clone(), &files, &["gamma", "id-of-beta"])), ["mvu23s", "pyaos"]);
    let refused = in_projects(hubs, &files, &["alpha", "delta"]).unwrap_err();
    assert_eq!(
        refused.problems,
        ["the credentials of no hub lead to a project \"delta\"; there are: alpha, beta, gamma"]
    );
}

#[test]
fn a_hub_whose_project_cannot_be_told_is_named_and_never_left_out() {
    let fleet = four();
    let hubs = choose(&fleet, &Asked { exclude: words(&["pyaos"]), ..all() }).unwrap();
    let unseen = Unseen {
        subject: Subject::Hub(HubName::new("mvu23s").unwrap()),
        reason: "its sandbox is not running (exited)".to_owned(),
        hint: None,
    };
    let files = [
        file("ou23s", leads_to("alpha"), false),
        file("mvu23s", Answer::Unseen(unseen), false),
        file("fsu-s23", leads_to("alpha"), true),
    ];
    let refused = in_projects(hubs.clone(), &files, &["alpha"]).unwrap_err();
    assert!(refused.cannot_tell);
    insta::assert_snapshot!(refused.problems.join("\n"), @r"
    hub mvu23s: cannot tell which project its credentials lead to: its sandbox is not running (exited)
    hub fsu-s23: cannot tell which project its credentials lead to: its sandbox holds another openrc than the one at the path now
    ");
    assert!(in_projects(hubs, &files[..1], &["alpha"]).unwrap_err().problems[0].contains("hub mvu23s"));
}

/// Names of which many are like each other, and patterns that match some of them.
fn a_fleet() -> impl Strategy<Value = Fleet> {
    let tag = prop::sample::subsequence(vec!["gpu", "fall", "test"], 0..=3);
    prop::collection::btree_map("[ab]{1,3}", tag, 1..8)
        .prop_map(|hubs| hubs.into_iter().map(|(name, tags)| hub(&name, &tags)).collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(fleet)
}

fn some_words() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof!["[ab]{1,3}", "[ab*?]{1,3}", "/[ab]{1,2}/", "[ab],[ab]\\*"];
    prop::collection::vec(word, 0..3)
}

proptest! {
    #[test]
    fn what_is_excluded_is_never_chosen_and_the_order_is_the_files(
        fleet in a_fleet(),
        hubs in some_words(),
        exclude in some_words(),
        tags in prop::sample::subsequence(vec!["gpu", "fall"], 0..=2),
        all in any::<bool>(),
    ) {
        let asked = Asked { all, hubs, tags: words(&tags), exclude: exclude.clone(), ..Asked::default() };
        if let Ok(chosen) = choose(&fleet, &asked) {
            prop_assert!(!chosen.is_empty() && !asked.is_nothing());
            let places: Vec<usize> = chosen
                .iter()
                .map(|hub| fleet.hubs.iter().position(|other| other.name == hub.name).unwrap())
                .collect();
            prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
            // Those that the excluding words alone would choose are none of them.
            if !exclude.is_empty() {
                let out = choose(&fleet, &Asked { hubs: exclude, ..Asked::default() }).unwrap();
                prop_assert!(chosen.iter().all(|hub| !out.iter().any(|other| other.name == hub.name)));
            }
            // One option more never makes it more hubs.
            let without = Asked { tags: Vec::new(), ..asked.clone() };
            if let Ok(more) = choose(&fleet, &without) {
                prop_assert!(chosen.iter().all(|hub| more.iter().any(|other| other.name == hub.name)));
            }
        }
    }
}

#[test]
fn hubs_are_chosen_by_the_engine_that_they_live_on() {
    let mut fleet = four();
    let east = crate::hub::EngineName::new("east").unwrap();
    fleet.engines.extend(["east", "idle"].map(crate::hub::samples::engine));
    fleet.hubs[1].engine = east.clone();
    fleet.hubs[3].engine = east;
    let on = |engines: &[&str], hubs: &[&str]| {
        let asked = Asked { engines: words(engines), ..asked(hubs, &[], &[]) };
        let chosen = choose(&fleet, &asked).map_err(|refused| refused.problems)?;
        Ok::<_, Vec<String>>(chosen.iter().map(|hub| hub.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(on(&["east"], &[]).unwrap(), ["mvu23s", "pyaos"]);
    assert_eq!(on(&["default"], &[]).unwrap(), ["ou23s", "fsu-s23"]);
    assert_eq!(on(&["east"], &["py*"]).unwrap(), ["pyaos"]);
    assert_eq!(on(&["e*,default"], &[]).unwrap().len(), 4);
    assert_eq!(on(&["eest"], &[]).unwrap_err(), ["there is no engine \"eest\"; did you mean \"east\"?"]);
    assert_eq!(on(&["idle"], &[]).unwrap_err(), ["no hub lives on an engine \"idle\""]);
    assert!(on(&["east"], &["ou23s"]).unwrap_err()[0].contains("no hub is chosen"));
}
