//! `fleet exec --script`: a file of the operator's, run in every sandbox.

use std::time::Duration;

use crate::common::pty::Pty;
use crate::common::world::{docker, eventually};
use crate::common::{Fleet, Run, standing, using, world};

fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// Writes a script beside the fleet's file and returns its path.
fn script(fleet: &Fleet, name: &str, text: &str) -> String {
    fleet.write(name, text);
    fleet.path(name).to_str().expect("UTF-8").to_owned()
}

/// Files of scripts in the hubs' sandboxes.
fn left(fleet: &Fleet) -> Vec<String> {
    let list = "ls -A /tmp | grep fleet-script || true";
    let of = |hub: &&str| docker(&["exec", &fleet.container(hub), "sh", "-c", list]);
    hubs().iter().map(of).filter(|list| !list.is_empty()).collect()
}

#[test]
fn a_script_is_run_by_its_first_line_or_by_sh_with_arguments_and_the_operators_environment() {
    let _using = using();
    let fleet = standing();
    let bash = "#!/bin/bash -e\n[[ $BASH_VERSION ]] && echo \"$# $1 $2 $CLUSTER $OS_AUTH_TYPE\"\ncat\n";
    let plain = "echo \"$# $1 $2 $CLUSTER $OS_AUTH_TYPE\"; cat\n";
    let python = "#!/usr/bin/env python3\nimport os, sys\nprint(len(sys.argv) - 1, *sys.argv[1:3], os.environ['CLUSTER'], os.environ['OS_AUTH_TYPE'])\n";
    for (name, text) in [("bash.sh", bash), ("plain", plain), ("report.py", python)] {
        let path = script(fleet, name, text);
        let run = fleet.run(&["exec", "--all", "--script", &path, "-a", "b c"]).exits(0);
        for hub in hubs() {
            assert_eq!(run.lines_of(hub), [format!("2 -a b c {hub} v3applicationcredential")], "{name}");
        }
        assert_eq!(run.stderr, "");
    }
    assert!(left(fleet).is_empty(), "{:?}", left(fleet));
}

#[test]
fn a_scripts_status_is_its_own_and_one_that_cannot_be_run_says_why() {
    let _using = using();
    let fleet = standing();
    let run = |text: &str| {
        let path = script(fleet, "status.sh", text);
        fleet.run(&["exec", "--hub", "ou23s", "--format", "json", "--script", &path])
    };
    assert_eq!(run("exit 7").exits(1).json()[0]["exit_status"], 7);
    assert_eq!(run("#!/bin/sh\nkill -KILL $$; sleep 1").exits(1).json()[0]["exit_status"], 137);
    let missing = run("#!/opt/nothing/here -x\n").exits(1).json();
    assert_eq!(missing[0]["exit_status"], 127);
    assert!(
        missing[0]["stderr"]
            .as_str()
            .is_some_and(|said| said.contains("the sandbox has no /opt/nothing/here"))
    );
    for (text, why) in [
        ("", "it is empty"),
        ("#!python3\n", "whole path"),
        ("#!/bin/sh\r\n", "as on Windows"),
        ("a\0b", "no text"),
    ] {
        run(text).exits(2).says("cannot be run as a script: ").says(why);
    }
    fleet
        .run(&["exec", "--all", "--script", "/nowhere/check.sh"])
        .exits(2)
        .says("cannot read the script /nowhere/check.sh");
    fleet.run(&["exec", "--all", "--script", "/"]).exits(2).says("cannot read the script /");
}

#[test]
fn nothing_of_a_script_is_left_however_it_ends() {
    let _using = using();
    let fleet = standing();
    let path = script(fleet, "long.sh", "#!/bin/bash\ntrap '' TERM\nsleep 48410\necho not here\n");
    let is_at_work = || fleet.processes("ou23s").iter().any(|line| line.contains("sleep 48410"));
    let run = fleet.run(&["exec", "--all", "--timeout", "1s", "--script", &path]).exits(1);
    assert_eq!(run.stdout, "");
    assert!(!is_at_work() && left(fleet).is_empty(), "{:?}", left(fleet));
    let running = fleet.start(&["exec", "--all", "--script", &path]);
    eventually("it is at work", Duration::from_secs(20), is_at_work);
    // While it runs, there is none either: whoever looks into /tmp finds nothing to change.
    assert!(left(fleet).is_empty(), "{:?}", left(fleet));
    running.signal("KILL");
    running.end();
    eventually("it is ended", Duration::from_secs(10), || !is_at_work());
    assert!(left(fleet).is_empty(), "{:?}", left(fleet));
}

