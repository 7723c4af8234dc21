//! `fleet new`: a hub with its state, its sandbox and its tunnel; or nothing at all.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::common::world::{Undo, docker, eventually, sh, try_sh};
use crate::common::{Fleet, Run, WorldHub, breaking, standing, using, world};

fn ou23s() -> &'static WorldHub {
    world().hub("ou23s")
}

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o777
}

/// What `docker inspect` says of a container.
fn inspect(container: &str) -> Value {
    let all: Value = serde_json::from_str(&docker(&["inspect", container])).expect("JSON");
    all[0].clone()
}

/// The master's kubeconfig, with the tunnel's end as its server, as an operator of the old scripts has it.
fn kubeconfig(hub: &WorldHub) -> String {
    let text = docker(&["exec", &hub.container, "cat", "/etc/kubernetes/admin.conf"]);
    text.replace(&format!("https://{}:6443", hub.ip), "https://127.0.0.1:6443")
}

/// Runs `fleet new`, which has to fail with status 1 at this step, and to leave nothing.
#[track_caller]
fn fails_at(fleet: &Fleet, step: &str, hub: &WorldHub, more: &[&str]) -> Run {
    let before = fleet.everything();
    let run = fleet.add_as("ou23s", hub, more).exits(1);
    assert_eq!(fleet.everything(), before, "something is left behind:\n{}", run.stderr);
    assert_eq!(run.stdout, "");
    run.says(&format!("error: hub ou23s: cannot {step}: "))
}

#[test]
fn a_new_hub_has_a_state_a_sandbox_and_a_tunnel_and_the_comments_of_fleet_toml_stay() {
    let _using = using();
    let hub = ou23s();
    let fleet = Fleet::empty();
    fleet.write("fleet.toml", &format!("{}\n# The hubs begin here.   \n\n\n# And end here.", fleet.header()));
    let before = fleet.toml();
    let run = fleet.add_as("ou23s", hub, &["--host-key", &hub.host_key_fingerprint]).exits(0);
    assert_eq!(run.stdout, "");
    run.says(&hub.host_key_fingerprint).says("the credentials lead to project alpha").says("hub ou23s is up");

    let openrc = fleet.openrc("alpha").display().to_string();
    let added = format!("\n\n[[hub]]\nname = \"ou23s\"\nip = \"{}\"\nopenrc = \"{openrc}\"\n", hub.ip);
    assert_eq!(fleet.toml(), before + &added);
    for dir in ["kube", "novaclient", "terraform", "helm", "ou23s"] {
        assert!(fleet.state("ou23s").join(dir).is_dir(), "the old scripts' layout has {dir}");
    }
    assert!(fleet.state("ou23s").join("secrets.yaml").is_file());
    let run = fleet.run(&["exec", "--all", "kubectl", "get", "nodes", "-o", "name"]).exits(0);
    assert!(run.lines_of("ou23s").contains(&"node/ou23s-1"), "{}", run.stdout);
    fleet.run(&["status"]).exits(0);

    // Once more: an error that changes nothing.
    let before = fleet.everything();
    fleet.add(hub).exits(2).says("is named ou23s already");
    assert_eq!(fleet.everything(), before);
}

#[test]
fn a_fleet_toml_that_was_not_there_is_not_there_after_a_failure() {
    let _using = using();
    let fleet = Fleet::empty();
    std::fs::remove_file(fleet.path("fleet.toml")).expect("removed");
    let before = fleet.everything();
    let (key, openrc) =
        (fleet.path("id_ed25519").display().to_string(), fleet.openrc("alpha").display().to_string());
    // A machine without sshd; the fleet's name is the usual one, so the hub's is this test's own.
    let args =
        ["new", "--name", &fleet.name, "--ip", &world().cloud.ip, "--openrc", &openrc, "--ssh-key", &key];
    fleet.run(&args).exits(1).says("cannot pin the master's host key");
    assert_eq!(fleet.everything(), before);
}

