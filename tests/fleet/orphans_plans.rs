//! `fleet orphans --save` and `--apply`: what is deleted is what is in the plan **and** in a fresh scan.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ::fleet::observed::Volume;
use ::fleet::plan::orphans::Decided;
use ::fleet::saved_plan;
use serde_json::{Value, json};

use crate::common::volumes::{
    ONLY_ANCIENT, PROJECTS, Wanted, all_answer, all_ids, breakable, cinder, hang, make_claim, plant, run,
    text,
};
use crate::common::world::eventually;
use crate::common::{Fleet, Run, breaking, standing, using, world};

/// A command on volumes that this test planted: all others are too young.
struct Planner {
    fleet: &'static Fleet,
    config: String,
    /// The plan's file.
    file: String,
}

impl Planner {
    fn new(fleet: &'static Fleet, name: &str, settings: &str) -> Self {
        let config = fleet.variant(&format!("{name}.toml"), &format!("{ONLY_ANCIENT}\n{settings}"));
        let file = fleet.path(format!("{name}.json")).to_str().expect("UTF-8").to_owned();
        let _ = std::fs::remove_file(&file);
        Self { fleet, config, file }
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        run(self.fleet, &[&["--config", &self.config, "orphans"], args].concat())
    }

    #[track_caller]
    fn save(&self) -> Run {
        self.run(&["--save", &self.file]).exits(0)
    }

    #[track_caller]
    fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["--apply", &self.file], more].concat())
    }

    fn plan(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(&self.file).expect("it is there")).expect("JSON")
    }

    fn write(&self, plan: &Value) {
        let name =
            std::path::Path::new(&self.file).file_name().and_then(|name| name.to_str()).expect("a name");
        self.fleet.write(name, &serde_json::to_string_pretty(plan).expect("JSON"));
    }
}

fn without(all: &BTreeSet<String>, gone: &[&str]) -> BTreeSet<String> {
    all.iter().filter(|id| !gone.contains(&id.as_str())).cloned().collect()
}

/// Why each volume dropped out, by id.
fn dropped(document: &Value) -> BTreeMap<String, (Value, String)> {
    let all = document["dropped"].as_array().unwrap_or_else(|| panic!("nothing dropped out: {document:#}"));
    all.iter().map(|one| (text(&one["id"]), (one["now"].clone(), text(&one["reason"])))).collect()
}

