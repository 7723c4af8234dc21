use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::reader::parse;
use super::*;
use crate::observed::VolumeView;
use crate::plan::orphans::samples::{pv, rules, view, volume};
use crate::plan::orphans::{Decided, plan};

const DAY: Duration = Duration::from_hours(24);

fn a_view() -> VolumeView {
    view(vec![volume(1), volume(2), volume(3), volume(4)], vec![vec![pv(2)], vec![pv(9)]])
}

/// Three volumes in it.
fn a_plan() -> String {
    let view = a_view();
    let plan = plan(&view, &rules());
    let terms = Terms::new("science", &view, DAY);
    let bytes = document::bytes(&terms, &plan, &plan.deletions().unwrap()).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn a_value() -> Value {
    serde_json::from_str(&a_plan()).unwrap()
}

fn problems(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().join("\n")
}

fn problems_of(value: &Value) -> String {
    problems(&serde_json::to_string_pretty(value).unwrap())
}

#[test]
fn a_plan_is_read_as_it_was_written() {
    let view = a_view();
    let plan = plan(&view, &rules());
    let read = parse(a_plan().as_bytes()).unwrap();
    assert_eq!(read.terms, Terms::new("science", &view, DAY));
    let planned: Vec<Decided> = plan.deletions().unwrap().volumes().iter().map(Decided::from).collect();
    assert_eq!(read.volumes, planned);
    assert_eq!(read.volumes.len(), 3);
}

#[test]
fn a_plan_has_all_that_a_reviewer_wants_to_know() {
    insta::assert_snapshot!(a_plan());
}

#[test]
fn a_plan_without_volumes_is_a_plan() {
    let mut value = a_value();
    value["volumes"] = json!([]);
    assert_eq!(parse(value.to_string().as_bytes()).unwrap().volumes, []);
}

#[test]
fn how_a_plan_is_laid_out_does_not_matter() {
    let read = parse(a_plan().as_bytes());
    assert_eq!(parse(a_value().to_string().as_bytes()), read);
    assert_eq!(parse(format!("\u{feff}{}", a_plan()).as_bytes()), read);
    assert_eq!(parse(a_plan().replace('\n', "\r\n").as_bytes()), read);
}

#[test]
fn what_is_there_for_people_may_be_left_out() {
    let mut value = a_value();
    value.as_object_mut().unwrap().remove("totals");
    for entry in value["volumes"].as_array_mut().unwrap() {
        for name in ["made_for", "reason", "evidence"] {
            entry.as_object_mut().unwrap().remove(name);
        }
        entry["project"]["name"] = json!("renamed");
    }
    assert_eq!(parse(value.to_string().as_bytes()).unwrap().volumes.len(), 3);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let mut value = a_value();
    value["made_at"] = json!("yesterday");
    value["hubs"][0] = json!("hub-0");
    value["comment"] = json!("fine");
    value["volumes"][0]["volume"]["size_gib"] = json!("10");
    value["volumes"][0]["volume"]["metadata"] = json!({ "a": 1 });
    value["volumes"][0]["volume"].as_object_mut().unwrap().remove("name");
    value["volumes"][1] = json!("00000001-1111-4000-8000-000000000001");
    value["volumes"][2]["force"] = json!(true);
    let text = serde_json::to_string_pretty(&value)
        .unwrap()
        .replace("\"bootable\": false,", "\"bootable\": false,\n\"id\": \"x\",");
    insta::assert_snapshot!(problems(&text));
}

#[test]
fn what_is_no_plan_is_told() {
    assert_eq!(problems(""), "1: it is not JSON at column 0: EOF while parsing a value");
    assert_eq!(problems("[]"), "1: the plan must be an object, {...}");
    assert_eq!(problems("{}"), "1: the plan has no \"fleet_plan\"");
    assert_eq!(
        problems("{\n\"fleet_plan\": 2, \"x\": 1}"),
        "1: it is a plan of version 2, and this fleet knows version 1 alone"
    );
    assert_eq!(parse(b"\n\xff").unwrap_err(), ["2: it is not UTF-8 text, so it is no plan"]);
    // What is left behind when the last volume is taken out in an editor.
    assert_eq!(
        problems("{\n\"volumes\": [\n1,\n]}"),
        "4: it is not JSON: there is a comma after the last of a list; take it out"
    );
    assert_eq!(
        problems("{\"a\": [1,]}"),
        "1: it is not JSON: there is a comma after the last of a list; take it out"
    );
    assert!(problems(&"[".repeat(100_000)).starts_with("1: it is not JSON"));
}

#[test]
fn a_file_with_very_many_problems_is_not_told_in_full() {
    let members: Vec<String> = (0..1000).map(|number| format!("\"x{number}\": 0")).collect();
    let told = parse(format!("{{\"fleet_plan\": 1, {}}}", members.join(", ")).as_bytes()).unwrap_err();
    assert_eq!(told.len(), 101);
    assert!(told[100].ends_with(" more problems"), "{}", told[100]);
}

#[test]
fn a_volume_that_was_changed_by_hand_is_told() {
    for (name, other) in [
        ("id", json!("00000007-1111-4000-8000-000000000007")),
        ("name", json!("pvc-x")),
        ("status", json!("in-use")),
        ("size_gib", json!(11)),
        ("created_at", json!(null)),
        ("attachments", json!(["x"])),
        ("metadata", json!({})),
        ("bootable", json!(true)),
    ] {
        let mut value = a_value();
        value["volumes"][1]["volume"][name] = other;
        let told = problems_of(&value);
        assert!(told.contains(": volume 2 ("), "{told}");
        assert!(told.ends_with(") is not as it was saved in this plan"), "{told}");
    }
    for name in ["auth_url", "region", "id"] {
        let mut value = a_value();
        value["volumes"][1]["project"][name] = json!("other");
        assert!(problems_of(&value).ends_with(") is not as it was saved in this plan"), "{name}");
    }
}

#[test]
fn what_the_plan_says_of_itself_cannot_be_changed() {
    for (name, other) in [
        ("fleet", json!("other")),
        ("made_at", json!("2026-03-02T12:00:00Z")),
        ("expires_at", json!("2027-03-02T12:00:00Z")),
        ("hubs", json!([])),
    ] {
        let mut value = a_value();
        value[name] = other;
        assert_eq!(
            problems_of(&value),
            "1: no volume is as it was saved: was \"fleet\", \"made_at\", \"expires_at\" or \"hubs\" changed?"
        );
    }
}

#[test]
fn a_volume_of_another_plan_is_told_and_so_is_one_that_is_there_twice() {
    let view = a_view();
    let plan = plan(&view, &rules());
    let earlier = Terms::new("science", &view, DAY * 2);
    let bytes = document::bytes(&earlier, &plan, &plan.deletions().unwrap()).unwrap();
    let other: Value = serde_json::from_slice(&bytes).unwrap();
    let mut value = a_value();
    value["volumes"][0] = other["volumes"][0].clone();
    assert!(problems_of(&value).ends_with(") is not as it was saved in this plan"));
    let mut value = a_value();
    let again = value["volumes"][0].clone();
    value["volumes"].as_array_mut().unwrap().push(again);
    assert!(problems_of(&value).ends_with(" is in the plan twice"));
}

#[test]
fn a_plan_is_written_for_its_owner_alone_and_never_over_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.json");
    let view = a_view();
    let plan = plan(&view, &rules());
    let deletions = plan.deletions().unwrap();
    let terms = Terms::new("science", &view, DAY);
    let save = |overwrite| write(&path, &terms, &plan, &deletions, overwrite);
    save(false).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(read(&path).unwrap().volumes.len(), 3);
    files::replace(&path, b"reviewed", 0o600).unwrap();
    assert_eq!(save(false).unwrap_err().exit, Exit::Failed);
    assert_eq!(std::fs::read(&path).unwrap(), b"reviewed");
    save(true).unwrap();
    assert_eq!(read(&path).unwrap().volumes.len(), 3);
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let failure = read(&dir.path().join("none.json")).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.to_string().starts_with("cannot read "), "{failure}");
    let failure = read(dir.path()).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    let path = dir.path().join("plan.json");
    files::replace(&path, b"12345", 0o600).unwrap();
    assert_eq!(bytes(&path, 5).unwrap(), b"12345");
    assert!(bytes(&path, 4).unwrap_err().to_string().ends_with("is larger than 4 bytes, so it is no plan"));
}

