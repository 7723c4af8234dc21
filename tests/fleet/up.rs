//! `fleet up` and `fleet down`: sandboxes are brought to what fleet.toml says, and nothing else is touched.

use std::time::Duration;

use serde_json::Value;

use crate::common::world::docker;
use crate::common::{Fleet, using, world};

/// What a dry run says that a hub needs, and why.
fn wanted(fleet: &Fleet, hub: &str) -> (String, Value) {
    let all = fleet.run(&["up", "--dry-run", "--format", "json"]).exits(0).json();
    let steps = all.as_array().expect("an array");
    let step = steps.iter().find(|step| step["hub"] == hub).expect("the hub").clone();
    (step["action"].as_str().expect("an action").to_owned(), step["why"].clone())
}

fn id(fleet: &Fleet, hub: &str) -> String {
    docker(&["inspect", "-f", "{{.Id}}", &fleet.container(hub)])
}

/// Puts a line under `[sandbox]`.
fn set(fleet: &Fleet, line: &str) {
    fleet.write("fleet.toml", &fleet.toml().replace("[sandbox]\n", &format!("[sandbox]\n{line}\n")));
}

#[test]
fn what_is_stopped_is_started_and_what_is_right_is_left_alone() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let before = [id(&fleet, "ou23s"), id(&fleet, "mvu23s")];
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["down", "ou23s"]).exits(0).says("ou23s: stopped");
    fleet.run(&["pvc"]).exits(3).says("fleet up ou23s");
    assert_eq!(wanted(&fleet, "ou23s").0, "start");
    assert_eq!(wanted(&fleet, "mvu23s").0, "none");
    fleet.run(&["up"]).exits(0).says("ou23s: started, and its API answers");
    fleet.run(&["pvc"]).exits(0);
    docker(&["pause", &fleet.container("mvu23s")]);
    assert_eq!(wanted(&fleet, "mvu23s").0, "unpause");
    fleet.run(&["up", "mvu23s"]).exits(0).says("mvu23s: goes on");
    fleet.run(&["status"]).exits(0);
    assert_eq!([id(&fleet, "ou23s"), id(&fleet, "mvu23s")], before);
}

#[test]
fn all_sandboxes_are_stopped_only_where_all_is_said() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    fleet.run(&["down"]).exits(2);
    fleet.run(&["status"]).exits(0);
    docker(&["pause", &fleet.container("ou23s")]);
    fleet.run(&["down", "--all"]).exits(0);
    assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", &fleet.container("ou23s")]), "exited");
    fleet.run(&["down", "--all"]).exits(0);
}

#[test]
fn a_sandbox_that_was_removed_is_made_again_with_the_same_state() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let state =
        || fleet.files().into_iter().filter(|file| !file.contains("tunnel/api.sock")).collect::<Vec<_>>();
    let before = state();
    docker(&["rm", "-f", &fleet.container("ou23s")]);
    assert_eq!(wanted(&fleet, "ou23s").0, "make");
    fleet.run(&["up"]).exits(0).says("ou23s: made, and its API answers");
    assert_eq!(state(), before);
    fleet.run(&["exec", "--all", "kubectl", "get", "nodes"]).exits(0);
}

#[test]
fn a_hub_that_was_written_into_the_file_by_hand_is_made() {
    let _using = using();
    let fleet = Fleet::empty();
    let hub = world().hub("ou23s");
    let text = format!(
        "{}\n[[hub]]\nname = \"ou23s\"\nip = \"{}\"\nopenrc = \"openrc-alpha.sh\"\n",
        fleet.toml(),
        hub.ip
    );
    fleet.write("fleet.toml", &text);
    fleet.run(&["up"]).exits(0).says(&hub.host_key_fingerprint).says("ou23s: made");
    fleet.run(&["status"]).exits(0);
    assert_eq!(fleet.toml(), text);
}

#[test]
fn what_has_drifted_is_made_again_and_says_why() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let before = id(&fleet, "ou23s");
    set(&fleet, "memory = \"512MiB\"");
    assert_eq!(wanted(&fleet, "ou23s"), ("remake".to_owned(), serde_json::json!({ "drift": ["limits"] })));
    assert_eq!(id(&fleet, "ou23s"), before, "a dry run does nothing");
    fleet.run(&["up"]).exits(0).says("ou23s: made again (limits), and its API answers");
    assert_ne!(id(&fleet, "ou23s"), before);
    let memory = docker(&["inspect", "-f", "{{.HostConfig.Memory}}", &fleet.container("ou23s")]);
    assert_eq!(memory, (512 << 20).to_string());
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["status"]).exits(0);
}

#[test]
fn a_new_image_under_the_same_name_is_used_and_a_missing_one_takes_nothing_away() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let image = format!("{}:image", fleet.name);
    let build = |label: &str| {
        let container = docker(&["create", "--label", label, "fleet/sandbox:latest"]);
        docker(&["commit", &container, &image]);
        docker(&["rm", &container]);
    };
    build("fleet-test=1");
    set(&fleet, &format!("image = \"{image}\""));
    fleet.run(&["up"]).exits(0).says("(image)");
    build("fleet-test=2");
    assert_eq!(wanted(&fleet, "ou23s"), ("remake".to_owned(), serde_json::json!("new_image")));
    fleet.run(&["up"]).exits(0).says("ou23s: made again (a new image)");
    let before = id(&fleet, "ou23s");
    docker(&["rmi", "-f", &image]);
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    set(&fleet, "pids = 300");
    fleet.run(&["up"]).exits(1).says("hub ou23s: the engine has no image");
    assert_eq!(id(&fleet, "ou23s"), before);
    fleet.run(&["pvc"]).exits(0);
}

#[test]
fn an_up_that_is_killed_at_any_moment_is_mended_by_the_next() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let good = fleet.toml();
    for (round, pause) in [20, 60, 120, 200, 350, 600, 1000].into_iter().enumerate() {
        // Another limit each time, so that the sandbox is taken away and made again.
        fleet.write(
            "fleet.toml",
            &good.replace("[sandbox]\n", &format!("[sandbox]\npids = {}\n", 300 + round)),
        );
        let running = fleet.start(&["up"]);
        std::thread::sleep(Duration::from_millis(pause));
        running.signal("KILL");
        running.end();
        fleet.run(&["up"]).exits(0);
        assert_eq!(fleet.containers().len(), 1, "after {pause} ms");
        fleet.run(&["pvc"]).exits(0);
        fleet.run(&["up"]).exits(0).says("there is nothing to do");
    }
}

#[test]
fn a_master_that_is_away_does_not_keep_a_sandbox_from_being_made() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"2s\"");
    fleet.add(world().hub("ou23s")).exits(0);
    // Nobody is there: the tunnel goes on trying, and openstack works in the sandbox meanwhile.
    let here = world().hub("ou23s").ip.clone();
    fleet.write("fleet.toml", &fleet.toml().replace(&here, "192.0.2.1"));
    let pinned = fleet.read("jhubs/ou23s/tunnel/known_hosts");
    fleet.write("jhubs/ou23s/tunnel/known_hosts", &pinned.replace(&here, "192.0.2.1"));
    fleet.run(&["up"]).exits(1).says("hub ou23s: cannot bring the tunnel up");
    fleet.run(&["exec", "--hub", "ou23s", "sh", "-c", "test \"$IP\" = 192.0.2.1"]).exits(0);
}
