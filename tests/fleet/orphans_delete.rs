//! `fleet orphans --delete --confirm`: what it deletes, and everything that it keeps.
//!
//! Deletion takes every orphan that there is. So that no test takes away what another one looks at, all tests here go by a
//! minimum age that only volumes which they have planted themselves have reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::volumes::{
    ONLY_ANCIENT, Planted, Report, Wanted, all_answer, all_ids, breakable, cinder, claim_name, hang,
    make_claim, make_pending_claim, make_pv, plant, run, text,
};
use crate::common::watched::Watched;
use crate::common::world::{Undo, docker, eventually};
use crate::common::{Fleet, breaking, standing, world};

/// One after the other, in the plan's order: by project, name and id.
const ONE_BY_ONE: &str = "[orphans]\nmin_age = \"400d\"\nparallel = 1";

fn config(fleet: &Fleet, settings: &str) -> String {
    fleet.variant("deleting.toml", settings)
}

/// What became of each volume: outcome and reason.
fn outcomes(document: &Value) -> BTreeMap<String, (String, String)> {
    let all = document["volumes"].as_array().expect("volumes");
    all.iter()
        .map(|volume| {
            let reason = volume["reason"].as_str().unwrap_or_default().to_owned();
            (text(&volume["id"]), (text(&volume["outcome"]), reason))
        })
        .collect()
}

fn without(all: &BTreeSet<String>, gone: &[&str]) -> BTreeSet<String> {
    all.iter().filter(|id| !gone.contains(&id.as_str())).cloned().collect()
}

/// Orphans that are deleted in this order, with names that sort so.
fn in_order(count: u64) -> Vec<Wanted> {
    (0..count).map(|number| Wanted::named(&claim_name(number))).collect()
}

#[test]
fn the_volume_of_a_claim_that_has_lost_its_pv_is_kept() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, ONLY_ANCIENT);
    let (uid, _claim) = make_pending_claim(world().hub("pyaos"), "claim-lost-its-pv");
    // In another project than the hub's: a claim counts wherever it is.
    let kept = plant("alpha", &[Wanted::named(&format!("pvc-{uid}"))]);
    let report = Report::of(&run(fleet, &["--config", &config, "orphans", "--format", "json"]).exits(0));
    let [id] = kept.ids()[..] else { panic!("one") };
    assert_eq!(report.class(id), "in use");
    assert_eq!(
        report.volume(id)["reason"],
        "hub pyaos: claim jhub/claim-lost-its-pv is there, and its PV is not"
    );
    run(fleet, &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);
    assert!(cinder("alpha").has(id));
}

