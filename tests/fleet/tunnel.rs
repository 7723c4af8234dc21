//! The tunnel: the sandbox holds it, and brings it back, with no fleet process running.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::common::world::{Undo, docker, eventually, try_sh};
use crate::common::{Fleet, WorldHub, breaking, standing, using, world};

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
fn a_tunnel_that_is_held_back_goes_when_it_is_let_go_and_after_a_while_where_nobody_is_there_to_do_so() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("mvu23s"));
    let _mend = mend(hub);
    let hold = fleet.state("mvu23s").join("tunnel/hold");
    assert!(try_sh("mkfifo", &[hold.to_str().expect("UTF-8")]).status.success());
    let _gone = Undo(|| {
        let _ = std::fs::remove_file(&hold);
    });
    let held = std::fs::File::options().read(true).write(true).open(&hold).expect("a pipe");
    docker(&["restart", "-t", "3", &fleet.container("mvu23s")]);
    std::thread::sleep(Duration::from_secs(3));
    assert!(!answers(fleet, hub));
    drop(held);
    eventually("the tunnel is there", BACK, || answers(fleet, hub));
    // As a fleet that was killed leaves it.
    docker(&["restart", "-t", "3", &fleet.container("mvu23s")]);
    eventually("the tunnel is there all the same", Duration::from_secs(10) + BACK, || answers(fleet, hub));
    assert!(!hold.exists());
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

/// How many processes a container has whose name matches, how many of them have ended and were not waited for, and how many files they have
/// open together.
fn processes_and_files(container: &str, name: &str) -> [usize; 3] {
    let script = "all=$(pgrep \"$1\" | grep -vx $$); set -- $all; echo $#; cat $(printf '/proc/%s/stat ' $all) | grep -c ') Z '; \
                  ls -d $(printf '/proc/%s/fd/* ' $all) | wc -l";
    let output = try_sh("docker", &["exec", "--user", "0", container, "bash", "-c", script, "sh", name]);
    let text = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<usize> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    counts.try_into().unwrap_or_else(|counts| panic!("{counts:?} {output:?}"))
}

/// How often the connection is cut: `FLEET_CUTS`, for whoever has the time (a second or two each).
#[test]
fn neither_a_process_nor_an_open_file_is_left_of_connections_that_were_cut_on_either_side() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("mvu23s"));
    let _mend = mend(hub);
    let cuts: u32 = std::env::var("FLEET_CUTS").map_or(5, |cuts| cuts.parse().expect("a number"));
    let sandbox = fleet.container("mvu23s");
    // The tunnel's own program, and ssh; sshd, with a process and its child for each connection.
    let both = || {
        let in_sandbox = processes_and_files(&sandbox, "^(tunnel|ssh)$");
        (in_sandbox, processes_and_files(&hub.container, "^sshd$"))
    };
    eventually("the tunnel is up", BACK, || answers(fleet, hub));
    let before = both();
    assert!(before.0[0] == 2 && before.1[0] >= 3, "{before:?}");
    let all = fleet.processes("mvu23s").len();
    let began = std::time::Instant::now();
    for cut in 0..cuts {
        // By turns the sandbox's end and the master's: the process that serves this connection, and not the one that listens.
        match cut % 2 {
            0 => docker(&["exec", &sandbox, "pkill", "-KILL", "-x", "ssh"]),
            _ => docker(&["exec", &hub.container, "pkill", "-KILL", "-f", "^sshd: ubuntu"]),
        };
        eventually("the tunnel is back", BACK, || answers(fleet, hub));
    }
    eventually("all of it is gone", BACK, || both() == before && fleet.processes("mvu23s").len() == all);
    println!("{cuts} cuts in {:?}: {before:?} before, {:?} after", began.elapsed(), both());
}

/// Puts new host keys onto a master, and the old ones back when it is over; both keep the right to go on with what is pinned.
fn new_host_keys(hub: &'static WorldHub) -> Undo<impl FnMut()> {
    let on_master = |script: &str| docker(&["exec", &hub.container, "sh", "-c", script]);
    on_master(
        "mkdir -p /root/keys && mv /etc/ssh/ssh_host_* /root/keys/ && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key \
         && ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key && pkill -x sshd",
    );
    let back = move || {
        eventually("sshd is back, with the key of its file", Duration::from_secs(20), || shows_its_key(hub));
    };
    back();
    Undo(move || {
        on_master("mv -f /root/keys/* /etc/ssh/ && pkill -x sshd");
        back();
    })
}

