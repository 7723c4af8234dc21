//! `fleet adopt`: hubs of the old scripts, as they are or with a sandbox of fleet's own.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::common::jump::{Jump, USER, arg, ip_of, is_connected};
use crate::common::world::{Undo, docker, try_sh};
use crate::common::{Fleet, breaking, standing, world};

/// A hub as the old scripts leave it, and a fleet that does not know it.
struct Old {
    fleet: Fleet,
    hub: &'static str,
    container: String,
    state: PathBuf,
}

impl Old {
    /// As `z2j.sh` runs it: state, openrc and keys mounted, a shell as its first process.
    fn new(hub: &'static str, project: &str) -> (Self, Undo<impl FnMut() + use<>>) {
        let fleet = Fleet::empty();
        let of_world = world().hub(hub);
        let state = fleet.path("jhub").join(hub);
        for dir in ["kube", "novaclient", "terraform", "helm", hub] {
            std::fs::create_dir_all(state.join(dir)).expect("made");
        }
        std::fs::copy(standing().state(hub).join("kube/config"), state.join("kube/config")).expect("copied");
        fleet.write(&format!("jhub/{hub}/terraform/terraform.tfstate"), "{}");
        fleet.write(&format!("jhub/{hub}/secrets.yaml"), "proxy: {}\n");
        std::fs::create_dir(fleet.path("ssh")).expect("made");
        std::fs::copy(fleet.path("id_ed25519"), fleet.path("ssh/id_ed25519")).expect("copied");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(fleet.path("ssh/id_ed25519"), mode).expect("closed");

        let (container, image) =
            (format!("{}-old-{hub}", fleet.name), format!("{}/science-gateway:test", fleet.name));
        docker(&["tag", "fleet/sandbox:latest", &image]);
        let mount = |source: PathBuf, target: &str| format!("{}:/home/openstack/{target}", source.display());
        let mounts = [
            mount(fleet.path("ssh"), ".ssh"),
            mount(fleet.openrc(project), "bin/openrc.sh"),
            mount(state.join("kube"), ".kube"),
            mount(state.join("novaclient"), ".novaclient"),
            mount(state.join("terraform"), ".terraform.d"),
            mount(state.join(hub), &format!("jetstream_kubespray/inventory/{hub}")),
            mount(state.join("helm"), ".helm"),
            mount(state.join("secrets.yaml"), "jupyterhub-deploy-kubernetes-jetstream/secrets.yaml"),
        ];
        let (cluster, ip) = (format!("CLUSTER={hub}"), format!("IP={}", of_world.ip));
        let mut args = vec!["run", "-dit", "--name", &container, "--network", &world().network.name];
        args.extend(["--user", "0:0", "-e", "HOME=/home/openstack", "-e", &cluster, "-e", &ip]);
        args.extend(mounts.iter().flat_map(|mount| ["-v", mount]));
        args.extend([&image, "bash", "--norc"]);
        docker(&args);
        let undo = container.clone();
        let gone = Undo(move || {
            try_sh("docker", &["rm", "-f", &undo]);
            try_sh("docker", &["rmi", &image]);
        });
        (Self { fleet, hub, container, state }, gone)
    }

    /// What is in its state, but what fleet adds for itself.
    fn content(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32, i64, u64)> {
        let mut all = BTreeMap::new();
        let mut open = vec![self.state.clone()];
        while let Some(path) = open.pop() {
            let about = std::fs::symlink_metadata(&path).expect("there");
            let own =
                ["tunnel", ".fleet-api.sock", ".fleet-known_hosts"].iter().any(|own| path.ends_with(own));
            // Where kubectl keeps what it has asked before.
            if own || path.ends_with("kube/cache") {
                continue;
            }
            let bytes = if about.is_file() { std::fs::read(&path).expect("read") } else { Vec::new() };
            // The time of a directory changes with what fleet adds.
            let at = if about.is_file() { about.mtime_nsec() } else { 0 };
            if about.is_dir() {
                open.extend(
                    std::fs::read_dir(&path).expect("a directory").flatten().map(|entry| entry.path()),
                );
            }
            all.insert(path, (bytes, about.mode(), at, about.ino()));
        }
        all
    }

    fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.container]).trim().to_owned()
    }

    fn is_running(&self) -> bool {
        self.inspect("{{.State.Running}}") == "true"
    }

    fn toml_has(&self, text: &str) -> bool {
        self.fleet.toml().contains(text)
    }

    /// Whether a program runs in the old container.
    fn runs(&self, pattern: &str) -> bool {
        try_sh("docker", &["exec", &self.container, "pgrep", "-f", pattern]).status.success()
    }
}

fn works(fleet: &Fleet, hub: &str) {
    fleet.run(&["status", hub]).exits(0);
    let nodes = fleet.run(&["exec", "--hub", hub, "kubectl", "get", "nodes", "-o", "name"]).exits(0);
    assert!(!nodes.lines_of(hub).is_empty(), "{}", nodes.stdout);
    fleet
        .run(&["exec", "--hub", hub, "openstack", "token", "issue", "-f", "value", "-c", "project_id"])
        .exits(0);
}

#[test]
fn a_container_of_the_old_scripts_becomes_its_hubs_sandbox_as_it_is() {
    let _breaking = breaking();
    let (old, _gone) = Old::new("mvu23s", "alpha");
    let (fleet, hub) = (&old.fleet, old.hub);
    docker(&["exec", "-d", &old.container, "sleep", "613"]);
    let (before, toml) = (old.content(), fleet.toml());
    let same = old.inspect("{{.Id}} {{.State.StartedAt}} {{.RestartCount}}");

    for command in ["status", "doctor"] {
        let run = fleet.run(&[command]);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(told.contains(&format!("fleet adopt {}", old.container)), "{command}: {told}");
    }
    let shown = fleet.run(&["adopt", "--dry-run"]).exits(0);
    let row = shown.stdout.lines().find(|line| line.starts_with(&old.container)).expect("a row").to_owned();
    for part in [
        hub,
        &world().hub(hub).ip,
        &fleet.openrc("alpha").display().to_string(),
        &old.state.display().to_string(),
    ] {
        assert!(row.contains(part), "{row}");
    }
    assert_eq!(fleet.toml(), toml);
    assert!(!old.runs("/opt/fleet/tunnel"));

    fleet.run(&["adopt", &old.container]).exits(0).says("hub mvu23s is in the fleet").says("as it is");
    works(fleet, hub);
    assert_eq!(old.inspect("{{.Id}} {{.State.StartedAt}} {{.RestartCount}}"), same);
    assert!(old.runs("sleep 613"));
    assert_eq!(old.content(), before);
    assert!(old.toml_has(&format!("container = \"{}\"", old.container)));
    assert!(old.toml_has("# a copy"), "comments are kept");
    fleet.run(&["adopt", "--dry-run"]).exits(0).prints("is adopted");
    // Its own cluster blocks nothing.
    let listed = fleet.run(&["orphans", "--format", "json"]).json();
    let unknown = listed["unknown_clusters"].as_array().expect("an array");
    assert!(unknown.iter().all(|cluster| cluster["name"] != hub), "{unknown:?}");

    // The first process is somebody else's: a new connection does not end it.
    fleet.run(&["tunnel", "restart", hub]).exits(0);
    assert!(old.runs("sleep 613"));

    // What people type and see in it is theirs.
    docker(&["exec", &old.container, "sh", "-c", "echo hunter2 tunnel: hunter2 >/proc/1/fd/1"]);
    assert!(docker(&["logs", &old.container]).contains("hunter2"));
    docker(&["exec", &old.container, "pkill", "-KILL", "-x", "ssh"]);
    let logs = fleet.run(&["tunnel", "logs", hub]).exits(0).prints("tunnel: ssh to ubuntu@");
    assert!(!logs.stdout.contains("hunter2"), "{}", logs.stdout);
    fleet.run(&["up"]).exits(0);

    // Another container of the name is another one.
    let aside = format!("{}-aside", old.container);
    docker(&["rename", &old.container, &aside]);
    docker(&["create", "--name", &old.container, "--entrypoint", "sleep", "fleet/sandbox:latest", "60"]);
    fleet.run(&["exec", "--hub", hub, "true"]).exits(1).says("no container");
    fleet.run(&["up"]).exits(1).says("no container");
    docker(&["rm", &old.container]);
    docker(&["rename", &aside, &old.container]);

    // The tunnel does not come back with the container; `fleet up` brings it.
    docker(&["restart", "-t", "1", &old.container]);
    fleet.run(&["status", hub]).exits(1);
    fleet.run(&["up"]).exits(0);
    works(fleet, hub);
    assert_eq!(old.content(), before);

    fleet.run(&["rm", hub]).exits(0).says("stays as it is");
    assert!(old.is_running());
    assert!(!old.runs("/opt/fleet/tunnel"));
    assert_eq!(old.content().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
}

#[test]
fn the_tunnel_of_an_old_container_goes_by_way_of_a_jump_host_as_long_as_the_file_says_so() {
    let _breaking = breaking();
    let (old, _gone) = Old::new("pyaos", "beta");
    let (fleet, hub, master) = (&old.fleet, old.hub, &world().hub("pyaos").container);
    let (jump, _jump_gone) = Jump::new(fleet, "id_jump");
    // No other key than the hub's own is in that container.
    let public = std::fs::read_to_string(world().key().with_extension("pub")).expect("the world has a key");
    jump.run(&format!("echo '{}' >>/home/{USER}/.ssh/authorized_keys", public.trim()));
    let toml = fleet.toml();
    let by_jump = |more: &[&str]| {
        let address = jump.address();
        fleet.run(&[&["adopt", "--ssh-jump", &address], more, &[&old.container]].concat())
    };
    let nobody = "SHA256:0000000000000000000000000000000000000000000";
    by_jump(&["--jump-host-key", nobody]).exits(1).says("the jump host shows the host key").says(nobody);
    by_jump(&["--ssh-jump-key", arg(&fleet.path("id_jump"))])
        .exits(1)
        .says("has no key for the jump host mounted");
    fleet
        .run(&["adopt", "--jump-host-key", nobody, &old.container])
        .exits(1)
        .says("--jump-host-key is for a jump host");
    assert_eq!(fleet.toml(), toml);

    by_jump(&["--jump-host-key", &jump.fingerprint()]).exits(0).says("hub pyaos is in the fleet");
    let line = format!("ssh_jump = \"{}\"\n", jump.address());
    assert!(old.toml_has(&line));
    let own = ip_of(&old.container);
    assert!(is_connected(master, &jump.ip) && !is_connected(master, &own));
    docker(&["exec", "-d", &old.container, "sleep", "615"]);
    fleet.run(&["up"]).exits(0).says("there is nothing to do");

    fleet.write("fleet.toml", &fleet.toml().replace(&line, ""));
    fleet
        .run(&["status", hub])
        .exits(0)
        .says("its tunnel goes another way to the master")
        .says("fleet up pyaos");
    fleet.run(&["up", "--dry-run"]).exits(0).prints("reconnect").prints("another way to the master");
    let up = fleet.run(&["up"]).exits(0);
    up.says("pyaos: connected again (another way to the master), and its API answers");
    assert!(is_connected(master, &own) && !is_connected(master, &jump.ip));
    fleet.run(&["up"]).exits(0).says("there is nothing to do");

    // One that leads nowhere is not gone.
    let table = format!("[[hub]]\nssh_jump = \"nobody@{}:2222\"", jump.ip);
    fleet.write("fleet.toml", &fleet.toml().replace("[[hub]]", &table));
    fleet
        .run(&["up"])
        .exits(1)
        .says("on the jump host: logging in as nobody")
        .says("its tunnel stays as it is");
    assert!(is_connected(master, &own));
    assert!(old.runs("sleep 615"));
}

#[test]
fn a_sandbox_takes_the_place_of_an_old_container_with_the_same_state() {
    let _breaking = breaking();
    let (old, _gone) = Old::new("pyaos", "beta");
    let (fleet, hub) = (&old.fleet, old.hub);
    let before = old.content();
    docker(&["exec", "-d", &old.container, "sleep", "614"]);
    fleet
        .run(&["adopt", "--recreate", &old.container])
        .exits(1)
        .says("somebody works in")
        .says("sleep")
        .says("--force");
    assert!(old.is_running() && old.runs("sleep 614"));
    assert!(fleet.containers().is_empty());
    assert!(!old.toml_has("[[hub]]"));

    docker(&["exec", &old.container, "pkill", "-f", "sleep 614"]);
    let run = fleet.run(&["adopt", "--recreate", &old.container]).exits(0);
    run.says(&format!("docker rm {}", old.container));
    works(fleet, hub);
    assert!(!old.is_running());
    assert_eq!(old.content(), before);
    assert!(!old.toml_has("container ="));
    fleet.run(&["exec", "--hub", hub, "cat", ".terraform.d/terraform.tfstate"]).exits(0).prints("{}");
}

#[test]
fn a_sandbox_that_does_not_come_up_gives_the_old_container_back() {
    let _breaking = breaking();
    let (old, _gone) = Old::new("fsu-s23", "expired");
    let (fleet, before, toml) = (&old.fleet, old.content(), old.fleet.toml());
    fleet
        .run(&["adopt", "--recreate", &old.container])
        .exits(1)
        .says("hub fsu-s23: cannot try the credentials");
    assert!(old.is_running());
    assert!(fleet.containers().is_empty());
    assert_eq!((old.content(), fleet.toml()), (before.clone(), toml.clone()));
    // The same where it is to stay as it is: nothing of fleet's goes on in it.
    fleet.run(&["adopt", &old.container]).exits(1).says("hub fsu-s23: cannot try the credentials");
    assert!(old.is_running() && !old.runs("/opt/fleet/tunnel"));
    docker(&["pause", &old.container]);
    fleet.run(&["adopt", &old.container]).exits(1).says("it is paused");
    assert_eq!(old.inspect("{{.State.Status}}"), "paused");
    docker(&["unpause", &old.container]);
    docker(&["stop", "-t", "1", &old.container]);
    fleet.run(&["adopt", &old.container]).exits(1).says("hub fsu-s23: cannot try the credentials");
    assert!(!old.is_running());
    assert_eq!((old.content(), fleet.toml()), (before, toml));
}

#[test]
fn what_cannot_be_read_is_told_at_once_and_changes_nothing() {
    let _breaking = breaking();
    let fleet = Fleet::empty();
    let name = format!("{}-bare", fleet.name);
    let image = format!("{}/science-gateway:test", fleet.name);
    docker(&["tag", "fleet/sandbox:latest", &image]);
    docker(&["create", "--name", &name, "-e", "CLUSTER=ou23s", "--entrypoint", "sleep", &image, "60"]);
    let _gone = Undo(|| {
        try_sh("docker", &["rm", "-f", &name]);
        try_sh("docker", &["rmi", &image]);
    });
    let toml = fleet.toml();
    let run = fleet.run(&["adopt", &name]).exits(1);
    run.says("no IP").says("no openrc is mounted").says(".kube").says("nothing was changed");
    assert_eq!(fleet.toml(), toml);
    fleet.run(&["adopt", "no-such"]).exits(2).says("no container of the old scripts is called \"no-such\"");
    assert!(Path::new(&fleet.path("fleet.toml")).exists());
}