#[test]
fn a_script_goes_with_each_serial_stdin_and_dry_run() {
    let _using = using();
    let fleet = standing();
    let path = script(fleet, "each.sh", "echo \"$1 $2\"; wc -c | tr -d ' '; tail -n +1 \"$0\" | head -n 1\n");
    let args = ["--serial", "1", "--each", "--script", &path, "{hub}", "at {ip}"];
    let dry = fleet.run(&[&["exec", "--all", "--dry-run"], &args[..]].concat()).exits(0);
    let child = fleet
        .command(&[&["exec", "--all", "--stdin"], &args[..]].concat())
        .stdin(std::fs::File::open(&path).expect("it is there"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("fleet starts");
    let run = Run::of(&child.wait_with_output().expect("fleet ends")).exits(0);
    let text = std::fs::read_to_string(&path).expect("it reads");
    for hub in &world().hubs {
        let expected =
            [format!("{} at {}", hub.name, hub.ip), text.len().to_string(), text.trim_end().to_owned()];
        assert_eq!(run.lines_of(&hub.name), expected);
        assert!(dry.stdout.contains(&format!("{path} {} 'at {}'", hub.name, hub.ip)), "{}", dry.stdout);
    }
}

#[test]
fn a_script_is_guarded_when_a_line_of_it_is() {
    let _using = using();
    let fleet = standing();
    let path = script(fleet, "guarded.sh", "# kubectl delete is not run\necho kubectl \\\n  delete pvc x\n");
    let refused = fleet.run(&["exec", "--all", "--script", &path]).exits(4);
    assert_eq!(refused.stdout, "");
    refused.says("is guarded (\"kubectl delete\"), and 4 hubs are chosen: ").says("--yes 4");
    assert_eq!(
        fleet.run(&["exec", "--all", "--yes", "4", "--script", &path]).exits(0).stdout.lines().count(),
        4
    );
    let path = script(fleet, "arguments.sh", "true kubectl \"$@\"\n");
    fleet.run(&["exec", "--all", "--script", &path, "get", "pods"]).exits(0);
    fleet.run(&["exec", "--all", "--script", &path, "delete", "pod"]).exits(4);
    let path = script(fleet, "comment.sh", "# kubectl delete is not run\ntrue\n");
    fleet.run(&["exec", "--all", "--script", &path]).exits(0);
}

#[test]
fn tags_are_put_into_a_command_and_a_hub_without_one_is_told_before_anything_is_run() {
    let _using = using();
    let fleet = Fleet::empty();
    let hub = |name: &str| world().hubs.iter().find(|hub| hub.name == name).expect("it is there");
    fleet.add_as("ou23s", hub("ou23s"), &["--tag", "gpu,term=fall"]).exits(0);
    fleet.add_as("mvu23s", hub("mvu23s"), &["--tag", "term=spring", "--tag", "size=a=b"]).exits(0);
    assert!(fleet.toml().contains("tags = [\"gpu\", \"term=fall\"]"), "{}", fleet.toml());
    let run = fleet.run(&["exec", "--all", "--each", "echo", "{tag.term}", "{hub}"]).exits(0);
    assert_eq!((run.lines_of("ou23s"), run.lines_of("mvu23s")), (vec!["fall ou23s"], vec!["spring mvu23s"]));
    let run = fleet.run(&["exec", "--all", "--each", "echo", "{tag.size}{tag.no}"]).exits(2);
    assert_eq!(run.stdout, "");
    run.says("{tag.size}: no tag size=... has ou23s\n").says("{tag.no}: no tag no=... has ou23s, mvu23s\n");
    fleet.run(&["exec", "--hub", "mvu23s", "--each", "echo", "{tag.size}"]).exits(0).prints("mvu23s | a=b\n");
    // What a tag makes of it is what is guarded.
    fleet.run(&["exec", "--all", "--each", "kubectl", "{tag.term}"]).exits(1);
    let config = fleet.path("fleet.toml").to_str().expect("UTF-8").to_owned();
    fleet.write("fleet.toml", &fleet.toml().replace("term=spring", "term=delete"));
    fleet.run(&["--config", &config, "exec", "--all", "--each", "echo", "kubectl", "{tag.term}"]).exits(4);
    let refused = fleet.add_as("pyaos", hub("pyaos"), &["--tag", "g*"]).exits(2);
    refused.says("is not a tag");
}

#[test]
fn a_script_in_a_terminal_can_be_confirmed() {
    let _using = using();
    let path = script(standing(), "confirmed.sh", "echo kubectl delete $CLUSTER\n");
    let mut pty = Pty::run(
        &format!("$FLEET exec --all --format stream --script {path}; echo left with $?"),
        |command| {
            command
                .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
                .env("FLEET_CONFIG", standing().path("fleet.toml"))
                .env("NO_COLOR", "1");
        },
    );
    pty.shows("type the number of hubs");
    pty.types("4\n");
    let shown = pty.shows("left with 0");
    assert!(shown.contains("pyaos   | kubectl delete pyaos"), "{shown}");
}
