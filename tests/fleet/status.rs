//! `fleet status`: what is there of each hub, and whether it works.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::world::{docker, kubectl, pause};
use crate::common::{Fleet, Run, breaking, standing, using, world};

/// The status of one hub, from JSON.
#[track_caller]
fn of(run: &Run, hub: &str) -> Value {
    let all = run.json();
    let found = all.as_array().expect("an array").iter().find(|one| one["hub"] == hub);
    found.unwrap_or_else(|| panic!("no {hub} in {all}")).clone()
}

/// Columns of a hub's line in the table.
#[track_caller]
fn line<'a>(run: &'a Run, hub: &str) -> Vec<&'a str> {
    let found = run.stdout.lines().find(|line| line.split_whitespace().next() == Some(hub));
    found.unwrap_or_else(|| panic!("no {hub} in {}", run.stdout)).split_whitespace().collect()
}

/// Claims of a cluster and their GiB, as its own administrator sees them.
fn claims(hub: &crate::common::WorldHub) -> (usize, u64) {
    let all: Value = serde_json::from_str(&kubectl(hub, &["get", "pvc", "-A", "-o", "json"])).expect("JSON");
    let all = all["items"].as_array().expect("a list").clone();
    let gib = |claim: &Value| {
        let size = claim["status"]["capacity"]["storage"].as_str().expect("bound");
        size.strip_suffix("Gi").expect("the seed has whole GiB").parse::<u64>().expect("a number")
    };
    (all.len(), all.iter().map(gib).sum())
}

#[test]
fn hubs_that_work_are_shown_with_what_they_have_and_the_status_is_0() {
    let _using = using();
    let table = standing().run(&["status"]).exits(0);
    let json = standing().run(&["status", "--format", "json"]).exits(0);
    assert_eq!(table.stderr, "");
    for hub in &world().hubs {
        let (count, gib) = claims(hub);
        let nodes = kubectl(hub, &["get", "nodes", "-o", "name"]).lines().count();
        let expected =
            format!("{} running ok up ready {} no end {nodes}/{nodes} {count} {gib}", hub.name, hub.project);
        assert_eq!(line(&table, &hub.name).join(" "), expected);
        let seen = of(&json, &hub.name);
        assert_eq!(seen["sandbox"]["state"], "running");
        assert_eq!(seen["sandbox"]["drift"], serde_json::json!([]));
        assert_eq!(seen["openrc_stale"]["seen"], false);
        assert_eq!(seen["tunnel"]["seen"], "up");
        assert_eq!(
            seen["credentials"]["seen"]["project"]["id"],
            world().cloud.projects[&hub.project].as_str()
        );
        assert_eq!(seen["claims"]["seen"].as_array().map(Vec::len), Some(count));
        assert_eq!(seen["nodes"]["seen"].as_array().map(Vec::len), Some(nodes));
        assert_eq!(seen["findings"], serde_json::json!([]));
    }
    let one = standing().run(&["status", "pyaos"]).exits(0);
    assert_eq!(one.stdout.lines().count(), 2, "only what is asked for");
}

#[test]
fn a_master_that_is_paused_is_told_as_hanging_within_its_limit_and_the_others_results_are_there() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("impatient.toml", "[timeouts]\nkubernetes = \"2s\"");
    let _paused = pause(world().hub("pyaos"));
    for format in ["table", "json"] {
        let began = Instant::now();
        let run = fleet.run(&["status", "--config", &config, "--format", format]).exits(1);
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
        if format == "json" {
            assert_eq!(of(&run, "pyaos")["tunnel"]["seen"], "hangs");
            assert_eq!(
                of(&run, "pyaos")["credentials"]["seen"]["project"]["name"],
                "beta",
                "what can be seen is there"
            );
        } else {
            assert_eq!(line(&run, "pyaos")[..6], ["pyaos", "running", "ok", "hangs", "no", "beta"]);
            for hub in world().hubs.iter().filter(|hub| hub.name != "pyaos") {
                assert_eq!(line(&run, &hub.name)[3..5], ["up", "ready"]);
            }
            run.says("pyaos: ").says("no answer within 2s");
        }
    }
}

