//! `fleet kubeconfig`: one file by which the machine's own kubectl reaches every hub.

use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::outside::{HUBS, Outside, mode, sorted};
use crate::common::world::{Undo, docker, eventually, try_sh};
use crate::common::{Fleet, Run, breaking, standing, using, world};

#[test]
fn kubectl_reaches_every_hub_by_its_name_and_all_of_them_at_once() {
    let _using = using();
    let outside = Outside::with_file();
    let contexts = outside.kubectl(&["config", "get-contexts", "-o", "name"]).exits(0).stdout;
    assert_eq!(sorted(&contexts), sorted(&HUBS.join("\n")));
    assert_eq!(outside.kubectl(&["config", "current-context"]).exits(0).stdout.trim(), HUBS[0]);
    // From nothing: eight kubectls, and no proxy before.
    let running: Vec<(&str, [Child; 2])> = HUBS
        .into_iter()
        .map(|hub| {
            let start = |kind| {
                Outside::start(outside.kubectl_command(&["--context", hub, "get", kind, "-A", "-o", "name"]))
            };
            (hub, [start("nodes"), start("pvc")])
        })
        .collect();
    for (hub, children) in running {
        for (child, kind) in children.into_iter().zip(["nodes", "pvc"]) {
            let run = Run::of(&child.wait_with_output().expect("kubectl ends")).exits(0);
            let own = world::kubectl(world().hub(hub), &["get", kind, "-A", "-o", "name"]);
            assert_eq!(sorted(&run.stdout), sorted(&own), "{hub}");
            assert_eq!(run.stderr, "", "{hub}");
        }
    }
    assert_eq!(outside.proxies().len(), 1);
}

#[test]
fn what_is_seen_of_a_watch_comes_when_it_happens() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let hub = world().hub("ou23s");
    let watch = ["--context", "ou23s", "get", "pvc", "-n", "default", "-w", "-o", "name"];
    let mut watching = Outside::start(outside.kubectl_command(&watch));
    let mut output = watching.stdout.take().expect("piped");
    let (tell, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if tell.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    let _over = Undo(|| {
        let _ = watching.kill();
        let _ = watching.wait();
        try_sh(
            "docker",
            &[
                "exec",
                &hub.container,
                "kubectl",
                "--kubeconfig",
                "/etc/kubernetes/admin.conf",
                "delete",
                "pvc",
                "-n",
                "default",
                "--wait=false",
                "outside-watch",
            ],
        );
    });
    eventually("the watch is on", Duration::from_secs(20), || {
        outside.status()["connections"].as_u64() > Some(0)
    });
    // Longer than a credential is good for: the connection goes on.
    std::thread::sleep(Duration::from_secs(17));
    let begun = Instant::now();
    world::apply(
        hub,
        &json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "outside-watch", "namespace": "default" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "nobodys",
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }),
    );
    let line = seen.recv_timeout(Duration::from_secs(10)).expect("the watch tells");
    assert!(line.contains("outside-watch"), "{line}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_upgraded_connection_goes_by_way_of_the_proxy_too() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let hub = world().hub("ou23s");
    // On the master, where there is no kubelet: that nobody listens is what the API server says in answer to the upgrade.
    world::apply(
        hub,
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "outside", "namespace": "jhub" },
            "spec": {
                "nodeName": "ou23s-1", "automountServiceAccountToken": false,
                "containers": [{ "name": "c", "image": "none" }],
            },
        }),
    );
    let _gone = Undo(|| {
        let delete = ["delete", "pod", "outside", "-n", "jhub", "--grace-period=0", "--force"];
        outside.kubectl(&[&["--context", "ou23s"][..], &delete].concat());
    });
    let mut pod = outside
        .kubectl(&["--context", "ou23s", "get", "pod", "outside", "-n", "jhub", "-o", "json"])
        .exits(0)
        .json();
    pod["status"]["phase"] = "Running".into();
    outside.write("pod.json", &pod.to_string());
    let (status, file) =
        ("/api/v1/namespaces/jhub/pods/outside/status", outside.path("pod.json").display().to_string());
    outside.kubectl(&["--context", "ou23s", "replace", "--raw", status, "-f", &file]).exits(0);
    let nobody = format!("dial tcp {}:10250: connect: connection refused", hub.ip);
    for args in [
        &["exec", "outside", "--", "true"][..],
        &["port-forward", "outside", ":80"],
        &["logs", "-f", "outside"],
    ] {
        let run = outside.kubectl(&[&["--context", "ou23s", "-n", "jhub"], args].concat());
        assert_ne!(run.status, Some(0));
        run.says(&nobody);
    }
}