/// Whatever becomes of a plan's text: it is refused, or it has volumes of the plan and no others, on its terms.
fn never_more(text: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(read) = parse(text) {
        let original = parse(a_plan().as_bytes()).unwrap();
        for volume in &read.volumes {
            let same =
                |known: &Decided| known.project.key == volume.project.key && known.volume == volume.volume;
            prop_assert!(original.volumes.iter().any(same));
        }
        prop_assert!(read.volumes.is_empty() || read.terms == original.terms);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_volumes_may_be_taken_out(keep in prop::collection::vec(any::<bool>(), 3)) {
        let mut value = a_value();
        let mut each = keep.iter();
        value["volumes"].as_array_mut().unwrap().retain(|_| *each.next().unwrap());
        let read = parse(value.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.volumes.len(), keep.iter().filter(|keep| **keep).count());
        never_more(value.to_string().as_bytes())?;
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        never_more(&bytes)?;
    }

    #[test]
    fn no_json_is_too_strange(text in "[\\[\\]{}\":,0-9a-z .\\-\n]{0,60}") {
        never_more(text.as_bytes())?;
        never_more(format!("{{\"fleet_plan\": 1, \"volumes\": [{{\"volume\": {text}}}]}}").as_bytes())?;
    }

    #[test]
    fn a_plan_with_bytes_changed_taken_out_or_put_in_never_grows(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let mut bytes = a_plan().into_bytes();
        for (place, byte, kind) in changes {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        never_more(&bytes)?;
    }

    #[test]
    fn a_plan_cut_short_anywhere_is_refused(place in any::<prop::sample::Index>()) {
        let text = a_plan();
        // The last byte is a line break.
        let at = place.index(text.len() - 1);
        prop_assert!(parse(&text.as_bytes()[..at]).is_err());
    }
}