#[test]
fn exactly_the_orphans_are_deleted_and_nothing_else() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, ONLY_ANCIENT);
    let twin = claim_name(0xaaaa);
    let orphans = plant(
        "alpha",
        &[
            Wanted::orphan().gib(3),
            Wanted::orphan().marked("csi.storage.k8s.io/pvc/name", "claim-nobody"),
            Wanted::named(&format!("kubernetes-dynamic-{}", claim_name(0xbbbb))).gib(2),
            // Two of one name, both orphans; a third of that name that somebody asked to keep.
            Wanted::named(&twin),
            Wanted::named(&twin),
        ],
    );
    let others = plant("beta", &[Wanted::orphan(), Wanted::orphan().gib(4)]);
    let kept = plant(
        "alpha",
        &[
            Wanted::named(&twin).marked("fleet.keep", "true"),
            Wanted::orphan().marked("cinder.csi.openstack.org/cluster", "elsewhere"),
            Wanted::orphan().days(399),
            Wanted::named("scratch"),
            Wanted::orphan(), // snapshot
            Wanted::orphan(), // reserved
            Wanted::orphan(), // released
            Wanted::orphan(), // taken over under another name
            Wanted::orphan(), // a PV has the name
            Wanted::orphan(), // bound
        ],
    );
    let [.., snapshot, reserved, released, renamed, by_name, bound] = &kept.volumes[..] else {
        panic!("six")
    };
    cinder("alpha").snapshot(&snapshot.0);
    cinder("alpha").reserve(&reserved.0);
    let (one, other) = (world().hub("fsu-s23"), world().hub("mvu23s"));
    let _used = [
        make_pv(one, "test-released", &released.0, Some("claim-of-nobody")),
        make_pv(other, "test-restored", &renamed.0, None),
        make_pv(other, &by_name.1, "00000000-0000-4000-8000-000000000000", None),
    ];
    let _bound = make_claim(one, "claim-test", "test-bound", &bound.0);

    let before = all_ids();
    let done =
        run(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--format", "json"]).exits(0);
    let gone: Vec<&str> = orphans.ids().into_iter().chain(others.ids()).collect();
    assert_eq!(all_ids(), without(&before, &gone));

    let document = done.json();
    assert_eq!(document["deleted"], 7);
    assert_eq!(document["deleted_gib"], 3 + 1 + 2 + 1 + 1 + 1 + 4);
    assert_eq!(document["interrupted"], false);
    assert_eq!(document["unseen"], json!([]));
    let told = outcomes(&document);
    assert_eq!(told.keys().map(String::as_str).collect::<BTreeSet<_>>(), gone.iter().copied().collect());
    assert!(told.values().all(|(outcome, _)| outcome == "deleted"), "{told:#?}");
    for id in &gone {
        assert!(done.stderr.contains(&format!("deleted {id} (")), "{}", done.stderr);
    }

    // And again: there is nothing left to do, for people and for scripts.
    let again = run(fleet, &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);
    assert_eq!(again.stdout, "No orphans: there is nothing to delete.\n");
    let again = run(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--format", "json"]);
    assert_eq!(
        again.exits(0).json(),
        json!({ "deleted": 0, "deleted_gib": 0, "interrupted": false, "unseen": [], "volumes": [] })
    );
    run(fleet, &["--config", &config, "orphans", "--delete"]).exits(0);
    assert_eq!(all_ids(), without(&before, &gone));
}

#[test]
fn without_confirmation_the_plan_is_shown_and_nothing_is_changed() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, ONLY_ANCIENT);
    let orphans =
        [plant("alpha", &[Wanted::orphan(), Wanted::orphan().gib(2)]), plant("beta", &[Wanted::orphan()])];
    let wanted: BTreeSet<&str> = orphans.iter().flat_map(Planted::ids).collect();
    let (before, everything) = (all_ids(), fleet.everything());
    let table = run(fleet, &["--config", &config, "orphans", "--delete"])
        .exits(4)
        .says("3 volumes, 4 GiB, would be deleted for good")
        .says("orphans --delete --confirm");
    for id in &before {
        assert_eq!(table.stdout.contains(id), wanted.contains(id.as_str()), "{id}\n{}", table.stdout);
    }
    assert!(table.stdout.contains("To delete in alpha: 2 volumes, 3 GiB\n"), "{}", table.stdout);
    assert!(table.stdout.contains("To delete in beta: 1 volume, 1 GiB\n"), "{}", table.stdout);
    let plan = run(fleet, &["--config", &config, "orphans", "--delete", "--format", "json"]).exits(4).json();
    let planned: BTreeSet<&str> = plan["volumes"]
        .as_array()
        .expect("volumes")
        .iter()
        .map(|planned| planned["volume"]["id"].as_str().expect("an id"))
        .collect();
    assert_eq!(planned, wanted);
    assert_eq!(all_ids(), before);
    assert_eq!(fleet.everything(), everything);
    for id in wanted {
        let project = if orphans[1].ids().contains(&id) { "beta" } else { "alpha" };
        assert_eq!(cinder(project).status(id).as_deref(), Some("available"));
    }
}

#[test]
fn confirmation_without_deletion_is_a_usage_error() {
    let fleet = Fleet::empty();
    let before = fleet.files();
    let run = run(&fleet, &["orphans", "--confirm"]).exits(2).says("--delete");
    assert_eq!(run.stdout, "");
    assert_eq!(fleet.files(), before);
}

