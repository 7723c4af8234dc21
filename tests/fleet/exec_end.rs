//! How `fleet exec` ends, and that nothing of a command is left in any sandbox then.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::world::{docker, eventually, try_sh};
use crate::common::{Fleet, Run, breaking, standing, using, world};

fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// How many processes have this at the beginning of their command lines, in all sandboxes together.
fn at_work(fleet: &Fleet, command: &str) -> usize {
    let in_hub = |hub: &&str| {
        fleet.processes(hub).iter().filter(|line| line.trim_start().starts_with(command)).count()
    };
    hubs().iter().map(in_hub).sum()
}

fn by_hub(run: &Run) -> std::collections::BTreeMap<String, serde_json::Value> {
    let json = run.json();
    let each = json.as_array().expect("an array").iter();
    each.map(|one| (one["hub"].as_str().expect("a name").to_owned(), one.clone())).collect()
}

#[test]
fn a_deadline_is_for_all_hubs_together_and_those_not_begun_are_told_apart() {
    let _using = using();
    let fleet = standing();
    let began = Instant::now();
    let args = ["exec", "--all", "--parallel", "2", "--deadline", "3s", "--format", "json"];
    let run = fleet.run(&[&args[..], &["sh", "-c", "echo began; sleep 4771"]].concat()).exits(1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let json = by_hub(&run);
    let error = |hub: &str| json[hub]["error"].as_str().expect("why").to_owned();
    let begun: Vec<&str> = hubs().into_iter().filter(|hub| json[*hub]["stdout"] == "began\n").collect();
    assert_eq!(begun.len(), 2, "{json:#?}");
    for hub in hubs() {
        assert!(json[hub]["exit_status"].is_null());
        let word =
            if begun.contains(&hub) { "stopped: the 3s for all hubs are over" } else { "not begun: the 3s" };
        assert!(error(hub).contains(word), "{hub}: {}", error(hub));
    }
    assert_eq!(at_work(fleet, "sleep 4771"), 0);
    let run = fleet.run(&[&args[..6], &["sh", "-c", "sleep 4771"]].concat()).exits(1);
    run.says("stopped in 2 of 4 hubs: ").says("not begun in 2 of 4 hubs: ");
}

#[test]
fn the_first_failure_stops_the_others_where_that_is_asked_for() {
    let _using = using();
    let fleet = standing();
    let began = Instant::now();
    let script = "test $CLUSTER = pyaos || sleep 4772; sleep 1; exit 5";
    let args = ["exec", "--all", "--fail-fast", "--format", "json", "sh", "-c", script];
    let json = by_hub(&fleet.run(&args).exits(1));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for hub in hubs() {
        if hub == "pyaos" {
            assert_eq!(json[hub]["exit_status"], 5);
        } else {
            assert_eq!(json[hub]["error"], "stopped: it failed in pyaos");
        }
    }
    assert_eq!(at_work(fleet, "sleep 4772"), 0);
    // Where none fails, nothing is stopped.
    fleet.run(&["exec", "--all", "--fail-fast", "true"]).exits(0);
}

#[test]
fn ctrl_c_shows_what_is_done_so_far_in_every_form() {
    let _using = using();
    let fleet = standing();
    for format in ["stream", "gather", "table", "json", "ndjson"] {
        let script = "test $CLUSTER = pyaos || { echo began; sleep 4773; }; echo done";
        let running = fleet.start(&["exec", "--all", "--format", format, "sh", "-c", script]);
        eventually("it is at work", Duration::from_secs(30), || at_work(fleet, "sleep 4773") == 3);
        running.signal("INT");
        let run = running.end().exits(130);
        assert_eq!(at_work(fleet, "sleep 4773"), 0);
        assert!(run.stdout.contains("began") && run.stdout.contains("done"), "{format}:\n{}", run.stdout);
        if !format.ends_with("json") {
            run.says("stopped in 3 of 4 hubs: ");
        }
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_an_end_in_good_order_and_leaves_nothing_either() {
    let _using = using();
    let fleet = standing();
    // Each takes two seconds to end in good order, in vain.
    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 4774; done' & while :; do sleep 4774; done";
    let running = fleet.start(&["exec", "--all", "sh", "-c", script]);
    eventually("it is at work", Duration::from_secs(30), || at_work(fleet, "sleep 4774") == 2 * hubs().len());
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    running.signal("INT");
    running.end().exits(130);
    let took = began.elapsed();
    assert_eq!(at_work(fleet, "sleep 4774"), 0);
    assert_eq!(at_work(fleet, "sh -c trap"), 0);
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

#[test]
fn a_reader_that_stands_still_keeps_nobody_from_stopping_it() {
    let _using = using();
    let fleet = standing();
    let mut child = fleet
        .command(&["exec", "--all", "sh", "-c", "yes 4775"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("fleet starts");
    let mut output = child.stdout.take().expect("piped");
    output.read_exact(&mut [0; 4096]).expect("it prints");
    let signal = || try_sh("kill", &["-INT", &child.id().to_string()]);
    signal();
    eventually("the commands are stopped", Duration::from_secs(10), || at_work(fleet, "yes 4775") == 0);
    // It waits for the reader to take the rest, until it is told not to.
    signal();
    let began = Instant::now();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_command_that_a_signal_ended_has_128_and_its_number_and_never_0() {
    let _using = using();
    let fleet = standing();
    for (signal, status) in [("HUP", 129), ("INT", 130), ("KILL", 137), ("SEGV", 139), ("TERM", 143)] {
        let kill = format!("kill -{signal} $$; sleep 1");
        let run = fleet.run(&["exec", "--hub", "ou23s", "--format", "json", "sh", "-c", &kill]).exits(1);
        assert_eq!(run.json()[0]["exit_status"], status, "{signal}");
    }
    let run = fleet.run(&["exec", "--hub", "ou23s", "sh", "-c", "kill -KILL $$"]).exits(1);
    run.says("exit status 137 (SIGKILL)");
}

#[test]
fn a_sandbox_that_goes_away_under_a_command_is_a_failure() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["ou23s"]);
    for how in ["kill", "stop"] {
        let running = fleet.start(&["exec", "--all", "--format", "json", "sleep", "4776"]);
        eventually("it is at work", Duration::from_secs(30), || {
            fleet.processes("ou23s").iter().any(|line| line.trim_start().starts_with("sleep 4776"))
        });
        docker(&[how, &fleet.container("ou23s")]);
        let run = running.end().exits(1);
        let one = &run.json()[0];
        assert!(one["exit_status"] != 0, "{one}");
        docker(&["start", &fleet.container("ou23s")]);
    }
}