/// Whether a master's sshd shows the host key that is in its file. One that has just been told to end still takes a
/// connection, and shows the key that it began with.
fn shows_its_key(hub: &WorldHub) -> bool {
    let file = docker(&["exec", &hub.container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"]);
    let scanned = try_sh("ssh-keyscan", &["-T", "2", "-t", "ed25519", &hub.ip]);
    let key = file.split_whitespace().nth(1).expect("a type and a key");
    String::from_utf8_lossy(&scanned.stdout).split_whitespace().any(|word| word == key)
}

/// The fingerprint of a master's key of the type that is pinned, as somebody reads it on its console.
fn fingerprint(hub: &WorldHub) -> String {
    let line = docker(&["exec", &hub.container, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]);
    line.split_whitespace().nth(1).expect("a fingerprint").to_owned()
}

#[test]
fn a_master_with_another_host_key_is_refused_until_somebody_has_looked_at_both() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("pyaos"));
    let _mend = mend(hub);
    let old = fingerprint(hub);
    let pins = || std::fs::read_to_string(fleet.state("pyaos").join("tunnel/known_hosts")).expect("pinned");
    let before = pins();
    let _trusted = Undo(|| {
        fleet.run(&["trust", "pyaos", "--host-key", &old]).exits(0);
    });
    let keys = new_host_keys(hub);
    let new = fingerprint(hub);
    assert_ne!(old, new);
    let container = fleet.container("pyaos");
    eventually("the tunnel is refused", Duration::from_secs(20), || {
        let output = try_sh("docker", &["logs", "--tail", "3", &container]);
        String::from_utf8_lossy(&output.stdout).contains("Host key verification failed")
    });
    assert!(!answers(fleet, hub));
    for command in [&["status", "pyaos"][..], &["tunnel", "status", "pyaos"]] {
        fleet
            .run(command)
            .exits(1)
            .says("there is no tunnel")
            .says("Host key verification failed")
            .says("fleet trust pyaos");
    }
    fleet.run(&["exec", "--hub", "pyaos", "kubectl", "--request-timeout=2s", "get", "nodes"]).exits(1);

    // Nobody is there to type, and a script that demands another key gets none.
    fleet
        .run(&["trust", "pyaos"])
        .exits(4)
        .says(&old)
        .says(&new)
        .says(&format!("fleet trust pyaos --host-key {new}"));
    fleet.run(&["trust", "pyaos", "--host-key", &old]).exits(1).says(&new).says("nothing was changed");
    assert_eq!(pins(), before);
    assert!(!answers(fleet, hub));

    fleet
        .run(&["trust", "pyaos", "--host-key", &new])
        .exits(0)
        .says(&format!("pinned {new}"))
        .says("its API answers");
    assert!(answers(fleet, hub));
    let path = fleet.state("pyaos").join("tunnel/known_hosts");
    assert_eq!(std::fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
    fleet.run(&["status", "pyaos"]).exits(0);
    fleet.run(&["trust", "pyaos"]).exits(0).says("the key that is pinned");
    drop(keys);
}

#[test]
fn a_person_trusts_a_new_host_key_by_typing_yes_in_full() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("fsu-s23"));
    let _mend = mend(hub);
    let old = fingerprint(hub);
    let _trusted = Undo(|| {
        fleet.run(&["trust", "fsu-s23", "--host-key", &old]).exits(0);
    });
    let keys = new_host_keys(hub);
    let new = fingerprint(hub);
    let mut refused = fleet.at_terminal(&["trust", "fsu-s23"]);
    refused.shows("Type yes");
    refused.types("y\n");
    refused.shows("not confirmed");
    assert_eq!(refused.end(), Some(4));
    let mut trusted = fleet.at_terminal(&["trust", "fsu-s23"]);
    assert!(trusted.shows("Type yes").contains(&new));
    trusted.types("yes\n");
    trusted.shows("its API answers");
    assert_eq!(trusted.end(), Some(0));
    assert!(answers(fleet, hub));
    drop(keys);
}

