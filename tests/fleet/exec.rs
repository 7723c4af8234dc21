//! `fleet exec`: a command in the sandboxes of many hubs.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::world::{Undo, docker, eventually, kubectl, try_sh};
use crate::common::{Fleet, Run, breaking, standing, using, world};

/// Names of the world's hubs.
fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// `fleet exec --all sh -c SCRIPT` with more arguments for fleet.
fn script(fleet: &Fleet, more: &[&str], script: &str) -> Run {
    fleet.run(&[&["exec", "--all"], more, &["sh", "-c", script]].concat())
}

/// Fails if a process with this in its command line is left in any sandbox.
#[track_caller]
fn nothing_left(fleet: &Fleet, what: &str) {
    for hub in hubs() {
        let left: Vec<_> = fleet.processes(hub).into_iter().filter(|line| line.contains(what)).collect();
        assert!(left.is_empty(), "left in {hub}: {left:?}");
    }
}

#[test]
fn a_command_needs_no_dashes_and_runs_in_every_hub_with_its_own_cluster() {
    let _using = using();
    let run = standing().run(&["exec", "--all", "kubectl", "get", "pvc", "-A", "--no-headers"]).exits(0);
    for hub in &world().hubs {
        // Ages and the width of columns differ from one moment to the next; what is claimed does not.
        let words = |line: &str| line.split_whitespace().take(5).map(str::to_owned).collect::<Vec<_>>();
        let mut expected: Vec<_> =
            kubectl(hub, &["get", "pvc", "-A", "--no-headers"]).lines().map(words).collect();
        let mut seen: Vec<_> = run.lines_of(&hub.name).into_iter().map(words).collect();
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected, "{}", hub.name);
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn only_the_hubs_that_are_named_are_asked_each_once() {
    let _using = using();
    let run =
        standing().run(&["exec", "--hub", "pyaos,ou23s", "--hub", "pyaos", "printenv", "CLUSTER"]).exits(0);
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ou23s | ou23s", "pyaos | pyaos"]);
}

#[test]
fn lines_of_many_hubs_are_whole_in_order_and_carry_their_hubs_name() {
    let _using = using();
    // Both outputs into one pipe, where they would mix if anything did.
    let long = "seq -f \"$CLUSTER %g $(printf %03000d 7) end\" 1 200; seq -f \"$CLUSTER err %g $(printf %03000d 7) end\" 1 200 >&2";
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" exec --all sh -c \"$1\" 2>&1", env!("CARGO_BIN_EXE_fleet"), long])
        .env("FLEET_CONFIG", standing().path("fleet.toml"))
        .output()
        .expect("sh starts");
    let run = Run::of(&output).exits(0);
    let zeros = format!("{}7", "0".repeat(2999));
    assert_eq!(run.stdout.lines().count(), hubs().len() * 400);
    for hub in hubs() {
        let lines = run.lines_of(hub);
        for kind in ["", "err "] {
            let expected: Vec<_> = (1..=200).map(|n| format!("{hub} {kind}{n} {zeros} end")).collect();
            let seen: Vec<&str> =
                lines.iter().copied().filter(|line| line.contains(" err ") != kind.is_empty()).collect();
            assert_eq!(seen, expected, "{hub}");
        }
    }
}

#[test]
fn standard_output_goes_to_standard_output_and_standard_error_to_standard_error() {
    let _using = using();
    let run = script(standing(), &[], "echo out; echo err >&2").exits(0);
    for hub in hubs() {
        assert_eq!(run.lines_of(hub), ["out"]);
        assert_eq!(crate::common::lines_of(&run.stderr, hub), ["err"]);
    }
}

