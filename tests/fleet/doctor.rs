//! `fleet doctor`: what is wrong on this machine and with each hub, each with what to do about it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::world::{docker, try_sh};
use crate::common::{Fleet, Run, standing, using, world};

/// What it says of one hub, or of `this machine`: each finding with its hint.
fn findings<'a>(run: &'a Run, of: &str) -> Vec<(&'a str, &'a str)> {
    let lines: Vec<&str> = run.stdout.lines().collect();
    let said = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((at, line.strip_prefix(of)?.strip_prefix(": ")?)));
    said.filter(|(_, what)| *what != "fine")
        .map(|(at, what)| (what, lines.get(at + 1).map_or("", |line| line.trim_start())))
        .collect()
}

/// Fails unless one of the findings has these words, and its hint those.
#[track_caller]
fn finds(run: &Run, of: &str, what: &str, hint: &str) {
    let found = findings(run, of);
    assert!(
        found.iter().any(|one| one.0.contains(what) && one.1.contains(hint)),
        "{what:?}, {hint:?} not in:\n{}",
        run.stdout
    );
}

fn set_mode(path: impl AsRef<std::path::Path>, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

#[test]
fn helm_that_the_image_lacks_is_a_warning_and_all_else_is_fine() {
    let _using = using();
    let run = standing().run(&["doctor"]).exits(0);
    assert_eq!(run.stderr, "");
    assert!(run.stdout.contains("this machine: fine\n"), "{}", run.stdout);
    for hub in &world().hubs {
        let helm =
            try_sh("docker", &["exec", &standing().container(&hub.name), "sh", "-c", "command -v helm"]);
        if helm.status.success() {
            // Built with helm, where it can be had.
            assert_eq!(findings(&run, &hub.name), []);
        } else {
            let only = findings(&run, &hub.name);
            assert_eq!(only.len(), 1, "{only:?}");
            finds(
                &run,
                &hub.name,
                "warning: its sandbox's image lacks helm",
                "images/sandbox takes helm as a build argument",
            );
        }
    }
}

#[test]
fn the_diagnosis_as_json_has_the_machine_and_every_hub() {
    let _using = using();
    let diagnosis = standing().run(&["doctor", "--format", "json"]).exits(0).json();
    assert_eq!(diagnosis["machine"], serde_json::json!([]));
    let hubs = diagnosis["hubs"].as_array().expect("an array");
    let names: Vec<_> = hubs.iter().map(|hub| hub["hub"].as_str().expect("a name")).collect();
    assert_eq!(names, world().hubs.iter().map(|hub| hub.name.as_str()).collect::<Vec<_>>());
    for finding in hubs.iter().flat_map(|hub| hub["findings"].as_array().expect("an array")) {
        assert_eq!(finding["severity"], "warning");
        assert!(finding["what"].is_string() && finding["hint"].is_string(), "{finding}");
    }
}

#[test]
fn files_that_others_can_read_are_told_with_the_command_that_closes_them() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let (openrc, key) = (fleet.openrc("alpha"), fleet.path("id_ed25519"));
    let kubeconfig = fleet.state("ou23s").join("kube/config");
    set_mode(&openrc, 0o644);
    set_mode(&kubeconfig, 0o644);
    let run = fleet.run(&["doctor"]).exits(0);
    finds(
        &run,
        "ou23s",
        "warning: its openrc can be read by others",
        &format!("chmod 600 {}", openrc.display()),
    );
    finds(&run, "this machine", "warning: ", &format!("chmod 600 {}", kubeconfig.display()));
    set_mode(&key, 0o644);
    let run = fleet.run(&["doctor"]).exits(1);
    finds(&run, "this machine", "error: SSH key", &format!("chmod 600 {}", key.display()));
    std::fs::remove_file(&key).expect("removed");
    let run = fleet.run(&["doctor"]).exits(1);
    finds(&run, "this machine", "error: SSH key", "`ssh_key` in fleet.toml");
}

#[test]
fn a_stopped_sandbox_a_missing_image_and_a_stranger_are_told_each_with_what_to_do() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let container = fleet.container("ou23s");
    docker(&["stop", "-t", "2", &container]);
    let run = fleet.run(&["doctor"]).exits(1);
    finds(&run, "ou23s", "error: its sandbox is not running (exited)", "fleet up ou23s");
    let good = fleet.toml();
    fleet.write("fleet.toml", &good.replace("[sandbox]\n", "[sandbox]\nimage = \"no/such:image\"\n"));
    let run = fleet.run(&["doctor"]).exits(1);
    finds(&run, "this machine", "error: the engine has no image no/such:image", "docker pull no/such:image");
    // The hub is no longer in the file, and its sandbox is still there.
    fleet.write("fleet.toml", &fleet.header());
    let run = fleet.run(&["doctor"]).exits(0);
    finds(
        &run,
        "this machine",
        "warning: there is a sandbox for hub ou23s, which fleet.toml does not have",
        &format!("docker rm -f {container}"),
    );
}

#[test]
fn an_engine_that_does_not_answer_is_a_finding_and_the_files_are_looked_at_all_the_same() {
    let fleet =
        Fleet::with_settings("[[hub]]\nname = \"ou23s\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-alpha.sh\"");
    fleet.write("fleet.toml", &format!("engine = \"unix:///nonexistent.sock\"\n{}", fleet.toml()));
    set_mode(fleet.path("id_ed25519"), 0o640);
    let run = fleet.run(&["doctor"]).exits(1);
    finds(&run, "this machine", "error: no Docker engine answers at /nonexistent.sock", "start it");
    finds(&run, "this machine", "error: SSH key", "chmod 600");
}
