//! `fleet rm`: takes a hub out of the fleet.

use serde_json::Value;

use crate::common::world::{docker, kubectl, pause};
use crate::common::{Fleet, breaking, using, world};

/// Names of the PVs that the stone of a hub remembers.
fn remembered(fleet: &Fleet, hub: &str) -> Vec<String> {
    let stone: Value =
        serde_json::from_str(&fleet.read(&format!("jhubs/_fleet/tombstones/{hub}.json"))).expect("JSON");
    assert_eq!(stone["hub"], hub);
    let volumes = stone["persistent_volumes"].as_array().expect("a list");
    assert!(volumes.iter().all(|volume| volume["volume_ids"].as_array().is_some_and(|ids| !ids.is_empty())));
    let mut names: Vec<_> =
        volumes.iter().map(|volume| volume["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_sandbox_goes_the_state_stays_and_what_the_cluster_uses_is_remembered() {
    let _using = using();
    let hub = world().hub("ou23s");
    let fleet = Fleet::empty();
    let before = format!("{}\n# Above all hubs.\n\n", fleet.header());
    fleet.write("fleet.toml", &before);
    fleet.add(hub).exits(0);
    fleet.write("fleet.toml", &format!("{}\n# Below all hubs.\n", fleet.toml()));
    fleet.write("jhubs/ou23s/secrets.yaml", "hub: {}\n");

    let run = fleet.run(&["rm", "ou23s"]).exits(0);
    assert_eq!(run.stdout, "");
    let run = run.says("hub ou23s is out of the fleet").says("its state stays in");
    assert!(run.stderr.contains("are no orphans"), "{}", run.stderr);
    assert!(fleet.containers().is_empty());
    assert_eq!(fleet.toml(), before + "# Below all hubs.\n");
    assert_eq!(fleet.read("jhubs/ou23s/secrets.yaml"), "hub: {}\n");
    assert!(fleet.state("ou23s").join("kube/config").is_file());
    let mut used: Vec<_> = kubectl(hub, &["get", "pv", "-o", "name"])
        .lines()
        .map(|name| name.trim_start_matches("persistentvolume/").to_owned())
        .collect();
    used.sort();
    assert_eq!(remembered(&fleet, "ou23s"), used);

    // Made again: the state is used as it was, and the cluster speaks for itself.
    fleet.add(hub).exits(0).says("using the kubeconfig");
    assert!(!fleet.path("jhubs/_fleet/tombstones/ou23s.json").exists());
    assert_eq!(fleet.read("jhubs/ou23s/secrets.yaml"), "hub: {}\n");
}

#[test]
fn a_hub_that_is_silent_stays_unless_its_cluster_is_said_to_be_gone() {
    let _breaking = breaking();
    let hub = world().hub("pyaos");
    let fleet = Fleet::with_settings("[timeouts]\nkubernetes = \"2s\"");
    fleet.add(hub).exits(0);
    let before = fleet.everything();
    {
        let _paused = pause(hub);
        fleet
            .run(&["rm", "pyaos"])
            .exits(3)
            .says("cannot tell what volumes hub pyaos uses")
            .says("fleet rm pyaos --gone");
        assert_eq!(fleet.everything(), before);
        fleet.run(&["rm", "pyaos", "--gone"]).exits(0);
    }
    assert!(fleet.containers().is_empty());
    assert!(!fleet.toml().contains("pyaos"));
    assert!(fleet.state("pyaos").join("kube/config").is_file());
}

#[test]
fn a_hub_whose_sandbox_is_stopped_or_gone_stays_too() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    docker(&["stop", "-t", "2", &fleet.container("ou23s")]);
    let before = fleet.everything();
    fleet.run(&["rm", "ou23s"]).exits(3).says("its sandbox is not running").says("fleet up ou23s");
    assert_eq!(fleet.everything(), before);
    docker(&["rm", &fleet.container("ou23s")]);
    let before = fleet.everything();
    fleet.run(&["rm", "ou23s"]).exits(3).says("it has no sandbox");
    assert_eq!(fleet.everything(), before);
    fleet.run(&["rm", "ou23s", "--gone"]).exits(0);
    assert!(!fleet.toml().contains("ou23s"));
}

#[test]
fn the_state_is_removed_only_with_purge_and_confirm() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "pyaos"]);
    let before = fleet.everything();
    let run = fleet.run(&["rm", "ou23s", "--purge"]).exits(4);
    run.says("would be removed").says("confirmation is missing").says("fleet rm ou23s --purge --confirm");
    assert_eq!(fleet.everything(), before);
    fleet.run(&["rm", "ou23s", "--purge", "--confirm"]).exits(0);
    assert!(!fleet.state("ou23s").exists());
    assert!(!remembered(&fleet, "ou23s").is_empty(), "what its cluster uses is remembered all the same");
    // The other hub has lost nothing.
    fleet.run(&["status"]).exits(0);
    assert_eq!(fleet.containers().len(), 1);
}
