//! `fleet exec` over more hubs, and with more output, than the real parts of a test have.

use std::process::Stdio;
use std::time::Duration;

use crate::common::standin::{Servers, many};

const HUBS: u64 = 50;

/// What each of them prints. Together it is more than fleet may hold.
const EACH: usize = 2 << 20;

/// The most that it may hold, in KiB.
const MOST: u64 = 80 << 10;

/// Peak memory of a process so far, in KiB. Nothing for one that is ending.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn standin_the_output_of_fifty_hubs_is_not_held_in_memory_in_any_form() {
    let servers = Servers::of(many(HUBS));
    let print =
        format!("printf 'NAME   VALUE\\n'; yes 'row    of 24 bytes abcdef' | head -c {EACH}; echo $CLUSTER");
    for format in ["stream", "gather", "table", "json", "ndjson"] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fleet"))
            .args(["exec", "--all", "--parallel", "50", "--format", format, "sh", "-c", &print])
            .current_dir(servers.standin.dir())
            .env("FLEET_CONFIG", servers.standin.dir().join("fleet.toml"))
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("fleet starts");
        let mut most = 0;
        let status = loop {
            most = most.max(peak(child.id()).unwrap_or(0));
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{format}: {status}");
        assert!((1..MOST).contains(&most), "{format}: {most} KiB");
    }
}

#[test]
fn standin_equal_output_of_three_hundred_hubs_is_shown_once() {
    let servers = Servers::of(many(300));
    let run = servers.run(&["exec", "--all", "--format", "gather", "echo", "the same"]).exits(0);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
    assert!(run.stdout.ends_with(" (all 300 hubs)\nthe same\n"));
    let diff = [
        "exec",
        "--hub",
        "/^hub-1[0-9]$/",
        "--diff",
        "sh",
        "-c",
        "echo a; test $CLUSTER = hub-13 && echo b; true",
    ];
    let run = servers.run(&diff).exits(0);
    assert!(run.stdout.ends_with("+++ hub-13\n@@ -1 +1,2 @@\n a\n+b\n"), "{}", run.stdout);
}
