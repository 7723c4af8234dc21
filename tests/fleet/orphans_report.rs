//! `fleet orphans`: the report, on the volumes that the seed planted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::common::volumes::{
    ANCIENT, ONLY_ANCIENT, PROJECTS, Report, Wanted, all_ids, claim_name, make_pv, plant, run, text,
};
use crate::common::world::PlantedVolume;
use crate::common::{Fleet, breaking, standing, using, world};

fn report(fleet: &Fleet) -> Report {
    Report::of(&run(fleet, &["orphans", "--format", "json"]).exits(0))
}

/// The evidence of one kind.
fn evidence<'r>(report: &'r Report, id: &str, kind: &str) -> Vec<&'r Value> {
    let all = report.volume(id)["evidence"].as_array().expect("evidence");
    all.iter().filter(|evidence| evidence["kind"] == kind).collect()
}

fn only(kind: &str) -> &'static PlantedVolume {
    let found = world().volumes_of(kind);
    assert_eq!(found.len(), 1, "volumes of kind {kind}");
    found[0]
}

#[test]
fn every_volume_of_both_projects_is_in_exactly_one_class_and_that_is_the_right_one() {
    let _using = using();
    let report = report(standing());
    let ids: Vec<String> = report.volumes().iter().map(|volume| text(&volume["id"])).collect();
    let distinct: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), distinct.len(), "a volume is in the report twice");
    assert_eq!(distinct, all_ids());
    let wrong: Vec<String> = world()
        .volumes
        .iter()
        .filter(|planted| {
            let class = report.class(&planted.id);
            // A boot volume is unmanaged, and attached as long as its server is there.
            class != planted.class && !(planted.kind == "boot" && class == "attached")
        })
        .map(|planted| format!("{} {} is called {}", planted.kind, planted.id, report.class(&planted.id)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(report.0["complete"], true);
    assert_eq!(report.0["unseen"], json!([]));
    assert_eq!(report.0["lost"], json!([]));
    let hubs: BTreeSet<&str> = world().hubs.iter().map(|hub| hub.name.as_str()).collect();
    let told: BTreeSet<&str> =
        report.0["hubs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(told, hubs);
}

#[test]
fn the_world_has_a_volume_of_every_kind_that_has_to_be_told_apart() {
    // Otherwise the test above would hold of nothing.
    let classes: BTreeMap<&str, &str> =
        world().volumes.iter().map(|planted| (planted.kind.as_str(), planted.class.as_str())).collect();
    for (kind, class) in [
        ("claim", "in use"),
        ("renamed", "in use"),
        ("legacy", "in use"),
        ("same-name-used", "in use"),
        ("same-name-other", "in use"),
        ("released", "released"),
        ("attached", "attached"),
        ("young", "young"),
        ("snapshot", "snapshots"),
        ("foreign", "foreign"),
        ("keep", "kept"),
        ("error", "error"),
        ("unmanaged", "unmanaged"),
        ("orphan", "orphan"),
        ("legacy-orphan", "orphan"),
        ("twin-orphan", "orphan"),
    ] {
        assert_eq!(classes.get(kind), Some(&class), "{kind}");
    }
    assert!(classes.contains_key("boot"));
    for project in PROJECTS {
        assert!(world().volumes.iter().any(|planted| planted.project == project && planted.kind == "orphan"));
    }
}

#[test]
fn every_claims_volume_is_in_use_with_hub_namespace_and_claim_as_evidence() {
    let _using = using();
    let report = report(standing());
    let claims = world().volumes_of("claim");
    assert_eq!(claims.len(), world().hubs.len() * 11);
    for planted in claims {
        let (hub, claim) = (planted.hub.as_deref().unwrap(), planted.claim.as_deref().unwrap());
        assert_eq!(
            evidence(&report, &planted.id, "persistent_volume"),
            [&json!({
                "kind": "persistent_volume", "hub": hub, "name": planted.name, "phase": "Bound",
                "reclaim_policy": "Delete", "claim": { "namespace": "jhub", "name": claim }, "by": "id",
            })]
        );
        assert_eq!(report.volume(&planted.id)["reason"], format!("hub {hub}: claim jhub/{claim}"));
    }
}

#[test]
fn a_volume_whose_pv_has_its_id_and_another_name_is_in_use() {
    let _using = using();
    let (report, renamed) = (report(standing()), only("renamed"));
    let pv = evidence(&report, &renamed.id, "persistent_volume")[0];
    assert_ne!(pv["name"], renamed.name.as_str());
    assert_eq!(pv["by"], "id");
    assert_eq!(pv["hub"], renamed.hub.as_deref().unwrap());
    assert_eq!(pv["claim"]["name"], renamed.claim.as_deref().unwrap());
}

#[test]
fn a_volume_of_the_in_tree_plugin_is_in_use_by_its_id_and_its_legacy_name_is_a_claims_name() {
    let _using = using();
    let (report, legacy) = (report(standing()), only("legacy"));
    assert!(legacy.name.starts_with("kubernetes-dynamic-pvc-"));
    assert_eq!(evidence(&report, &legacy.id, "persistent_volume")[0]["by"], "id");
    let orphan = only("legacy-orphan");
    assert!(orphan.name.starts_with("kubernetes-dynamic-pvc-"));
    assert_eq!(report.class(&orphan.id), "orphan");
}

#[test]
fn of_two_volumes_of_one_name_the_one_that_no_pv_has_the_id_of_is_kept_by_its_name() {
    let _using = using();
    let report = report(standing());
    let (used, other) = (only("same-name-used"), only("same-name-other"));
    assert_eq!(used.name, other.name);
    assert_ne!(used.id, other.id);
    assert_eq!(evidence(&report, &used.id, "persistent_volume")[0]["by"], "id");
    let pv = evidence(&report, &other.id, "persistent_volume")[0];
    assert_eq!(pv["by"], "name");
    assert_eq!(pv["name"], other.name.as_str());
}

#[test]
fn two_orphans_of_one_name_are_two_orphans() {
    let _using = using();
    let report = report(standing());
    let twins = world().volumes_of("twin-orphan");
    assert_eq!(twins.len(), 2);
    assert_eq!(twins[0].name, twins[1].name);
    for twin in twins {
        assert_eq!(report.class(&twin.id), "orphan");
        assert_eq!(report.volume(&twin.id)["size_gib"], twin.size);
    }
}

#[test]
fn the_volume_of_a_released_pv_is_kept_and_says_whose_it_was() {
    let _using = using();
    let (report, released) = (report(standing()), only("released"));
    let pv = evidence(&report, &released.id, "persistent_volume")[0];
    assert_eq!(pv["phase"], "Released");
    assert_eq!(pv["reclaim_policy"], "Retain");
    let (hub, claim) = (released.hub.as_deref().unwrap(), released.claim.as_deref().unwrap());
    assert_eq!(
        report.volume(&released.id)["reason"],
        format!("hub {hub}: PV {} is Released, of claim jhub/{claim}", released.name)
    );
}

#[test]
fn what_keeps_a_volume_that_no_pv_refers_to_is_told_with_the_evidence() {
    let _using = using();
    let report = report(standing());
    let metadata = |kind: &str| {
        let found = evidence(&report, &only(kind).id, "metadata");
        assert_eq!(found.len(), 1, "{kind}");
        (text(&found[0]["key"]), text(&found[0]["value"]))
    };
    assert_eq!(metadata("keep"), ("fleet.keep".to_owned(), "true".to_owned()));
    assert_eq!(
        metadata("foreign"),
        ("cinder.csi.openstack.org/cluster".to_owned(), "somebody-elses".to_owned())
    );
    assert!(text(&report.volume(&only("foreign").id)["reason"]).contains("\"somebody-elses\""));
    assert_eq!(evidence(&report, &only("error").id, "status")[0]["status"], "error");
    let snapshots = evidence(&report, &only("snapshot").id, "snapshots")[0]["ids"].as_array().unwrap();
    assert_eq!(snapshots.len(), 1);
    let servers = evidence(&report, &only("attached").id, "attachments")[0]["ids"].as_array().unwrap();
    assert_eq!(servers.len(), 1);
    assert_eq!(report.volume(&only("young").id)["reason"], "it is younger than 24h");
    assert_eq!(report.volume(&only("unmanaged").id)["reason"], "its name is not that of a claim's volume");
    for orphan in world().volumes_of("orphan") {
        assert_eq!(evidence(&report, &orphan.id, "no_reference")[0]["hubs"], world().hubs.len());
    }
}

#[test]
fn whom_a_volume_was_made_for_is_told_where_its_metadata_has_it() {
    let _using = using();
    let report = report(standing());
    let claims = world().volumes.iter().filter(|planted| {
        planted.kind == "claim" || planted.kind == "released" || planted.kind == "same-name-used"
    });
    for planted in claims {
        let made_for = &report.volume(&planted.id)["made_for"];
        assert_eq!(made_for["namespace"], "jhub");
        assert_eq!(made_for["claim"], planted.claim.as_deref().unwrap());
        assert_eq!(made_for["pv"], planted.name.as_str());
        let user = planted.claim.as_deref().unwrap().strip_prefix("claim-");
        assert_eq!(made_for["user"].as_str(), user);
    }
    assert_eq!(report.volume(&only("unmanaged").id)["made_for"], json!({}));
}

#[test]
fn totals_add_up_to_what_cinder_has_in_each_project() {
    let _using = using();
    let report = report(standing());
    let projects = report.0["projects"].as_array().unwrap();
    assert_eq!(projects.len(), PROJECTS.len());
    for project in PROJECTS {
        let told = projects.iter().find(|told| told["name"] == project).expect("the project is told");
        assert_eq!(told["id"], world().cloud.projects[project].as_str());
        let mut planted = BTreeMap::<String, (u64, u64)>::new();
        for volume in world().volumes.iter().filter(|volume| volume.project == project) {
            let total = planted.entry(report.class(&volume.id)).or_default();
            *total = (total.0 + 1, total.1 + volume.size);
        }
        let totals: BTreeMap<String, (u64, u64)> = told["totals"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(class, total)| {
                let number = |key: &str| total[key].as_u64().expect("a number");
                (class.replace('_', " "), (number("volumes"), number("gib")))
            })
            .collect();
        assert_eq!(totals, planted, "{project}");
    }
}

/// The fields of a table's line, which two blanks or more stand between.
fn fields(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|field| !field.is_empty()).collect()
}

#[test]
fn the_table_says_the_same_as_the_json() {
    let _using = using();
    let fleet = standing();
    let report = report(fleet);
    let table = run(fleet, &["orphans", "--all"]).exits(0).stdout;
    for volume in report.volumes() {
        let id = text(&volume["id"]);
        let line =
            table.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("no {id}: {table}"));
        let fields = fields(line);
        assert_eq!(fields[0], volume["project"], "{line}");
        assert_eq!(fields[1], report.class(&id), "{line}");
        assert_eq!(fields[2], id, "{line}");
        assert!(fields.contains(&volume["size_gib"].to_string().as_str()), "{line}");
        assert!(fields.contains(&text(&volume["reason"]).as_str()), "{line}");
    }
    let totals: BTreeSet<Vec<String>> = table
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| fields(line).into_iter().map(str::to_owned).collect())
        .collect();
    let expected: BTreeSet<Vec<String>> = report.0["projects"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|project| {
            project["totals"].as_object().unwrap().iter().map(|(class, total)| {
                vec![
                    text(&project["name"]),
                    class.replace('_', " "),
                    total["volumes"].to_string(),
                    total["gib"].to_string(),
                ]
            })
        })
        .collect();
    assert_eq!(totals, expected);
}

