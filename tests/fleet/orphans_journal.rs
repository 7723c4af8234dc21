//! The journal: what is written down of deletions, and what is made of it after a crash.
//!
//! As in the tests of deletion, only volumes that a test has planted itself are old enough to be orphans here.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::volumes::{
    ONLY_ANCIENT, Planted, Wanted, all_answer, all_ids, cinder, claim_name, hang, plant, rewritten, run, text,
};
use crate::common::watched::Watched;
use crate::common::world::{Undo, eventually};
use crate::common::{Fleet, breaking, standing, world};

/// One after the other, in the plan's order: by project, name and id.
const ONE_BY_ONE: &str = "[orphans]\nmin_age = \"400d\"\nparallel = 1";

fn in_order(count: u64) -> Vec<Wanted> {
    (0..count).map(|number| Wanted::named(&claim_name(number))).collect()
}

fn lines(fleet: &Fleet) -> Vec<Value> {
    let text = std::fs::read_to_string(fleet.path("jhubs/_fleet/journal.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The last run of the journal.
fn last_run(fleet: &Fleet) -> Value {
    let journal = run(fleet, &["journal", "--format", "json"]).exits(0).json();
    journal["runs"].as_array().expect("runs").last().expect("a run").clone()
}

/// What became of each volume of a run.
fn outcomes(run: &Value) -> BTreeMap<String, String> {
    let volumes = run["volumes"].as_array().expect("volumes");
    volumes.iter().map(|volume| (text(&volume["id"]), text(&volume["outcome"]))).collect()
}

#[test]
fn every_deletion_is_written_down_with_its_evidence_before_it_is_sent_and_after_it_is_done() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", ONLY_ANCIENT);
    let planted = plant("alpha", &[Wanted::orphan().gib(2).marked("csi.storage.k8s.io/pvc/name", "claim-x")]);
    let [id] = planted.ids()[..] else { panic!("one") };
    let before = lines(fleet).len();
    run(fleet, &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);

    let new = lines(fleet).split_off(before);
    let entries: Vec<&str> = new.iter().map(|line| line["entry"].as_str().expect("an entry")).collect();
    assert_eq!(entries, ["begin", "deleting", "over", "end"]);
    assert_eq!(new.iter().map(|line| text(&line["run"])).collect::<BTreeSet<_>>().len(), 1);
    let [begin, deleting, over, end] = &new[..] else { panic!("four") };
    assert_eq!(begin["confirmed"], "--confirm");
    assert_eq!(begin["fleet"], fleet.name);
    assert_eq!(begin["volumes"][0]["volume"]["id"], id);
    assert_eq!(begin["volumes"][0]["made_for"], "claim-x");
    assert_eq!(begin["volumes"][0]["project"]["id"], world().cloud.projects["alpha"]);
    assert_eq!(begin["hubs"].as_array().expect("hubs").len(), 4);
    assert_eq!(deleting["volume"]["size_gib"], 2);
    assert_eq!(deleting["volume"]["metadata"]["csi.storage.k8s.io/pvc/name"], "claim-x");
    let hubs = deleting["evidence"]["hubs"].as_array().expect("hubs");
    assert_eq!(hubs.len(), 4);
    assert!(hubs.iter().all(|hub| hub["persistent_volumes"].as_u64().expect("a number") > 0), "{hubs:?}");
    assert_eq!((&over["id"], &over["outcome"]), (&json!(id), &json!("deleted")));
    assert_eq!(end["exit"], 0);

    let file = std::fs::metadata(fleet.path("jhubs/_fleet/journal.jsonl")).unwrap();
    let directory = std::fs::metadata(fleet.path("jhubs/_fleet")).unwrap();
    assert_eq!((file.mode() & 0o777, directory.mode() & 0o777), (0o600, 0o700));

    // And shown: all of it, one run by the beginning of its id, one volume with the evidence.
    let shown = run(fleet, &["journal", "--volume", id]).exits(0).stdout;
    assert!(shown.contains("deleted") && shown.contains("no PV and no claim of"), "{shown}");
    let of_run = run(fleet, &["journal", "--run", &text(&begin["run"])]).exits(0).stdout;
    assert!(of_run.contains(id), "{of_run}");
    assert!(run(fleet, &["journal"]).exits(0).stdout.contains(id));
    run(fleet, &["journal", "--run", "nothing"]).exits(2).says("no run \"nothing\"");
    assert_eq!(
        run(fleet, &["journal", "--volume", "nothing"]).exits(0).stdout,
        "The journal has no such deletions.\n"
    );
}

#[test]
fn where_nothing_can_be_written_down_nothing_is_deleted() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", ONLY_ANCIENT);
    let _planted = plant("alpha", &[Wanted::orphan()]);
    let (place, aside) = (fleet.path("jhubs/_fleet/journal.jsonl"), fleet.path("aside"));
    let _ = std::fs::rename(&place, &aside);
    std::fs::create_dir_all(&place).unwrap();
    let _back = Undo(|| {
        let _ = std::fs::remove_dir(&place);
        let _ = std::fs::rename(&aside, &place);
    });
    let before = all_ids();
    run(fleet, &["--config", &config, "orphans", "--delete", "--confirm"])
        .exits(1)
        .says("jhubs/_fleet/journal.jsonl")
        .says("nothing more is deleted");
    assert_eq!(all_ids(), before);
    // A report needs no journal, and says that it could not look into it.
    run(fleet, &["--config", &config, "orphans"]).exits(0).says("is not known: cannot read");
}

#[test]
fn two_runs_at_once_are_one_too_many() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", ONE_BY_ONE);
    let planted = plant("alpha", &in_order(3));
    let deleting = Watched::start(fleet, &["--config", &config, "orphans", "--delete", "--confirm"]);
    deleting.until("deleted ");
    deleting.meanwhile(|| {
        let before = all_ids();
        for again in ["--delete", "--resume"] {
            run(fleet, &["--config", &config, "orphans", again, "--confirm"])
                .exits(1)
                .says("volumes of this fleet are being deleted already, by ")
                .says("(process ");
        }
        assert_eq!(all_ids(), before);
        run(fleet, &["--config", &config, "orphans"]).exits(0).says("is deleting volumes right now");
    });
    deleting.end().exits(0);
    assert!(planted.ids().iter().all(|id| !cinder("alpha").has(id)));
}

