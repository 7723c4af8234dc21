use proptest::prelude::*;

use super::*;
use crate::observed::{ClusterVolumes, PersistentVolume, Snapshot, Volume};
use crate::plan::orphans::plan;
use crate::plan::orphans::samples::{
    answered, hours_ago, hub, now, pv, rules, server, silent, snapshot_of, view, volume, volume_id,
    with_metadata,
};

/// The rule of the part that decides, and the class.
fn decided(view: &VolumeView) -> (Option<&'static str>, Class) {
    let why = why(view, &rules(), &volume_id(1));
    let explained = &why.volumes[0];
    let first = explained.parts.iter().find(|part| part.decides);
    assert_eq!(first.map(|part| &part.reason), first.map(|_| &explained.judged.verdict.reason));
    (first.map(|part| part.rule), explained.judged.verdict.class)
}

#[test]
fn each_class_is_explained_by_the_part_of_the_rule_that_it_comes_from() {
    let status = |status: &str| Volume { status: status.to_owned(), ..volume(1) };
    let released = PersistentVolume { phase: "Released".to_owned(), ..pv(1) };
    let of = |volume: Volume, pvs: Vec<PersistentVolume>| view(vec![volume], vec![pvs]);
    let mut snapshotted = of(volume(1), vec![]);
    snapshotted.projects[0].snapshots = vec![snapshot_of(1)];
    let mut incomplete = of(volume(1), vec![]);
    incomplete.unseen = vec![silent("hub-7")];
    let mut blocked = of(volume(1), vec![]);
    blocked.projects[0].servers = vec![server("theirs-k8s-node-1")];
    let mut after_a_removal = of(volume(1), vec![]);
    after_a_removal.clusters.push(ClusterVolumes {
        hub: hub("gone"),
        removed_at: Some(hours_ago(24 * 40)),
        ..after_a_removal.clusters[0].clone()
    });
    for (view, rule, class) in [
        (of(volume(1), vec![pv(1)]), Some("no PV and no claim of any hub refers to it"), Class::InUse),
        (of(volume(1), vec![released]), Some("no PV and no claim of any hub refers to it"), Class::Released),
        (of(with_metadata(1, "fleet.keep", "yes"), vec![]), Some("nobody asked to keep it"), Class::Kept),
        (
            of(with_metadata(1, "KubernetesCluster", "theirs"), vec![]),
            Some("it names no cluster that is not of this fleet"),
            Class::Foreign,
        ),
        (of(status("error"), vec![]), Some("it is not in error"), Class::Error),
        (of(status("reserved"), vec![]), Some("it is not attached"), Class::Attached),
        (of(status("maintenance"), vec![]), Some("it is available"), Class::Busy),
        (snapshotted, Some("it has no snapshot"), Class::Snapshots),
        (
            of(Volume { name: "data".to_owned(), ..volume(1) }, vec![]),
            Some("it was made for a claim"),
            Class::Unmanaged,
        ),
        (of(Volume { created_at: None, ..volume(1) }, vec![]), Some("it is old enough"), Class::Young),
        (after_a_removal, Some("it is older than every removal of a hub that is remembered"), Class::Foreign),
        (incomplete, Some("every hub and every project answered in full"), Class::CannotTell),
        (blocked, Some("no cluster that fleet does not know of may use its project"), Class::CannotTell),
        (of(volume(1), vec![]), None, Class::Orphan),
    ] {
        assert_eq!(decided(&view), (rule, class));
    }
}

#[test]
fn nobody_can_tell_where_a_hub_is_silent() {
    let mut view = view(vec![volume(1)], vec![vec![]]);
    let told = |view: &VolumeView| {
        let rules = rules();
        let why = why(view, &rules, &volume_id(1));
        (why.is_complete(), why.volumes[0].cannot_tell())
    };
    assert_eq!(told(&view), (true, false));
    view.unseen = vec![silent("hub-7")];
    assert_eq!(told(&view), (false, true));
}