#[test]
fn what_changes_between_plan_and_deletion_is_kept_with_the_reason() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, ONE_BY_ONE);
    let planted = plant("alpha", &in_order(10));
    let [first, _, bound, named, reserved, snapshot, marked, renamed, gone, last] = planted.ids()[..] else {
        panic!("ten")
    };
    let name = &planted.volumes[3].1;
    let before = all_ids();
    let deleting =
        Watched::start(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--format", "json"]);
    deleting.until("deleted ");
    let _used = deleting.meanwhile(|| {
        let used = (
            make_claim(world().hub("fsu-s23"), "claim-test", "test-bound", bound),
            // Another cluster, of the other project's hub at that, and only the name.
            make_pv(world().hub("pyaos"), name, "00000000-0000-4000-8000-000000000000", None),
        );
        cinder("alpha").reserve(reserved);
        cinder("alpha").snapshot(snapshot);
        cinder("alpha").set_metadata(marked, &json!({ "fleet.keep": "true" }));
        cinder("alpha").rename(renamed, "home-of-somebody");
        cinder("alpha").delete(gone);
        eventually("it is gone", Duration::from_secs(20), || !cinder("alpha").has(gone));
        // What was asked for up to two seconds ago may serve for the next volume.
        std::thread::sleep(Duration::from_millis(2100));
        used
    });
    let run = deleting.end().exits(0);
    let told = outcomes(&run.json());
    let is = |id: &str, outcome: &str, reason: &str| {
        let (found, why) = &told[id];
        assert_eq!(found, outcome, "{why}\n{}", run.stderr);
        assert!(why.contains(reason), "{why:?} does not say {reason:?}");
    };
    is(first, "deleted", "");
    is(bound, "kept", "in use: hub fsu-s23: claim jhub/claim-test");
    is(named, "kept", "in use: hub pyaos: PV");
    is(reserved, "kept", "its status changed from \"available\" to \"reserved\"");
    is(snapshot, "kept", "snapshots: it has snapshot");
    is(marked, "kept", "its metadata changed since the plan was made");
    is(renamed, "kept", "its name changed since the plan was made");
    is(gone, "already_gone", "");
    is(last, "deleted", "");
    for id in [bound, named, reserved, snapshot, marked, renamed] {
        assert!(run.stderr.contains(&format!("kept {id} (")), "{}", run.stderr);
    }
    let kept = [bound, named, reserved, snapshot, marked, renamed];
    let lost: Vec<&str> = planted.ids().into_iter().filter(|id| !kept.contains(id)).collect();
    assert_eq!(all_ids(), without(&before, &lost));
}

/// How often Cinder has answered a list of volumes.
fn lists_answered() -> usize {
    let log = docker(&["exec", &world().cloud.container, "cat", "/var/log/openstack/cinder.log"]);
    log.lines()
        .filter(|line| line.contains("/volumes/detail") && line.contains("returned with HTTP 200"))
        .count()
}

#[test]
fn the_volume_of_a_claim_that_is_made_while_the_scan_runs_is_kept() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, &format!("{ONLY_ANCIENT}\n\n[timeouts]\nkubernetes = \"60s\""));
    let planted = plant("alpha", &in_order(2));
    let [orphan, claimed] = planted.ids()[..] else { panic!("two") };
    let before = (all_ids(), lists_answered());
    // While one API server hangs, fleet has the lists of volumes, and waits before it asks anybody for PVs.
    let hanging = hang(world().hub("mvu23s"));
    let scan =
        Watched::start(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--format", "json"]);
    eventually("both projects' volumes are listed", Duration::from_secs(60), || {
        lists_answered() >= before.1 + 2
    });
    let _claim = make_claim(world().hub("fsu-s23"), "claim-test", "test-claimed", claimed);
    let later = plant("alpha", &in_order(1));
    drop(hanging);
    let run = scan.end().exits(0);
    let told = outcomes(&run.json());
    assert_eq!(told.keys().map(String::as_str).collect::<Vec<_>>(), [orphan], "{}", run.stderr);
    let after: BTreeSet<String> = all_ids();
    assert!(after.contains(claimed), "the volume of a claim is gone");
    assert!(after.contains(later.ids()[0]), "a volume that was made later is gone");
    assert_eq!(without(&after, &later.ids()), without(&before.0, &[orphan]));
    all_answer(fleet);
}

