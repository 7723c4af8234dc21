//! Clusters that `fleet.toml` does not have block deletion where they may have volumes, until the operator answers for them.

use std::collections::BTreeSet;

use serde_json::json;

use crate::common::volumes::{
    ONLY_ANCIENT, Planted, Report, Wanted, all_ids, breakable, cinder, plant, run, serve, text,
};
use crate::common::world::{Undo, docker, try_sh};
use crate::common::{Fleet, Run, answers, breaking, world};

/// An ancient orphan in each project, and the file by which nothing else is one.
struct Prey {
    config: String,
    alpha: Planted,
    beta: Planted,
}

impl Prey {
    fn new(settings: &str) -> Self {
        let config = breakable().variant("unknown.toml", &format!("{ONLY_ANCIENT}\n{settings}"));
        Self { config, alpha: plant("alpha", &[Wanted::orphan()]), beta: plant("beta", &[Wanted::orphan()]) }
    }

    fn fleet(&self, args: &[&str]) -> Run {
        let mut all = vec!["--config", self.config.as_str()];
        all.extend(args);
        run(breakable(), &all)
    }

    fn report(&self, status: i32) -> Report {
        Report::of(&self.fleet(&["orphans", "--format", "json"]).exits(status))
    }

    /// What both are called: alpha's, then beta's.
    fn classes(&self, report: &Report) -> [String; 2] {
        [&self.alpha, &self.beta].map(|planted| report.class(planted.ids()[0]))
    }
}