#[test]
fn every_part_is_answered_also_after_the_one_that_decides() {
    let mut view = view(
        vec![Volume { created_at: Some(now()), ..with_metadata(1, "fleet.keep", "yes") }],
        vec![vec![pv(1)], vec![pv(2)]],
    );
    view.projects[0].snapshots = vec![Snapshot { id: "s".to_owned(), volume_id: volume_id(1) }];
    let rules = rules();
    let why = why(&view, &rules, &volume_id(1));
    let [explained] = &why.volumes[..] else { panic!("one") };
    assert_eq!(explained.snapshots, ["s"]);
    let against: Vec<&str> =
        explained.parts.iter().filter(|part| !part.holds).map(|part| part.rule).collect();
    assert_eq!(
        against,
        [
            "no PV and no claim of any hub refers to it",
            "nobody asked to keep it",
            "it has no snapshot",
            "it is old enough"
        ]
    );
    assert!(explained.parts.iter().filter(|part| !part.holds).all(|part| !part.evidence.is_empty()));
    assert_eq!(explained.parts.iter().filter(|part| part.decides).count(), 1);
    assert_eq!(explained.parts.len(), CHECKS.len());
}

#[test]
fn what_holds_says_what_was_looked_at() {
    let mut view = view(vec![volume(1)], vec![vec![pv(2), pv(3)], vec![]]);
    let stone =
        ClusterVolumes { hub: hub("gone"), removed_at: Some(hours_ago(1)), ..view.clusters[0].clone() };
    view.clusters.push(stone);
    let rules = rules();
    let why = why(&view, &rules, &volume_id(1));
    let reasons: Vec<&str> = why.volumes[0].parts.iter().map(|part| part.reason.as_str()).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    none of 2 PVs and 0 claims in 2 hubs refers to it, nor any of 2 PVs and 0 claims that 1 removed hub had
    its metadata has no fleet.keep, and no fleet.keep-until that is still to come
    it has cinder.csi.openstack.org/cluster=kubernetes
    its status is "available"
    its status is "available", and it has no attachment
    its status is "available"
    no snapshot in any project is of it
    its whole name is pvc-00000001-0000-4000-8000-000000000001, and it is not bootable
    Cinder made it at 2026-01-30T12:00:00Z, 30 days ago, and 24h are enough
    the first one, of hub gone, was at 2026-03-01T11:00:00Z
    they did
    all that were found are hubs, or were answered for in fleet.toml
    "#);
}

#[test]
fn an_age_is_told_in_hours_and_from_two_days_on_in_days() {
    let told = |hours| {
        let view = view(vec![Volume { created_at: Some(hours_ago(hours)), ..volume(1) }], vec![vec![]]);
        let rules = rules();
        let why = why(&view, &rules, &volume_id(1));
        let parts: Vec<&str> = why.volumes[0].parts.iter().map(|part| part.reason.as_str()).collect();
        parts
            .iter()
            .find_map(|part| part.split(", ").find(|words| words.ends_with(" ago")).map(str::to_owned))
    };
    assert_eq!(told(30).as_deref(), Some("30 hours ago"));
    assert_eq!(told(47).as_deref(), Some("47 hours ago"));
    assert_eq!(told(48).as_deref(), Some("2 days ago"));
    assert_eq!(told(100).as_deref(), Some("4 days ago"));
}

#[test]
fn an_id_is_looked_for_before_a_name_and_a_name_may_be_that_of_many() {
    let named = Volume { name: volume_id(1), ..volume(2) };
    let twin = Volume { id: volume_id(4), ..volume(3) };
    let view = view(vec![volume(1), named, volume(3), twin], vec![vec![]]);
    let found = |wanted: &str| -> Vec<String> {
        let rules = rules();
        why(&view, &rules, wanted).volumes.iter().map(|one| one.judged.volume.id.clone()).collect()
    };
    assert_eq!(found(&volume_id(1)), [volume_id(1)]);
    assert_eq!(found(&volume_id(2).to_uppercase()), [volume_id(2)]);
    assert_eq!(found(&volume(3).name), [volume_id(3), volume_id(4)]);
    assert_eq!(found("pvc-"), [""; 0]);
}