#[test]
fn a_hub_that_falls_silent_in_the_middle_stops_the_rest() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, &format!("{ONE_BY_ONE}\n\n[timeouts]\nkubernetes = \"5s\""));
    let planted = plant("alpha", &in_order(8));
    let before = all_ids();
    let deleting =
        Watched::start(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--format", "json"]);
    deleting.until("deleted ");
    let hanging = deleting.meanwhile(|| {
        let hanging = hang(world().hub("mvu23s"));
        std::thread::sleep(Duration::from_millis(2100));
        hanging
    });
    let run = deleting.end();
    drop(hanging);
    let run = run.exits(3).says("hub mvu23s: ");
    assert!(run.stderr.contains("no answer within 5s"), "{}", run.stderr);
    let document = run.json();
    assert_eq!(document["unseen"][0]["subject"]["hub"], "mvu23s");
    nothing_after_the_stop(&planted, &document, &before);
    all_answer(fleet);
}

/// At most the volume that was under way is deleted after the first; what was not started is still there, and is told.
fn nothing_after_the_stop(planted: &Planted, document: &Value, before: &BTreeSet<String>) {
    let told = outcomes(document);
    let of = |wanted: &str| -> Vec<&str> {
        planted.ids().into_iter().filter(|id| told[*id].0 == wanted).collect()
    };
    let (deleted, not_started) = (of("deleted"), of("not_started"));
    assert!(deleted.contains(&planted.ids()[0]));
    assert!(deleted.len() <= 2, "{told:#?}");
    assert_eq!(deleted.len() + not_started.len(), planted.ids().len(), "{told:#?}");
    assert_eq!(document["deleted"], deleted.len());
    assert_eq!(all_ids(), without(before, &deleted));
}

#[test]
fn ctrl_c_in_the_middle_lets_the_rest_be_and_says_so() {
    let _breaking = breaking();
    let fleet = standing();
    let config = config(fleet, ONE_BY_ONE);
    for format in ["json", "table"] {
        let planted = plant("alpha", &in_order(6));
        let before = all_ids();
        let deleting = Watched::start(
            fleet,
            &["--config", &config, "orphans", "--delete", "--confirm", "--format", format],
        );
        deleting.until("deleted ");
        deleting.meanwhile(|| deleting.signal("INT"));
        let run = deleting.end().exits(130);
        if format == "json" {
            let document = run.json();
            assert_eq!(document["interrupted"], true);
            nothing_after_the_stop(&planted, &document, &before);
        } else {
            let left = before.intersection(&all_ids()).count();
            let gone = before.len() - left;
            assert!((1..=2).contains(&gone), "{gone}");
            let rest = planted.ids().len() - gone;
            assert!(
                run.stdout.contains(&format!("\nNot started: {rest} volumes, {rest} GiB\n")),
                "{}",
                run.stdout
            );
        }
    }
}

/// The classes that volumes of one hub's claims are in.
fn classes_of(report: &Report, hub: &str) -> BTreeSet<String> {
    let volumes = world().volumes_of("claim");
    let of_hub = volumes.iter().filter(|volume| volume.hub.as_deref() == Some(hub));
    of_hub.map(|volume| report.class(&volume.id)).collect()
}

fn scan(fleet: &Fleet) -> Report {
    Report::of(&run(fleet, &["orphans", "--format", "json"]).exits(0))
}