fn clusters(report: &Report, kind: &str) -> BTreeSet<String> {
    report.0[kind].as_array().unwrap().iter().map(|cluster| text(&cluster["name"])).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A cluster that is found in alpha: it blocks alpha and not beta, in the report and in the deletion; answered for, it blocks
/// nothing.
#[track_caller]
fn blocks_alpha_alone(cluster: &str, evidence: &str) {
    let prey = Prey::new("");
    let report = prey.report(3);
    assert_eq!(clusters(&report, "unknown_clusters"), set(&[cluster]));
    assert_eq!(prey.classes(&report), ["cannot tell", "orphan"]);
    let reason = text(&report.volume(prey.alpha.ids()[0])["reason"]);
    assert!(reason.contains(&format!("{cluster:?}")), "{reason}");
    assert_eq!(report.0["unknown_clusters"][0]["blocks"][0]["name"], "alpha");

    let table = prey.fleet(&["orphans"]).exits(3);
    let mut told = table.stdout.lines().skip_while(|line| *line != format!("  {cluster} in project alpha"));
    assert!(told.nth(1).is_some_and(|line| line.contains(evidence)), "{}", table.stdout);
    assert!(table.stdout.contains("[[foreign]] with name = "), "{}", table.stdout);

    // Without confirmation, what would be deleted in the other project is shown.
    let shown = prey.fleet(&["orphans", "--delete"]).exits(4).says(&format!("unknown cluster {cluster}"));
    assert!(!shown.stdout.contains(prey.alpha.ids()[0]), "{}", shown.stdout);
    assert!(shown.stdout.contains(prey.beta.ids()[0]), "{}", shown.stdout);

    let before = all_ids();
    prey.fleet(&["orphans", "--delete", "--confirm"]).exits(3).says(&format!("unknown cluster {cluster}"));
    let gone: BTreeSet<String> = before.difference(&all_ids()).cloned().collect();
    assert_eq!(gone, set(&prey.beta.ids()));

    // An answer for the other project is none.
    let elsewhere = answers(&[cluster]).replace("reason", "project = \"beta\"\nreason");
    let config = breakable().variant("elsewhere.toml", &format!("{ONLY_ANCIENT}\n{elsewhere}"));
    run(breakable(), &["--config", &config, "orphans", "--delete", "--confirm"]).exits(3);
    assert!(cinder("alpha").has(prey.alpha.ids()[0]));

    let answer = answers(&[cluster]).replace("reason", "project = \"alpha\"\nreason");
    let config = breakable().variant("answered.toml", &format!("{ONLY_ANCIENT}\n{answer}"));
    let report = run(breakable(), &["--config", &config, "orphans", "--format", "json"]).exits(0);
    let report = Report::of(&report);
    assert!(clusters(&report, "answered_clusters").contains(cluster));
    let table = run(breakable(), &["--config", &config, "orphans"]).exits(0);
    let line = format!("  {cluster} in alpha: all its volumes carry its name");
    assert!(table.stdout.lines().any(|told| told == line), "{}", table.stdout);
    run(breakable(), &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);
    assert!(!cinder("alpha").has(prey.alpha.ids()[0]));
}

#[test]
fn a_server_that_looks_like_a_node_of_no_hub_blocks_deletion_in_its_project_and_in_no_other() {
    let _breaking = breaking();
    let _server = serve("alpha", "mvu-test-k8s-node-nf-1", &json!({}), &[]);
    blocks_alpha_alone("mvu-test", "server mvu-test-k8s-node-nf-1 (");
}

#[test]
fn a_lone_master_is_known_by_what_kubespray_leaves_on_it_and_a_desktop_blocks_nothing() {
    let _breaking = breaking();
    let _desktop = serve("alpha", "my-vm-1", &json!({ "purpose": "desktop" }), &[]);
    let prey = Prey::new("");
    let report = prey.report(0);
    assert_eq!(clusters(&report, "unknown_clusters"), set(&[]));
    assert_eq!(prey.classes(&report), ["orphan", "orphan"]);
    drop(prey);
    let _master =
        serve("alpha", "mvu-test-1", &json!({ "kubespray_groups": "etcd,kube_control_plane" }), &[]);
    blocks_alpha_alone("mvu-test", ": its metadata kubespray_groups");
}

#[test]
fn a_server_of_any_name_with_a_claims_volume_that_is_no_hubs_blocks() {
    let _breaking = breaking();
    let _server = serve("alpha", "pleasant-dove", &json!({}), &[Wanted::orphan()]);
    blocks_alpha_alone("pleasant-dove", "is attached to it, and is no hub's");
}

#[test]
fn a_volume_that_names_an_unknown_cluster_blocks() {
    let _breaking = breaking();
    let _named =
        plant("alpha", &[Wanted::named("data").marked("cinder.csi.openstack.org/cluster", "mvu-test")]);
    blocks_alpha_alone("mvu-test", ": cinder.csi.openstack.org/cluster=mvu-test");
}

/// A container as the old scripts make one, until this is dropped; the image is fleet's own, under the name of theirs.
fn old_container(name: &str, env: &[(&str, &str)], running: bool) -> Undo<impl FnMut() + use<>> {
    let image = format!("{}/science-gateway:test", breakable().name);
    docker(&["tag", "fleet/sandbox:latest", &image]);
    let mut args = vec![if running { "run" } else { "create" }.to_owned()];
    args.extend(running.then(|| "-d".to_owned()));
    args.extend(["--name".to_owned(), name.to_owned(), "--network".to_owned(), "none".to_owned()]);
    args.extend(env.iter().flat_map(|(key, value)| ["-e".to_owned(), format!("{key}={value}")]));
    args.extend(["--entrypoint", "sleep", &image, "600"].map(str::to_owned));
    docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let name = name.to_owned();
    Undo(move || {
        try_sh("docker", &["rm", "-f", &name]);
        try_sh("docker", &["rmi", &image]);
    })
}

#[test]
fn a_container_of_the_old_scripts_blocks_every_project_running_or_stopped() {
    let _breaking = breaking();
    let prey = Prey::new("");
    let before = all_ids();
    // The name begins as this process's fleets do, so that whatever happens it is swept away with them.
    let name = format!("{}-old", breakable().name);
    let secret = "5f1c0de5-not-to-be-seen";
    for running in [true, false] {
        let env = [("CLUSTER", "mvu-test"), ("IP", "192.0.2.7"), ("OS_PASSWORD", secret)];
        let old = old_container(&name, &env, running);
        let report = prey.report(3);
        assert_eq!(clusters(&report, "unknown_clusters"), set(&["mvu-test"]));
        assert_eq!(prey.classes(&report), ["cannot tell", "cannot tell"]);
        let sign = &report.0["unknown_clusters"][0]["signs"][0];
        assert_eq!((&sign["kind"], &sign["name"]), (&json!("container"), &json!(name)));
        assert_eq!(sign["state"], if running { "running" } else { "created" });
        let deletion = prey.fleet(&["orphans", "--delete", "--confirm"]).exits(3);
        assert!(deletion.stdout.contains("  mvu-test in projects alpha, beta\n"), "{}", deletion.stdout);
        for printed in [&report.0.to_string(), &deletion.stdout, &deletion.stderr] {
            assert!(!printed.contains(secret), "a secret of the container's environment is shown");
        }
        assert_eq!(all_ids(), before);
        drop(old);
    }
    assert_eq!(prey.classes(&prey.report(0)), ["orphan", "orphan"]);
    // One of a hub's is that hub's, by its name or by its address.
    for env in [("CLUSTER", "pyaos"), ("IP", world().hub("ou23s").ip.as_str())] {
        let _old = old_container(&name, &[env], false);
        prey.report(0);
    }
    let _old = old_container(&name, &[("CLUSTER", "mvu-test")], false);
    let config = breakable().variant("answered.toml", &format!("{ONLY_ANCIENT}\n{}", answers(&["mvu-test"])));
    run(breakable(), &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);
    let gone: BTreeSet<String> = before.difference(&all_ids()).cloned().collect();
    assert_eq!(gone, set(&[prey.alpha.ids(), prey.beta.ids()].concat()));
}

/// Points the catalog's Nova elsewhere, until this is dropped. Keystone writes the catalog into each answer to a login.
fn nova_at(from: &'static str, to: &'static str) {
    let script = "import sqlite3, sys\n\
        with sqlite3.connect('/var/lib/openstack/keystone.db', timeout=60) as db:\n\
        \x20   db.execute('update endpoint set url = replace(url, ?, ?)', sys.argv[1:])\n";
    docker(&["exec", &world().cloud.container, "python3", "-c", script, from, to]);
}

#[test]
fn a_nova_that_does_not_answer_is_cannot_tell() {
    let _breaking = breaking();
    let prey = Prey::new("");
    let before = all_ids();
    // A kept token would lead to where Nova was.
    let _ = std::fs::remove_dir_all(breakable().path("jhubs/_fleet/tokens"));
    nova_at(":8774/v2.1", ":8773/v2.1");
    let back = Undo(|| nova_at(":8773/v2.1", ":8774/v2.1"));
    let report = prey.report(3);
    let deletion = prey.fleet(&["orphans", "--delete", "--confirm"]).exits(3).says("nothing is deleted");
    drop(back);
    for project in ["project alpha", "project beta"] {
        let reason = &report.unseen()[project];
        assert!(reason.starts_with("cannot list the servers of project "), "{reason}");
    }
    assert!(
        deletion.stdout.contains("Cannot tell which volumes are orphans. Not seen:"),
        "{}",
        deletion.stdout
    );
    assert_eq!(all_ids(), before);
    assert_eq!(prey.classes(&prey.report(0)), ["orphan", "orphan"]);
}

#[test]
fn a_hub_that_is_called_otherwise_than_its_servers_blocks_until_it_is_answered_for() {
    let _breaking = breaking();
    let fleet = Fleet::empty();
    fleet.add_as("workshop", world().hub("pyaos"), &[]).exits(0);
    let report = Report::of(&run(&fleet, &["orphans", "--format", "json"]).exits(3));
    assert_eq!(clusters(&report, "unknown_clusters"), set(&["pyaos"]));
    // Its node has claims' volumes attached, and those are the hub's: the names alone tell.
    let signs = report.0["unknown_clusters"][0]["signs"].as_array().unwrap();
    let why: BTreeSet<String> =
        signs.iter().flat_map(|sign| sign["why"].as_array().unwrap()).map(text).collect();
    assert_eq!(why, set(&["its name is that of a node", "its name is pyaos and a number"]));
    fleet.answer_for(&["pyaos"]);
    run(&fleet, &["orphans"]).exits(0);
}
