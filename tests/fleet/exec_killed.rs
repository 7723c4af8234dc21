//! What becomes of commands in sandboxes when fleet is killed, so that it can end nothing itself.

use std::time::{Duration, Instant};

use crate::common::world::{eventually, try_sh};
use crate::common::{Fleet, breaking, standing, using, world};

fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// How many processes have this anywhere in their command lines, in all sandboxes together.
fn at_work(fleet: &Fleet, what: &str) -> usize {
    hubs().iter().map(|hub| fleet.processes(hub).iter().filter(|line| line.contains(what)).count()).sum()
}

/// The ids of a process's children of that name.
fn children(parent: u32, name: &str) -> Vec<String> {
    let table = String::from_utf8(
        std::process::Command::new("ps")
            .args(["-o", "pid=,comm=", "--ppid", &parent.to_string()])
            .output()
            .expect("ps starts")
            .stdout,
    )
    .expect("UTF-8");
    let of_name = |line: &str| {
        let (pid, comm) = line.trim().split_once(' ')?;
        (comm.trim() == name).then(|| pid.to_owned())
    };
    table.lines().filter_map(of_name).collect()
}

#[test]
fn nothing_is_left_in_any_sandbox_within_10_s_of_a_kill_9() {
    let _using = using();
    let fleet = standing();
    for (number, script) in [
        "sleep NUMBER",
        // Ignores whoever asks it to end, and starts again what is ended.
        "trap '' TERM; while :; do sleep NUMBER; done",
        // In the background, with no environment, in a session of its own, with another parent.
        "sleep NUMBER & env -i sh -c 'sleep NUMBER; :' & (setsid sh -c 'sleep NUMBER; :' &); wait",
        // Prints all the time to somebody who is not there any more.
        "yes NUMBER",
        // A shell that has replaced itself, under others.
        "sh -c 'sh -c \"exec sleep NUMBER\" & wait'",
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{}", 48_310 + number);
        let script = script.replace("NUMBER", &what);
        let running = fleet.start(&["exec", "--all", "sh", "-c", &script]);
        eventually("it is at work everywhere", Duration::from_secs(30), || {
            hubs().iter().all(|hub| fleet.processes(hub).iter().any(|line| line.contains(&what)))
        });
        let began = Instant::now();
        running.signal("KILL");
        assert_eq!(running.end().status, None, "it was killed");
        eventually("nothing is left", Duration::from_secs(10), || at_work(fleet, &what) == 0);
        // What had not quite begun does not come back either.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(at_work(fleet, &what), 0, "{script}");
        assert!(began.elapsed() < Duration::from_secs(11), "{script}: {:?}", began.elapsed());
    }
}

#[test]
fn a_kill_9_at_any_moment_of_the_beginning_leaves_nothing_either() {
    let _using = using();
    let fleet = standing();
    for milliseconds in [20, 60, 100, 150, 250] {
        let running = fleet.start(&["exec", "--all", "sleep", "48320"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.signal("KILL");
        running.end();
    }
    std::thread::sleep(Duration::from_secs(4));
    eventually("nothing is left", Duration::from_secs(6), || at_work(fleet, "48320") == 0);
}

#[test]
fn the_caretaker_ends_with_a_fleet_that_ends_and_takes_no_ctrl_c() {
    let _using = using();
    let fleet = standing();
    for (script, signal) in [("echo here; sleep 1.5", None), ("sleep 48330", Some("INT"))] {
        let mut child = fleet
            .command(&["exec", "--all", "sh", "-c", script])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("fleet starts");
        let of_it = || children(child.id(), "fleet-caretaker");
        eventually("it has a caretaker", Duration::from_secs(10), || !of_it().is_empty());
        let caretakers = of_it();
        assert_eq!(caretakers.len(), 1);
        if let Some(signal) = signal {
            eventually("it is at work", Duration::from_secs(10), || at_work(fleet, "sleep 48330") > 0);
            try_sh("kill", &[&format!("-{signal}"), &child.id().to_string()]);
        }
        child.wait().expect("it ends");
        assert!(!try_sh("kill", &["-0", &caretakers[0]]).status.success(), "the caretaker is still there");
    }
    assert_eq!(at_work(fleet, "48330"), 0);
    // It is nobody's command.
    assert!(!fleet.run(&["--help"]).exits(0).stdout.contains("caretaker"));
}

#[test]
fn a_sandbox_that_is_gone_keeps_the_others_from_nothing() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let has = |hub: &str| fleet.processes(hub).iter().any(|line| line.contains("48340"));
    let running = fleet.start(&["exec", "--all", "sleep", "48340"]);
    eventually("it is at work", Duration::from_secs(30), || has("ou23s") && has("mvu23s"));
    crate::common::world::docker(&["pause", &fleet.container("ou23s")]);
    running.signal("KILL");
    running.end();
    eventually("nothing is left where it can be ended", Duration::from_secs(10), || !has("mvu23s"));
    crate::common::world::docker(&["unpause", &fleet.container("ou23s")]);
}