#[test]
fn a_kubeconfig_is_fetched_again_and_the_old_one_is_kept() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("mvu23s"));
    let _mend = mend(hub);
    let dir = fleet.state("mvu23s").join("kube");
    let kept = || {
        let all = std::fs::read_dir(&dir).expect("a directory").flatten().map(|entry| entry.path());
        all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("config.2")))
            .collect::<Vec<_>>()
    };
    let file = "jhubs/mvu23s/kube/config";
    let whole = std::fs::read_to_string(dir.join("config")).expect("there");
    // As after `kubeadm certs renew`, the file in the state is not the cluster's any more.
    fleet.write_in_place(file, &whole.replace("client-key-data", "client-kay-data"));
    let _old = Undo(|| {
        fleet.write_in_place(file, &whole);
        for path in kept() {
            std::fs::remove_file(path).expect("removed");
        }
    });
    fleet.run(&["status", "mvu23s"]).exits(1);
    let run = fleet.run(&["trust", "mvu23s", "--kubeconfig"]).exits(0).says("fetched the kubeconfig");
    let [old] = &kept()[..] else { panic!("one is kept: {:?}", kept()) };
    run.says(&old.display().to_string());
    assert!(std::fs::read_to_string(old).expect("kept").contains("client-kay-data"));
    assert_eq!(std::fs::metadata(old).expect("kept").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(dir.join("config")).expect("there"), whole);
    fleet.run(&["status", "mvu23s"]).exits(0);
}

#[test]
fn a_tunnel_is_connected_again_and_what_runs_in_the_sandbox_goes_on() {
    let _breaking = breaking();
    let (fleet, hub) = (standing(), world().hub("ou23s"));
    let _mend = mend(hub);
    let container = fleet.container("ou23s");
    let ssh = || docker(&["exec", &container, "pgrep", "-x", "ssh"]).trim().to_owned();
    let started = || docker(&["inspect", "--format", "{{.State.StartedAt}}", &container]);
    let (first, since) = (ssh(), started());
    docker(&["exec", "-d", &container, "sleep", "612"]);
    fleet.run(&["tunnel", "restart", "ou23s"]).exits(0).says("ou23s: connected again");
    assert_ne!(ssh(), first);
    assert_eq!(started(), since);
    docker(&["exec", &container, "pkill", "-f", "sleep 612"]);
    assert!(answers(fleet, hub));
    fleet.run(&["tunnel", "logs", "ou23s", "-n", "1"]).exits(0).prints("tunnel: ssh to ubuntu@");
    let run = fleet.run(&["tunnel", "restart", "--all"]).exits(0);
    for hub in ["ou23s", "mvu23s", "fsu-s23", "pyaos"] {
        run.stderr.contains(&format!("{hub}: connected again")).then_some(()).expect(hub);
    }
}

#[test]
fn the_state_of_every_tunnel_is_told_with_where_it_leads_and_since_when() {
    let _using = using();
    let fleet = standing();
    let looks = fleet.run(&["tunnel", "status", "--format", "json"]).exits(0).json();
    let looks = looks.as_array().expect("an array");
    assert_eq!(looks.len(), 4);
    for look in looks {
        let hub = world().hub(look["hub"].as_str().expect("a name"));
        assert_eq!(look["master"], format!("ubuntu@{}:22", hub.ip));
        assert_eq!(look["tunnel"], "up");
        assert_eq!(look["host_key"], fingerprint(hub));
        assert!(
            look["answered_ms"].is_u64() && look["since"].is_string() && look["problem"].is_null(),
            "{look}"
        );
    }
    let table = fleet.run(&["tunnel", "status", "pyaos"]).exits(0).stdout;
    assert_eq!(table.lines().next().expect("a heading").split_whitespace().next(), Some("HUB"));
    assert!(table.contains("pyaos") && table.contains(" up "), "{table}");
}

#[test]
fn a_tunnel_of_a_stopped_sandbox_cannot_be_restarted_and_the_others_can() {
    let _breaking = breaking();
    let fleet = standing();
    let container = fleet.container("pyaos");
    docker(&["stop", "-t", "3", &container]);
    let _start = Undo(|| {
        docker(&["start", &container]);
        eventually("the tunnel is back", BACK, || answers(fleet, world().hub("pyaos")));
    });
    let run = fleet.run(&["tunnel", "restart", "pyaos", "mvu23s"]).exits(1);
    run.says("hub pyaos: its sandbox is not running").says("fleet up pyaos").says("mvu23s: connected again");
    fleet.run(&["tunnel", "status", "pyaos"]).exits(1).says("pyaos: its sandbox is not running");
}
