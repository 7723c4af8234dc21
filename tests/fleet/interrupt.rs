//! Ctrl-C: whatever fleet is at, it ends within seconds, with status 130, and leaves nothing behind.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::world::{eventually, pause};
use crate::common::{Fleet, Run, breaking, fleet::Background, standing, using, world};

/// A socket that leads to the real engine and holds back its answers to one kind of request: what the engine is doing
/// meanwhile is real, and there is time to interrupt it.
struct SlowEngine {
    seen: Arc<AtomicBool>,
}

impl SlowEngine {
    /// Puts it into a fleet's file. Requests are known by a part of their first line.
    fn of(fleet: &Fleet, request: &'static str, delay: Duration) -> Self {
        let name = format!("engine-{}.sock", fleet.files().len());
        let listener = UnixListener::bind(fleet.path(&name)).expect("bound");
        let setting = format!("engine = \"unix://{}\"\n", fleet.path(&name).display());
        let rest: Vec<_> =
            fleet.toml().lines().filter(|line| !line.contains("unix://")).map(str::to_owned).collect();
        fleet.write("fleet.toml", &format!("{setting}{}\n", rest.join("\n")));
        let seen = Arc::new(AtomicBool::new(false));
        let sink = seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let engine = UnixStream::connect("/var/run/docker.sock").expect("the engine answers");
                let held = Arc::new(AtomicBool::new(false));
                let (seen, hold) = (sink.clone(), held.clone());
                pass(
                    client.try_clone().expect("cloned"),
                    engine.try_clone().expect("cloned"),
                    move |bytes| {
                        if String::from_utf8_lossy(bytes)
                            .lines()
                            .next()
                            .is_some_and(|line| line.contains(request))
                        {
                            hold.store(true, Ordering::SeqCst);
                            seen.store(true, Ordering::SeqCst);
                        }
                    },
                );
                pass(engine, client, move |_| {
                    if held.swap(false, Ordering::SeqCst) {
                        std::thread::sleep(delay);
                    }
                });
            }
        });
        Self { seen }
    }

    /// Waits until such a request has been made.
    fn wait(&self) {
        eventually("the engine is asked", Duration::from_secs(30), || self.seen.load(Ordering::SeqCst));
    }
}