#[test]
fn without_all_the_table_shows_the_orphans_and_no_other_volume() {
    let _using = using();
    let fleet = standing();
    let report = report(fleet);
    let orphans = report.of_class("orphan");
    assert!(!orphans.is_empty());
    let table = run(fleet, &["orphans"]).exits(0).stdout;
    for id in all_ids() {
        assert_eq!(table.contains(&id), orphans.contains(&id), "{id} is called {}", report.class(&id));
    }
    assert!(!table.contains("Cannot tell"), "{table}");
}

#[test]
fn a_fleet_of_one_hub_calls_nothing_an_orphan_where_other_clusters_have_servers() {
    let _using = using();
    let hub = &world().hubs[0];
    let fleet = Fleet::with(&[&hub.name]);
    let report = Report::of(&run(&fleet, &["orphans", "--format", "json"]).exits(3));
    // Other clusters use volumes of this project, and this fleet does not have them: what is not attached to their servers
    // looks unused.
    for planted in &world().volumes {
        let found = report.volumes().iter().find(|volume| volume["id"] == planted.id);
        assert_eq!(found.is_some(), planted.project == hub.project, "{}", planted.id);
        let Some(found) = found else { continue };
        if planted.hub.as_deref() == Some(&hub.name) && planted.kind != "boot" {
            assert_eq!(report.class(&planted.id), planted.class, "{}", planted.kind);
        }
        assert_ne!(found["class"], "orphan", "{}", planted.kind);
    }
    let unknown: BTreeSet<String> = report.0["unknown_clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| text(&cluster["name"]))
        .collect();
    let others = world().hubs.iter().filter(|other| other.project == hub.project && other.name != hub.name);
    assert_eq!(unknown, others.map(|other| other.name.clone()).collect());
}

#[test]
fn marks_ages_and_references_of_every_kind_keep_a_volume() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("ancient.toml", ONLY_ANCIENT);
    let wanted = [
        ("orphan", Wanted::orphan()),
        ("young", Wanted::orphan().days(399)),
        ("orphan", Wanted::orphan().days(401)),
        ("kept", Wanted::orphan().marked("fleet.keep", "")),
        ("orphan", Wanted::orphan().marked("fleet.keep", "false")),
        ("kept", Wanted::orphan().marked("fleet.keep-until", "2999-12-31")),
        ("orphan", Wanted::orphan().marked("fleet.keep-until", "2001-12-31")),
        ("kept", Wanted::orphan().marked("fleet.keep-until", "when the term is over")),
        ("foreign", Wanted::orphan().marked("kubernetes.io/cluster/elsewhere", "owned")),
        ("orphan", Wanted::orphan().marked("KubernetesCluster", "pyaos")),
        ("unmanaged", Wanted::named("")),
        ("unmanaged", Wanted::named("pvc-")),
        ("unmanaged", Wanted::named(&format!("{}-clone", claim_name(7)))),
        ("unmanaged", Wanted::named(&format!("backup-of-{}", claim_name(7)))),
        ("unmanaged", Wanted::orphan().bootable()),
        ("in use", Wanted::orphan()),
        ("in use", Wanted::orphan()),
        ("in use", Wanted::orphan()),
        ("released", Wanted::orphan()),
    ];
    const { assert!(ANCIENT > 401) };
    let volumes: Vec<Wanted> = wanted.iter().map(|(_, volume)| volume.clone()).collect();
    let planted = plant("beta", &volumes);
    let [by_handle, by_name, by_part, released] = &planted.volumes[15..] else { panic!("four") };
    // Any hub of the fleet counts, not those alone whose openrc leads to the project.
    let (alpha, beta) = (world().hub("ou23s"), world().hub("pyaos"));
    let _pvs = [
        make_pv(alpha, "test-by-handle", &by_handle.0, None),
        make_pv(beta, &by_name.1, "00000000-0000-4000-8000-000000000000", None),
        make_pv(beta, "test-by-part", &format!("RegionOne/{}", by_part.0.to_uppercase()), None),
        make_pv(alpha, "test-released", &released.0, Some("claim-of-nobody")),
    ];
    let report = Report::of(&run(fleet, &["--config", &config, "orphans", "--format", "json"]).exits(0));
    for ((class, volume), id) in wanted.iter().zip(planted.ids()) {
        assert_eq!(report.class(id), *class, "{volume:?}");
    }
    // A PV whose volume is not there is told as lost only after an hour: it may have been made in between.
    assert_eq!(report.0["lost"], json!([]));
    assert_eq!(report.class(&by_handle.0), "in use");
}