#[test]
fn a_hub_without_a_tunnel_and_one_that_is_gone_are_told_through_kubectl() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let container = standing().container("pyaos");
    let answers = || outside.kubectl(&["--context", "pyaos", "get", "nodes"]).status == Some(0);
    {
        let _start = Undo(|| {
            try_sh("docker", &["start", &container]);
        });
        docker(&["stop", "-t", "3", &container]);
        let run = outside.kubectl(&["--context", "pyaos", "get", "nodes"]).exits(1);
        run.says("hub pyaos has no tunnel now: fleet status pyaos shows why");
        outside.kubectl(&["--context", "ou23s", "get", "nodes"]).exits(0);
    }
    eventually("the tunnel is back", Duration::from_secs(30), answers);
    let toml = outside.read("fleet.toml");
    outside.write("fleet.toml", &toml.replace("\"pyaos\"", "\"pyaos2\""));
    outside.kubectl(&["--context", "pyaos", "get", "nodes"]).exits(1).says("no hub \"pyaos\" in fleet.toml");
    let user = format!("fleet:{}", outside.kept().1);
    assert_eq!(outside.curl("pyaos", Some(&user)), 404);
    // The proxy, which has been running all the time, knows the hub that came.
    symlink(standing().state("pyaos"), outside.path("jhubs/pyaos2")).expect("linked");
    assert_eq!(outside.curl("pyaos2", Some(&user)), 200);
    outside.fleet(&["kubeconfig", "--all", "--output", outside.file_name()]).exits(0);
    outside.kubectl(&["--context", "pyaos2", "get", "nodes"]).exits(0);
    outside.write("fleet.toml", &toml);
}

#[test]
fn a_master_that_hangs_costs_its_own_time_and_no_other_hub() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let _paused = world::pause(world().hub("mvu23s"));
    let mut hanging = Outside::start(outside.kubectl_command(&[
        "--context",
        "mvu23s",
        "--request-timeout=5s",
        "get",
        "nodes",
    ]));
    let begun = Instant::now();
    outside.kubectl(&["--context", "ou23s", "get", "nodes"]).exits(0);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let _ = hanging.kill();
    let _ = hanging.wait();
}

#[test]
fn a_file_is_written_over_only_where_nothing_of_anybody_else_is_lost() {
    let _using = using();
    let outside = Outside::new();
    let (file, theirs) =
        (outside.file_name(), "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user: {token: mine}\n");
    let write = ["kubeconfig", "--all", "--output", file];
    outside.write(file, theirs);
    outside.fleet(&write).exits(2).says("is not a file of `fleet kubeconfig`").says("--force");
    assert_eq!(outside.read(file), theirs);
    let mut forced = write.to_vec();
    forced.push("--force");
    outside.fleet(&forced).exits(0).says("4 contexts");
    assert_eq!(mode(&outside.path(file)), 0o600);
    // What kubectl itself makes of it is fleet's own still, and what was chosen stays.
    outside.kubectl(&["config", "use-context", "pyaos"]).exits(0);
    outside.kubectl(&["config", "set-context", "ou23s", "--namespace", "jhub"]).exits(0);
    outside.fleet(&write).exits(0);
    assert_eq!(outside.kubectl(&["config", "current-context"]).stdout.trim(), "pyaos");
    let pods =
        |context| outside.kubectl(&["--context", context, "get", "pods", "-o", "name"]).exits(0).stdout;
    assert!(pods("ou23s").contains("pod/"));
    // A link stays one.
    std::fs::rename(outside.path(file), outside.path("real.yaml")).expect("moved");
    symlink("real.yaml", outside.path(file)).expect("linked");
    outside.fleet(&write).exits(0);
    assert!(std::fs::symlink_metadata(outside.path(file)).expect("it is there").is_symlink());
    outside.fleet(&["kubeconfig", "pyaos", "--output", "new/dir/one.yaml"]).exits(0);
    assert_eq!((mode(&outside.path("new/dir/one.yaml")), mode(&outside.path("new/dir"))), (0o600, 0o700));
    let other = Outside::new();
    let path = outside.path(file).display().to_string();
    other.fleet(&["kubeconfig", "--all", "--output", &path]).exits(2);
    // One user more is somebody else's.
    let more = outside.read(file).replace("users:\n", "users:\n- name: 'me'\n  user:\n    token: 'mine'\n");
    outside.write(file, &more);
    outside.fleet(&write).exits(2);
    assert_eq!(outside.read(file), more);
}