#[test]
fn the_openrc_inside_is_the_very_file_outside_and_read_only_and_so_is_the_key() {
    let _using = using();
    let fleet = standing();
    for hub in &world().hubs {
        let container = fleet.container(&hub.name);
        for (outside, inside) in [
            (fleet.openrc(&hub.project), "/home/openstack/bin/openrc.sh"),
            (fleet.path("id_ed25519"), "/home/openstack/.ssh/id_ed25519"),
        ] {
            let file = std::fs::metadata(&outside).expect("it is there");
            let seen = docker(&["exec", &container, "stat", "-L", "-c", "%d:%i %F", inside]);
            assert_eq!(seen, format!("{}:{} regular file", file.dev(), file.ino()));
            let write = ["exec", "-u", "0", &container, "sh", "-c", &format!("echo x >> {inside}")];
            let output = try_sh("docker", &write);
            assert!(String::from_utf8_lossy(&output.stderr).contains("Read-only file system"), "{output:?}");
        }
    }
}

#[test]
fn what_a_hub_keeps_is_its_owners_alone() {
    let _using = using();
    let state = standing().state("ou23s");
    for dir in ["", "kube", "novaclient", "terraform", "helm", "ou23s", "tunnel"] {
        assert_eq!(mode(state.join(dir)), 0o700, "{dir}");
    }
    for file in ["kube/config", "secrets.yaml", "tunnel/known_hosts", "tunnel/api.sock"] {
        assert_eq!(mode(state.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(standing().path("jhubs")), 0o700);
    let text = std::fs::read_to_string(state.join("kube/config")).expect("it reads");
    assert!(text.contains("server: https://127.0.0.1:6443"), "the tunnel's end is the server");
}

#[test]
fn a_sandbox_has_an_init_and_limits_and_no_rights_that_it_does_not_need() {
    let _using = using();
    let fleet = standing();
    let seen = inspect(&fleet.container("ou23s"));
    let host = &seen["HostConfig"];
    assert_eq!(host["Init"], true);
    assert_eq!(host["Privileged"], false);
    assert!(host["CapAdd"].as_array().is_none_or(Vec::is_empty), "{}", host["CapAdd"]);
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges"]));
    assert_eq!(host["Memory"], 1 << 30);
    assert_eq!(host["MemorySwap"], 1 << 30, "no swap on top");
    assert_eq!(host["PidsLimit"], 512);
    assert_eq!(host["NetworkMode"], world().network.name.as_str());
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    // The old form, with which Docker makes a directory where a file is missing.
    assert!(host["Binds"].as_array().is_none_or(Vec::is_empty), "{}", host["Binds"]);
    for mount in seen["Mounts"].as_array().expect("mounts") {
        let source = mount["Source"].as_str().expect("a path");
        assert!(
            source.starts_with(fleet.dir.path().to_str().expect("UTF-8")),
            "nothing else of this machine: {source}"
        );
        assert!(!source.ends_with(".sock"), "no engine's socket: {source}");
    }
    let status = docker(&["exec", &fleet.container("ou23s"), "cat", "/proc/self/status"]);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
    }
    // It ends at once, because its first process under init does.
    assert!(docker(&["exec", &fleet.container("ou23s"), "cat", "/proc/1/cmdline"]).contains("init"));
}

#[test]
fn a_sandbox_runs_as_the_owner_of_the_state_so_that_what_is_made_inside_is_theirs() {
    let _using = using();
    let fleet = Fleet::empty();
    let state = fleet.state("ou23s");
    std::fs::create_dir_all(&state).expect("made");
    let mut owner = std::fs::metadata(&state).expect("it is there").uid();
    if owner == 0 {
        // Root runs fleet for somebody else here; anybody else can run it for themselves alone.
        owner = 12345;
        for path in [&state, &fleet.openrc("alpha"), &fleet.path("id_ed25519")] {
            chown(path, Some(owner), Some(owner)).expect("root may");
        }
        sh(
            "chmod",
            &["a+x", fleet.dir.path().to_str().expect("UTF-8"), fleet.path("jhubs").to_str().expect("UTF-8")],
        );
    }
    fleet.add(ou23s()).exits(0);
    let run = fleet.run(&[
        "exec",
        "--all",
        "sh",
        "-c",
        "id -u; id -un; touch ~/.kube/made; ssh -V 2>/dev/null && echo ssh",
    ]);
    assert_eq!(run.exits(0).lines_of("ou23s"), [&owner.to_string(), "openstack", "ssh"]);
    for file in ["kube/made", "kube/config", "secrets.yaml", "tunnel/known_hosts", "tunnel/api.sock", "helm"]
    {
        assert_eq!(std::fs::metadata(state.join(file)).expect("it is there").uid(), owner, "{file}");
    }
}

#[test]
fn a_master_with_another_host_key_than_demanded_is_refused_and_nothing_is_left() {
    let _using = using();
    let wrong = format!("SHA256:{}", "A".repeat(43));
    fails_at(&Fleet::empty(), "pin the master's host key", ou23s(), &["--host-key", &wrong])
        .says(&format!("the master shows the host key {}, and not {wrong}", ou23s().host_key_fingerprint))
        .says("hint: do not go on before you know why");
}

#[test]
fn a_host_key_that_an_earlier_hub_pinned_has_to_be_shown_again() {
    let _using = using();
    let fleet = Fleet::empty();
    std::fs::create_dir_all(fleet.state("ou23s").join("tunnel")).expect("made");
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    fleet.write("jhubs/ou23s/tunnel/known_hosts", &format!("{} {other}\n", ou23s().ip));
    fails_at(&fleet, "pin the master's host key", ou23s(), &[]).says("known_hosts");
}

#[test]
fn a_master_that_cannot_be_reached_leaves_nothing() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\nssh = \"2s\"");
    let at = |ip: String| WorldHub { ip, ..ou23s().clone() };
    // A machine without sshd, and no machine at all.
    fails_at(&fleet, "pin the master's host key", &at(world().cloud.ip.clone()), &[]).says("hint: ");
    let (network, _) = ou23s().ip.rsplit_once('.').expect("IPv4");
    fails_at(&fleet, "pin the master's host key", &at(format!("{network}.250")), &[]).says("hint: ");
}