/// Starts deleting, and kills it once the journal has so many entries of a kind more than before.
fn killed(fleet: &Fleet, config: &str, entry: &str, count: usize) {
    let of_kind = || lines(fleet).iter().filter(|line| line["entry"] == entry).count();
    let before = of_kind();
    let deleting = Watched::start(fleet, &["--config", config, "orphans", "--delete", "--confirm"]);
    let began = std::time::Instant::now();
    while of_kind() < before + count {
        assert!(began.elapsed() < Duration::from_secs(60), "no {entry} is written down");
        std::thread::sleep(Duration::from_millis(1));
    }
    deleting.signal("KILL");
    assert_eq!(deleting.end().status, None);
}

/// No volume is gone that the journal does not know of.
fn knows_of_all_that_is_gone(fleet: &Fleet, planted: &Planted) {
    let outcomes = outcomes(&last_run(fleet));
    for id in planted.ids() {
        let status = cinder("alpha").status(id);
        let untouched = status.as_deref() == Some("available");
        let told = outcomes[id].as_str();
        assert!(
            untouched || matches!(told, "deleted" | "not_known"),
            "{id} is {status:?}, and the journal says {told}"
        );
    }
}

#[test]
fn kill_9_at_any_point_loses_no_record_and_what_is_left_is_settled_and_done() {
    let _breaking = breaking();
    let fleet = standing();
    let at_once = "[orphans]\nmin_age = \"400d\"\nparallel = 3";
    for (settings, entry, count) in [
        (ONE_BY_ONE, "begin", 1),
        (ONE_BY_ONE, "deleting", 1),
        (ONE_BY_ONE, "over", 1),
        (at_once, "deleting", 3),
        (at_once, "over", 2),
    ] {
        let config = fleet.variant("journal.toml", settings);
        let planted = plant("alpha", &in_order(6));
        killed(fleet, &config, entry, count);
        knows_of_all_that_is_gone(fleet, &planted);
        let id = text(&last_run(fleet)["id"]);
        let told = run(fleet, &["--config", &config, "orphans"]).exits(0);
        let line = told.stderr.lines().find(|line| line.contains("did not end")).expect("it is told");
        assert!(line.contains(&id) && line.contains("fleet orphans --resume"), "{line}");

        // Made since: it was in nobody's plan.
        let later = plant("alpha", &in_order(1));
        // Without confirmation it is found out what was done, and no more.
        let asked = run(fleet, &["--config", &config, "orphans", "--resume"]);
        let known = outcomes(&last_run(fleet));
        assert!(!known.values().any(|outcome| outcome == "not_known"), "{known:?}\n{}", asked.stderr);
        for (id, outcome) in &known {
            assert_eq!(outcome == "deleted", !cinder("alpha").has(id), "{id}: {outcome}");
        }
        assert!(!asked.stdout.contains(later.ids()[0]), "{}", asked.stdout);

        let left: BTreeSet<&str> =
            known.iter().filter(|(_, outcome)| *outcome != "deleted").map(|(id, _)| id.as_str()).collect();
        if left.is_empty() {
            // All had been sent when it was killed: then there is nothing to confirm.
            asked.exits(0).says("nothing is left to do");
        } else {
            asked.exits(4);
            run(fleet, &["--config", &config, "orphans", "--resume", "--confirm"]).exits(0);
            let rest = last_run(fleet);
            assert_eq!(rest["resumes"], json!([id]));
            let done = outcomes(&rest);
            assert_eq!(done.keys().map(String::as_str).collect::<BTreeSet<_>>(), left);
            assert!(done.values().all(|outcome| outcome == "deleted"), "{done:?}");
        }
        assert!(planted.ids().iter().all(|id| !cinder("alpha").has(id)));
        assert!(cinder("alpha").has(later.ids()[0]), "a volume of nobody's plan is gone");
        let after = run(fleet, &["--config", &config, "orphans"]).exits(0);
        assert!(!after.stderr.contains("did not end"), "{}", after.stderr);
    }
}

