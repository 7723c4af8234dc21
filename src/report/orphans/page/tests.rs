use proptest::prelude::*;

use super::*;
use crate::hub::OrphanRules;
use crate::observed::{ClaimRef, Metadata, PersistentVolume, ProjectVolumes, Unseen, Volume, VolumeView};
use crate::plan::orphans::plan;
use crate::plan::orphans::samples::{
    answered, hours_ago, hub, now, project, pv, rules, silent, snapshot_of, view, volume, with_metadata,
};

fn aged(number: u64, days: i64, gib: u64) -> Volume {
    Volume { created_at: Some(hours_ago(24 * days)), size_gib: gib, ..volume(number) }
}

fn of_user(number: u64, user: &str) -> Volume {
    let mut volume = volume(number);
    volume.metadata.insert("csi.storage.k8s.io/pvc/name".to_owned(), format!("claim-{user}"));
    volume
}

/// Two projects and two hubs, with a volume of every class.
fn a_view() -> VolumeView {
    let released =
        PersistentVolume { phase: "Released".to_owned(), reclaim_policy: "Retain".to_owned(), ..pv(3) };
    let mut view = view(
        vec![
            aged(1, 20, 40),
            aged(2, 400, 100),
            Volume { size_gib: 7, ..volume(3) },
            volume(4),
            with_metadata(5, "fleet.keep", "yes"),
            with_metadata(6, "cinder.csi.openstack.org/cluster", "theirs"),
            Volume { status: "error".to_owned(), ..volume(7) },
            Volume { status: "in-use".to_owned(), attachments: vec!["server-1".to_owned()], ..volume(8) },
            Volume { status: "creating".to_owned(), ..volume(10) },
            Volume { created_at: Some(now()), ..volume(11) },
            Volume { name: String::new(), metadata: Metadata::new(), size_gib: 1200, ..volume(12) },
        ],
        vec![vec![pv(2), pv(20)], vec![released, pv(9)]],
    );
    view.projects[0].snapshots = vec![snapshot_of(4)];
    view.projects.push(ProjectVolumes {
        project: project("beta"),
        hubs: vec![hub("hub-1")],
        volumes: vec![volume(20), of_user(21, "bob"), aged(22, 900, 3)],
        snapshots: vec![],
        servers: vec![],
        seen_at: now(),
    });
    view
}

/// The operator has answered for the clusters that a volume names, and that holds another.
fn with_answers() -> OrphanRules {
    OrphanRules { foreign: vec![answered("theirs", None), answered("server-1", None)], ..rules() }
}

fn written(view: &VolumeView) -> String {
    page(&plan(view, &with_answers()), "science")
}

/// A tag a line, so that a change shows in few.
fn by_line(page: &str) -> String {
    page.replace(STYLE, "...").replace("><", ">\n<")
}

/// All tags with their attributes, in an order of their own: what a browser obeys.
fn tags(page: &str) -> Vec<String> {
    let mut tags: Vec<String> = page
        .replace(STYLE, "")
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap_or_default().to_owned())
        .collect();
    tags.sort();
    tags
}

#[test]
fn the_page_shows_totals_bars_orphans_and_what_is_lost() {
    insta::assert_snapshot!(by_line(&written(&a_view())));
}

#[test]
fn the_page_on_an_incomplete_view_says_so_first_and_calls_nothing_an_orphan() {
    let mut view = a_view();
    view.unseen = vec![Unseen { hint: Some("docker start it".to_owned()), ..silent("hub-7") }];
    let page = written(&view);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text:?}"));
    assert!(at("Cannot tell which volumes are orphans.") < at("volumes seen"));
    assert!(at("hub hub-7</strong>: it hangs<br><code>docker start it</code>") < at("volumes seen"));
    assert!(!page.contains("<h2>Orphans</h2>") && page.contains("<h2>What may be orphaned</h2>"));
    assert!(!page.contains("class=\"orphan\""));
    assert!(!page.contains("Complete."));
    assert!(page.contains("Nobody can tell as long as not everybody answered."));
}