#[test]
fn what_was_asked_is_told_with_its_numbers_and_times() {
    let mut view =
        view(vec![volume(1), with_metadata(7, "KubernetesCluster", "theirs")], vec![vec![pv(2)], vec![]]);
    view.projects[0].seen_at = hours_ago(3);
    view.clusters[0].seen_at = hours_ago(2);
    view.projects[0].servers = vec![server("a"), server("b")];
    view.unseen = vec![silent("hub-7")];
    let rules = OrphanRules { foreign: vec![answered("theirs", None)], ..rules() };
    let why = why(&view, &rules, "nothing");
    assert!(why.volumes.is_empty() && !why.is_complete());
    let Asked { projects, hubs, old_containers, foreign_clusters, unseen, seen_at } = &why.asked;
    let project = &projects[0];
    assert_eq!((project.volumes, project.snapshots, project.servers), (2, 0, 2));
    assert_eq!((project.seen_at, hubs[0].seen_at, *seen_at), (hours_ago(3), hours_ago(2), now()));
    assert_eq!((hubs[0].persistent_volumes, hubs[1].persistent_volumes), (1, 0));
    assert_eq!((*old_containers, unseen.len()), (0, 1));
    assert_eq!(foreign_clusters[0].answered[0].reason, "it has none");
}

#[test]
fn a_volume_that_two_lists_have_and_not_alike_is_explained_as_it_is_judged() {
    let mut view = view(vec![volume(1)], vec![vec![]]);
    let mut again = view.projects[0].clone();
    again.project.key.auth_url = "https://alias:5000/v3".to_owned();
    again.volumes[0].size_gib = 11;
    view.projects.push(again);
    let (rule, class) = decided(&view);
    assert_eq!((rule, class), (Some("every list that has it says the same of it"), Class::Busy));
}

proptest! {
    #[test]
    fn the_explanation_is_the_judgement(
        status in prop::sample::select(vec!["available", "in-use", "error", "retyping"]),
        days in prop::option::of(0i64..3),
        bootable in any::<bool>(),
        mark in prop::sample::select(vec![("note", "x"), ("fleet.keep", "1"), ("cluster", "theirs"), ("cluster", "hub-0")]),
        used in any::<bool>(),
        snapshotted in any::<bool>(),
        complete in any::<bool>(),
        node in any::<bool>(),
    ) {
        let volume = Volume {
            status: status.to_owned(),
            created_at: days.map(|days| hours_ago(days * 24)),
            bootable,
            ..with_metadata(1, mark.0, mark.1)
        };
        let mut view = view(vec![volume], vec![if used { vec![pv(1)] } else { vec![] }]);
        view.projects[0].snapshots.extend(snapshotted.then(|| snapshot_of(1)));
        view.unseen.extend((!complete).then(|| silent("hub-7")));
        view.projects[0].servers.extend(node.then(|| server("theirs-k8s-node-1")));
        let rules = rules();
        let plan = plan(&view, &rules);
        let why = why(&view, &rules, &volume_id(1));
        let explained = &why.volumes[0];
        prop_assert_eq!(&explained.judged, &plan.volumes()[0]);
        let first = explained.parts.iter().find(|part| !part.holds);
        if let Some(part) = first {
            prop_assert!(part.decides);
            prop_assert_eq!(&part.reason, &explained.judged.verdict.reason);
            prop_assert_eq!(&part.evidence, &explained.judged.verdict.evidence);
        } else {
            prop_assert_eq!(explained.judged.verdict.class, Class::Orphan);
        }
    }
}
