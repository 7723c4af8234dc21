//! Hubs are chosen with the same words by every command that takes several.

use crate::common::{Fleet, standing, using};

/// Four hubs of which nothing is there, and an engine that does not answer: what is wrong with a choice is told before.
fn declared() -> Fleet {
    let fleet = Fleet::empty();
    let hub = |(number, (name, tag)): (usize, (&str, &str))| {
        format!(
            "[[hub]]\nname = \"{name}\"\nip = \"10.0.0.{number}\"\nopenrc = \"openrc-alpha.sh\"\ntags = [\"{tag}\"]\n\n"
        )
    };
    let hubs = [("ou23s", "gpu"), ("ou24s", "fall"), ("fsu-s23", "fall"), ("pyaos", "gpu")];
    let hubs: String = hubs.into_iter().enumerate().map(|(number, of)| hub((number + 1, of))).collect();
    fleet.write("fleet.toml", &format!("engine = \"unix:///nonexistent.sock\"\n{}\n{hubs}", fleet.header()));
    fleet
}

/// Commands whose plain form is for all hubs, and those that want to be told.
const FOR_ALL: [&[&str]; 7] = [
    &["status"],
    &["pvc"],
    &["up", "--dry-run"],
    &["kubeconfig"],
    &["openrc", "check"],
    &["tunnel", "status"],
    &["tunnel", "logs"],
];
const FOR_SOME: [&[&str]; 2] = [&["down"], &["tunnel", "restart"]];

#[test]
fn a_choice_of_nothing_is_an_error_for_every_command_and_never_all_hubs() {
    let fleet = declared();
    for command in FOR_ALL.iter().chain(&FOR_SOME) {
        for (choice, words) in [
            (&["--hub", "oo*"][..], "no hub's name matches \"oo*\""),
            (&["oo*"], "no hub's name matches \"oo*\""),
            (&["ou23"], "no hub \"ou23\" in fleet.toml; did you mean \"ou23s\"?"),
            (&["--tag", "gpux"], "no hub has the tag \"gpux\"; did you mean \"gpu\"?"),
            (&["--all", "--exclude", "*"], "--exclude takes every one of them"),
            (&["ou23s", "--exclude", "ou*"], "--exclude takes every one of them"),
            (
                &["fsu-s23", "--tag", "gpu"],
                "of the hubs that one option names, none is what another one says",
            ),
            (&["--hub", "/(/"], "is not a regular expression"),
            (&["--all", "ou23s"], "cannot be used with"),
            (&["--all", "--tag", "gpu"], "cannot be used with"),
        ] {
            let run = fleet.run(&[command, choice].concat()).exits(2).says(words);
            assert_eq!(run.stdout, "", "{command:?} {choice:?}");
        }
    }
    for command in FOR_SOME {
        fleet.run(command).exits(2).says("no hubs are chosen").says("say --all");
        fleet.run(&[command, &["--exclude", "ou23s"]].concat()).exits(2).says("no hubs are chosen");
    }
}

#[test]
fn every_command_shows_the_hubs_that_are_chosen_and_no_other() {
    let _using = using();
    let fleet = standing();
    for command in [&["status"][..], &["tunnel", "status"]] {
        for (choice, hubs) in [
            (&["pyaos", "ou23s"][..], &["pyaos", "ou23s"][..]),
            (&["--hub", "pyaos,ou23s"], &["ou23s", "pyaos"]),
            (&["'*s'", "pyaos"].map(|word| word.trim_matches('\'')), &["ou23s", "mvu23s", "pyaos"]),
            (&["--exclude", "ou23s,/^mv/"], &["fsu-s23", "pyaos"]),
            (&["--project", "beta"], &["pyaos"]),
            (&["--all", "--exclude", "*2*"], &["pyaos"]),
        ] {
            let json = fleet.run(&[command, choice, &["--format", "json"]].concat()).exits(0).json();
            let shown: Vec<&str> = json
                .as_array()
                .expect("an array")
                .iter()
                .map(|one| one["hub"].as_str().expect("a name"))
                .collect();
            assert_eq!(shown, hubs, "{command:?} {choice:?}");
        }
    }
    let pvc = fleet.run(&["pvc", "--tag", "x"]).exits(2);
    assert_eq!(pvc.stdout, "");
    let pvc = fleet.run(&["pvc", "--hub", "py*", "--format", "json"]).exits(0).json();
    assert!(
        pvc["claims"]
            .as_array()
            .is_some_and(|all| !all.is_empty() && all.iter().all(|one| one["hub"] == "pyaos"))
    );
    let openrc = fleet.run(&["openrc", "check", "--project", "beta", "--format", "json"]);
    assert!(openrc.stdout.contains("pyaos") && !openrc.stdout.contains("mvu23s"), "{}", openrc.stdout);
    let up = fleet.run(&["up", "--dry-run", "--hub", "*-s*"]).exits(0);
    assert_eq!(up.stdout.lines().skip(1).count(), 1, "{}", up.stdout);
    let kubeconfig = fleet.run(&["kubeconfig", "--hub", "ou*,py*"]).exits(0);
    assert!(kubeconfig.stdout.contains("pyaos") && !kubeconfig.stdout.contains("mvu23s"));
    let logs = fleet.run(&["tunnel", "logs", "--hub", "py*"]).exits(0);
    assert!(!logs.stdout.contains("ou23s"), "{}", logs.stdout);
}

#[test]
fn what_is_chosen_by_tag_is_stopped_and_nothing_else() {
    let _using = using();
    let fleet = Fleet::empty();
    let hub =
        |name: &str| crate::common::world().hubs.iter().find(|hub| hub.name == name).expect("it is there");
    fleet.add_as("ou23s", hub("ou23s"), &["--tag", "fall"]).exits(0);
    fleet.add_as("mvu23s", hub("mvu23s"), &["--tag", "spring"]).exits(0);
    let run = fleet.run(&["down", "--tag", "fall"]).exits(0);
    assert_eq!(run.stderr, "ou23s: stopped\n");
    let run = fleet.run(&["up", "--tag", "fall", "--exclude", "mvu*"]).exits(0);
    run.says("ou23s: started, and its API answers");
    let run = fleet.run(&["tunnel", "restart", "--tag", "spring"]).exits(0);
    assert_eq!(run.stderr, "mvu23s: connected again, and its API answers\n");
}
