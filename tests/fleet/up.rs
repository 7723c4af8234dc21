//! `fleet up` and `fleet down`: sandboxes are brought to what fleet.toml says, and nothing else is touched.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::world::{Undo, docker, eventually, try_sh};
use crate::common::{Fleet, breaking, using, world};

/// What a dry run says that a hub needs, and why.
fn wanted(fleet: &Fleet, hub: &str) -> (String, Value) {
    let all = fleet.run(&["up", "--dry-run", "--format", "json"]).exits(0).json();
    let steps = all.as_array().expect("an array");
    let step = steps.iter().find(|step| step["hub"] == hub).expect("the hub").clone();
    (step["action"].as_str().expect("an action").to_owned(), step["why"].clone())
}

fn id(fleet: &Fleet, hub: &str) -> String {
    docker(&["inspect", "-f", "{{.Id}}", &fleet.container(hub)])
}

/// Puts a line under `[sandbox]`.
fn set(fleet: &Fleet, line: &str) {
    fleet.write("fleet.toml", &fleet.toml().replace("[sandbox]\n", &format!("[sandbox]\n{line}\n")));
}

#[test]
fn what_is_stopped_is_started_and_what_is_right_is_left_alone() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let before = [id(&fleet, "ou23s"), id(&fleet, "mvu23s")];
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["down", "ou23s"]).exits(0).says("ou23s: stopped");
    fleet.run(&["pvc"]).exits(3).says("fleet up ou23s");
    assert_eq!(wanted(&fleet, "ou23s").0, "start");
    assert_eq!(wanted(&fleet, "mvu23s").0, "none");
    fleet.run(&["up"]).exits(0).says("ou23s: started, and its API answers");
    fleet.run(&["pvc"]).exits(0);
    docker(&["pause", &fleet.container("mvu23s")]);
    assert_eq!(wanted(&fleet, "mvu23s").0, "unpause");
    fleet.run(&["up", "mvu23s"]).exits(0).says("mvu23s: goes on");
    fleet.run(&["status"]).exits(0);
    assert_eq!([id(&fleet, "ou23s"), id(&fleet, "mvu23s")], before);
}

#[test]
fn all_sandboxes_are_stopped_only_where_all_is_said() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    fleet.run(&["down"]).exits(2);
    fleet.run(&["status"]).exits(0);
    docker(&["pause", &fleet.container("ou23s")]);
    fleet.run(&["down", "--all"]).exits(0);
    assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", &fleet.container("ou23s")]), "exited");
    fleet.run(&["down", "--all"]).exits(0);
}

#[test]
fn a_sandbox_that_was_removed_is_made_again_with_the_same_state() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let state =
        || fleet.files().into_iter().filter(|file| !file.contains("tunnel/api.sock")).collect::<Vec<_>>();
    let before = state();
    docker(&["rm", "-f", &fleet.container("ou23s")]);
    assert_eq!(wanted(&fleet, "ou23s").0, "make");
    fleet.run(&["up"]).exits(0).says("ou23s: made, and its API answers");
    assert_eq!(state(), before);
    fleet.run(&["exec", "--all", "kubectl", "get", "nodes"]).exits(0);
}

#[test]
fn a_hub_that_was_written_into_the_file_by_hand_is_made() {
    let _using = using();
    let fleet = Fleet::empty();
    let hub = world().hub("ou23s");
    let text = format!(
        "{}\n[[hub]]\nname = \"ou23s\"\nip = \"{}\"\nopenrc = \"openrc-alpha.sh\"\n",
        fleet.toml(),
        hub.ip
    );
    fleet.write("fleet.toml", &text);
    fleet.run(&["up"]).exits(0).says(&hub.host_key_fingerprint).says("ou23s: made");
    fleet.run(&["status"]).exits(0);
    assert_eq!(fleet.toml(), text);
}

/// What is where fleet brings things into a hub's sandbox: names, kinds, modes, owners and sizes, and what is in its own files.
fn brought_in(fleet: &Fleet, hub: &str) -> BTreeSet<String> {
    let script = "find /etc /home /opt -xdev ! -name hosts ! -name hostname ! -name resolv.conf -printf '%p %y %m %U:%G %s %l\n'; \
                  md5sum /etc/passwd /opt/fleet/*; id";
    let found = docker(&["exec", "--user", "0", &fleet.container(hub), "sh", "-c", script]);
    found.lines().map(|line| line.replace(hub, "HUB")).collect()
}

