use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::plan;
use super::super::properties::{a_view, a_volume};
use super::super::samples::{hours_ago, project, pv, rules, snapshot_of, view, volume, with_metadata};
use super::*;
use crate::observed::VolumeView;

fn decided(volume: Volume) -> Decided {
    Decided { project: project("alpha"), volume }
}

/// What is left of a decision on volume 1 as it is in the samples, if it is this now.
fn left(now: &VolumeView) -> Result<usize, (Option<Class>, String)> {
    let fresh = plan(now, &rules());
    let (deletions, mut dropped) = fresh.deletions().unwrap().only(&fresh, &[decided(volume(1))]);
    match dropped.pop() {
        None => Ok(deletions.volumes().len()),
        Some(one) => {
            assert!(deletions.is_empty() && dropped.is_empty());
            Err((one.now, one.reason))
        }
    }
}

fn left_of(now: Volume) -> Result<usize, (Option<Class>, String)> {
    left(&view(vec![now, volume(2)], vec![vec![]]))
}

#[test]
fn an_orphan_that_is_as_it_was_is_deleted_and_one_that_came_later_is_not() {
    let now = view(vec![volume(1), volume(2)], vec![vec![]]);
    let fresh = plan(&now, &rules());
    let (deletions, dropped) = fresh.deletions().unwrap().only(&fresh, &[decided(volume(1))]);
    assert_eq!(
        deletions.volumes().iter().map(|planned| planned.volume.clone()).collect::<Vec<_>>(),
        [volume(1)]
    );
    assert_eq!(deletions.hubs(), fresh.deletions().unwrap().hubs());
    assert_eq!(dropped, []);
}

#[test]
fn whatever_changed_since_the_decision_makes_it_drop_out() {
    let orphan = |reason: &str| Err((Some(Class::Orphan), reason.to_owned()));
    let one = || volume(1);
    assert_eq!(left_of(one()), Ok(1));
    assert_eq!(
        left_of(Volume { name: volume(3).name, ..one() }),
        orphan("its name changed since the plan was made")
    );
    assert_eq!(left_of(Volume { size_gib: 11, ..one() }), orphan("its size changed since the plan was made"));
    assert_eq!(
        left_of(Volume { created_at: Some(hours_ago(9000)), ..one() }),
        orphan("its time of creation changed since the plan was made")
    );
    assert_eq!(
        left_of(with_metadata(1, "note", "x")),
        orphan("its metadata changed since the plan was made")
    );
}

#[test]
fn what_is_no_orphan_any_more_drops_out_with_what_it_is_now() {
    let is = |class, reason: &str| Err((Some(class), reason.to_owned()));
    assert_eq!(
        left_of(Volume { status: "reserved".to_owned(), ..volume(1) }),
        is(Class::Attached, "attached: its status is \"reserved\"")
    );
    assert_eq!(
        left_of(Volume { attachments: vec!["server-1".to_owned()], ..volume(1) }),
        is(Class::Attached, "attached: it is attached to server-1")
    );
    assert_eq!(
        left_of(Volume { bootable: true, ..volume(1) }),
        is(Class::Unmanaged, "unmanaged: it is bootable, so a server's disk, whatever its name says")
    );
    assert_eq!(
        left_of(with_metadata(1, "fleet.keep", "x")),
        is(Class::Kept, "kept: somebody asked to keep it")
    );
    assert_eq!(
        left(&view(vec![volume(1)], vec![vec![pv(1)]])),
        is(Class::InUse, "in use: hub hub-0: claim jhub/claim-alice")
    );
    let mut snapshotted = view(vec![volume(1)], vec![vec![]]);
    snapshotted.projects[0].snapshots = vec![snapshot_of(1)];
    assert_eq!(left(&snapshotted), is(Class::Snapshots, "snapshots: it has snapshot snapshot-1"));
}

#[test]
fn what_is_nowhere_any_more_drops_out() {
    assert_eq!(
        left(&view(vec![volume(2)], vec![vec![]])),
        Err((None, "it is gone: its project does not have it any more".to_owned()))
    );
    let mut moved = view(vec![volume(1)], vec![vec![]]);
    moved.projects[0].project = project("beta");
    assert_eq!(left(&moved), Err((Some(Class::Orphan), "it is in another project now: beta".to_owned())));
    moved.projects[0].volumes.clear();
    assert_eq!(
        left(&moved),
        Err((None, "the credentials of no hub lead to its project any more".to_owned()))
    );
}

#[test]
fn a_project_that_was_only_given_another_name_is_the_same() {
    let mut renamed = view(vec![volume(1)], vec![vec![]]);
    renamed.projects[0].project.name = "another name".to_owned();
    assert_eq!(left(&renamed), Ok(1));
}

