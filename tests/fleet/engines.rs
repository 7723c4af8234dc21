//! Hubs on several Docker engines: two real ones on this machine.

use std::time::{Duration, Instant};

use crate::common::engines::{TwoEngines, second};
use crate::common::volumes::all_ids;
use crate::common::world::{Undo, docker, eventually, sh, try_sh};
use crate::common::{Fleet, Run, breaking, using, world};

const HERE: &str = "ou23s";
const THERE: &str = "mvu23s";

/// One hub on each engine.
fn one_on_each() -> TwoEngines {
    let two = TwoEngines::new("");
    two.add(HERE, "default");
    two.add(THERE, "second");
    two
}

/// The containers that the first engine has of a fleet.
fn here(fleet: &Fleet) -> Vec<String> {
    let filter = format!("name=^{}-", fleet.name);
    docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]).lines().map(str::to_owned).collect()
}

fn json<'v>(all: &'v serde_json::Value, hub: &str) -> &'v serde_json::Value {
    all.as_array().expect("an array").iter().find(|one| one["hub"] == hub).expect("the hub")
}

#[test]
fn hubs_on_two_engines_are_one_fleet() {
    let _using = using();
    let two = one_on_each();
    let fleet = &two.fleet;
    assert!(fleet.toml().contains("engine = \"second\""), "{}", fleet.toml());
    assert_eq!(here(fleet), [fleet.container(HERE)]);
    assert_eq!(second().containers(fleet), [format!("{}-{THERE}", fleet.name)]);

    let status = fleet.run(&["status"]).exits(0);
    assert_eq!(status.stderr, "");
    for hub in [HERE, THERE] {
        let row = status.stdout.lines().find(|line| line.starts_with(hub)).expect("a row");
        assert_eq!(row.split_whitespace().nth(1), Some("running"), "{row}");
    }
    let all =
        fleet.run(&["exec", "--all", "sh", "-c", "hostname; kubectl get nodes -o name; exit 3"]).exits(1);
    for hub in [HERE, THERE] {
        assert_eq!(all.lines_of(hub)[..2], [hub, &format!("node/{hub}-1")], "{}", all.stdout);
    }
    let second_only = fleet.run(&["exec", "--engine", "second", "hostname"]).exits(0);
    assert_eq!((second_only.lines_of(THERE), second_only.lines_of(HERE).len()), (vec![THERE], 0));
    let list = fleet.run(&["list", "--engine", "default", "--format", "json"]).exits(0).json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["engine"], "default");
    fleet
        .run(&["list", "--engine", "secnd"])
        .exits(2)
        .says("there is no engine \"secnd\"; did you mean \"second\"?");
    let table = fleet.run(&["list"]).exits(0);
    assert!(table.stdout.lines().next().is_some_and(|line| line.ends_with("ENGINE")), "{}", table.stdout);

    fleet.run(&["pvc"]).exits(0);
    fleet.run(&["openrc", "check", "--format", "json"]);
    fleet.run(&["tunnel", "restart", THERE]).exits(0);
    fleet.answer_for(&["fsu-s23"]);
    fleet.run(&["orphans"]).exits(0);
    fleet.run(&["doctor"]).prints("engine default: fine").prints("engine second: fine");
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["down", THERE]).exits(0).says("mvu23s: stopped");
    fleet.run(&["up"]).exits(0).says("mvu23s: started, and its API answers");
    fleet.run(&["rm", THERE]).exits(0);
    assert_eq!(second().containers(fleet), [] as [String; 0]);
}

