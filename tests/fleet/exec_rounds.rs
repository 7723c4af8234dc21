//! `fleet exec` hub after hub: canaries, rounds, input for all, and commands that are guarded.

use std::io::Write as _;
use std::process::Stdio;

use crate::common::pty::Pty;
use crate::common::{Fleet, Run, standing, using, world};

fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// Runs fleet with something on its standard input.
fn fed(fleet: &Fleet, args: &[&str], input: &[u8]) -> Run {
    let mut child = fleet
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("fleet starts");
    let mut to = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || to.write_all(&input));
    let run = Run::of(&child.wait_with_output().expect("fleet ends"));
    let _ = feeding.join().expect("it writes");
    run
}

#[test]
fn a_canary_that_fails_keeps_it_from_the_others() {
    let _using = using();
    let fleet = standing();
    let args = ["exec", "--all", "--canary", "pyaos", "--format", "json", "sh", "-c"];
    let json = fleet.run(&[&args[..], &["exit 4"]].concat()).exits(1).json();
    for one in json.as_array().expect("an array") {
        if one["hub"] == "pyaos" {
            assert_eq!(one["exit_status"], 4);
        } else {
            assert_eq!(one["error"], "not begun: it failed in pyaos");
        }
    }
    fleet.run(&[&args[..], &["true"]].concat()).exits(0);
    fleet
        .run(&["exec", "--hub", "ou23s", "--canary", "pyaos", "true"])
        .exits(2)
        .says("none of the chosen hubs");
}

#[test]
fn rounds_follow_each_other_as_long_as_all_goes_well() {
    let _using = using();
    let fleet = standing();
    let script = "date +%s%N; sleep 0.3; date +%s%N";
    let run = fleet.run(&["exec", "--all", "--serial", "2", "sh", "-c", script]).exits(0);
    let times = |hub: &str| -> Vec<u64> {
        run.lines_of(hub).iter().map(|line| line.parse().expect("a time")).collect()
    };
    let all = hubs();
    let first_end = all[..2].iter().map(|hub| times(hub)[1]).max();
    let second_begin = all[2..].iter().map(|hub| times(hub)[0]).min();
    assert!(first_end < second_begin, "{}", run.stdout);
    let failing = format!("echo here; test $CLUSTER != {} || exit 3", all[1]);
    let run = fleet.run(&["exec", "--all", "--serial", "2", "sh", "-c", &failing]).exits(1);
    assert_eq!(run.stdout.lines().count(), 2);
    run.says(&format!("not begun in 2 of 4 hubs: {}, {}", all[2], all[3]));
}

#[test]
fn each_hub_has_its_own_words_and_they_are_seen_before() {
    let _using = using();
    let fleet = standing();
    let command = ["--each", "sh", "-c", "echo {hub} {ip} $IP {other}"];
    let run = fleet.run(&[&["exec", "--all"], &command[..]].concat()).exits(0);
    let dry = fleet.run(&[&["exec", "--all", "--dry-run"], &command[..]].concat()).exits(0);
    for hub in &world().hubs {
        assert_eq!(run.lines_of(&hub.name), [format!("{0} {1} {1} {{other}}", hub.name, hub.ip)]);
        assert!(
            dry.stdout.contains(&format!("sh -c 'echo {} {} $IP {{other}}'", hub.name, hub.ip)),
            "{}",
            dry.stdout
        );
    }
}

#[test]
fn standard_input_is_the_same_for_all_hubs_however_much_it_is_and_however_little_is_read() {
    let _using = using();
    let fleet = standing();
    let input: Vec<u8> = (0..30_000_000_u32).map(|number| (number % 251) as u8).collect();
    let run = fed(fleet, &["exec", "--all", "--stdin", "--format", "gather", "cksum"], &input).exits(0);
    assert_eq!(run.stdout.lines().count(), 2, "all the same: {}", run.stdout);
    assert!(run.stdout.trim_end().ends_with(" 30000000"), "{}", run.stdout);
    let run = fed(fleet, &["exec", "--all", "--stdin", "head", "-c", "0"], &input).exits(0);
    assert_eq!(run.stderr, "");
    let run = fed(fleet, &["exec", "--all", "--stdin", "cat"], b"hello\n").exits(0);
    for hub in hubs() {
        assert_eq!(run.lines_of(hub), ["hello"]);
    }
    // Without it, there is nothing to read.
    let run = fed(fleet, &["exec", "--all", "cat"], b"hello\n").exits(0);
    assert_eq!(run.stdout, "");
}

#[test]
fn a_guarded_command_asks_for_the_number_of_hubs() {
    let _using = using();
    let fleet = standing();
    let command = ["sh", "-c", "echo kubectl delete pvc --all"];
    let run = |more: &[&str]| fleet.run(&[&["exec"], more, &command[..]].concat());
    let refused = run(&["--all"]).exits(4);
    assert_eq!(refused.stdout, "");
    refused
        .says("is guarded (\"kubectl delete\"), and 4 hubs are chosen: ")
        .says("hint: if they are all meant: --yes 4");
    run(&["--all", "--yes", "3"]).exits(4).says("--yes 3, and 4 hubs are chosen");
    assert_eq!(run(&["--all", "--yes", "4"]).exits(0).stdout.lines().count(), 4);
    run(&["--hub", "ou23s"]).exits(0);
    run(&["--all", "--dry-run"]).exits(0);
    let config = fleet.variant("unguarded.toml", "[exec]\nguard = []");
    run(&["--all", "--config", &config]).exits(0);
    for (typed, status) in [("4\n", 0), ("3\n", 4), ("\n", 4), ("yes\n", 4), ("\x04", 4)] {
        let mut pty = Pty::run(
            "$FLEET exec --all --format stream sh -c 'echo helm uninstall $CLUSTER'; echo left with $?",
            |command| {
                command
                    .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
                    .env("FLEET_CONFIG", standing().path("fleet.toml"))
                    .env("NO_COLOR", "1");
            },
        );
        let asked = pty.shows("type the number of hubs");
        assert!(asked.contains("would run in 4 hubs: "), "{asked}");
        pty.types(typed);
        let shown = pty.shows(&format!("left with {status}"));
        assert_eq!(shown.contains("pyaos   | helm uninstall pyaos"), status == 0, "{shown}");
    }
}

#[test]
fn each_hub_can_be_confirmed_once_it_is_seen_what_came_of_the_others() {
    let _using = using();
    let mut pty =
        Pty::run("$FLEET exec --all --confirm-each printenv CLUSTER; echo left with $?", |command| {
            command
                .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
                .env("FLEET_CONFIG", standing().path("fleet.toml"))
                .env("NO_COLOR", "1");
        });
    let all = hubs();
    for (number, hub) in all.iter().enumerate().take(2) {
        let shown = pty.shows(&format!("run printenv CLUSTER in {hub}? [y/N] "));
        assert_eq!(shown.matches(" | ").count(), number, "{shown}");
        pty.types("y\n");
    }
    pty.shows(&format!("run printenv CLUSTER in {}? [y/N] ", all[2]));
    pty.types("n\n");
    let shown = pty.shows("left with 4");
    assert!(shown.contains(&format!("not begun in 2 of 4 hubs: {}, {}", all[2], all[3])), "{shown}");
    standing().run(&["exec", "--all", "--confirm-each", "true"]).exits(2).says("needs a terminal");
}