#[test]
fn an_orphan_that_is_not_to_be_deleted_now_drops_out() {
    let now = view(vec![volume(1), volume(2)], vec![vec![]]);
    let fresh = plan(&now, &rules());
    let (chosen, _) = fresh.deletions().unwrap().only(&fresh, &[decided(volume(2))]);
    let (deletions, dropped) = chosen.only(&fresh, &[decided(volume(1))]);
    assert!(deletions.is_empty());
    assert_eq!(dropped[0].reason, "it is an orphan, but none that is to be deleted now");
    // Where it changed as well, that is what is told.
    let (_, dropped) = chosen.only(&fresh, &[decided(Volume { size_gib: 1, ..volume(1) })]);
    assert!(dropped[0].reason.starts_with("its size"), "{}", dropped[0].reason);
}

#[test]
fn two_decisions_on_one_volume_that_do_not_agree_drop_it() {
    let now = view(vec![volume(1)], vec![vec![]]);
    let fresh = plan(&now, &rules());
    let twice = [decided(volume(1)), decided(Volume { size_gib: 11, ..volume(1) })];
    let (deletions, dropped) = fresh.deletions().unwrap().only(&fresh, &twice);
    assert!(deletions.is_empty());
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0].reason, "it was decided twice, and the two do not agree");
}

/// What somebody might have decided earlier on: any volume of the view, as it is now or not, and volumes that are not
/// in it.
fn decisions(view: &VolumeView, changes: &[u8], others: Vec<Volume>) -> Vec<Decided> {
    let all = view
        .projects
        .iter()
        .flat_map(|half| half.volumes.iter().map(|volume| (half.project.clone(), volume.clone())))
        .chain(others.into_iter().map(|other| (project("alpha"), other)));
    all.zip(changes.iter().cycle())
        .filter_map(|((project, volume), change)| {
            let volume = match change {
                0 => return None,
                1 => Volume { size_gib: volume.size_gib + 1, ..volume },
                2 => Volume { name: format!("{}-x", volume.name), ..volume },
                3 => Volume { created_at: None, ..volume },
                _ => volume,
            };
            Some(Decided { project, volume })
        })
        .collect()
}

prop_compose! {
    fn a_view_and_decisions()(
        view in a_view(),
        changes in prop::collection::vec(0u8..10, 1..15),
        others in prop::collection::vec(a_volume(), 0..5),
    )(
        decided in Just(decisions(&view, &changes, others)).prop_shuffle(),
        view in Just(view),
    ) -> (VolumeView, Vec<Decided>) {
        (VolumeView { unseen: vec![], ..view }, decided)
    }
}

fn ids(deletions: &Deletions) -> Vec<(&ProjectKey, &Volume)> {
    deletions.volumes().iter().map(|planned| (&planned.project().key, planned.volume())).collect()
}

proptest! {
    #[test]
    fn a_plan_shrinks_to_what_is_in_both_and_never_grows((view, decided) in a_view_and_decisions()) {
        let fresh = plan(&view, &rules());
        let all = fresh.deletions().unwrap();
        let (deletions, dropped) = all.only(&fresh, &decided);
        // Put as naively as can be.
        let both: Vec<(&ProjectKey, &Volume)> = ids(&all)
            .into_iter()
            .filter(|(key, volume)| {
                let mut same = decided.iter().filter(|d| d.project.key == **key && d.volume.id == volume.id).peekable();
                same.peek().is_some() && same.all(|d| d.volume == **volume)
            })
            .collect();
        prop_assert_eq!(ids(&deletions), both);
        prop_assert_eq!(deletions.hubs(), all.hubs());
        // And everything else that was decided is told, once.
        let kept: BTreeSet<_> = deletions.volumes().iter().map(|p| (p.project().key.clone(), p.volume().id.clone())).collect();
        let told: BTreeSet<_> = dropped.iter().map(|d| (d.decided.project.key.clone(), d.decided.volume.id.clone())).collect();
        let wanted: BTreeSet<_> = decided.iter().map(|d| (d.project.key.clone(), d.volume.id.clone())).collect();
        prop_assert_eq!(told.len(), dropped.len());
        prop_assert!(told.is_disjoint(&kept));
        prop_assert_eq!(&told | &kept, wanted);
        prop_assert!(dropped.iter().all(|d| !d.reason.is_empty()));
    }

    #[test]
    fn the_order_of_decisions_and_saying_one_twice_change_nothing((view, decided) in a_view_and_decisions()) {
        let fresh = plan(&view, &rules());
        let all = fresh.deletions().unwrap();
        let mut other: Vec<Decided> = decided.iter().rev().cloned().collect();
        other.extend(decided.iter().take(3).cloned());
        prop_assert_eq!(all.only(&fresh, &decided), all.only(&fresh, &other));
    }

    #[test]
    fn decisions_on_another_clouds_volumes_delete_nothing((view, mut decided) in a_view_and_decisions(), part in 0..3) {
        for one in &mut decided {
            let key = &mut one.project.key;
            let text = match part { 0 => &mut key.id, 1 => &mut key.region, _ => &mut key.auth_url };
            text.push_str("-other");
        }
        let fresh = plan(&view, &rules());
        let (deletions, dropped) = fresh.deletions().unwrap().only(&fresh, &decided);
        prop_assert!(deletions.is_empty());
        prop_assert_eq!(dropped.is_empty(), decided.is_empty());
    }
}