#[test]
fn an_engine_that_is_down_is_one_line_in_status_and_its_hubs_are_silent() {
    let _breaking = breaking();
    let two = one_on_each();
    let fleet = &two.fleet;
    let before = all_ids();
    fleet.answer_for(&["fsu-s23"]);
    two.shut();
    let status = fleet.run(&["status"]).exits(1);
    let told: Vec<&str> = status.stderr.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(told.len(), 1, "{}", status.stderr);
    assert!(
        told[0].starts_with("engine second does not answer: ") && told[0].ends_with("silent: mvu23s"),
        "{told:?}"
    );
    let rows = |run: &Run, hub: &str| -> Vec<String> {
        let line = run.stdout.lines().find(|line| line.starts_with(hub)).expect("a line");
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(rows(&status, THERE)[1], "unseen");
    assert_eq!(rows(&status, HERE)[1..5], ["running", "ok", "up", "ready"]);
    let all = fleet.run(&["status", "--format", "json"]).exits(1).json();
    assert_eq!(json(&all, THERE)["engine"], "second");
    let why = json(&all, THERE)["sandbox"]["unseen"]["reason"].as_str().expect("why").to_owned();
    assert!(why.contains("its engine second does not answer"), "{why}");
    assert_eq!(json(&all, HERE)["findings"], serde_json::json!([]));

    // The others go on, and the silent one is told by name.
    let exec = fleet.run(&["exec", "--all", "hostname"]).exits(1);
    assert_eq!(exec.lines_of(HERE), [HERE]);
    exec.says("mvu23s").says("its engine second does not answer");
    fleet.run(&["up"]).exits(1).says("hub mvu23s: its engine second does not answer");
    fleet.run(&["down", THERE]).exits(1).says("hub mvu23s: its engine second does not answer");
    fleet.run(&["rm", THERE, "--gone"]).exits(1).says("its sandbox cannot be removed");
    fleet
        .run(&["doctor"])
        .exits(1)
        .prints("engine second: error: it does not answer")
        .prints("engine default: fine");
    for args in [&["orphans"][..], &["orphans", "--delete", "--confirm"]] {
        let run = fleet.run(args).exits(3);
        run.prints("mvu23s").prints("engine second").says("nothing is deleted");
    }
    assert_eq!(all_ids(), before);
    assert!(fleet.toml().contains(THERE));

    two.open();
    fleet.run(&["status"]).exits(0);
    fleet.run(&["orphans"]).exits(0);
}

#[test]
fn an_engine_that_hangs_costs_its_own_time_limit_once() {
    let _breaking = breaking();
    let two = one_on_each();
    let pid = second().pid();
    sh("kill", &["-STOP", &pid]);
    let _goes_on = Undo(|| {
        try_sh("kill", &["-CONT", &pid]);
    });
    let began = Instant::now();
    let run = two.fleet.run(&["exec", "--all", "hostname"]).exits(1);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(run.lines_of(HERE), [HERE]);
    run.says("no answer within 3s");
}

#[test]
fn an_engine_that_answers_one_question_and_hangs_in_the_next_costs_its_own_hubs_alone() {
    let _using = using();
    let two = one_on_each();
    let fleet = &two.fleet;
    fleet.run(&["down", "--all"]).exits(0);
    two.hangs_at("/images/");
    fleet
        .run(&["up"])
        .exits(1)
        .says("ou23s: started, and its API answers")
        .says("hub mvu23s: its engine second does not answer: cannot look at image fleet/sandbox:latest on engine second");
    fleet
        .run(&["doctor"])
        .exits(1)
        .prints("engine default: fine")
        .prints("\nou23s: ")
        .prints("engine second: error: it does not answer: cannot look at image");
    two.shut();
    two.open();
    fleet.run(&["up"]).exits(0);

    // What would have to be made again is not, where nobody can see who works in it.
    fleet.write("fleet.toml", &fleet.toml().replace("[sandbox]\n", "[sandbox]\npids = 300\n"));
    two.hangs_at("/top");
    let there = second().docker(&["ps", "-aq"]);
    fleet
        .run(&["up"])
        .exits(1)
        .says("ou23s: made again (limits), and its API answers")
        .says("hub mvu23s: its engine second does not answer: cannot see what runs in container");
    assert_eq!(second().docker(&["ps", "-aq"]), there);
    // It is told where nothing but this is asked.
    two.hangs_at("json?all=true&size=false HTTP");
    fleet
        .run(&["doctor"])
        .exits(1)
        .prints("engine second: error: it does not answer: cannot list containers");
    fleet.run(&["status"]).says("engine second does not answer: cannot list containers");
}

#[test]
fn an_engine_without_hubs_that_cannot_be_asked_blocks_every_deletion_and_so_do_old_containers_on_it() {
    let _breaking = breaking();
    let two = TwoEngines::new("");
    two.add("pyaos", "default");
    let fleet = &two.fleet;
    let before = all_ids();
    two.shut();
    for args in [&["orphans"][..], &["orphans", "--delete", "--confirm"]] {
        fleet.run(args).exits(3).prints("engine second").says("nothing is deleted");
    }
    two.open();
    let old = format!("{}-old", fleet.name);
    second().docker(&[
        "run",
        "-d",
        "--name",
        &old,
        "-e",
        "CLUSTER=forgotten",
        "-e",
        "IP=192.0.2.7",
        "-v",
        "/tmp:/home/openstack/.kube",
        "fleet/sandbox:latest",
    ]);
    fleet.run(&["orphans", "--delete", "--confirm"]).exits(3).prints("forgotten");
    assert_eq!(all_ids(), before);
    fleet.run(&["adopt", "--dry-run"]).exits(0).prints(&old);
}

#[test]
fn an_engine_that_was_taken_out_of_the_file_blocks_every_deletion() {
    let _breaking = breaking();
    let two = TwoEngines::new("");
    two.add("pyaos", "default");
    let fleet = &two.fleet;
    fleet.answer_for(&["ou23s", "mvu23s", "fsu-s23"]);
    fleet.run(&["orphans"]).exits(0);
    let before = all_ids();
    let toml = fleet.toml();
    let from = toml.find("[engines.second]").expect("it is there");
    let to = from + toml[from..].find("[[").expect("tables follow");
    fleet.write("fleet.toml", &format!("{}{}", &toml[..from], &toml[to..]));
    let run = fleet.run(&["orphans", "--delete", "--confirm"]).exits(3);
    let door = fleet.path("door.sock");
    let run = run
        .prints(&format!("the former engine at {}", door.display()))
        .prints("fleet.toml does not have it any more")
        .says("nothing is deleted");
    assert!(!run.stdout.contains("engine default"), "{}", run.stdout);
    let json = fleet.run(&["orphans", "--format", "json"]).exits(3).json();
    assert_eq!(json["unseen"][0]["subject"]["former_engine"], door.display().to_string());
    assert_eq!(all_ids(), before);
}

#[test]
fn a_hub_whose_engine_is_another_one_now_moves_with_fleet_up() {
    let _using = using();
    let two = one_on_each();
    let fleet = &two.fleet;
    let moved = fleet.toml().replace("engine = \"second\"", "engine = \"default\"");
    // Its network there is another one, too.
    let drift = serde_json::json!(["engine", "network"]);
    // Where the new engine lacks what a sandbox is made of, the old one goes on.
    let elsewhere = moved.replace("[sandbox]\n", "[sandbox]\nimage = \"nowhere/sandbox:1\"\n");
    fleet.write("fleet.toml", &elsewhere);
    fleet.run(&["up", THERE]).exits(1).says("no image nowhere/sandbox:1");
    assert_eq!(second().containers(fleet).len(), 1);

    fleet.write("fleet.toml", &moved);
    let status = fleet.run(&["status", THERE, "--format", "json"]).exits(0).json();
    assert_eq!(json(&status, THERE)["sandbox"]["drift"], drift);
    let plan = fleet.run(&["up", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!(json(&plan, THERE)["why"]["drift"], drift);
    fleet.run(&["up"]).exits(0).says("mvu23s: made again (engine, network), and its API answers");
    assert_eq!(second().containers(fleet), [] as [String; 0]);
    assert_eq!(here(fleet).len(), 2);
    assert_eq!(fleet.run(&["exec", "--hub", THERE, "hostname"]).exits(0).lines_of(THERE), [THERE]);
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
}

#[test]
fn a_sandbox_that_was_left_on_an_engine_which_did_not_answer_is_cleared_away_when_it_does() {
    let _using = using();
    let two = one_on_each();
    let fleet = &two.fleet;
    two.shut();
    fleet.write("fleet.toml", &fleet.toml().replace("engine = \"second\"", "engine = \"default\""));
    fleet.run(&["up", THERE]).exits(0).says("mvu23s: made, and its API answers");
    two.open();
    assert_eq!(second().containers(fleet).len(), 1);
    let plan = fleet.run(&["up", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!(json(&plan, THERE)["action"], "clear");
    fleet.run(&["up"]).exits(0).says("mvu23s: what it had on another engine is gone");
    assert_eq!(second().containers(fleet), [] as [String; 0]);
    // The one that went took the tunnel's socket with it, which both had.
    eventually("the tunnel is back", Duration::from_secs(20), || {
        fleet.run(&["tunnel", "status", THERE]).status == Some(0)
    });
}

#[test]
fn down_stops_what_is_left_elsewhere_too_and_tells_which_engine_it_cannot_see() {
    let _using = using();
    let two = one_on_each();
    let fleet = &two.fleet;
    fleet.write("fleet.toml", &fleet.toml().replace("engine = \"second\"", "engine = \"default\""));
    two.shut();
    fleet
        .run(&["down", HERE, THERE])
        .exits(1)
        .says("ou23s: stopped")
        .says("error: engine second does not answer")
        .says("(ou23s, mvu23s)");
    two.open();
    let runs = || second().docker(&["ps", "-q", "--filter", &format!("name=^{}-", fleet.name)]);
    assert_ne!(runs(), "");
    // Both engines have one now, and another fleet of the name has one there, too.
    two.shut();
    fleet.run(&["up", THERE]).exits(0);
    two.open();
    let theirs = format!("{}-theirs", fleet.name);
    let (name, hub) = (format!("fleet.name={}", fleet.name), format!("fleet.hub={HERE}"));
    let labels = ["--label", name.as_str(), "--label", &hub];
    let run = [
        &["run", "-d", "--name", &theirs],
        &labels[..],
        &["--entrypoint", "sleep", "fleet/sandbox:latest", "600"],
    ];
    second().docker(&run.concat());
    fleet
        .run(&["down", HERE, THERE])
        .exits(1)
        .says("mvu23s: stopped")
        .says("mvu23s: what it has on engine second is stopped")
        .says("error: hub ou23s: engine second has a sandbox of its name");
    let runs =
        second().docker(&["ps", "--format", "{{.Names}}", "--filter", &format!("name=^{}-", fleet.name)]);
    assert_eq!(runs, theirs);
}

#[test]
fn what_is_wrong_with_engines_is_told_before_anything_is_done() {
    let fleet = Fleet::empty();
    fleet
        .write("fleet.toml", &format!("{}\n[engines.far]\nurl = \"tcp://192.0.2.1:2375\"\n", fleet.header()));
    fleet.run(&["status"]).exits(2).says("without TLS").says("fleet.toml:");
    let hub = world().hub(HERE);
    fleet.write("fleet.toml", &fleet.header());
    let status = fleet.command(&["status"]).env("DOCKER_HOST", "http://10.0.0.1:2375").output();
    Run::of(&status.expect("fleet starts"))
        .exits(2)
        .says("$DOCKER_HOST in the environment: \"http://10.0.0.1:2375\" is not supported")
        .says("unset it");
    let before = fleet.everything();
    fleet.add_as(HERE, hub, &["--engine", "nowhere"]).exits(2).says("no engine \"nowhere\" in [engines]");
    assert_eq!(fleet.everything(), before);
}
