//! What volumes' metadata can say: the mark of the quarantine, and the wish to keep one.

use serde_json::{Value, json};

use crate::common::volumes::{
    ONLY_ANCIENT, Report, Wanted, all_answer, all_ids, cinder, hang, plant, run, text,
};
use crate::common::{Fleet, breaking, standing, world};

fn scan(fleet: &Fleet, config: &str) -> Report {
    Report::of(&run(fleet, &["--config", config, "orphans", "--format", "json"]).exits(0))
}

fn metadata(report: &Report, id: &str) -> Value {
    report.volume(id)["metadata"].clone()
}

fn date(ago: &str) -> String {
    crate::common::world::sh("date", &["-u", "-d", ago, "+%Y-%m-%dT%H:%M:%SZ"])
}

#[test]
fn orphans_are_marked_and_what_is_no_orphan_any_more_loses_its_mark() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("marking.toml", ONLY_ANCIENT);
    let planted = plant(
        "alpha",
        &[
            Wanted::orphan(),
            Wanted::orphan().marked("fleet.orphan-since", "2026-01-02T03:04:05Z"),
            Wanted::orphan()
                .marked("fleet.orphan-since", "2026-01-02T03:04:05Z")
                .marked("fleet.keep", "true"),
            Wanted::orphan().marked("fleet.orphan-since", "some day"),
        ],
    );
    let [fresh, marked, kept, odd] = planted.ids()[..] else { panic!("four") };
    let others = || -> Vec<Value> {
        let report = scan(fleet, &config);
        let others =
            report.volumes().iter().filter(|volume| !planted.ids().contains(&text(&volume["id"]).as_str()));
        others.map(|volume| volume["metadata"].clone()).collect()
    };
    let (before, everything) = (others(), all_ids());
    let done = run(fleet, &["--config", &config, "orphans", "--mark"]).exits(0);
    assert!(
        done.stdout.starts_with("Marked: 2 volumes\nMarked already: 1 volume\nTaken off: 1 volume\n"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains(&format!("taken off {kept} (")), "{}", done.stdout);
    let report = scan(fleet, &config);
    for id in [fresh, odd] {
        let since = text(&metadata(&report, id)["fleet.orphan-since"]);
        assert!(date("2 minutes ago") < since && since <= date("now"), "{since}");
    }
    assert_eq!(metadata(&report, fresh)["cinder.csi.openstack.org/cluster"], "kubernetes");
    assert_eq!(metadata(&report, marked)["fleet.orphan-since"], "2026-01-02T03:04:05Z");
    assert_eq!(metadata(&report, kept).get("fleet.orphan-since"), None);
    assert_eq!(metadata(&report, kept)["fleet.keep"], "true");
    assert_eq!((others(), all_ids()), (before, everything));

    // A second time changes nothing.
    let again = run(fleet, &["--config", &config, "orphans", "--mark", "--format", "json"]).exits(0).json();
    let outcomes: Vec<&Value> =
        again["volumes"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["stays"; 3]);
}

#[test]
fn only_what_has_been_marked_for_so_long_is_deleted() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("marking.toml", ONLY_ANCIENT);
    let mark = |ago: &str| Wanted::orphan().marked("fleet.orphan-since", &date(ago));
    let planted = plant(
        "alpha",
        &[
            Wanted::orphan(),
            mark("6 days ago"),
            mark("8 days ago"),
            mark("8 days"),
            mark("8 days ago").marked("fleet.keep", ""),
        ],
    );
    let [unmarked, recent, ripe, future, kept] = planted.ids()[..] else { panic!("five") };
    let delete = ["--config", &config, "orphans", "--delete", "--marked-for", "7d"];
    let plan = fleet.path("ripe.json").to_string_lossy().into_owned();
    let _ = std::fs::remove_file(&plan);
    run(fleet, &["--config", &config, "orphans", "--save", &plan, "--marked-for", "7d"])
        .exits(0)
        .says("3 orphans not marked for 7d yet: kept")
        .says("1 volume, 1 GiB; it expires at");
    assert!(fleet.read("ripe.json").contains(ripe));
    run(fleet, &["--config", &config, "orphans", "--apply", &plan, "--marked-for", "9d"])
        .exits(0)
        .says("none that is to be deleted now");
    run(fleet, &delete)
        .exits(4)
        .says("3 orphans not marked for 7d yet: kept")
        .says("orphans --delete --marked-for 7d --confirm");
    run(fleet, &[&delete[..], &["--confirm"]].concat()).exits(0);
    assert!(!cinder("alpha").has(ripe));
    for id in [unmarked, recent, future, kept] {
        assert!(cinder("alpha").has(id));
    }
    run(fleet, &["orphans", "--marked-for", "7d"]).exits(2);
    run(fleet, &["orphans", "--delete", "--marked-for", "soon"]).exits(2).says("is not a length of time");
}

