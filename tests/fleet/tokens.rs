//! Tokens are kept between runs.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::volumes::{rewritten, run, text};
use crate::common::{Fleet, breaking, standing};

fn kept(fleet: &Fleet) -> Vec<PathBuf> {
    let found = std::fs::read_dir(fleet.path("jhubs/_fleet/tokens")).expect("tokens are kept");
    found.map(|entry| entry.expect("an entry").path()).collect()
}

fn token(file: &PathBuf) -> String {
    let kept: Value = serde_json::from_slice(&std::fs::read(file).expect("it reads")).expect("JSON");
    text(&kept["token"])
}

#[test]
fn a_token_is_kept_for_its_owner_alone_and_one_that_the_cloud_refuses_is_replaced() {
    let _breaking = breaking();
    let fleet = standing();
    let _ = std::fs::remove_dir_all(fleet.path("jhubs/_fleet/tokens"));
    let first = run(fleet, &["orphans", "--format", "json"]).exits(0).json();
    let files = kept(fleet);
    assert_eq!(files.len(), 2, "one for each openrc: {files:?}");
    let before: Vec<String> = files.iter().map(token).collect();
    for file in &files {
        assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
    // The second run takes what the first one kept, and sees the same.
    let second = run(fleet, &["orphans", "--format", "json"]).exits(0);
    assert_eq!(files.iter().map(token).collect::<Vec<_>>(), before);
    let classes = |report: &Value| -> Vec<(String, String)> {
        let volumes = report["volumes"].as_array().expect("volumes");
        volumes.iter().map(|volume| (text(&volume["id"]), text(&volume["class"]))).collect()
    };
    assert_eq!(classes(&second.json()), classes(&first));
    for token in &before {
        assert!(!second.stdout.contains(token.as_str()) && !second.stderr.contains(token.as_str()));
    }

    // One that was taken back.
    let undone: Vec<_> = files
        .iter()
        .map(|file| {
            let mut kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            kept["token"] = json!("gAAAA-taken-back");
            rewritten(file, &kept.to_string())
        })
        .collect();
    let third = run(fleet, &["orphans", "--format", "json"]).exits(0).json();
    assert_eq!(classes(&third), classes(&first));
    assert!(files.iter().map(token).all(|token| token != "gAAAA-taken-back" && !before.contains(&token)));
    drop(undone);
}