#[test]
fn a_key_that_the_master_does_not_know_leaves_nothing() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"3s\"");
    let key = fleet.path("other").display().to_string();
    sh("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key]);
    fails_at(&fleet, "fetch the cluster's kubeconfig", ou23s(), &["--ssh-key", &key])
        .says("logging in as ubuntu")
        .says("hint: put the key's public half into ~ubuntu/.ssh/authorized_keys");
    // Where the state has a kubeconfig, it shows when the tunnel should come up. The state stays as it was.
    std::fs::create_dir_all(fleet.state("ou23s").join("kube")).expect("made");
    fleet.write("jhubs/ou23s/kube/config", &kubeconfig(ou23s()));
    fails_at(&fleet, "bring the tunnel up", ou23s(), &["--ssh-key", &key])
        .says("Permission denied (publickey)");
}

#[test]
fn credentials_that_are_expired_or_unknown_leave_nothing() {
    let _using = using();
    let fleet = Fleet::empty();
    let expired = WorldHub { project: "expired".to_owned(), ..ou23s().clone() };
    fails_at(&fleet, "try the credentials", &expired, &[])
        .says("expired")
        .says("hint: make a new application credential");
    let text = fleet.read("openrc-alpha.sh");
    let (start, _) = text.split_once("OS_APPLICATION_CREDENTIAL_SECRET=").expect("it has one");
    fleet.write("openrc-alpha.sh", &format!("{start}OS_APPLICATION_CREDENTIAL_SECRET=not-this-one\n"));
    let run =
        fails_at(&fleet, "try the credentials", ou23s(), &[]).says("hint: make a new application credential");
    assert!(!run.stderr.contains("not-this-one"), "{}", run.stderr);
}

