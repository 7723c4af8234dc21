//! `fleet history`: what is written down of commands on real hubs, and what is not.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::common::world::eventually;
use crate::common::{Fleet, using, world};
use crate::cp::here;

/// The last of what was run, as the JSON has it.
fn last(fleet: &Fleet) -> serde_json::Value {
    let run = fleet.run(&["history", "--limit", "1", "--format", "json"]).exits(0);
    run.json()[0].clone()
}

#[test]
fn who_ran_what_where_with_which_result_is_written_down_without_secrets() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "pyaos"]);
    let new = last(&fleet);
    assert_eq!(
        (&new["arguments"][0], &new["hubs"][0], &new["exit"]),
        (&"new".into(), &"pyaos".into(), &0.into())
    );
    let script = "export OS_PASSWORD='hunter2 horse'; test $CLUSTER = pyaos || exit 7; echo --token s3cr3t";
    fleet.run(&["exec", "--all", "sh", "-c", script]).exits(1);
    let exec = last(&fleet);
    assert_eq!(exec["exit"], 1);
    assert_eq!(exec["hubs_by_status"], serde_json::json!({ "0": 1, "7": 1 }));
    assert_eq!(exec["hubs"], serde_json::json!(["ou23s", "pyaos"]));
    assert_eq!(exec["by"]["process"].as_u64().map(|id| id > 1), Some(true));
    assert_eq!(exec["by"]["uid"], rustix::process::getuid().as_raw());
    let dir = here(&[("a", "text", 0o600)]);
    let path = dir.path().join("a");
    fleet.run(&["cp", path.to_str().expect("UTF-8"), "ou23s:/tmp/"]).exits(0);
    assert_eq!(last(&fleet)["hubs_by_status"], serde_json::json!({ "0": 1 }));
    fleet.run(&["tunnel", "restart", "ou23s"]).exits(0);
    fleet.run(&["down", "ou23s"]).exits(0);
    fleet.run(&["up", "ou23s"]).exits(0);
    let key = &world().hub("ou23s").host_key_fingerprint;
    fleet.run(&["trust", "ou23s", "--host-key", key]).exits(0);
    // What changes nothing is not in it.
    fleet.run(&["exec", "--all", "--dry-run", "true"]).exits(0);
    fleet.run(&["up", "--dry-run"]).exits(0);
    fleet.run(&["list"]).exits(0);
    fleet.run(&["exec", "--hub", "nobody", "true"]).exits(2);
    fleet.run(&["rm", "ou23s"]).exits(0);
    let all = fleet.run(&["history", "--format", "json"]).exits(0).json();
    let commands: Vec<&str> = all
        .as_array()
        .expect("all")
        .iter()
        .map(|one| one["arguments"][0].as_str().expect("a word"))
        .collect();
    assert_eq!(commands, ["new", "new", "exec", "cp", "tunnel", "down", "up", "trust", "rm"]);
    assert!(all.as_array().expect("all").iter().all(|one| one["ended"] == true), "{all:#}");
    let of = fleet.run(&["history", "--hub", "pyaos", "--since", "1h"]).exits(0);
    assert_eq!(of.stdout.lines().count(), 3, "{}", of.stdout);
    of.prints("1 (7 in 1)");
    let text = fleet.read("jhubs/_fleet/history.jsonl");
    for secret in ["hunter2", "horse", "s3cr3t"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let mode = std::fs::metadata(fleet.path("jhubs/_fleet/history.jsonl"))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn one_that_is_killed_has_no_end_and_one_that_cannot_be_written_down_is_run_all_the_same() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let running = fleet.start(&["exec", "--all", "sleep", "4781"]);
    eventually("it is at work", Duration::from_secs(30), || {
        fleet.processes("ou23s").iter().any(|line| line.trim_start().starts_with("sleep 4781"))
    });
    assert_eq!(last(&fleet)["ended"], false);
    running.signal("KILL");
    running.end();
    assert_eq!(last(&fleet)["ended"], false);
    fleet.run(&["history"]).exits(0).prints("none");
    // A directory in its place.
    let path = fleet.path("jhubs/_fleet/history.jsonl");
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("made");
    let run = fleet.run(&["exec", "--all", "echo", "done"]).exits(0).prints("done");
    run.says("warning: this is missing in the history: ").says("history.jsonl");
}