#[test]
fn sandboxes_after_the_first_are_made_from_an_image_that_has_what_the_first_was_brought() {
    // Alone: another test's fleet may clear the image away before it is used, and then this one rightly makes do without.
    let _alone = breaking();
    let hubs = ["mvu23s", "ou23s"];
    let fleet = Fleet::with(&hubs);
    let image = |hub: &str| docker(&["inspect", "-f", "{{.Image}}", &fleet.container(hub)]);
    let of_hub = docker(&["image", "inspect", "-f", "{{.Id}}", "fleet/sandbox"]);
    // One command each.
    assert_eq!(hubs.map(image), [of_hub.clone(), of_hub.clone()]);
    let before = id(&fleet, "ou23s");
    for hub in hubs {
        docker(&["rm", "-f", &fleet.container(hub)]);
    }
    fleet.run(&["up"]).exits(0);
    let (first, second) = match hubs.map(image) {
        [a, b] if a == of_hub && b != of_hub => ("mvu23s", "ou23s"),
        [a, b] if b == of_hub && a != of_hub => ("ou23s", "mvu23s"),
        images => panic!("{images:?}, {of_hub}"),
    };
    let layered = image(second);
    let [one, other] = [first, second].map(|hub| brought_in(&fleet, hub));
    assert!(one.len() > 100 && one.iter().any(|line| line.starts_with("/opt/fleet/tunnel f 755 0:0 ")));
    let differ: Vec<&String> = one.symmetric_difference(&other).collect();
    assert!(differ.is_empty(), "{differ:?}");
    let inside = |field: &str| {
        [first, second].map(|hub| {
            let found = docker(&["inspect", "-f", field, &fleet.container(hub)]);
            // No volumes are no volumes.
            found.replace(hub, "HUB").replace(&world().hub(hub).ip, "IP").replace("null", "{}")
        })
    };
    for field in [
        "{{json .Config.Env}}",
        "{{json .Config.User}}",
        "{{json .Config.Volumes}}",
        "{{json .Config.Healthcheck}}",
    ] {
        let [one, other] = inside(field);
        assert_eq!(one, other, "{field}");
    }
    // Whoever looks with docker sees what image it is.
    let name = docker(&["inspect", "-f", "{{.Config.Image}}", &fleet.container(second)]);
    assert_eq!(name, format!("fleet/sandbox:fleet-{}", &layered["sha256:".len()..][..12]));
    assert_ne!(id(&fleet, "ou23s"), before);
    fleet.run(&["status"]).exits(0);
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["exec", "--all", "--", "sh", "-c", "openstack --version && touch ~/.ssh/mine"]).exits(0);

    // One that somebody removes, who thinks that nobody needs it, is loaded again.
    for hub in hubs {
        docker(&["rm", "-f", &fleet.container(hub)]);
    }
    try_sh("docker", &["rmi", &name]);
    // And what a fleet that was killed while it looked into the image leaves is in nobody's way.
    let left = hubs.map(|hub| format!("{}.layer", fleet.container(hub)));
    for (name, hub) in left.iter().zip(hubs) {
        let labels = [format!("fleet.name={}", fleet.name), format!("fleet.probe={hub}")];
        docker(&["create", "--name", name, "--label", &labels[0], "--label", &labels[1], "fleet/sandbox"]);
    }
    fleet.run(&["up"]).exits(0);
    assert!(hubs.map(image).contains(&layered), "the same files on the same image are the same image");
    let is_there = |name: &&String| try_sh("docker", &["inspect", name.as_str()]).status.success();
    assert_eq!(left.iter().filter(is_there).count(), 1, "of the hub whose turn it was, it is gone");
}

#[test]
fn what_has_drifted_is_made_again_and_says_why() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let before = id(&fleet, "ou23s");
    set(&fleet, "memory = \"512MiB\"");
    assert_eq!(wanted(&fleet, "ou23s"), ("remake".to_owned(), serde_json::json!({ "drift": ["limits"] })));
    assert_eq!(id(&fleet, "ou23s"), before, "a dry run does nothing");
    fleet.run(&["up"]).exits(0).says("ou23s: made again (limits), and its API answers");
    assert_ne!(id(&fleet, "ou23s"), before);
    let memory = docker(&["inspect", "-f", "{{.HostConfig.Memory}}", &fleet.container("ou23s")]);
    assert_eq!(memory, (512 << 20).to_string());
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["status"]).exits(0);
}

