//! `fleet pvc`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::common::volumes::{all_answer, breakable, run, text};
use crate::common::world::{PlantedVolume, Undo, docker, try_sh};
use crate::common::{breaking, standing, using, world};

/// Every claim that the world has, by hub and name, with the volume behind it.
fn claims() -> BTreeMap<(&'static str, &'static str), &'static PlantedVolume> {
    world()
        .volumes
        .iter()
        .filter(|volume| ["claim", "renamed", "legacy", "same-name-used"].contains(&volume.kind.as_str()))
        .map(|volume| {
            ((volume.hub.as_deref().expect("a hub"), volume.claim.as_deref().expect("a claim")), volume)
        })
        .collect()
}

/// The user in a claim's name, without kubespawner's escapes.
fn user(claim: &str) -> Option<String> {
    let mut parts = claim.strip_prefix("claim-")?.split('-');
    let mut user = parts.next()?.to_owned();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        user.push(char::from(u8::from_str_radix(hex, 16).expect("hexadecimal")));
        user.push_str(rest);
    }
    Some(user)
}

/// The PV of a claim's volume.
fn pv(volume: &PlantedVolume) -> String {
    match volume.kind.as_str() {
        "legacy" => volume.name.replace("kubernetes-dynamic-", ""),
        "renamed" => volume.claim.as_deref().expect("a claim").replace("claim-", "restored-"),
        _ => volume.name.clone(),
    }
}

fn rows(document: &Value) -> BTreeMap<(String, String), Value> {
    let all = document["claims"].as_array().expect("claims");
    let rows: BTreeMap<_, _> =
        all.iter().map(|row| ((text(&row["hub"]), text(&row["name"])), row.clone())).collect();
    assert_eq!(rows.len(), all.len(), "a claim is there twice");
    rows
}

#[test]
fn every_claim_of_every_hub_is_shown_with_user_phase_size_pv_and_the_volumes_id() {
    let _using = using();
    let document = run(standing(), &["pvc", "--format", "json"]).exits(0).json();
    let rows = rows(&document);
    let expected = claims();
    assert!(expected.len() >= 44);
    assert!(expected.keys().any(|(_, claim)| claim.contains("-2e")), "no user has a dot in the name");
    assert_eq!(
        rows.keys().map(|(hub, claim)| (hub.as_str(), claim.as_str())).collect::<BTreeSet<_>>(),
        expected.keys().copied().collect()
    );
    for ((hub, claim), volume) in expected {
        let row = &rows[&(hub.to_owned(), claim.to_owned())];
        assert_eq!(row["namespace"], "jhub");
        assert_eq!(row["user"].as_str(), user(claim).as_deref());
        assert_eq!(row["phase"], "Bound");
        assert_eq!(row["size_bytes"], volume.size << 30, "{claim}");
        assert_eq!(row["volume_name"], pv(volume));
        assert_eq!(row["volume_id"], volume.id);
        assert!(row["created_at"].is_string(), "{row}");
    }
    assert_eq!(document["unseen"], serde_json::json!([]));
}

#[test]
fn the_table_of_claims_says_the_same_as_the_json() {
    let _using = using();
    let run = run(standing(), &["pvc"]).exits(0);
    let mut lines = run.stdout.lines();
    let headings: Vec<&str> = lines.next().expect("headings").split_whitespace().collect();
    assert_eq!(headings, ["HUB", "NAMESPACE", "NAME", "USER", "PHASE", "GIB", "PV", "VOLUME", "ID", "AGE"]);
    let mut expected = claims();
    for line in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let volume = expected.remove(&(fields[0], fields[2])).unwrap_or_else(|| panic!("{line}"));
        let user = user(fields[2]).unwrap_or_else(|| "-".to_owned());
        let size = volume.size.to_string();
        let pv = pv(volume);
        assert_eq!(fields[1..8], ["jhub", fields[2], &user, "Bound", &size, &pv, &volume.id]);
        assert_eq!(fields.len(), 9, "{line}");
    }
    assert!(expected.is_empty(), "{:?}", expected.keys());
    assert_eq!(run.stderr, "");
}

#[test]
fn hubs_that_are_named_are_shown_alone() {
    let _using = using();
    let document = run(standing(), &["pvc", "pyaos", "mvu23s", "--format", "json"]).exits(0).json();
    let hubs: BTreeSet<String> = rows(&document).into_keys().map(|(hub, _)| hub).collect();
    assert_eq!(hubs, BTreeSet::from(["mvu23s".to_owned(), "pyaos".to_owned()]));
}

#[test]
fn claims_of_an_unknown_hub_are_a_usage_error_that_names_the_nearest_hub() {
    let _using = using();
    let run = run(standing(), &["pvc", "mvu23"]).exits(2).says("mvu23").says("mvu23s");
    assert_eq!(run.stdout, "");
}

#[test]
fn a_silent_hub_is_named_and_the_claims_of_the_others_are_there() {
    let _breaking = breaking();
    let fleet = breakable();
    let sandbox = fleet.container("mvu23s");
    let undo = Undo(|| {
        try_sh("docker", &["unpause", &sandbox]);
    });
    docker(&["pause", &sandbox]);
    let table = run(fleet, &["pvc"]).exits(3).says("hub mvu23s: its sandbox is paused");
    let json =
        run(fleet, &["pvc", "--format", "json"]).exits(3).says("hub mvu23s: its sandbox is paused").json();
    run(fleet, &["pvc", "mvu23s"]).exits(3);
    // Who is not asked is not missed.
    run(fleet, &["pvc", "pyaos"]).exits(0);
    drop(undo);
    let others: BTreeSet<(String, String)> = claims()
        .into_keys()
        .filter(|(hub, _)| *hub != "mvu23s")
        .map(|(hub, claim)| (hub.to_owned(), claim.to_owned()))
        .collect();
    assert_eq!(rows(&json).into_keys().collect::<BTreeSet<_>>(), others);
    assert_eq!(json["unseen"].as_array().unwrap().len(), 1);
    assert_eq!(json["unseen"][0]["subject"]["hub"], "mvu23s");
    for (hub, claim) in &others {
        assert!(
            table
                .stdout
                .lines()
                .any(|line| line.starts_with(&format!("{hub} ")) && line.contains(claim.as_str())),
            "{hub} {claim}"
        );
    }
    all_answer(fleet);
}
