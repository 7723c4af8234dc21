//! `fleet orphans --why VOLUME`: one volume explained.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::volumes::{breakable, run, text};
use crate::common::world::{Undo, docker, try_sh};
use crate::common::{Fleet, breaking, standing, using, world};

fn why(fleet: &Fleet, volume: &str) -> Value {
    run(fleet, &["orphans", "--why", volume, "--format", "json"]).exits(0).json()
}

/// The part of the rule that the class comes from.
fn decides(volume: &Value) -> Option<String> {
    let rule = volume["rule"].as_array().expect("a rule");
    rule.iter().find(|part| part["decides"] == true).map(|part| text(&part["rule"]))
}

#[test]
fn every_kind_of_volume_is_explained_by_the_part_of_the_rule_that_keeps_it() {
    let _using = using();
    for (kind, part) in [
        ("claim", Some("no PV and no claim of any hub refers to it")),
        ("released", Some("no PV and no claim of any hub refers to it")),
        ("keep", Some("nobody asked to keep it")),
        ("foreign", Some("it names no cluster that is not of this fleet")),
        ("error", Some("it is not in error")),
        ("attached", Some("it is not attached")),
        ("snapshot", Some("it has no snapshot")),
        ("unmanaged", Some("it was made for a claim")),
        ("young", Some("it is old enough")),
        ("orphan", None),
    ] {
        let planted = world().volumes_of(kind)[0];
        let document = why(standing(), &planted.id);
        let [volume] = document["volumes"].as_array().expect("volumes").as_slice() else { panic!("one") };
        assert_eq!(text(&volume["class"]).replace('_', " "), planted.class, "{kind}");
        assert_eq!(volume["volume"]["id"], planted.id.as_str());
        assert_eq!(decides(volume).as_deref(), part, "{kind}");
        let rule = volume["rule"].as_array().unwrap();
        assert_eq!(rule.iter().all(|part| part["holds"] == true), part.is_none(), "{kind}");
        if let Some(part) = rule.iter().find(|part| part["decides"] == true) {
            assert_eq!(part["reason"], volume["reason"], "{kind}");
        }
    }
}

#[test]
fn what_was_looked_at_is_told_with_where_and_when() {
    let _using = using();
    let orphan = world().volumes_of("orphan")[0];
    let document = why(standing(), &orphan.id);
    let asked = &document["asked"];
    let hubs: BTreeSet<String> =
        asked["hubs"].as_array().unwrap().iter().map(|hub| text(&hub["hub"])).collect();
    assert_eq!(hubs, world().hubs.iter().map(|hub| hub.name.clone()).collect());
    for hub in asked["hubs"].as_array().unwrap() {
        assert!(hub["persistent_volumes"].as_u64().unwrap() >= 11, "{hub}");
        assert!(text(&hub["seen_at"]) >= text(&asked["projects"][0]["seen_at"]), "volumes come first");
    }
    let table = run(standing(), &["orphans", "--why", &orphan.id]).exits(0).stdout;
    for project in asked["projects"].as_array().unwrap() {
        let name = text(&project["name"]);
        assert_eq!(project["id"], world().cloud.projects[&name].as_str());
        let here = world().volumes.iter().filter(|volume| volume.project == name).count();
        assert_eq!(project["volumes"], here);
        assert_eq!(project["servers"], 2 * world().hubs.iter().filter(|hub| hub.project == name).count());
        assert!(table.contains(&format!(": {here} volumes, ")), "{table}");
    }
    for line in [
        "orphan: no PV of any of 4 hubs refers to it",
        "the engine: ",
        "answered for in project alpha: all its",
    ] {
        assert!(table.contains(line), "{line} is not in:\n{table}");
    }
    assert_eq!(table.matches("\n  yes  ").count(), 12, "{table}");
}

#[test]
fn a_name_is_as_good_as_an_id_and_explains_all_volumes_that_have_it() {
    let _using = using();
    let twins = world().volumes_of("twin-orphan");
    let document = why(standing(), &twins[0].name);
    let told: BTreeSet<String> =
        document["volumes"].as_array().unwrap().iter().map(|volume| text(&volume["volume"]["id"])).collect();
    assert_eq!(told, twins.iter().map(|twin| twin.id.clone()).collect());
    let shouted = why(standing(), &twins[0].id.to_uppercase());
    assert_eq!(shouted["volumes"][0]["volume"]["id"], twins[0].id.as_str());
}

#[test]
fn a_volume_that_no_project_has_is_told_with_the_nearest() {
    let _using = using();
    let planted = world().volumes_of("orphan")[0];
    let slip = format!("{}x", &planted.id[..35]);
    let run = run(standing(), &["orphans", "--why", &slip]).exits(1);
    assert_eq!(run.stdout, "");
    run.says(&format!("has a volume of the id or the name {slip:?}"))
        .says(&format!("did you mean {}", planted.id));
}

#[test]
fn in_an_incomplete_view_it_says_that_it_cannot_tell() {
    let _breaking = breaking();
    let fleet = breakable();
    let sandbox = fleet.container("mvu23s");
    docker(&["stop", &sandbox]);
    let undo = Undo(|| {
        try_sh("docker", &["start", &sandbox]);
    });
    let orphan = world().volumes_of("orphan")[0];
    let found = run(fleet, &["orphans", "--why", &orphan.id]).exits(3);
    let nobody = run(fleet, &["orphans", "--why", "pvc-of-nobody"]).exits(3);
    let used = run(fleet, &["orphans", "--why", &world().volumes_of("legacy")[0].id]).exits(0);
    drop(undo);
    assert!(found.stdout.contains("\ncannot tell: "), "{}", found.stdout);
    assert!(found.stdout.contains("hub mvu23s: its sandbox is not running"), "{}", found.stdout);
    nobody.says("cannot tell whether there is a volume \"pvc-of-nobody\"");
    assert!(used.stdout.contains("\nin use: "), "{}", used.stdout);
    crate::common::volumes::all_answer(fleet);
}