#[test]
fn a_master_whose_api_server_is_stopped_leaves_nothing() {
    let _breaking = breaking();
    let hub = ou23s();
    let on_master = |script: &str| docker(&["exec", &hub.container, "sh", "-c", script]);
    on_master("mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/");
    let _undo = Undo(|| {
        on_master("mv /root/kube-apiserver.yaml /etc/kubernetes/manifests/");
        eventually("the API server is back", Duration::from_secs(60), || {
            try_sh("curl", &["-skfm2", &format!("https://{}:6443/readyz", hub.ip)]).status.success()
        });
    });
    eventually("the API server has stopped", Duration::from_secs(15), || {
        !try_sh("docker", &["exec", &hub.container, "pgrep", "kube-apiserver"]).status.success()
    });
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"2s\"");
    fails_at(&fleet, "bring the tunnel up", hub, &[]).says("hint: ");
}

#[test]
fn a_network_or_an_image_that_does_not_do_leaves_nothing() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"3s\"");
    let good = fleet.toml();
    fleet.write("fleet.toml", &good.replace(&world().network.name, "no-such-network"));
    fails_at(&fleet, "make the sandbox", ou23s(), &[]).says("no-such-network");
    // An image without ssh: there is no tunnel, and what the supervisor said tells why.
    fleet.write("fleet.toml", &good);
    fails_at(&fleet, "bring the tunnel up", ou23s(), &["--image", "fleet-world/base:latest"])
        .says("ssh: not found");
}

#[test]
fn a_fleet_toml_that_broke_meanwhile_leaves_nothing() {
    let _using = using();
    let fleet = Fleet::empty();
    let broken = format!("{}\n[[hub]]\nname = 5\n", fleet.header());
    let openrc = fleet.openrc("alpha").display().to_string();
    let running = fleet.start(&["new", "--name", "ou23s", "--ip", &ou23s().ip, "--openrc", &openrc]);
    eventually("it is at work", Duration::from_secs(20), || fleet.state("ou23s").exists());
    fleet.write("fleet.toml", &broken);
    running.end().exits(2).says("hub ou23s: cannot write the hub into fleet.toml: ");
    assert_eq!(fleet.toml(), broken);
    assert!(fleet.containers().is_empty());
    assert!(!fleet.path("jhubs").exists());
}

#[test]
fn directories_above_the_states_go_too_when_they_were_made_in_vain() {
    let _using = using();
    let fleet = Fleet::empty();
    fleet.write("fleet.toml", &format!("state_dir = \"some/where/else\"\n{}", fleet.header()));
    let expired = WorldHub { project: "expired".to_owned(), ..ou23s().clone() };
    fails_at(&fleet, "try the credentials", &expired, &[]);
}

#[test]
fn a_container_of_that_name_that_is_not_fleets_is_left_alone() {
    let _using = using();
    let fleet = Fleet::empty();
    let name = fleet.container("ou23s");
    docker(&["create", "--name", &name, "fleet/sandbox:latest"]);
    let before = fleet.everything();
    let run = fleet.add(ou23s());
    let after = fleet.everything();
    docker(&["rm", "-f", &name]);
    run.exits(2).says(&format!("there is a container {name} already"));
    assert_eq!(after, before);
}

#[test]
fn two_hubs_made_at_once_are_both_there() {
    let _using = using();
    let fleet = Fleet::empty();
    let running: Vec<_> = ["ou23s", "mvu23s"]
        .map(|name| world().hub(name))
        .map(|hub| {
            let openrc = fleet.openrc(&hub.project).display().to_string();
            fleet.start(&["new", "--name", &hub.name, "--ip", &hub.ip, "--openrc", &openrc])
        })
        .into_iter()
        .collect();
    for one in running {
        one.end().exits(0);
    }
    let run = fleet.run(&["exec", "--all", "printenv", "CLUSTER"]).exits(0);
    assert_eq!(run.lines_of("ou23s"), ["ou23s"]);
    assert_eq!(run.lines_of("mvu23s"), ["mvu23s"]);
    assert!(fleet.toml().starts_with(&fleet.header()));
}