#[test]
fn what_somebody_asked_to_keep_after_the_crash_is_kept_when_it_is_resumed() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", ONE_BY_ONE);
    let planted = plant("alpha", &in_order(3));
    let [.., kept] = planted.ids()[..] else { panic!("three") };
    killed(fleet, &config, "begin", 1);
    cinder("alpha").set_metadata(kept, &json!({ "fleet.keep": "true" }));
    let resumed = run(fleet, &["--config", &config, "orphans", "--resume", "--confirm"]).exits(0);
    assert!(resumed.stderr.contains(&format!("dropped out {kept} (")), "{}", resumed.stderr);
    assert!(cinder("alpha").has(kept));
    assert!(planted.ids().iter().filter(|id| **id != kept).all(|id| !cinder("alpha").has(id)));
}

#[test]
fn a_run_that_is_resumed_with_a_hub_silent_is_settled_and_nothing_more_is_deleted() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", &format!("{ONE_BY_ONE}\n\n[timeouts]\nkubernetes = \"5s\""));
    let planted = plant("alpha", &in_order(3));
    killed(fleet, &config, "deleting", 1);
    // Whatever was sent is done by now.
    eventually("nothing is being deleted", Duration::from_secs(30), || {
        planted.ids().iter().all(|id| cinder("alpha").status(id).is_none_or(|status| status == "available"))
    });
    let before = all_ids();
    let hanging = hang(world().hub("mvu23s"));
    run(fleet, &["--config", &config, "orphans", "--resume", "--confirm"]).exits(3).says("cannot tell");
    drop(hanging);
    assert_eq!(all_ids(), before);
    let known = outcomes(&last_run(fleet));
    assert!(!known.values().any(|outcome| outcome == "not_known"), "{known:?}");
    all_answer(fleet);
    run(fleet, &["--config", &config, "orphans", "--resume", "--confirm"]).exits(0);
    assert!(planted.ids().iter().all(|id| !cinder("alpha").has(id)));
}