#[test]
fn a_hub_that_is_taken_out_leaves_its_volumes_kept_until_its_tombstone_is_removed_by_hand() {
    let _breaking = breaking();
    let fleet = breakable();
    let hub = world().hub("mvu23s");
    let _back = Undo(|| {
        // Says no where the hub is back already.
        fleet.add(hub);
    });
    let stone = fleet.path("jhubs/_fleet/tombstones/mvu23s.json");
    let ancient = plant("alpha", &in_order(2));
    let [orphan, used] = ancient.ids()[..] else { panic!("two") };
    let pv = make_pv(hub, "test-remembered", used, None);
    let before = all_ids();
    run(fleet, &["rm", &hub.name]).exits(0).says(stone.to_str().unwrap());

    let report = scan(fleet);
    assert_eq!(classes_of(&report, &hub.name), BTreeSet::from(["in use".to_owned()]));
    let today = docker(&["exec", &world().cloud.container, "date", "-u", "+%F"]);
    let told = format!("{}, which was taken out of the fleet on {today} and used it then", hub.name);
    for volume in world().volumes_of("claim").iter().filter(|volume| volume.hub.as_deref() == Some(&hub.name))
    {
        let reason = text(&report.volume(&volume.id)["reason"]);
        assert!(reason.contains(&told), "{reason}");
    }
    let orphans = report.of_class("orphan");
    let planted = world().volumes.iter().filter(|volume| volume.class == "orphan");
    let expected = planted.map(|volume| volume.id.as_str()).chain([orphan]).map(str::to_owned);
    assert_eq!(orphans, expected.collect());

    // Deleting goes by the same, also when the cluster could not be asked any more.
    let config = config(fleet, ONE_BY_ONE);
    drop(pv);
    run(fleet, &["--config", &config, "orphans", "--delete", "--confirm"]).exits(0);
    let before = without(&before, &[orphan]);
    assert_eq!(all_ids(), before);

    // Without the stone they look unused, for a fleet that has never heard of the cluster. But its servers are there.
    let aside = fleet.path("aside.json");
    std::fs::rename(&stone, &aside).unwrap();
    let unheard_of = run(fleet, &["orphans", "--format", "json"]).exits(3).says("unknown cluster mvu23s");
    std::fs::rename(&aside, &stone).unwrap();
    // Those of users who are logged in are attached.
    let classes = classes_of(&Report::of(&unheard_of), &hub.name);
    assert_eq!(classes, BTreeSet::from(["attached".to_owned(), "cannot tell".to_owned()]));

    // Back in the fleet it speaks for itself. The stone stays, and that is told, because it remembers a PV that the cluster
    // does not have: it might be another cluster.
    fleet.add(hub).exits(0).says("_fleet/tombstones/mvu23s.json");
    assert!(stone.exists());
    std::fs::remove_file(&stone).unwrap();
    let report = scan(fleet);
    assert_eq!(classes_of(&report, &hub.name), BTreeSet::from(["in use".to_owned()]));
    assert!(!report.0.to_string().contains("taken out of the fleet"));
    assert_eq!(all_ids(), before);
}

#[test]
fn another_cluster_under_the_name_of_a_hub_that_was_taken_out_does_not_speak_for_the_first() {
    let _breaking = breaking();
    let (first, second) = (world().hub("ou23s"), world().hub("mvu23s"));
    let fleet = Fleet::with(&["ou23s"]);
    run(&fleet, &["rm", "ou23s", "--purge", "--confirm"]).exits(0);
    fleet.add_as("ou23s", second, &[]).exits(0).says("tombstones/ou23s.json");
    // The servers of the second one carry its old name, and those of the third are no hub's yet.
    let third = "\n[[foreign]]\nname = \"fsu-s23\"\nproject = \"alpha\"\nreason = \"it comes later\"\n";
    fleet.write("fleet.toml", &format!("{}{third}", fleet.toml()));
    fleet.answer_for(&["mvu23s"]);
    let report = scan(&fleet);
    for hub in [first, second] {
        assert_eq!(classes_of(&report, &hub.name), BTreeSet::from(["in use".to_owned()]), "{}", hub.name);
    }
    // Taken out as well: then both are remembered under the one name.
    run(&fleet, &["rm", "ou23s"]).exits(0);
    fleet.add(world().hub("fsu-s23")).exits(0);
    let report = scan(&fleet);
    for hub in [first, second] {
        assert_eq!(classes_of(&report, &hub.name), BTreeSet::from(["in use".to_owned()]), "{}", hub.name);
    }
}
