//! Private keys of every kind, and agents that have them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::common::jump::arg;
use crate::common::world::{Undo, docker, eventually, sh, try_sh};
use crate::common::{Fleet, WorldHub, breaking, using, world};

/// Lets a master's account take more keys until this is dropped.
fn authorize(hub: &'static WorldHub, public: &str) -> Undo<impl FnMut() + use<>> {
    let file = "/home/ubuntu/.ssh/authorized_keys";
    let script = format!("cp -n {file} {file}.before; echo '{}' >> {file}", public.trim());
    docker(&["exec", &hub.container, "sh", "-c", &script]);
    let back = format!("cat {file}.before > {file}");
    Undo(move || {
        try_sh("docker", &["exec", &hub.container, "sh", "-c", &back]);
    })
}

/// Makes a key in a fleet's directory; returns its public half.
fn make(fleet: &Fleet, name: &str, args: &[&str]) -> String {
    let path = fleet.path(name);
    sh("ssh-keygen", &[&["-q", "-f", arg(&path)], args].concat());
    fleet.read(&format!("{name}.pub"))
}

#[test]
fn keys_of_every_kind_log_fleet_in_and_bring_the_tunnel_up() {
    let _breaking = breaking();
    let hub = world().hub("fsu-s23");
    let fleet = Fleet::with(&["fsu-s23"]);
    // RFC4716 is OpenSSH's own form here, and the only one of ed25519.
    let forms = ["RFC4716", "PEM", "PKCS8"];
    let kinds: [(&str, &[&str]); 3] = [("ed25519", &forms[..1]), ("ecdsa", &forms), ("rsa", &forms)];
    let (mut keys, mut public) = (Vec::new(), String::new());
    for (kind, forms) in kinds {
        for form in forms {
            let name = format!("{kind}-{form}");
            public.push_str(&make(&fleet, &name, &["-t", kind, "-m", form, "-N", ""]));
            keys.push(name);
        }
    }
    let _authorized = authorize(hub, &public);
    for name in keys {
        // The sandbox holds the file: the tunnel's next connection takes the new key, and so does fleet.
        fleet.write_in_place("id_ed25519", &fleet.read(&name));
        let run = fleet.run(&["trust", "fsu-s23", "--kubeconfig"]);
        assert_eq!(run.status, Some(0), "{name}: {}", run.stderr);
        assert!(run.stderr.contains("its API answers"), "{name}: {}", run.stderr);
    }
    // One that nobody there knows.
    make(&fleet, "stranger", &["-t", "ed25519", "-N", ""]);
    fleet.write_in_place("id_ed25519", &fleet.read("stranger"));
    fleet
        .run(&["trust", "fsu-s23", "--kubeconfig"])
        .exits(1)
        .says("logging in as ubuntu at ")
        .says("authorized_keys on the master");
    // OpenSSH of today's sandboxes does not read this one.
    let pkcs8 = docker(&["exec", &hub.container, "openssl", "genpkey", "-algorithm", "ed25519"]);
    fleet.write_in_place("id_ed25519", &format!("{pkcs8}\n"));
    fleet
        .run(&["trust", "fsu-s23", "--kubeconfig"])
        .exits(1)
        .says("an ed25519 key in PKCS8 form")
        .says("ssh-keygen -t ed25519");
}

/// An agent at a socket in a directory of its own, which ends with this.
struct Agent {
    socket: PathBuf,
    process: Child,
}

impl Agent {
    fn start(socket: &Path) -> Self {
        let mut command = Command::new("ssh-agent");
        let process = command.args(["-D", "-a", arg(socket)]).stdout(Stdio::null()).spawn();
        let agent = Self { socket: socket.to_owned(), process: process.expect("ssh-agent starts") };
        eventually("the agent is there", Duration::from_secs(10), || socket.exists());
        agent
    }

    /// Gives it a key with a passphrase.
    fn add(&self, fleet: &Fleet, key: &str, passphrase: &str) -> ExitStatus {
        fleet.write("askpass", &format!("#!/bin/sh\necho '{passphrase}'\n"));
        std::fs::set_permissions(fleet.path("askpass"), std::fs::Permissions::from_mode(0o700)).expect("set");
        let mut child = Command::new("ssh-add")
            .arg(fleet.path(key))
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("SSH_ASKPASS", fleet.path("askpass"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh-add starts");
        // A wrong passphrase is asked for again without end.
        let began = Instant::now();
        loop {
            match child.try_wait().expect("waited for") {
                Some(status) => return status,
                None if began.elapsed() > Duration::from_secs(3) => child.kill().expect("killed"),
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

#[test]
fn a_key_with_a_passphrase_is_used_through_an_agent_and_without_one_it_is_told_what_to_do() {
    let _using = using();
    let hub = world().hub("ou23s");
    let fleet = Fleet::with_settings("[timeouts]\nssh = \"4s\"");
    let public = make(&fleet, "locked", &["-t", "ecdsa", "-N", "a passphrase"]);
    let _authorized = authorize(hub, &public);
    let key = fleet.path("locked");
    let dir = fleet.path("agent");
    std::fs::create_dir(&dir).expect("made");
    let socket = dir.join("agent.sock");
    let new = |more: &[&str]| fleet.add_as("ou23s", hub, &[&["--ssh-key", arg(&key)], more].concat());
    let by_agent = ["--ssh-agent", arg(&socket)];

    new(&[]).exits(2).says("it has a passphrase").says("ssh-agent -a").says("--ssh-agent");
    new(&by_agent).exits(1).says("no agent answers there").says("ssh-agent -a");
    // It takes connections, and says nothing.
    {
        let _hangs = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        let began = Instant::now();
        new(&by_agent).exits(1).says("by the agent at ").says("it does not answer within 4s");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        std::fs::remove_file(&socket).expect("removed");
    }
    let agent = Agent::start(&socket);
    new(&by_agent).exits(1).says("it has no keys, or is locked").says("ssh-add");
    // A wrong passphrase is between ssh-add and whoever types it; the agent has no key then.
    assert!(!agent.add(&fleet, "locked", "another").success());
    new(&by_agent).exits(1).says("it has no keys, or is locked");
    assert!(agent.add(&fleet, "locked", "a passphrase").success());
    // What else is in its directory would be in the sandbox, too.
    fleet.write("agent/notes", "");
    new(&by_agent).exits(2).says("there is more in it than the socket: notes");
    std::fs::remove_file(dir.join("notes")).expect("removed");

    new(&by_agent).exits(0).says("hub ou23s is up");
    fleet.run(&["exec", "--hub", "ou23s", "ssh-add", "-l"]).exits(0).prints("(ECDSA)");
    let write = ["exec", &fleet.container("ou23s"), "touch", "/run/fleet-agent/x"];
    assert!(!try_sh("docker", &write).status.success());
    // Another agent at the same place: the sandbox finds it, because it sees the directory.
    drop(agent);
    fleet.run(&["trust", "ou23s", "--kubeconfig"]).exits(1).says("no agent answers there");
    let agent = Agent::start(&socket);
    assert!(agent.add(&fleet, "locked", "a passphrase").success());
    fleet.run(&["tunnel", "restart", "ou23s"]).exits(0).says("its API answers");
}