#[test]
fn one_that_fails_takes_nothing_away_from_one_that_is_made_meanwhile() {
    let _using = using();
    let fleet = Fleet::empty();
    let openrc = fleet.openrc("expired").display().to_string();
    let failing =
        fleet.start(&["new", "--name", "mvu23s", "--ip", &world().hub("mvu23s").ip, "--openrc", &openrc]);
    eventually("the first one has begun", Duration::from_secs(20), || fleet.state("mvu23s").exists());
    let good = fleet.add(ou23s());
    failing.end().exits(1);
    good.exits(0);
    assert!(!fleet.state("mvu23s").exists());
    fleet.run(&["status"]).exits(0);
}

#[test]
fn a_state_of_the_old_scripts_is_used_and_kept_byte_for_byte() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\ntunnel = \"5s\"");
    let hub = ou23s();
    for dir in ["kube", "novaclient", "terraform", "helm", "ou23s"] {
        std::fs::create_dir_all(fleet.state("ou23s").join(dir)).expect("made");
    }
    let kept = [
        ("kube/config", format!("# by hand\n{}\n\n", kubeconfig(hub))),
        ("secrets.yaml", "hub:\n  cookieSecret: abc\n".to_owned()),
        ("ou23s/cluster.tfvars", "number_of_k8s_nodes = 3\n".to_owned()),
        ("terraform/state", "{}".to_owned()),
    ];
    for (file, text) in &kept {
        fleet.write(&format!("jhubs/ou23s/{file}"), text);
    }
    std::fs::set_permissions(fleet.state("ou23s").join("secrets.yaml"), Permissions::from_mode(0o640))
        .expect("set");

    // One that fails late, and a kubeconfig that leads elsewhere: both leave the state as it was.
    let expired = WorldHub { project: "expired".to_owned(), ..hub.clone() };
    fails_at(&fleet, "try the credentials", &expired, &[]);
    fleet.write("jhubs/ou23s/kube/config", &kept[0].1.replace("127.0.0.1", &hub.ip));
    let before = fleet.everything();
    fleet.add(hub).exits(2).says("its server is not https://127.0.0.1:6443").says("hint: set its `server:`");
    assert_eq!(fleet.everything(), before);
    fleet.write("jhubs/ou23s/kube/config", &kept[0].1);

    fleet.add(hub).exits(0).says("using the kubeconfig");
    for (file, text) in &kept {
        assert_eq!(
            std::fs::read_to_string(fleet.state("ou23s").join(file)).expect("it reads"),
            *text,
            "{file}"
        );
    }
    assert_eq!(mode(fleet.state("ou23s").join("secrets.yaml")), 0o640);
    let seen = "cat jetstream_kubespray/inventory/ou23s/cluster.tfvars .terraform.d/state \
                jupyterhub-deploy-kubernetes-jetstream/secrets.yaml; kubectl get nodes -o name | wc -l";
    let run = fleet.run(&["exec", "--all", "sh", "-c", seen]).exits(0);
    assert_eq!(
        run.lines_of("ou23s"),
        ["number_of_k8s_nodes = 3", "{}hub:", "  cookieSecret: abc", "3"],
        "they are where the old scripts mount them"
    );
}

#[test]
fn a_source_that_is_gone_is_an_error_and_never_becomes_a_directory() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let container = fleet.container("ou23s");
    let (openrc, away) = (fleet.openrc("alpha"), fleet.path("away.sh"));
    std::fs::rename(&openrc, &away).expect("moved");
    assert!(!try_sh("docker", &["restart", "-t", "2", &container]).status.success());
    assert!(!openrc.exists(), "the engine has made something in its place");
    fleet.run(&["status"]).exits(1).says("its openrc is gone");
    std::fs::rename(&away, &openrc).expect("moved");
    docker(&["start", &container]);
    eventually("it works again", Duration::from_secs(20), || fleet.run(&["status"]).status == Some(0));
    // What is written in place is seen at once.
    fleet.write_in_place(
        "openrc-alpha.sh",
        &format!("{}export OS_MARK=written\n", fleet.read("openrc-alpha.sh")),
    );
    let run = fleet.run(&["exec", "--all", "printenv", "OS_MARK"]).exits(0);
    assert_eq!(run.lines_of("ou23s"), ["written"]);
}