#[test]
fn with_a_hub_silent_nothing_is_marked() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("marking.toml", &format!("{ONLY_ANCIENT}\n\n[timeouts]\nkubernetes = \"5s\""));
    let planted = plant("alpha", &[Wanted::orphan()]);
    let hanging = hang(world().hub("mvu23s"));
    run(fleet, &["--config", &config, "orphans", "--mark"]).exits(3).says("cannot tell");
    // Whoever asks to keep a volume needs no cluster for it.
    let [id] = planted.ids()[..] else { panic!("one") };
    run(fleet, &["--config", &config, "orphans", "keep", id]).exits(0).says("is kept for good");
    drop(hanging);
    all_answer(fleet);
    let kept = metadata(&scan(fleet, &config), id);
    assert_eq!(kept["fleet.keep"], "true");
    assert_eq!(kept.get("fleet.orphan-since"), None);
}

#[test]
fn a_volume_is_kept_and_not_kept_as_somebody_asks() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("marking.toml", ONLY_ANCIENT);
    let planted = plant("alpha", &[Wanted::orphan(), Wanted::orphan()]);
    let (id, name) = &planted.volumes[0];
    let fleet_does = |args: &[&str]| run(fleet, &[&["--config", &config, "orphans"][..], args].concat());
    let told = || {
        let report = scan(fleet, &config);
        (report.class(id), text(&report.volume(id)["reason"]))
    };
    let before = metadata(&scan(fleet, &config), id);
    let is = |reason: &str| ("kept".to_owned(), format!("somebody asked to keep it{reason}"));

    // By name, where no other volume has it.
    fleet_does(&["keep", name, "--until", "2099-06-30", "--reason", "Anna's \u{1f393} thesis"])
        .exits(0)
        .says("is kept until 2099-06-30");
    assert_eq!(told(), is(" until 2099-06-30: Anna's \u{1f393} thesis"));
    fleet_does(&["keep", id]).exits(0).says(
        "is kept for good (before: fleet.keep-reason=Anna's \u{1f393} thesis, fleet.keep-until=2099-06-30)",
    );
    assert_eq!(told(), is(": Anna's \u{1f393} thesis"));
    fleet_does(&["--delete", "--confirm"]).exits(0);
    assert!(cinder("alpha").has(id) && !cinder("alpha").has(planted.ids()[1]));

    fleet_does(&["unkeep", id]).exits(0).says("is not kept any more");
    assert_eq!(metadata(&scan(fleet, &config), id), before);
    assert_eq!(told().0, "orphan");
    fleet_does(&["unkeep", id]).exits(0).says("was not kept by anybody");

    for (wrong, why) in [
        (&["keep", id, "--until", "2020-01-01"][..], "2020-01-01 is over already"),
        (&["keep", id, "--until", "June"], "is not a date"),
        (&["keep", "no-such-volume"], "no project of the fleet has a volume"),
        (&["keep", ""], "no project of the fleet has a volume"),
    ] {
        fleet_does(wrong).exits(2).says(why);
    }
    assert_eq!(metadata(&scan(fleet, &config), id), before);
}

#[test]
fn whoever_asks_to_keep_a_volume_while_others_are_deleted_is_told_whether_it_came_in_time() {
    let _breaking = breaking();
    let fleet = standing();
    let planted = plant("alpha", &[Wanted::orphan()]);
    let id = planted.ids()[0];
    // A run of deletions holds the journal as long as it goes on.
    let directory = fleet.path("jhubs/_fleet");
    std::fs::create_dir_all(&directory).unwrap();
    let journal = directory.join("journal.jsonl");
    let journal = std::fs::OpenOptions::new().create(true).append(true).open(journal).unwrap();
    journal.lock().unwrap();
    let began = std::time::Instant::now();
    run(fleet, &["orphans", "keep", id])
        .exits(0)
        .says("volumes of this fleet are being deleted right now: looking again in 20 s")
        .says("is kept for good");
    assert!(began.elapsed().as_secs() >= 20);
    drop(journal);
    run(fleet, &["orphans", "unkeep", id]).exits(0);
}

#[test]
fn a_name_that_two_volumes_have_says_which_they_are() {
    let _breaking = breaking();
    let fleet = standing();
    let name = crate::common::volumes::claim_name(0xcccc);
    let planted = [plant("alpha", &[Wanted::named(&name)]), plant("beta", &[Wanted::named(&name).gib(2)])];
    let [one, other] = [planted[0].ids()[0], planted[1].ids()[0]];
    run(fleet, &["orphans", "keep", &name])
        .exits(2)
        .says(&format!("{one} (1 GiB, project alpha)"))
        .says(&format!("{other} (2 GiB, project beta)"));
    run(fleet, &["orphans", "keep", other]).exits(0);
    let report = Report::of(&run(fleet, &["orphans", "--format", "json"]).exits(0));
    assert_eq!(report.class(other), "kept");
    assert_ne!(report.class(one), "kept");
    assert_eq!(metadata(&report, other)["fleet.keep"], json!("true"));
}