#[test]
fn a_new_image_under_the_same_name_is_used_and_a_missing_one_takes_nothing_away() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let image = format!("{}:image", fleet.name);
    let build = |label: &str| {
        let container = docker(&["create", "--label", label, "fleet/sandbox:latest"]);
        docker(&["commit", &container, &image]);
        docker(&["rm", &container]);
    };
    build("fleet-test=1");
    set(&fleet, &format!("image = \"{image}\""));
    fleet.run(&["up"]).exits(0).says("(image)");
    build("fleet-test=2");
    assert_eq!(wanted(&fleet, "ou23s"), ("remake".to_owned(), serde_json::json!("new_image")));
    fleet.run(&["up"]).exits(0).says("ou23s: made again (a new image)");
    let before = id(&fleet, "ou23s");
    docker(&["rmi", "-f", &image]);
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    set(&fleet, "pids = 300");
    fleet.run(&["up"]).exits(1).says("hub ou23s: the engine has no image");
    assert_eq!(id(&fleet, "ou23s"), before);
    fleet.run(&["pvc"]).exits(0);
}

#[test]
fn an_up_that_is_killed_at_any_moment_is_mended_by_the_next() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let good = fleet.toml();
    for (round, pause) in [20, 60, 120, 200, 350, 600, 1000].into_iter().enumerate() {
        // Another limit each time, so that the sandbox is taken away and made again.
        fleet.write(
            "fleet.toml",
            &good.replace("[sandbox]\n", &format!("[sandbox]\npids = {}\n", 300 + round)),
        );
        let running = fleet.start(&["up"]);
        std::thread::sleep(Duration::from_millis(pause));
        running.signal("KILL");
        running.end();
        fleet.run(&["up"]).exits(0);
        assert_eq!(fleet.containers().len(), 1, "after {pause} ms");
        fleet.run(&["pvc"]).exits(0);
        fleet.run(&["up"]).exits(0).says("there is nothing to do");
    }
}

#[test]
fn a_master_that_is_away_does_not_keep_a_sandbox_from_being_made() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"2s\"");
    fleet.add(world().hub("ou23s")).exits(0);
    // Nobody is there: the tunnel goes on trying, and openstack works in the sandbox meanwhile.
    let here = world().hub("ou23s").ip.clone();
    fleet.write("fleet.toml", &fleet.toml().replace(&here, "192.0.2.1"));
    let pinned = fleet.read("jhubs/ou23s/tunnel/known_hosts");
    fleet.write("jhubs/ou23s/tunnel/known_hosts", &pinned.replace(&here, "192.0.2.1"));
    fleet.run(&["up"]).exits(1).says("hub ou23s: cannot bring the tunnel up");
    fleet.run(&["exec", "--hub", "ou23s", "sh", "-c", "test \"$IP\" = 192.0.2.1"]).exits(0);
}

/// Makes an image of the sandbox's own in which a shell command was run, under that name; returns its id.
fn build(image: &str, script: &str) -> String {
    let name = format!("build-{}", image.replace(['/', ':'], "-"));
    docker(&[
        "run",
        "--name",
        &name,
        "--user",
        "0:0",
        "--entrypoint",
        "sh",
        "fleet/sandbox:latest",
        "-c",
        script,
    ]);
    // The command of the image is not what was run here.
    docker(&["commit", "--change", "USER openstack", "--change", "ENTRYPOINT []", &name, image]);
    docker(&["rm", "-f", &name]);
    docker(&["inspect", "-f", "{{.Id}}", image])
}

fn image_of(fleet: &Fleet, hub: &str) -> String {
    let field = "{{with index .Config.Labels \"fleet.image\"}}{{.}}{{else}}{{.Image}}{{end}}";
    docker(&["inspect", "-f", field, &fleet.container(hub)])
}

