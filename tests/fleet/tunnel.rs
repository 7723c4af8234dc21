//! The tunnel: the sandbox holds it, and brings it back, with no fleet process running.

use std::time::Duration;

use crate::common::world::{Undo, docker, eventually, try_sh};
use crate::common::{Fleet, WorldHub, breaking, standing, world};

/// Within this the tunnel is back: 4 s for an attempt that began too early, 2 s at most between two attempts, and one
/// connection.
const BACK: Duration = Duration::from_secs(10);

/// Whether the API server answers through a hub's tunnel. Asked past fleet.
fn answers(fleet: &Fleet, hub: &WorldHub) -> bool {
    let socket = fleet.state(&hub.name).join("tunnel/api.sock");
    let socket = socket.to_str().expect("UTF-8");
    try_sh("curl", &["-skfm2", "--unix-socket", socket, "https://127.0.0.1:6443/readyz"]).stdout == b"ok"
}

fn master_answers(hub: &WorldHub) -> bool {
    try_sh("curl", &["-skfm2", &format!("https://{}:6443/readyz", hub.ip)]).stdout == b"ok"
}

/// Sees to it that a hub is whole again when the test is over, however it ends.
fn mend(hub: &'static WorldHub) -> Undo<impl FnMut()> {
    Undo(move || {
        try_sh("docker", &["start", &hub.container]);
        eventually("the hub is whole", Duration::from_secs(60), || {
            master_answers(hub) && answers(standing(), hub)
        });
    })
}

#[test]
fn a_master_that_is_stopped_is_told_and_its_tunnel_comes_back_by_itself_when_it_is_started() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("pyaos"));
    assert!(answers(fleet, hub));
    let _mend = mend(hub);
    docker(&["stop", "-t", "3", &hub.container]);
    eventually("the tunnel is down", Duration::from_secs(20), || {
        !fleet.state("pyaos").join("tunnel/api.sock").exists()
    });
    let run = fleet.run(&["status"]).exits(1);
    let line: Vec<_> = run
        .stdout
        .lines()
        .find(|line| line.starts_with("pyaos"))
        .expect("a line")
        .split_whitespace()
        .collect();
    assert_eq!(line[1..5], ["running", "ok", "down", "no"], "{}", run.stdout);
    run.says("pyaos: ").says("there is no tunnel");
    docker(&["start", &hub.container]);
    eventually("the master is back", Duration::from_secs(60), || master_answers(hub));
    eventually("the tunnel is back", BACK, || answers(fleet, hub));
    fleet.run(&["status"]).exits(0);
}

#[test]
fn the_tunnel_comes_back_when_the_sandbox_was_restarted_or_its_ssh_was_killed() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("mvu23s"));
    let _mend = mend(hub);
    docker(&["restart", "-t", "3", &fleet.container("mvu23s")]);
    eventually("the tunnel is back", BACK, || answers(fleet, hub));
    docker(&["kill", &fleet.container("mvu23s")]);
    // A socket that nobody listens at is left behind, as after a power cut.
    docker(&["start", &fleet.container("mvu23s")]);
    eventually("the tunnel is back", BACK, || answers(fleet, hub));
    docker(&["exec", &fleet.container("mvu23s"), "pkill", "-KILL", "-x", "ssh"]);
    eventually("the tunnel is back", BACK, || answers(fleet, hub));
    fleet.run(&["exec", "--hub", "mvu23s", "kubectl", "get", "nodes"]).exits(0);
}

#[test]
fn a_master_that_hung_for_longer_than_the_tunnel_waits_is_reached_again_when_it_goes_on() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("mvu23s"));
    let _mend = mend(hub);
    {
        let _paused = crate::common::world::pause(hub);
        // Three times 5 s without an answer.
        eventually("the tunnel gives up", Duration::from_secs(40), || {
            !fleet.state("mvu23s").join("tunnel/api.sock").exists()
        });
    }
    eventually("the tunnel is back", BACK, || answers(fleet, hub));
}

#[test]
fn a_network_that_was_cut_for_a_minute_is_used_again_as_soon_as_it_is_there() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("fsu-s23"));
    let _mend = mend(hub);
    let (network, container) = (&world().network.name, fleet.container("fsu-s23"));
    {
        let _back = Undo(|| {
            docker(&["network", "connect", network, &container]);
        });
        docker(&["network", "disconnect", network, &container]);
        std::thread::sleep(Duration::from_secs(60));
        assert!(!answers(fleet, hub));
    }
    eventually("the tunnel is back", BACK, || answers(fleet, hub));
}

/// How often the connection is cut: `FLEET_CUTS`, for whoever has the time (two seconds each).
#[test]
fn no_process_is_left_of_a_connection_that_was_cut() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("mvu23s"));
    let _mend = mend(hub);
    let cuts: u32 = std::env::var("FLEET_CUTS").map_or(10, |cuts| cuts.parse().expect("a number"));
    let ssh =
        || fleet.processes("mvu23s").into_iter().filter(|line| line.contains("ssh -F")).collect::<Vec<_>>();
    let before = fleet.processes("mvu23s").len();
    for cut in 0..cuts {
        let old = ssh();
        assert_eq!(old.len(), 1, "before cut {cut}: {old:?}");
        docker(&["exec", &fleet.container("mvu23s"), "pkill", "-KILL", "-x", "ssh"]);
        eventually("the tunnel is back", BACK, || answers(fleet, hub));
    }
    assert_eq!(fleet.processes("mvu23s").len(), before);
}

#[test]
fn a_master_with_another_host_key_is_refused() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("pyaos"));
    let on_master = |script: &str| docker(&["exec", &hub.container, "sh", "-c", script]);
    let _mend = mend(hub);
    on_master(
        "mkdir -p /root/keys && mv /etc/ssh/ssh_host_* /root/keys/ && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key \
         && ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key && pkill -x sshd",
    );
    let _keys = Undo(|| {
        on_master("mv -f /root/keys/* /etc/ssh/ && pkill -x sshd");
    });
    let container = fleet.container("pyaos");
    eventually("the tunnel is refused", Duration::from_secs(20), || {
        let output = try_sh("docker", &["logs", "--tail", "3", &container]);
        String::from_utf8_lossy(&output.stdout).contains("Host key verification failed")
    });
    assert!(!answers(fleet, hub));
    let run = fleet.run(&["status", "pyaos"]).exits(1);
    run.says("pyaos: ").says("there is no tunnel");
    // A hub that is made now sees the difference to what was pinned, too.
    fleet.run(&["exec", "--hub", "pyaos", "kubectl", "--request-timeout=2s", "get", "nodes"]).exits(1);
}