#[test]
fn what_changed_since_the_plan_was_saved_drops_out_and_the_rest_alone_is_deleted() {
    let _breaking = breaking();
    let planner = Planner::new(standing(), "changed", "");
    let planted = plant("alpha", &(0..8).map(|_| Wanted::orphan()).collect::<Vec<_>>());
    let others = plant("beta", &[Wanted::orphan().gib(2)]);
    let [renamed, attached, marked, noted, snapshot, bound, gone, rest] = planted.ids()[..] else {
        panic!("eight")
    };
    let said = planner.save();
    assert!(said.stderr.contains("9 volumes, 10 GiB; it expires at "), "{}", said.stderr);
    assert!(said.stdout.contains("To delete in alpha: 8 volumes, 8 GiB"), "{}", said.stdout);
    let mode = std::fs::metadata(&planner.file).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);

    cinder("alpha").rename(renamed, "home-of-somebody");
    cinder("alpha").reserve(attached);
    cinder("alpha").set_metadata(marked, &json!({ "fleet.keep": "true" }));
    cinder("alpha").set_metadata(noted, &json!({ "note": "looked at" }));
    cinder("alpha").snapshot(snapshot);
    let _claim = make_claim(world().hub("fsu-s23"), "claim-test", "test-bound", bound);
    cinder("alpha").delete(gone);
    eventually("it is gone", Duration::from_secs(20), || !cinder("alpha").has(gone));
    // An orphan that was not there when the plan was made is none of its business.
    let later = plant("alpha", &[Wanted::orphan()]);
    let before = all_ids();

    // Shown first, with everything that dropped out, and nothing is touched.
    let shown = planner.apply(&[]).exits(4).says("2 volumes, 3 GiB, would be deleted for good");
    assert!(shown.stderr.contains(&format!("--apply {} --confirm", planner.file)), "{}", shown.stderr);
    for id in planted.ids() {
        assert_eq!(shown.stdout.contains(id), id == rest, "{id}\n{}", shown.stdout);
        assert_eq!(shown.stderr.contains(&format!("dropped out {id} (")), id != rest, "{}", shown.stderr);
    }
    assert!(!shown.stdout.contains(later.ids()[0]), "{}", shown.stdout);
    assert_eq!(all_ids(), before);
    let document = planner.apply(&["--format", "json"]).exits(4).json();
    assert_eq!(document["volumes"].as_array().expect("volumes").len(), 2);
    assert_eq!(dropped(&document).len(), 7);

    let document = planner.apply(&["--confirm", "--format", "json"]).exits(0).json();
    let why = dropped(&document);
    let is = |id: &str, now: Value, reason: &str| assert_eq!(why[id], (now, reason.to_owned()));
    is(renamed, json!("unmanaged"), "unmanaged: its name is not that of a claim's volume");
    is(attached, json!("attached"), "attached: its status is \"reserved\"");
    is(marked, json!("kept"), "kept: somebody asked to keep it");
    is(noted, json!("orphan"), "its metadata changed since the plan was made");
    is(bound, json!("in_use"), "in use: hub fsu-s23: claim jhub/claim-test");
    is(gone, Value::Null, "it is gone: its project does not have it any more");
    assert!(why[snapshot].1.starts_with("snapshots: it has snapshot "), "{:?}", why[snapshot]);
    assert_eq!(why.len(), 7);
    assert_eq!(document["deleted"], 2);
    assert_eq!(all_ids(), without(&before, &[rest, others.ids()[0]]));

    // Once more: all that is left has dropped out, which is no failure.
    let again = planner.apply(&["--confirm"]).exits(0).says("of 9 volumes in the plan, 0 can be deleted");
    assert_eq!(again.stdout, "No orphans: there is nothing to delete.\n");
    assert_eq!(all_ids(), without(&before, &[rest, others.ids()[0]]));
}

#[test]
fn a_volume_that_was_taken_out_of_the_plan_stays() {
    let _breaking = breaking();
    let planner = Planner::new(standing(), "shrunk", "");
    let planted = plant("alpha", &[Wanted::orphan(), Wanted::orphan(), Wanted::orphan()]);
    planner.save();
    let mut plan = planner.plan();
    plan["volumes"].as_array_mut().expect("volumes").retain(|one| one["volume"]["id"] != planted.ids()[1]);
    planner.write(&plan);
    let before = all_ids();
    let document = planner.apply(&["--confirm", "--format", "json"]).exits(0).json();
    assert_eq!(document["dropped"], json!([]));
    assert_eq!(all_ids(), without(&before, &[planted.ids()[0], planted.ids()[2]]));
}