#[test]
fn an_image_in_which_no_tunnel_comes_up_is_given_back_and_the_hubs_after_it_keep_theirs() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"6s\"");
    let image = format!("{}:upgrade", fleet.name);
    let good = build(&image, "true");
    let _image = Undo(|| {
        try_sh("docker", &["rmi", "-f", &image]);
    });
    set(&fleet, &format!("image = \"{image}\""));
    for hub in ["ou23s", "mvu23s"] {
        fleet.add(world().hub(hub)).exits(0);
    }
    let before = [id(&fleet, "ou23s"), id(&fleet, "mvu23s")];
    build(&image, "rm /usr/bin/ssh");
    let run = fleet.run(&["up"]).exits(1);
    run.says("hub ou23s: cannot bring the tunnel up")
        .says("its old sandbox goes on")
        .says("hub mvu23s: it keeps its old image");
    assert_eq!([id(&fleet, "ou23s"), id(&fleet, "mvu23s")], before);
    assert_eq!(image_of(&fleet, "ou23s"), good);
    assert_eq!(fleet.containers().len(), 2);
    fleet.run(&["pvc"]).exits(0);
    let new = build(&image, "touch /new");
    fleet
        .run(&["up"])
        .exits(0)
        .says("ou23s: made again (a new image)")
        .says("mvu23s: made again (a new image)");
    assert_eq!([image_of(&fleet, "ou23s"), image_of(&fleet, "mvu23s")], [new.clone(), new]);
    assert_eq!(fleet.containers().len(), 2);
    fleet.run(&["pvc"]).exits(0);
}

#[test]
fn an_upgrade_that_is_killed_at_any_moment_is_finished_by_the_next_up() {
    let _using = using();
    let fleet = Fleet::empty();
    let image = format!("{}:killed", fleet.name);
    let _image = Undo(|| {
        try_sh("docker", &["rmi", "-f", &image]);
    });
    build(&image, "true");
    set(&fleet, &format!("image = \"{image}\""));
    fleet.add(world().hub("ou23s")).exits(0);
    for pause in [30, 100, 250, 500, 800, 1200, 2000] {
        let new = build(&image, &format!("echo {pause} >/new"));
        let running = fleet.start(&["up"]);
        std::thread::sleep(Duration::from_millis(pause));
        running.signal("KILL");
        running.end();
        fleet.run(&["up"]).exits(0);
        assert_eq!(fleet.containers().len(), 1, "after {pause} ms");
        assert_eq!(image_of(&fleet, "ou23s"), new, "after {pause} ms");
        fleet.run(&["pvc"]).exits(0);
    }
}

#[test]
fn a_sandbox_in_which_somebody_works_is_not_taken_from_them_unless_that_is_said() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let before = id(&fleet, "ou23s");
    docker(&["exec", "-d", &fleet.container("ou23s"), "sleep", "615"]);
    set(&fleet, "pids = 301");
    fleet.run(&["up"]).exits(1).says("hub ou23s: ").says("somebody works in it: sleep").says("--force");
    assert_eq!(id(&fleet, "ou23s"), before);
    fleet.run(&["up", "--force"]).exits(0).says("ou23s: made again (limits)");
    assert_ne!(id(&fleet, "ou23s"), before);
}

/// A registry on this machine, which the engine asks without TLS because it is on loopback.
struct Registry {
    process: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Registry {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let config = dir.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            dir.path().join("data").display()
        );
        let mut file = std::fs::File::create(&config).expect("made");
        file.write_all(text.as_bytes()).expect("written");
        let program = std::env::var("FLEET_TEST_REGISTRY").expect("scripts/test says where the registry is");
        let process = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let registry = Self { process: process.expect("the registry starts"), address, _dir: dir };
        eventually("the registry answers", Duration::from_secs(20), || {
            try_sh("curl", &["-sfm2", &format!("http://{}/v2/", registry.address)]).status.success()
        });
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_the_registry_has_under_the_images_name_is_fetched_only_where_that_is_said() {
    let _using = using();
    let registry = Registry::new();
    let fleet = Fleet::empty();
    let image = format!("{}/sandbox", registry.address);
    let old = build(&image, "true");
    docker(&["push", "-q", &image]);
    set(&fleet, &format!("image = \"{image}\""));
    fleet.add(world().hub("ou23s")).exits(0);
    let new = build(&image, "touch /new");
    docker(&["push", "-q", &image]);
    docker(&["tag", &old, &image]);
    let _image = Undo(|| {
        try_sh("docker", &["rmi", "-f", &image, &old, &new]);
    });
    fleet.run(&["up"]).exits(0).says("there is nothing to do");
    fleet.run(&["up", "--pull"]).exits(0).says("there is a new one").says("ou23s: made again (a new image)");
    assert_eq!(image_of(&fleet, "ou23s"), new);
    fleet.run(&["up", "--pull"]).exits(0).says("it is the newest").says("there is nothing to do");
    let before = id(&fleet, "ou23s");
    drop(registry);
    fleet.run(&["up", "--pull"]).exits(1).says(&format!("cannot pull image {image}"));
    assert_eq!(id(&fleet, "ou23s"), before);
    fleet.run(&["pvc"]).exits(0);
}