#[test]
fn no_byte_of_the_output_is_lost() {
    let _using = using();
    // An empty line, an escape sequence, bytes that are no UTF-8, and an end without a newline.
    let printf = r"printf 'a\n\n\033[31mred\033[0m\n\377\200\ttab\r\nlast'";
    let output =
        standing().command(&["exec", "--hub", "ou23s", "sh", "-c", printf]).output().expect("fleet starts");
    let lines: [&[u8]; 5] = [b"a", b"", b"\x1b[31mred\x1b[0m", b"\xff\x80\ttab\r", b"last"];
    let expected: Vec<u8> = lines.iter().flat_map(|line| [b"ou23s | ", *line, b"\n"].concat()).collect();
    assert_eq!(output.stdout.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn json_has_every_hub_with_its_status_outputs_and_seconds_the_failing_ones_too() {
    let _using = using();
    let fleet = standing();
    // One that is declared, and has no sandbox.
    let config = fleet.variant(
        "with-a-ghost.toml",
        "[[hub]]\nname = \"ghost\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-alpha.sh\"",
    );
    let command =
        "echo \"out of $CLUSTER\"; echo \"err $CLUSTER\" >&2; sleep 0.2; test $CLUSTER != ou23s || exit 7";
    let run = script(fleet, &["--config", &config, "--format", "json"], command).exits(1);
    let report = run.json();
    let names: Vec<&str> =
        report.as_array().expect("an array").iter().map(|one| one["hub"].as_str().expect("a name")).collect();
    assert_eq!(names, [hubs(), vec!["ghost"]].concat(), "in the order of fleet.toml");
    for one in report.as_array().expect("an array") {
        let hub = one["hub"].as_str().expect("a name");
        assert!(one["seconds"].is_f64(), "{one}");
        if hub == "ghost" {
            assert!(one["exit_status"].is_null(), "{one}");
            assert!(one["error"].as_str().is_some_and(|error| error.contains("it has no sandbox")), "{one}");
            continue;
        }
        assert_eq!(one["exit_status"], if hub == "ou23s" { 7 } else { 0 }, "{one}");
        assert_eq!(one["stdout"], format!("out of {hub}\n"));
        assert_eq!(one["stderr"], format!("err {hub}\n"));
        assert!(one["error"].is_null(), "{one}");
        assert!((0.2..20.0).contains(&one["seconds"].as_f64().expect("a number")), "{one}");
    }
}

#[test]
fn the_status_is_1_when_one_hub_fails_and_the_others_results_are_there() {
    let _using = using();
    let run = script(standing(), &[], "echo here; test $CLUSTER != pyaos || exit 7").exits(1);
    for hub in hubs() {
        assert_eq!(run.lines_of(hub), ["here"]);
    }
    let run = run.says("pyaos").says("exit status 7").says("failed in 1 of 4 hubs: pyaos");
    assert!(!run.stderr.contains("ou23s"), "only the failing one is named:\n{}", run.stderr);
    // A command that is not there is the command's failure, in every hub.
    standing().run(&["exec", "--hub", "ou23s", "no-such-command"]).exits(1).says("no-such-command");
    standing().run(&["exec", "--hub", "ou23s", "sh", "-c", "kill -9 $$"]).exits(1).says("137");
}

#[test]
fn a_stopped_sandbox_is_named_with_what_to_do_and_the_others_results_are_there() {
    let _breaking = breaking();
    let fleet = standing();
    let container = fleet.container("pyaos");
    docker(&["stop", "-t", "2", &container]);
    let _undo = Undo(|| {
        docker(&["start", &container]);
        eventually("the tunnel is back", Duration::from_secs(20), || {
            fleet.run(&["pvc", "pyaos"]).status == Some(0)
        });
    });
    let run = script(fleet, &[], "echo here").exits(1);
    assert_eq!(run.lines_of("pyaos").len(), 0);
    for hub in hubs().into_iter().filter(|hub| *hub != "pyaos") {
        assert_eq!(run.lines_of(hub), ["here"]);
    }
    run.says("its sandbox is not running (exited)").says("fleet up ");
}

#[test]
fn the_command_has_what_an_operator_has_in_the_sandbox() {
    let _using = using();
    let run =
        script(standing(), &[], "echo $OS_AUTH_URL $KUBECONFIG $HOME $CLUSTER $K8S_CLUSTER_NAME $IP; pwd")
            .exits(0);
    for hub in &world().hubs {
        let expected = format!(
            "{} /home/openstack/.kube/config /home/openstack {1} {1} {2}",
            world().cloud.auth_url,
            hub.name,
            hub.ip
        );
        assert_eq!(run.lines_of(&hub.name), [&expected, "/home/openstack"]);
    }
    let token = ["exec", "--hub", "ou23s", "openstack", "token", "issue", "-f", "value", "-c", "project_id"];
    let run = standing().run(&token).exits(0);
    assert_eq!(run.lines_of("ou23s"), [world().cloud.projects["alpha"].as_str()]);
}

/// Processes that do all they can to stay: deaf to TERM, in sessions of their own, with an empty environment.
const CLINGING: &str = "trap '' TERM; setsid sleep 4711 & \
    setsid sh -c 'trap \"\" TERM; while :; do sleep 4712; done' & \
    env -i sleep 4713 & env -i setsid sleep 4714 & echo began; sleep 4715";

#[test]
fn a_command_whose_time_is_up_is_stopped_and_leaves_no_process_behind() {
    let _using = using();
    let fleet = standing();
    let began = Instant::now();
    let run = script(fleet, &["--timeout", "3s"], CLINGING).exits(1).says("stopped after 3s");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for hub in hubs() {
        assert_eq!(run.lines_of(hub), ["began"], "what it printed before is there");
    }
    nothing_left(fleet, "sleep 471");
}

#[test]
fn a_time_limit_that_is_up_before_the_command_has_begun_leaves_no_process_behind() {
    let _using = using();
    for limit in ["1ms", "30ms", "60ms", "90ms", "120ms", "150ms"] {
        standing().run(&["exec", "--all", "--timeout", limit, "sleep", "4721"]).exits(1);
    }
    std::thread::sleep(Duration::from_millis(300));
    nothing_left(standing(), "sleep 4721");
}

#[test]
fn a_time_limit_is_each_hubs_own() {
    let _using = using();
    let command = "test $CLUSTER != pyaos || sleep 4731; echo done";
    let run = script(standing(), &["--timeout", "3s", "--format", "json"], command).exits(1);
    for one in run.json().as_array().expect("an array") {
        if one["hub"] == "pyaos" {
            assert!(one["exit_status"].is_null(), "{one}");
            assert!(one["error"].as_str().is_some_and(|error| error.contains("stopped after 3s")), "{one}");
        } else {
            assert_eq!(one["exit_status"], 0, "{one}");
        }
    }
    nothing_left(standing(), "sleep 4731");
}

#[test]
fn not_more_hubs_than_asked_for_are_at_work_at_once() {
    let _using = using();
    let run = script(standing(), &["--parallel", "1"], "date +%s%N; sleep 0.2; date +%s%N").exits(0);
    let mut spans: Vec<(u64, u64)> = hubs()
        .iter()
        .map(|hub| {
            let times: Vec<u64> =
                run.lines_of(hub).iter().map(|line| line.parse().expect("a time")).collect();
            (times[0], times[1])
        })
        .collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two at once: {spans:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly_and_leaves_no_process_behind() {
    let _using = using();
    let fleet = standing();
    let began = Instant::now();
    let output = Command::new("sh")
        .args(["-c", "\"$0\" exec --all yes 4741 | head -1", env!("CARGO_BIN_EXE_fleet")])
        .env("FLEET_CONFIG", fleet.path("fleet.toml"))
        .output()
        .expect("sh starts");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let run = Run::of(&output);
    assert_eq!(run.stdout.lines().count(), 1);
    assert_eq!(run.stderr, "", "it ends quietly");
    nothing_left(fleet, "yes 4741");
}

#[test]
fn output_that_cannot_be_written_is_an_error_that_is_told() {
    let _using = using();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the kernel has it");
    let output =
        standing().command(&["exec", "--all", "echo", "x"]).stdout(full).output().expect("fleet starts");
    Run::of(&output).exits(1).says("No space left on device");
}

/// Peak memory of a process so far, in KiB. Nothing for one that is ending.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("nobody has waited for it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse().expect("a number"))
}

#[test]
fn fifty_megabytes_of_output_are_not_held_in_memory() {
    let _using = using();
    const BYTES: usize = 50_000_000;
    // In lines, and in one line without end.
    for line in ["fold -w 999", "cat"] {
        for format in ["stream", "json"] {
            let print = format!("head -c {BYTES} /dev/zero | tr '\\0' Q | {line}");
            let mut command =
                standing().command(&["exec", "--hub", "ou23s", "--format", format, "sh", "-c", &print]);
            let mut child = command.stdout(Stdio::piped()).spawn().expect("fleet starts");
            let mut output = child.stdout.take().expect("piped");
            // A reader that is slow to begin: all that is printed meanwhile has to wait somewhere.
            std::thread::sleep(Duration::from_secs(1));
            let mut buffer = vec![0; 1 << 20];
            let (mut count, mut most) = (0, 0);
            loop {
                let read = output.read(&mut buffer).expect("it reads");
                if read == 0 {
                    break;
                }
                count += buffer[..read].iter().filter(|byte| **byte == b'Q').count();
                most = most.max(peak(child.id()).unwrap_or_default());
            }
            assert_eq!(count, BYTES, "{format}: nothing is lost");
            assert!(child.wait().expect("it ends").success());
            assert!((1..64 * 1024).contains(&most), "{line}, {format}: {most} KiB");
        }
    }
}

#[test]
fn an_openrc_of_bash_that_prints_works_and_what_it_prints_is_no_output_of_the_command() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let plain = fleet.read("openrc-alpha.sh");
    let bash = format!(
        "{plain}\nif [[ $OS_AUTH_URL =~ ^http ]]; then words=(one two three); fi\n\
         function put {{ declare -gx \"$1=$2\"; }}\nput OS_FROM_BASH \"${{words[2]}}\"\nsource <(echo export OS_SOURCED=yes)\n\
         echo \"Welcome to $OS_AUTH_URL\"\nread -p 'Your name? ' name\n"
    );
    fleet.write_in_place("openrc-alpha.sh", &bash);
    let run = fleet.run(&["exec", "--all", "sh", "-c", "echo $OS_FROM_BASH $OS_SOURCED"]).exits(0);
    assert_eq!(run.stdout, "ou23s | three yes\n");
    let run = run.says("Welcome to ");
    assert!(run.stderr.lines().all(|line| line.starts_with("ou23s | ")), "{}", run.stderr);
    let json = fleet.run(&["exec", "--all", "--format", "json", "echo", "x"]).exits(0).json();
    assert_eq!(json[0]["stdout"], "x\n");
    // It does not get into what fleet itself reads of it either.
    fleet.run(&["status"]).exits(0);
}

#[test]
fn the_hubs_names_are_in_colour_on_a_terminal_and_nowhere_else() {
    let _using = using();
    let run = script(standing(), &[], "echo plain").exits(0);
    assert!(!run.stdout.contains('\x1b'), "{:?}", run.stdout);
    let run = |variable: Option<(&str, &str)>| {
        let line = format!("{} exec --hub ou23s --format stream echo x", env!("CARGO_BIN_EXE_fleet"));
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm-256color");
        command
            .env("FLEET_CONFIG", standing().path("fleet.toml"))
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        if let Some((name, value)) = variable {
            command.env(name, value);
        }
        String::from_utf8_lossy(&command.output().expect("script starts").stdout).into_owned()
    };
    assert!(run(None).contains("\x1b[36mou23s\x1b[0m | x"), "{:?}", run(None));
    assert!(run(Some(("NO_COLOR", "1"))).contains("ou23s | x"));
}

#[test]
fn a_fleet_without_hubs_says_how_to_add_one() {
    let fleet = Fleet::empty();
    fleet.run(&["exec", "--all", "true"]).exits(2).says("declares no hubs").says("fleet new --name");
    assert!(try_sh("docker", &["inspect", &fleet.container("ou23s")]).stdout.starts_with(b"[]"));
}