#[test]
fn a_fleet_without_volumes_has_a_page_too() {
    let page = written(&view(vec![], vec![vec![]]));
    assert!(page.contains("No orphans.") && page.contains("No volumes."));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = written(&a_view());
    for word in ["<script", "<link", "<img", "<iframe", "<object", "@import", "url(http"] {
        assert!(!page.contains(word), "{word}");
    }
    for tag in tags(&page) {
        assert!(![" src=", " href=", " style=", " on"].iter().any(|word| tag.contains(word)), "{tag}");
    }
    assert!(page.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"));
}

#[test]
fn every_orphan_is_there_in_full_and_of_other_classes_as_many_as_can_be_read() {
    let volumes = (0..1000)
        .map(|number| if number < 400 { with_metadata(number, "fleet.keep", "") } else { volume(number) });
    let page = written(&view(volumes.collect(), vec![vec![]]));
    let there = |number| page.contains(&volume(number).id);
    assert!((400..1000).all(there));
    assert_eq!((0..400).filter(|number| there(*number)).count(), 250);
    assert!(page.contains("150 more are not shown here"));
}

#[test]
fn hubs_without_end_are_added_up() {
    let clusters: Vec<Vec<PersistentVolume>> = (0..60).map(|number| vec![pv(number)]).collect();
    let page = written(&view((0..60).map(volume).collect(), clusters));
    assert!(page.contains("<th scope=\"row\">20 more hubs</th>"));
    assert!(page.contains("<td class=\"said\">200 GiB</td>"));
}

#[test]
fn a_hundred_thousand_volumes_have_a_page_that_a_browser_can_read() {
    let volumes: Vec<Volume> = (0..100_000).map(volume).collect();
    let pvs: Vec<PersistentVolume> = (0..90_000).map(pv).collect();
    let page = written(&view(volumes, vec![pvs]));
    assert!(page.contains("10,000 volumes, 100,000 GiB"));
    // 10,000 orphans in full.
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
}

#[test]
fn numbers_have_their_thousands_apart() {
    for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(number), text);
    }
}

/// The same view with other people's words in every place where there can be any.
fn in_the_words_of(text: &str) -> VolumeView {
    let mut view = a_view();
    view.unseen = vec![Unseen { reason: text.to_owned(), hint: Some(text.to_owned()), ..silent("hub-7") }];
    for half in &mut view.projects {
        half.project.name = format!("{}{text}", half.project.name);
        half.project.key.id.push_str(text);
        half.project.key.region.push_str(text);
        half.project.key.auth_url.push_str(text);
        for volume in &mut half.volumes {
            volume.name.push_str(text);
            if volume.status != "available" {
                volume.status.push_str(text);
            }
            for id in &mut volume.attachments {
                id.push_str(text);
            }
            for (_, value) in &mut volume.metadata {
                value.push_str(text);
            }
        }
        for snapshot in &mut half.snapshots {
            snapshot.id.push_str(text);
        }
    }
    for pv in view.clusters.iter_mut().flat_map(|cluster| &mut cluster.persistent_volumes) {
        pv.name.push_str(text);
        pv.reclaim_policy.push_str(text);
        pv.claim = Some(ClaimRef { namespace: text.to_owned(), name: text.to_owned() });
    }
    view
}

/// What is lost is only told of a complete view.
fn complete(view: VolumeView) -> VolumeView {
    VolumeView { unseen: vec![], ..view }
}

#[test]
fn a_volume_called_script_does_nothing() {
    let text = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    for view in [in_the_words_of(text), complete(in_the_words_of(text))] {
        let page = written(&view);
        assert!(!page.contains("<script") && !page.contains("<img"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    }
    assert!(!page(&plan(&a_view(), &rules()), text).contains("<script"));
}

#[test]
fn what_turns_the_direction_of_text_is_not_in_the_page() {
    let page = written(&in_the_words_of("\u{202e}gpj.exe\u{1b}[2J"));
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_from_outside_makes_or_changes_a_tag(text in "[<>&\"'`=/!\\- a-zA-Z\\PC]{1,20}") {
        // The words begin with one that is harmless, so that both views are judged alike.
        let (strange, plain) = (in_the_words_of(&format!("x{text}")), in_the_words_of("x"));
        prop_assert_eq!(tags(&written(&strange)), tags(&written(&plain)));
        prop_assert_eq!(tags(&written(&complete(strange))), tags(&written(&complete(plain))));
    }
}