/// Copies what comes from one end to the other, on a thread of its own, and shows it first.
fn pass(mut from: UnixStream, mut to: UnixStream, mut show: impl FnMut(&[u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            show(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// Sends a signal, after which it has to end within this time, with status 130.
#[track_caller]
fn ends_after(running: Background, signal: &str, limit: Duration) -> Run {
    let began = Instant::now();
    running.signal(signal);
    let run = running.end().exits(130);
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    run
}

fn new<'a>(ip: &'a str, openrc: &'a str) -> [&'a str; 7] {
    ["new", "--name", "ou23s", "--ip", ip, "--openrc", openrc]
}

#[test]
fn an_interrupted_new_leaves_nothing_whatever_the_engine_was_doing() {
    let _using = using();
    let fleet = Fleet::empty();
    let openrc = fleet.openrc("alpha").display().to_string();
    for (request, step) in [
        ("/containers/create?", "make the sandbox"),
        ("/archive?", "make the sandbox"),
        ("/start HTTP", "make the sandbox"),
        ("/exec HTTP", "try the credentials"),
    ] {
        let engine = SlowEngine::of(&fleet, request, Duration::from_secs(1));
        let before = fleet.everything();
        let running = fleet.start(&new(&world().hub("ou23s").ip, &openrc));
        engine.wait();
        let run = ends_after(running, "INT", Duration::from_secs(10)).says("interrupted").says(step);
        assert_eq!(fleet.everything(), before, "{request}: something is left behind:\n{}", run.stderr);
    }
}

#[test]
fn a_new_that_waits_for_a_master_ends_at_once() {
    let _using = using();
    let fleet = Fleet::empty();
    let openrc = fleet.openrc("alpha").display().to_string();
    let (network, _) = world().hub("ou23s").ip.rsplit_once('.').expect("IPv4");
    let ip = format!("{network}.250");
    let before = fleet.everything();
    for signal in ["INT", "TERM"] {
        let running = fleet.start(&new(&ip, &openrc));
        std::thread::sleep(Duration::from_millis(700));
        ends_after(running, signal, Duration::from_secs(2));
        assert_eq!(fleet.everything(), before);
    }
}

#[test]
fn of_two_that_make_a_hub_of_one_name_at_once_the_second_is_told_and_takes_nothing_away() {
    let _using = using();
    let fleet = Fleet::empty();
    let openrc = fleet.openrc("alpha").display().to_string();
    let engine = SlowEngine::of(&fleet, "/containers/create?", Duration::from_secs(2));
    let first = fleet.start(&new(&world().hub("ou23s").ip, &openrc));
    engine.wait();
    fleet.add(world().hub("ou23s")).exits(1).says("hub ou23s is being worked on by process ");
    first.end().exits(0);
    fleet.run(&["status"]).exits(0);
    // Both at the very same time: one of them, and only one.
    let both = || {
        let running = fleet.start(&new(&world().hub("ou23s").ip, &openrc));
        (fleet.add(world().hub("ou23s")).status, running.end().status)
    };
    fleet.run(&["rm", "ou23s", "--purge", "--confirm"]).exits(0);
    let (one, other) = both();
    assert!((one == Some(0)) != (other == Some(0)), "{one:?} {other:?}");
    fleet.run(&["status"]).exits(0);
}

#[test]
fn an_engine_that_answers_too_late_leaves_no_container() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\nengine = \"2s\"");
    let _engine = SlowEngine::of(&fleet, "/containers/create?", Duration::from_secs(4));
    let before = fleet.everything();
    fleet.add(world().hub("ou23s")).exits(1).says("cannot make the sandbox").says("no answer within 2s");
    assert_eq!(fleet.everything(), before);
}

#[test]
fn an_interrupted_exec_leaves_no_process_behind_and_says_what_was_interrupted() {
    let _using = using();
    let fleet = standing();
    for (signal, format) in [("INT", "stream"), ("TERM", "json")] {
        let script = "trap '' TERM INT; setsid sleep 4811 & echo began; while :; do sleep 4812; done";
        let running = fleet.start(&["exec", "--all", "--format", format, "sh", "-c", script]);
        for hub in &world().hubs {
            eventually("it is at work", Duration::from_secs(30), || {
                fleet
                    .processes(&hub.name)
                    .iter()
                    .filter(|line| line.trim_start().starts_with("sleep 481"))
                    .count()
                    == 2
            });
        }
        let run = ends_after(running, signal, Duration::from_secs(10));
        for hub in &world().hubs {
            let left: Vec<_> =
                fleet.processes(&hub.name).into_iter().filter(|line| line.contains("sleep 481")).collect();
            assert!(left.is_empty(), "left in {}: {left:?}", hub.name);
        }
        if format == "json" {
            for one in run.json().as_array().expect("an array") {
                assert_eq!(one["stdout"], "began\n", "what it printed before is there");
                assert!(one["exit_status"].is_null(), "{one}");
                assert!(one["error"].as_str().is_some_and(|error| error.contains("interrupted")), "{one}");
            }
        }
    }
}

#[test]
fn a_look_at_a_master_that_hangs_ends_at_once() {
    let _breaking = breaking();
    let fleet = standing();
    let before = fleet.toml();
    let _paused = pause(world().hub("pyaos"));
    for command in [&["status"][..], &["doctor"], &["pvc"], &["orphans"], &["rm", "pyaos"]] {
        let running = fleet.start(command);
        std::thread::sleep(Duration::from_secs(1));
        ends_after(running, "INT", Duration::from_secs(3));
    }
    assert_eq!(fleet.toml(), before);
}

#[test]
fn an_openrc_that_hangs_is_ended_in_the_sandbox_when_fleet_is_stopped() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let sane = fleet.read("openrc-alpha.sh");
    fleet.write_in_place("openrc-alpha.sh", &format!("sleep 4821\n{sane}"));
    for command in ["orphans", "status"] {
        let running = fleet.start(&[command]);
        eventually("the openrc hangs", Duration::from_secs(30), || is_at_work(&fleet, "sleep 4821"));
        ends_after(running, "INT", Duration::from_secs(5));
        assert!(!is_at_work(&fleet, "sleep 4821"), "fleet {command}");
    }
}

#[test]
fn a_command_that_the_engine_never_confirmed_is_ended_all_the_same() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let settings = format!("{}\n[timeouts]\nengine = \"2s\"\n", fleet.toml());
    fleet.write("fleet.toml", &settings);
    let _engine = SlowEngine::of(&fleet, "/start HTTP", Duration::from_secs(4));
    let run = fleet.run(&["exec", "--hub", "ou23s", "sleep", "4822"]).exits(1);
    assert!(
        run.stderr.contains("no answer within 2s") || run.stderr.contains("may still be running"),
        "{}",
        run.stderr
    );
    eventually("it is ended", Duration::from_secs(10), || !is_at_work(&fleet, "sleep 4822"));
}

/// Whether a command runs in the sandbox of ou23s.
fn is_at_work(fleet: &Fleet, command: &str) -> bool {
    fleet.processes("ou23s").iter().any(|line| line.trim_start().starts_with(command))
}