#[test]
fn an_expired_plan_deletes_nothing() {
    let _breaking = breaking();
    let planner = Planner::new(standing(), "expired", "plan_expires = \"1s\"");
    let _planted = plant("alpha", &[Wanted::orphan()]);
    planner.save();
    std::thread::sleep(Duration::from_millis(2100));
    let before = all_ids();
    let refused = planner.apply(&["--confirm"]).exits(2).says("it expired at ");
    assert!(refused.stderr.contains("fleet orphans --save"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    assert_eq!(all_ids(), before);
    // Its end cannot be put off by hand.
    let mut plan = planner.plan();
    plan["expires_at"] = json!("2999-01-01T00:00:00Z");
    planner.write(&plan);
    planner.apply(&["--confirm"]).exits(2).says("is not as it was saved in this plan");
    assert_eq!(all_ids(), before);
}

#[test]
fn a_volume_in_use_that_is_put_into_a_plan_by_hand_is_not_deleted() {
    let _breaking = breaking();
    let planner = Planner::new(standing(), "added", "");
    let planted = plant("alpha", &[Wanted::orphan()]);
    planner.save();
    let before = all_ids();
    let plan = planner.plan();
    let used = world().volumes_of("claim").into_iter().find(|volume| volume.project == "alpha").expect("one");
    let mut entry = plan["volumes"][0].clone();
    entry["volume"]["id"] = json!(used.id);
    entry["volume"]["name"] = json!(used.name);
    let with = |entry: Value| {
        let mut plan = plan.clone();
        plan["volumes"].as_array_mut().expect("volumes").push(entry);
        plan
    };
    // A slip is noticed when the plan is read,
    planner.write(&with(entry.clone()));
    planner
        .apply(&["--confirm"])
        .exits(2)
        .says(&format!("({}) is not as it was saved in this plan", used.id));
    assert_eq!(all_ids(), before);
    // and who makes the seal fit gets no further.
    let saved = {
        planner.write(&plan);
        saved_plan::read(planner.file.as_ref()).expect("a plan")
    };
    let volume: Volume = serde_json::from_value(entry["volume"].clone()).expect("a volume");
    let forged = Decided { project: saved.volumes[0].project.clone(), volume };
    entry["seal"] = json!(saved.terms.seal(&forged));
    planner.write(&with(entry));
    let document = planner.apply(&["--confirm", "--format", "json"]).exits(0).json();
    let why = dropped(&document);
    assert_eq!(why.keys().collect::<Vec<_>>(), [&used.id]);
    assert_eq!(why[&used.id].0, "in_use");
    assert_eq!(all_ids(), without(&before, &planted.ids()));
}

#[test]
fn with_a_silent_hub_no_plan_is_saved_and_none_is_applied() {
    let _breaking = breaking();
    let fleet = breakable();
    let planner = Planner::new(fleet, "silent", "[timeouts]\nkubernetes = \"3s\"");
    let _planted = plant("alpha", &[Wanted::orphan()]);
    planner.save();
    let saved = planner.plan();
    let other = fleet.path("other.json");
    let page = fleet.path("silent.html");
    let before = all_ids();
    let hanging = hang(world().hub("mvu23s"));
    let save = planner.run(&["--save", other.to_str().unwrap(), "--report", page.to_str().unwrap()]);
    let apply = planner.apply(&["--confirm", "--format", "json"]);
    drop(hanging);
    save.exits(3).says("no plan is saved");
    assert!(!other.exists());
    // The page is for looking, and says it first.
    let page = std::fs::read_to_string(&page).expect("it is there");
    assert!(
        page.contains("Cannot tell which volumes are orphans.") && page.contains("hub mvu23s</strong>: ")
    );
    assert_eq!(apply.exits(3).json()["complete"], false);
    assert_eq!(all_ids(), before);
    assert_eq!(planner.plan(), saved);
    all_answer(fleet);
}

#[test]
fn a_plan_of_more_hubs_than_there_are_now_is_not_applied() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    fleet.answer_for(&["fsu-s23"]);
    fleet.write("ancient.toml", &format!("{}\n{ONLY_ANCIENT}\n", fleet.toml()));
    let _planted = plant("alpha", &[Wanted::orphan()]);
    run(
        &fleet,
        &["--config", fleet.path("ancient.toml").to_str().unwrap(), "orphans", "--save", "plan.json"],
    )
    .exits(0);
    let before = all_ids();
    run(&fleet, &["rm", "mvu23s"]).exits(0);
    fleet.write("ancient.toml", &format!("{}\n{ONLY_ANCIENT}\n", fleet.toml()));
    run(
        &fleet,
        &[
            "--config",
            fleet.path("ancient.toml").to_str().unwrap(),
            "orphans",
            "--apply",
            "plan.json",
            "--confirm",
        ],
    )
    .exits(3)
    .says("hub mvu23s was asked when the plan was saved, and is not in the fleet any more");
    assert_eq!(all_ids(), before);
}

#[test]
fn a_plan_has_the_fleet_the_hubs_and_everything_that_was_seen_of_each_volume() {
    let _using = using();
    let fleet = standing();
    let file = fleet.path("whole.json");
    let _ = std::fs::remove_file(&file);
    run(fleet, &["orphans", "--save", file.to_str().unwrap()]).exits(0);
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(plan["fleet_plan"], 1);
    assert_eq!(plan["fleet"], fleet.name.as_str());
    let hubs: BTreeSet<String> =
        plan["hubs"].as_array().unwrap().iter().map(|hub| text(&hub["hub"])).collect();
    assert_eq!(hubs, world().hubs.iter().map(|hub| hub.name.clone()).collect());
    assert!(
        plan["hubs"].as_array().unwrap().iter().all(|hub| hub["persistent_volumes"].as_u64() >= Some(11))
    );
    let projects: BTreeSet<String> =
        plan["totals"].as_array().unwrap().iter().map(|total| text(&total["name"])).collect();
    assert_eq!(projects, PROJECTS.map(str::to_owned).into());
    let ids: BTreeSet<String> =
        plan["volumes"].as_array().unwrap().iter().map(|one| text(&one["volume"]["id"])).collect();
    let orphans = world().volumes.iter().filter(|volume| volume.class == "orphan");
    assert_eq!(ids, orphans.map(|volume| volume.id.clone()).collect());
    for one in plan["volumes"].as_array().unwrap() {
        assert_eq!(one["volume"]["status"], "available");
        assert_eq!(one["evidence"][0], json!({ "kind": "no_reference", "hubs": world().hubs.len() }));
    }
}

#[test]
fn a_file_that_is_there_is_not_written_over_unless_that_is_asked_for() {
    let fleet = Fleet::empty();
    fleet.write("there.json", "reviewed");
    for option in ["--save", "--report"] {
        let refused = run(&fleet, &["orphans", option, "there.json"]).exits(2);
        assert!(
            refused.stderr.contains("there.json is there already; take another name, or add --overwrite")
        );
    }
    assert_eq!(fleet.read("there.json"), "reviewed");
    run(&fleet, &["orphans", "--save", "none/plan.json"]).exits(2).says("none is no directory");
    run(&fleet, &["orphans", "--save", "a.json", "--report", "a.json"]).exits(2).says("name one file");
    run(&fleet, &["orphans", "--overwrite"]).exits(2);
}

#[test]
fn saving_applying_and_deleting_are_not_asked_for_at_once() {
    let fleet = Fleet::empty();
    fleet.write("plan.json", "{}");
    for args in [
        &["--delete", "--apply", "plan.json"][..],
        &["--save", "a.json", "--delete"],
        &["--save", "a.json", "--apply", "plan.json"],
        &["--confirm"],
        &["--confirm", "--save", "a.json"],
        &["--format", "csv", "--delete"],
        &["--format", "csv", "--apply", "plan.json"],
        &["--format", "csv", "--save", "a.json"],
    ] {
        let refused = run(&fleet, &[&["orphans"], args].concat()).exits(2);
        assert_eq!(refused.stdout, "", "{args:?}");
        assert!(!fleet.path("a.json").exists(), "{args:?}");
    }
}

#[test]
fn what_is_no_plan_is_refused_before_anybody_is_asked() {
    // There is no hub, and no engine either, that could be asked.
    let fleet = Fleet::empty();
    fleet.write("fleet.toml", &format!("engine = \"unix:///nowhere/docker.sock\"\n{}", fleet.header()));
    fleet.write("plan.json", "{\n  \"fleet_plan\": 1,\n  \"made_at\": 7\n}\n");
    let refused = run(&fleet, &["orphans", "--apply", "plan.json", "--confirm"]).exits(2);
    for problem in [
        "plan.json:1: the plan has no \"fleet\"",
        "plan.json:1: the plan has no \"volumes\"",
        "plan.json:3: \"made_at\" of the plan must be a time",
    ] {
        assert!(refused.stderr.contains(problem), "{}", refused.stderr);
    }
    run(&fleet, &["orphans", "--apply", "none.json"]).exits(2).says("cannot read none.json");
    let head = json!({ "fleet_plan": 1, "fleet": "another", "made_at": "2999-01-01T00:00:00Z",
        "expires_at": "2999-01-02T00:00:00Z", "hubs": [], "volumes": [] });
    fleet.write("plan.json", &head.to_string());
    run(&fleet, &["orphans", "--apply", "plan.json"])
        .exits(2)
        .says("it is a plan of the fleet \"another\"")
        .says("it was made in the future");
}
