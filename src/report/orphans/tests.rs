use super::*;
use crate::exit::Exit;
use crate::hub::OrphanRules;
use crate::observed::{PersistentVolume, Volume, VolumeView};
use crate::plan::orphans::samples::{
    answered, old_container, pv, rules, server, silent, snapshot_of, view, volume, with_metadata,
};
use crate::plan::orphans::{Decided, plan, why as explain};

fn a_view() -> VolumeView {
    let released =
        PersistentVolume { phase: "Released".to_owned(), reclaim_policy: "Retain".to_owned(), ..pv(3) };
    let mut view = view(
        vec![volume(1), volume(2), volume(3), volume(4), with_metadata(5, "fleet.keep", "yes")],
        vec![vec![pv(2)], vec![released, pv(9)]],
    );
    view.projects[0].snapshots = vec![snapshot_of(4)];
    view
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_report_shows_totals_orphans_and_lost_claims() {
    let view = a_view();
    let plan = plan(&view, &rules());
    insta::assert_snapshot!(text(|out| table(out, &plan, Look::default())));
}

#[test]
fn the_whole_report_shows_every_volume_with_reason_and_evidence() {
    let view = a_view();
    let plan = plan(&view, &rules());
    insta::assert_snapshot!(text(|out| table(out, &plan, Look { width: None, all: true })));
}

#[test]
fn the_report_on_an_incomplete_view_says_what_was_not_seen() {
    let mut view = a_view();
    view.unseen = vec![silent("hub-7")];
    let plan = plan(&view, &rules());
    insta::assert_snapshot!(text(|out| table(out, &plan, Look::default())));
}

#[test]
fn the_document_for_scripts_has_everything() {
    let view = a_view();
    let plan = plan(&view, &rules());
    insta::assert_snapshot!(text(|out| json(out, &plan)));
}

#[test]
fn what_would_be_deleted_is_shown_first() {
    let view = a_view();
    let planned = plan(&view, &rules()).deletions().unwrap();
    insta::assert_snapshot!(text(|out| deletions(out, &planned, Look::default())));
    let nothing = plan(&VolumeView { projects: vec![], ..view }, &rules()).deletions().unwrap();
    assert_eq!(
        text(|out| deletions(out, &nothing, Look::default())),
        "No orphans: there is nothing to delete.\n"
    );
}

#[test]
fn a_name_from_outside_is_shown_without_control_characters() {
    let mut view = a_view();
    view.projects[0].project.name = "al\u{1b}[31mpha".to_owned();
    view.projects[0].volumes[1].name = "x\u{1b}]0;title\u{7}".to_owned();
    view.projects[0].volumes[0].metadata.insert("csi.storage.k8s.io/pvc/name".to_owned(), "a\nb".to_owned());
    let plan = plan(&view, &rules());
    for all in [false, true] {
        let text = text(|out| table(out, &plan, Look { width: None, all }));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
    let planned = plan.deletions().unwrap();
    let explained = explain(&view, &rules(), &view.projects[0].volumes[0].id);
    let said = text(|out| why(out, &explained));
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    let text = text(|out| deletions(out, &planned, Look::default()));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn the_outcome_names_what_was_kept_and_what_failed() {
    let view = view((0..6).map(volume).collect(), vec![vec![]]);
    let planned = plan(&view, &rules()).deletions().unwrap();
    let outcomes = [
        Outcome::Deleted,
        Outcome::AlreadyGone,
        Outcome::Kept { reason: "in use: hub ou23s: claim jhub/claim-alice".to_owned() },
        Outcome::Failed { reason: "Cinder refused: HTTP 400: it has\u{1b} snapshots".to_owned() },
        Outcome::Pending {
            reason: "Cinder accepted the deletion, but the volume is still there: its status is \"deleting\""
                .to_owned(),
        },
        Outcome::NotStarted,
    ];
    let done = Summary {
        outcomes: planned.volumes().iter().zip(outcomes).collect(),
        silent: vec![silent("hub-7")],
        unrecorded: None,
        interrupted: false,
    };
    assert_eq!(done.exit(), Exit::CannotTell);
    insta::assert_snapshot!("outcome", text(|out| summary(out, &done)));
    insta::assert_snapshot!("outcome_json", text(|out| summary_json(out, &done, None)));
}

#[test]
fn the_table_for_spreadsheets_has_every_volume() {
    let view = a_view();
    let plan = plan(&view, &rules());
    let text = text(|out| csv(out, &plan));
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    insta::assert_snapshot!(text.replace("\r\n", "\n"));
}

#[test]
fn a_table_for_spreadsheets_has_a_heading_also_without_volumes() {
    let nothing = view(vec![], vec![vec![]]);
    let text = text(|out| csv(out, &plan(&nothing, &rules())));
    assert!(
        text.starts_with("project,project_id,region,class,id,name,size_gib,")
            && text.ends_with("evidence\r\n")
    );
}

#[test]
fn no_cell_is_taken_for_a_formula_and_every_value_stays_in_its_cell() {
    let mut view = a_view();
    let names = ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\r\n=1", "＝1", "a\"b,c", "a\nb", "'=1", "1=1"];
    view.projects[0].volumes =
        (0..).zip(names).map(|(number, name)| Volume { name: name.to_owned(), ..volume(number) }).collect();
    let text = text(|out| csv(out, &plan(&view, &rules())));
    let mut lines = ::csv::Reader::from_reader(text.as_bytes());
    let mut read: Vec<String> = lines.records().map(|line| line.unwrap()[5].to_owned()).collect();
    read.sort();
    let mut expected = [
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        "' =1",
        "\u{fffd}=1",
        "\u{fffd}\u{fffd}=1",
        "'＝1",
        "a\"b,c",
        "a\u{fffd}b",
        "'=1",
        "1=1",
    ];
    expected.sort_unstable();
    assert_eq!(read, expected);
}

#[test]
fn what_dropped_out_of_a_saved_plan_is_told_for_people_and_for_scripts() {
    let view = view((0..3).map(volume).collect(), vec![vec![pv(1)]]);
    let fresh = plan(&view, &rules());
    let saved: Vec<Decided> = [0, 1, 7]
        .map(|number| Decided { project: view.projects[0].project.clone(), volume: volume(number) })
        .into();
    let (both, gone) = fresh.deletions().unwrap().only(&fresh, &saved);
    let lines: Vec<String> = gone.iter().map(dropped).collect();
    insta::assert_snapshot!("dropped", lines.join("\n"));
    insta::assert_snapshot!("dropped_json", text(|out| deletions_json(out, &both, Some(&gone))));
    let document = text(|out| summary_json(out, &Summary::default(), Some(&gone)));
    assert_eq!(document.matches("\"reason\"").count(), 2);
    for nothing in [
        text(|out| deletions_json(out, &both, None)),
        text(|out| summary_json(out, &Summary::default(), None)),
    ] {
        assert!(!nothing.contains("dropped"), "{nothing}");
    }
}

/// One cluster that blocks by its server, one that does by a container, and one that was answered for.
fn a_blocked_view() -> (VolumeView, OrphanRules) {
    let mut view = a_view();
    view.projects[0].servers = ["mvu-test-1", "mvu-test-k8s-node-nf-1"].map(server).to_vec();
    view.projects[0].servers.extend((2..7).map(|n| server(&format!("mvu-test-k8s-node-nf-{n}"))));
    view.outside.containers = vec![old_container("old", "149.165.9.9")];
    view.projects[0].volumes.push(with_metadata(7, "cinder.csi.openstack.org/cluster", "theirs"));
    (view, OrphanRules { foreign: vec![answered("theirs", None)], ..rules() })
}

#[test]
fn clusters_that_block_are_told_with_the_evidence_and_what_to_do() {
    let (view, rules) = a_blocked_view();
    let plan = plan(&view, &rules);
    insta::assert_snapshot!(text(|out| table(out, &plan, Look::default())));
    insta::assert_snapshot!(unknown_in_words(&plan));
    let document: serde_json::Value = serde_json::from_str(&text(|out| json(out, &plan))).unwrap();
    assert_eq!(document["unknown_clusters"][0]["signs"].as_array().unwrap().len(), 7);
    assert_eq!(document["answered_clusters"][0]["answered"][0]["reason"], "it has none");
}

#[test]
fn one_volume_is_explained_for_people_and_for_scripts() {
    let (view, rules) = a_blocked_view();
    let told = explain(&view, &rules, &volume(1).id);
    insta::assert_snapshot!(text(|out| why(out, &told)));
    let document: serde_json::Value = serde_json::from_str(&text(|out| why_json(out, &told))).unwrap();
    assert_eq!(document["volumes"][0]["class"], "cannot_tell");
    assert_eq!(document["asked"]["projects"][0]["servers"], 7);
}

#[test]
fn a_run_that_could_not_be_written_down_says_so() {
    let done =
        Summary { unrecorded: Some("cannot write j: no\u{1b} space".to_owned()), ..Summary::default() };
    assert_eq!(done.exit(), Exit::Failed);
    assert_eq!(
        text(|out| summary(out, &done)),
        "Deleted: 0 volumes, 0 GiB\nStopped: cannot write j: no\u{fffd} space. What cannot be written down is not done.\n"
    );
    assert!(text(|out| summary_json(out, &done, None)).contains("\"unrecorded\": \"cannot write j"));
}