#[test]
fn a_power_cut_leaves_half_a_line_that_is_told_and_hides_nothing() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", ONE_BY_ONE);
    let planted = plant("alpha", &in_order(2));
    killed(fleet, &config, "over", 1);
    let path = fleet.path("jhubs/_fleet/journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let length = whole.len() as u64 - 20;
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    run(fleet, &["journal"]).exits(0).says("is half written and is skipped");
    let resumed = run(fleet, &["--config", &config, "orphans", "--resume", "--confirm"]).exits(0);
    assert!(planted.ids().iter().all(|id| !cinder("alpha").has(id)), "{}", resumed.stderr);
    assert!(std::fs::read(&path).unwrap().starts_with(&whole[..whole.len() - 20]));
    // Whoever reads the journal later on is still told that a line of it is no good.
    run(fleet, &["journal"]).exits(0).says("cannot be read and is skipped");
    // The others' tests begin with a journal that reads.
    std::fs::remove_file(&path).unwrap();
}

/// A deletion takes longer than fleet waits when the storage behind Cinder does. Here the journal is made to say so.
#[test]
fn a_deletion_whose_end_was_not_seen_is_settled_later_though_its_run_has_ended() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("journal.toml", ONE_BY_ONE);
    let planted = plant("alpha", &in_order(1));
    let gone = planted.ids()[0];
    run(fleet, &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);
    let there = plant("alpha", &in_order(1));
    let there = there.ids()[0];

    let path = fleet.path("jhubs/_fleet/journal.jsonl");
    let journal = std::fs::read_to_string(&path).unwrap();
    let last = text(&lines(fleet).last().expect("a line")["run"]);
    let changed = journal.lines().flat_map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line");
        let also = |key: &str| {
            let mut other = line.clone();
            match key {
                "volume" => other["volume"]["id"] = json!(there),
                _ => other["id"] = json!(there),
            }
            other
        };
        match line["entry"].as_str() {
            Some("deleting") if line["run"] == last => vec![line.clone(), also("volume")],
            Some("over") if line["run"] == last => {
                let mut pending = line.clone();
                pending["outcome"] = json!("pending");
                pending["reason"] = json!("its status is \"deleting\"");
                let mut other = pending.clone();
                other["id"] = json!(there);
                vec![pending, other]
            }
            _ => vec![line],
        }
    });
    let changed: Vec<String> = changed.map(|line| format!("{line}\n")).collect();
    let _back = rewritten(&path, &changed.concat());

    let line = format!("run {last} by ");
    let told = run(fleet, &["--config", &config, "orphans"]).exits(0);
    let told = told.stderr.lines().find(|told| told.starts_with(&line)).expect("it is told");
    assert!(
        told.ends_with(
            "left 2 deletions of which it did not see the end; to settle it: fleet orphans --resume"
        )
    );
    let settled = run(fleet, &["--config", &config, "orphans", "--resume", "--confirm"]).exits(0);
    let says =
        |what: &str| settled.stderr.lines().any(|line| line.starts_with(&format!("run {last}: {what}")));
    assert!(says(&format!("deleted {gone} (")), "{}", settled.stderr);
    assert!(says(&format!("FAILED {there} (")), "{}", settled.stderr);
    assert!(cinder("alpha").has(there), "what a run did not delete is no business of the next one");
    let after = run(fleet, &["--config", &config, "orphans"]).exits(0);
    assert!(!after.stderr.contains(&line), "{}", after.stderr);
    assert_eq!(outcomes(&last_run(fleet))[there], "failed");
}

#[test]
fn where_every_run_has_ended_there_is_nothing_to_resume() {
    let _breaking = breaking();
    let fleet = standing();
    run(fleet, &["orphans", "--resume", "--confirm"]).exits(0).says("there is nothing to resume");
}