#[test]
fn a_sandbox_that_does_not_run_is_told_with_what_to_do() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let container = fleet.container("ou23s");
    docker(&["pause", &container]);
    let run = fleet.run(&["status"]).exits(1);
    assert_eq!(line(&run, "ou23s")[..5], ["ou23s", "paused", "-", "-", "-"]);
    run.says("its sandbox is paused").says("fleet up ou23s");
    docker(&["unpause", &container]);
    docker(&["stop", "-t", "2", &container]);
    let run = fleet.run(&["status"]).exits(1);
    assert_eq!(line(&run, "ou23s")[..2], ["ou23s", "exited"]);
    run.says("its sandbox is not running (exited)").says("fleet up ou23s");
    docker(&["rm", &container]);
    let run = fleet.run(&["status"]).exits(1);
    assert_eq!(line(&run, "ou23s")[..2], ["ou23s", "none"]);
    run.says("it has no sandbox").says("fleet up ou23s");
}

#[test]
fn an_openrc_that_was_replaced_by_rename_is_told_as_stale_and_one_written_in_place_is_not() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let text = fleet.read("openrc-alpha.sh");
    fleet.write_in_place("openrc-alpha.sh", &format!("{text}# another line\n"));
    let run = fleet.run(&["status"]).exits(0);
    assert_eq!(line(&run, "ou23s")[2], "ok");
    // The very same bytes, in a new file: nothing but the inode tells.
    fleet.write_by_rename("openrc-alpha.sh", &format!("{text}# another line\n"));
    let run = fleet.run(&["status"]).exits(1);
    assert_eq!(line(&run, "ou23s")[2], "stale");
    let run = run.says("its openrc is stale").says("write such files in place");
    assert!(run.stderr.contains("docker restart"), "{}", run.stderr);
    let json = fleet.run(&["status", "--format", "json"]).exits(1);
    assert_eq!(of(&json, "ou23s")["openrc_stale"]["seen"], true);
    // What is told to do about it helps.
    docker(&["restart", "-t", "2", &fleet.container("ou23s")]);
    crate::common::world::eventually("it works again", Duration::from_secs(20), || {
        fleet.run(&["status"]).status == Some(0)
    });
}

#[test]
fn credentials_that_do_not_work_are_told_with_what_to_do() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let config = fleet.variant("impatient.toml", "[timeouts]\nopenrc = \"2s\"");
    let status = || fleet.run(&["status", "--config", &config]).exits(1);
    let good = fleet.read("openrc-alpha.sh");

    fleet.write_in_place("openrc-alpha.sh", &fleet.read("openrc-expired.sh"));
    let run = status();
    assert_eq!(
        line(&run, "ou23s")[2..7],
        ["ok", "up", "ready", "no", "-"],
        "the cluster is there all the same"
    );
    run.says("Keystone refused the application credential").says("make a new application credential");

    // One that asks: standard input is closed, so it does not wait.
    let asks = "export OS_AUTH_URL=http://10.0.0.1:5000/v3 OS_USERNAME=u OS_PROJECT_NAME=p\nread -sr OS_PASSWORD\nexport OS_PASSWORD\n";
    fleet.write_in_place("openrc-alpha.sh", asks);
    status().says("OS_PASSWORD is not set").says("application credential");

    // One that hangs costs its own limit, and is not left running.
    fleet.write_in_place("openrc-alpha.sh", &format!("sleep 4951\n{good}"));
    let run = status();
    assert_eq!(line(&run, "ou23s")[3..5], ["up", "ready"]);
    run.says("sourcing its openrc took longer than 2s").says("application credential");
    let left: Vec<_> =
        fleet.processes("ou23s").into_iter().filter(|line| line.contains("sleep 4951")).collect();
    assert!(left.is_empty(), "{left:?}");

    fleet.write_in_place("openrc-alpha.sh", "exit 5\n");
    status().says("sourcing its openrc ended with status 5");

    fleet.write_in_place("openrc-alpha.sh", &good);
    fleet.run(&["status"]).exits(0);
}

#[test]
fn a_sandbox_that_was_made_from_other_settings_is_told() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let good = fleet.toml();
    let drifted = |setting: &str, part: &str| {
        fleet.write("fleet.toml", &good.replace("[sandbox]\n", &format!("[sandbox]\n{setting}\n")));
        let run = fleet.run(&["status", "--format", "json"]).exits(0);
        assert_eq!(of(&run, "ou23s")["sandbox"]["drift"], serde_json::json!([part]), "{setting}");
        fleet
            .run(&["status"])
            .exits(0)
            .says(&format!("its sandbox is not what fleet.toml asks for now: {part}"))
            .says("fleet up ou23s");
    };
    drifted("memory = \"512MiB\"", "limits");
    drifted("pids = 100", "limits");
    drifted("image = \"fleet/sandbox:other\"", "image");
    fleet.write("fleet.toml", &good);
    assert_eq!(
        of(&fleet.run(&["status", "--format", "json"]).exits(0), "ou23s")["sandbox"]["drift"],
        serde_json::json!([])
    );
}