#[test]
fn a_hub_whose_kubeconfig_is_missing_or_of_no_use_is_named_and_the_others_are_written() {
    let _using = using();
    let outside = Outside::new();
    for (hub, text) in [("pyaos", None), ("mvu23s", Some("hunter2: [")), ("fsu-s23", Some(PASSWORD))] {
        std::fs::remove_file(outside.path("jhubs").join(hub)).expect("a link");
        std::fs::create_dir_all(outside.path("jhubs").join(hub).join("kube")).expect("made");
        if let Some(text) = text {
            outside.write(&format!("jhubs/{hub}/kube/config"), text);
        }
    }
    let run = outside.fleet(&["kubeconfig", "--all", "--output", outside.file_name()]).exits(1);
    let run = run.says("hub pyaos: cannot read its kubeconfig").says("hub mvu23s: its kubeconfig ");
    let run = run.says("hub fsu-s23: its kubeconfig ").says("a name and a password").says("1 context:");
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    outside.kubectl(&["get", "nodes"]).exits(0);
    outside.fleet(&["kubeconfig", "pyaos", "--output", "none.yaml"]).exits(1).says("nothing was written");
    assert!(!outside.path("none.yaml").exists());
    outside.fleet(&["kubeconfig", "ou32s"]).exits(2).says("did you mean \"ou23s\"?");
}

const PASSWORD: &str = "current-context: c\n\
    contexts: [{name: c, context: {cluster: c, user: u}}]\n\
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: Y2E=}}]\n\
    users: [{name: u, user: {username: u, password: hunter2}}]\n";

#[test]
fn a_file_that_the_shell_made_for_everybody_to_read_is_warned_of() {
    let _using = using();
    let outside = Outside::new();
    let into = |mode: u32| {
        let file = std::fs::File::create(outside.path(outside.file_name())).expect("made");
        file.set_permissions(std::fs::Permissions::from_mode(mode)).expect("set");
        Run::of(&outside.command(&["kubeconfig", "--all"]).stdout(file).output().expect("fleet starts"))
            .exits(0)
    };
    into(0o644).says("warning: ").says("0644");
    assert_eq!(into(0o600).stderr, "");
    assert_eq!(outside.fleet(&["kubeconfig", "--all"]).exits(0).stderr, "");
    outside.kubectl(&["--context", "mvu23s", "get", "nodes"]).exits(0);
}

#[test]
fn it_works_for_a_fleet_that_lies_deep() {
    let _using = using();
    let outside = Outside::new();
    let deep = outside.path("d").join("e".repeat(120)).join("f".repeat(120));
    std::fs::create_dir_all(deep.join("jhubs")).expect("made");
    for hub in HUBS {
        symlink(standing().state(hub), deep.join("jhubs").join(hub)).expect("linked");
    }
    let fleet: Fleet = Fleet::empty();
    let config = deep.join("fleet.toml").display().to_string();
    std::fs::copy(outside.path("fleet.toml"), &config).expect("copied");
    let file = outside.path(outside.file_name()).display().to_string();
    fleet.run(&["--config", &config, "kubeconfig", "--all", "--output", &file]).exits(0);
    let _stop = Undo(|| {
        fleet.run(&["--config", &config, "proxy", "--stop"]).exits(0);
    });
    outside.kubectl(&["get", "nodes"]).exits(0);
    assert_eq!(
        std::fs::metadata(deep.join("jhubs/_fleet/proxy/control.sock")).expect("there").mode() & 0o170_000,
        0o140_000
    );
}
