use super::samples::{
    claim, hours_ago, hub, now, project, pv, rules, silent, snapshot_of, uuid, view, volume, volume_id,
    with_metadata,
};
use super::*;
use crate::observed::{Claim, ProjectVolumes};

/// The class of the one volume, in a view with the PVs of one hub.
fn class(volume: Volume, pvs: Vec<PersistentVolume>) -> Class {
    verdict(&view(vec![volume], vec![pvs])).0
}

/// Class and reason of the first volume.
fn verdict(view: &VolumeView) -> (Class, String) {
    let plan = plan(view, &rules());
    let verdict = &plan.volumes()[0].verdict;
    (verdict.class, verdict.reason.clone())
}

fn with_status(status: &str) -> Volume {
    Volume { status: status.to_owned(), ..volume(1) }
}

fn named(name: impl Into<String>) -> Volume {
    Volume { name: name.into(), ..volume(1) }
}

#[test]
fn a_volume_that_no_pv_refers_to_is_an_orphan() {
    let view = view(vec![volume(1)], vec![vec![pv(2)], vec![]]);
    let plan = plan(&view, &rules());
    assert_eq!(plan.volumes()[0].verdict.class, Class::Orphan);
    assert_eq!(plan.volumes()[0].verdict.reason, "no PV of any of 2 hubs refers to it");
    assert_eq!(plan.volumes()[0].made_for.user, Some("alice"));
    assert_eq!(plan.deletions().unwrap().volumes().len(), 1);
    assert_eq!(plan.deletions().unwrap().volumes()[0].made_for(), Some("jhub/claim-alice"));
}

#[test]
fn a_legacy_name_is_a_claims_name_too() {
    assert_eq!(class(named(format!("kubernetes-dynamic-pvc-{}", uuid(1))), vec![]), Class::Orphan);
    assert_eq!(class(named(format!("pvc-{}", uuid(0xabc).to_uppercase())), vec![]), Class::Orphan);
}

#[test]
fn a_name_that_only_begins_like_a_claims_is_unmanaged() {
    let id = uuid(1);
    for name in [
        String::new(),
        "data".to_owned(),
        "pvc-".to_owned(),
        "pvc-backup".to_owned(),
        id.clone(),
        format!("pvc-{id}-copy"),
        format!("pvc-{id} "),
        format!(" pvc-{id}"),
        format!("old-pvc-{id}"),
        format!("PVC-{id}"),
        format!("foo-dynamic-pvc-{id}"),
        format!("pvc-{}", id.replace('-', "")),
        format!("pvc-{}", id.replace('0', "g")),
        format!("pvc-{}", &id[..35]),
        format!("pvc-{}", id.replace("-4000-", "-40-00")),
        format!("pvc-{}\u{e9}", &id[..34]),
    ] {
        assert_eq!(class(named(&name), vec![]), Class::Unmanaged, "{name:?}");
    }
}

#[test]
fn a_volume_whose_id_a_pv_has_is_in_use_whatever_the_names_say() {
    let other_name = PersistentVolume { name: "restored-by-hand".to_owned(), ..pv(1) };
    let view = view(vec![volume(1)], vec![vec![], vec![other_name]]);
    let plan = plan(&view, &rules());
    let judged = &plan.volumes()[0];
    assert_eq!(judged.verdict.class, Class::InUse);
    assert_eq!(judged.verdict.reason, "hub hub-1: claim jhub/claim-alice");
    assert!(matches!(
        judged.verdict.evidence[..],
        [Evidence::PersistentVolume { name: "restored-by-hand", by: By::Id, .. }]
    ));
}

#[test]
fn a_volume_whose_name_a_pv_has_is_in_use_whatever_the_ids_say() {
    let other_id = PersistentVolume { volume_ids: vec![volume_id(99)], ..pv(1) };
    assert_eq!(class(volume(1), vec![other_id.clone()]), Class::InUse);
    let no_id = PersistentVolume { volume_ids: vec![], driver: String::new(), ..other_id };
    assert_eq!(class(volume(1), vec![no_id]), Class::InUse);
    let plain = PersistentVolume { name: "data".to_owned(), volume_ids: vec![], ..pv(1) };
    assert_eq!(class(named("Data"), vec![plain]), Class::InUse);
}

#[test]
fn a_pv_of_the_same_claim_refers_to_a_volume_with_the_legacy_name() {
    let other_id = PersistentVolume { volume_ids: vec![volume_id(99)], ..pv(1) };
    assert_eq!(class(named(format!("kubernetes-dynamic-pvc-{}", uuid(1))), vec![other_id]), Class::InUse);
}

#[test]
fn ids_are_compared_without_regard_to_case_and_to_what_stands_around_them() {
    let id = volume_id(0xabc);
    for handle in
        [id.to_uppercase(), format!("cinder://region/{id}"), format!("{id}?x=1"), format!("00{id}00")]
    {
        let other = PersistentVolume { name: "other".to_owned(), volume_ids: vec![handle.clone()], ..pv(9) };
        assert_eq!(class(volume(0xabc), vec![other]), Class::InUse, "{handle}");
    }
    let shouting = Volume { id: id.to_uppercase(), ..volume(0xabc) };
    let quiet = PersistentVolume { name: "other".to_owned(), ..pv(0xabc) };
    assert_eq!(class(shouting, vec![quiet]), Class::InUse);
}

#[test]
fn a_handle_that_has_the_volumes_name_refers_to_it() {
    let other =
        PersistentVolume { name: "other".to_owned(), volume_ids: vec![format!("pvc-{}", uuid(1))], ..pv(9) };
    assert_eq!(class(volume(1), vec![other]), Class::InUse);
}

#[test]
fn the_handle_of_any_driver_counts() {
    let nfs = PersistentVolume { driver: "nfs.csi.k8s.io".to_owned(), ..pv(1) };
    assert_eq!(class(volume(1), vec![nfs]), Class::InUse);
}

/// A view with one claim in the second of two hubs, and no PV.
fn with_claim(volume: Volume, claim: Claim) -> VolumeView {
    let mut view = view(vec![volume], vec![vec![], vec![]]);
    view.clusters[1].claims.push(claim);
    view
}

#[test]
fn a_volume_whose_claim_is_there_is_in_use_though_somebody_deleted_the_pv() {
    let seen = with_claim(volume(1), claim(1));
    assert_eq!(
        verdict(&seen),
        (Class::InUse, "hub hub-1: claim jhub/claim-alice is there, and its PV is not".to_owned())
    );
    let plan = plan(&seen, &rules());
    let [Evidence::Claim { name: "claim-alice", phase: "Lost", .. }] = plan.volumes()[0].verdict.evidence[..]
    else {
        panic!("{:?}", plan.volumes()[0].verdict.evidence)
    };
    assert_eq!(verdict(&with_claim(volume(1), claim(2))).0, Class::Orphan);
}

#[test]
fn a_volume_that_a_claim_asks_for_by_the_name_of_its_pv_is_in_use() {
    let restored = Claim { volume_name: Some(volume(1).name), phase: "Pending".to_owned(), ..claim(9) };
    assert_eq!(verdict(&with_claim(volume(1), restored.clone())).0, Class::InUse);
    // Also where the PV is still there, released by an earlier claim.
    let mut seen = with_claim(volume(1), restored);
    seen.clusters[1].persistent_volumes.push(PersistentVolume {
        phase: "Released".to_owned(),
        claim: None,
        ..pv(1)
    });
    assert_eq!(verdict(&seen).0, Class::InUse);
}

#[test]
fn a_claim_with_its_pv_is_told_once() {
    let mut seen = with_claim(volume(1), claim(1));
    seen.clusters[1].persistent_volumes.push(pv(1));
    assert_eq!(plan(&seen, &rules()).volumes()[0].verdict.evidence.len(), 1);
    // A claim of the same name in another cluster is another claim.
    let mut seen = with_claim(volume(1), claim(1));
    seen.clusters[0].persistent_volumes.push(pv(1));
    assert_eq!(plan(&seen, &rules()).volumes()[0].verdict.evidence.len(), 2);
}

#[test]
fn a_volume_claimed_by_a_hub_of_another_project_is_in_use() {
    let mut view = view(vec![], vec![vec![], vec![pv(1)]]);
    view.projects[0].hubs.remove(0);
    view.projects.push(ProjectVolumes {
        project: project("beta"),
        hubs: vec![hub("hub-0")],
        volumes: vec![volume(1)],
        snapshots: vec![],
        servers: vec![],
        seen_at: now(),
    });
    assert_eq!(verdict(&view).0, Class::InUse);
}

#[test]
fn a_pv_in_any_phase_keeps_its_volume() {
    for phase in ["Available", "Bound", "Pending", "", "SomethingNew"] {
        assert_eq!(
            class(volume(1), vec![PersistentVolume { phase: phase.to_owned(), ..pv(1) }]),
            Class::InUse
        );
    }
    for phase in ["Released", "Failed"] {
        for reclaim_policy in ["Retain", "Delete", ""] {
            let pv = PersistentVolume {
                phase: phase.to_owned(),
                reclaim_policy: reclaim_policy.to_owned(),
                ..pv(1)
            };
            assert_eq!(class(volume(1), vec![pv]), Class::Released);
        }
    }
}

#[test]
fn a_volume_with_a_released_and_a_bound_pv_is_in_use() {
    let released = PersistentVolume { phase: "Released".to_owned(), claim: None, ..pv(1) };
    let view = view(vec![volume(1)], vec![vec![released], vec![pv(1)]]);
    let plan = plan(&view, &rules());
    assert_eq!(plan.volumes()[0].verdict.class, Class::InUse);
    assert_eq!(plan.volumes()[0].verdict.evidence.len(), 2);
}

#[test]
fn the_reason_names_the_pv_where_it_is_not_bound() {
    let of = |phase: &str, claim| {
        let pv = PersistentVolume { phase: phase.to_owned(), name: "keeper".to_owned(), claim, ..pv(1) };
        verdict(&view(vec![volume(1)], vec![vec![pv]])).1
    };
    assert_eq!(of("Released", pv(1).claim), "hub hub-0: PV keeper is Released, of claim jhub/claim-alice");
    assert_eq!(of("Available", None), "hub hub-0: PV keeper is Available");
    assert_eq!(of("", None), "hub hub-0: PV keeper is a phase that is not known".replace("is a", "is in a"));
}

#[test]
fn only_an_available_volume_can_be_an_orphan() {
    for status in ["in-use", "attaching", "detaching", "reserved"] {
        assert_eq!(class(with_status(status), vec![]), Class::Attached, "{status}");
    }
    for status in ["error", "error_deleting", "error_extending", "error_managing", "ERROR"] {
        assert_eq!(class(with_status(status), vec![]), Class::Error, "{status}");
    }
    for status in [
        "maintenance",
        "deleting",
        "creating",
        "awaiting-transfer",
        "backing-up",
        "retyping",
        "",
        "Available",
    ] {
        assert_eq!(class(with_status(status), vec![]), Class::Busy, "{status}");
    }
}

#[test]
fn an_available_volume_with_an_attachment_is_attached() {
    let held = Volume { attachments: vec!["server-1".to_owned(), "server-2".to_owned()], ..volume(1) };
    let (class, reason) = verdict(&view(vec![held], vec![vec![]]));
    assert_eq!(class, Class::Attached);
    assert_eq!(reason, "it is attached to server-1 and 1 more");
}

#[test]
fn a_volume_with_a_snapshot_is_kept() {
    let mut view = view(vec![volume(1), volume(2)], vec![vec![]]);
    view.projects[0].snapshots = vec![snapshot_of(1)];
    assert_eq!(verdict(&view), (Class::Snapshots, "it has snapshot snapshot-1".to_owned()));
    assert_eq!(plan(&view, &rules()).volumes()[1].verdict.class, Class::Orphan);
    view.projects[0].snapshots[0].volume_id = volume_id(1).to_uppercase();
    assert_eq!(verdict(&view).0, Class::Snapshots);
}

#[test]
fn a_volume_younger_than_the_minimum_age_is_young() {
    let made = |at| Volume { created_at: at, ..volume(1) };
    assert_eq!(class(made(Some(hours_ago(23))), vec![]), Class::Young);
    assert_eq!(class(made(Some(hours_ago(24))), vec![]), Class::Orphan);
    assert_eq!(class(made(Some(hours_ago(24) + SignedDuration::from_millis(1))), vec![]), Class::Young);
}

#[test]
fn a_volume_of_unknown_age_or_from_the_future_is_young() {
    assert_eq!(class(Volume { created_at: None, ..volume(1) }, vec![]), Class::Young);
    let just_now = verdict(&view(vec![Volume { created_at: Some(now()), ..volume(1) }], vec![vec![]]));
    assert_eq!(just_now, (Class::Young, "it is younger than 24h".to_owned()));
    let future = now() + SignedDuration::from_hours(48);
    let (class, reason) =
        verdict(&view(vec![Volume { created_at: Some(future), ..volume(1) }], vec![vec![]]));
    assert_eq!((class, reason.as_str()), (Class::Young, "it was made in the future: a clock is wrong"));
    let no_minimum = OrphanRules { min_age: std::time::Duration::ZERO, ..rules() };
    let view = view(vec![Volume { created_at: Some(future), ..volume(1) }], vec![vec![]]);
    assert_eq!(plan(&view, &no_minimum).volumes()[0].verdict.class, Class::Young);
}

#[test]
fn a_volume_that_names_another_cluster_is_foreign() {
    for (key, value) in [
        ("cinder.csi.openstack.org/cluster", "somebody-elses"),
        ("cinder.csi.openstack.org/cluster", "Kubernetes"),
        ("cinder.csi.openstack.org/cluster", "hub-00"),
        ("kubernetes.io/cluster/theirs", "owned"),
        ("kubernetes.io-cluster-theirs", "owned"),
        ("openshiftClusterID", "ocp-x7k2p"),
        ("KubernetesCluster", "theirs"),
        ("my_cluster_name", "theirs"),
    ] {
        assert_eq!(class(with_metadata(1, key, value), vec![]), Class::Foreign, "{key}: {value}");
    }
}

#[test]
fn a_volume_that_names_a_hub_of_the_fleet_or_no_cluster_is_not_foreign() {
    for (key, value) in [
        ("cinder.csi.openstack.org/cluster", "kubernetes"),
        ("cinder.csi.openstack.org/cluster", "hub-0"),
        ("cinder.csi.openstack.org/cluster", ""),
        ("kubernetes.io/cluster/hub-0", "owned"),
        ("kubernetes.io/cluster/kubernetes", "owned"),
    ] {
        assert_eq!(class(with_metadata(1, key, value), vec![]), Class::Orphan, "{key}: {value}");
    }
}

#[test]
fn the_name_of_a_silent_hub_is_no_foreign_clusters_name() {
    let mut view = view(vec![with_metadata(1, "cinder.csi.openstack.org/cluster", "asleep")], vec![vec![]]);
    view.unseen = vec![silent("asleep")];
    assert_eq!(verdict(&view).0, Class::CannotTell);
}

#[test]
fn a_volume_that_somebody_asked_to_keep_is_kept() {
    for (key, value) in [
        ("fleet.keep", "true"),
        ("fleet.keep", "yes, for the course"),
        ("fleet.keep", ""),
        ("fleet.keep", "nope"),
        ("Fleet.Keep ", "1"),
        ("fleet.keep-until", "2026-03-02"),
        ("fleet.keep-until", "2026-03-01"),
        ("fleet.keep-until", "2026-02-28"),
        ("fleet.keep-until", "2026-03-01T12:00:00Z"),
        ("fleet.keep-until", "9999-12-31"),
        ("fleet.keep-until", "next summer"),
        ("fleet.keep-until", "01/03/2020"),
        ("fleet.keep-until", ""),
    ] {
        assert_eq!(class(with_metadata(1, key, value), vec![]), Class::Kept, "{key}: {value:?}");
    }
}

#[test]
fn a_wish_to_keep_that_was_taken_back_or_has_run_out_does_not_keep() {
    for (key, value) in [
        ("fleet.keep", "false"),
        ("fleet.keep", " No "),
        ("fleet.keep", "0"),
        ("fleet.keep", "off"),
        ("fleet.keep-until", "2026-02-27"),
        ("fleet.keep-until", "2026-03-01T11:59:59Z"),
        ("fleet.keeper", "true"),
    ] {
        assert_eq!(class(with_metadata(1, key, value), vec![]), Class::Orphan, "{key}: {value:?}");
    }
    let mut both = with_metadata(1, "fleet.keep", "false");
    both.metadata.insert("fleet.keep-until".to_owned(), "2027-01-01".to_owned());
    assert_eq!(class(both, vec![]), Class::Kept);
}

#[test]
fn a_bootable_volume_with_a_claims_name_is_kept() {
    assert_eq!(class(Volume { bootable: true, ..volume(1) }, vec![]), Class::Unmanaged);
}

#[test]
fn a_volume_whose_id_is_no_uuid_is_kept() {
    assert_eq!(class(Volume { id: "4711".to_owned(), ..volume(1) }, vec![]), Class::Unmanaged);
}

#[test]
fn a_silent_hub_blocks_every_deletion() {
    let mut view = view(vec![volume(1), volume(2)], vec![vec![pv(2)]]);
    view.unseen = vec![silent("hub-9")];
    let plan = plan(&view, &rules());
    assert_eq!(plan.volumes()[0].verdict.class, Class::CannotTell);
    assert_eq!(plan.volumes()[1].verdict.class, Class::InUse);
    assert_eq!(plan.deletions().unwrap_err(), [silent("hub-9")]);
    assert!(plan.is_empty() && !plan.is_complete());
}

#[test]
fn a_project_that_was_not_seen_blocks_every_deletion() {
    let mut view = view(vec![volume(1)], vec![vec![]]);
    view.unseen = vec![Unseen {
        subject: Subject::Project("beta".to_owned()),
        reason: "HTTP 503".to_owned(),
        hint: None,
    }];
    assert!(plan(&view, &rules()).deletions().is_err());
}

#[test]
fn a_hub_that_was_forgotten_on_the_way_blocks_every_deletion() {
    let mut view = view(vec![volume(1)], vec![vec![]]);
    view.projects[0].hubs.push(hub("forgotten"));
    let plan = plan(&view, &rules());
    assert_eq!(plan.volumes()[0].verdict.class, Class::CannotTell);
    assert_eq!(plan.deletions().unwrap_err()[0].subject, Subject::Hub(hub("forgotten")));
}

#[test]
fn a_view_without_any_cluster_is_not_complete() {
    assert!(plan(&view(vec![volume(1)], vec![]), &rules()).deletions().is_err());
}

#[test]
fn a_hub_without_any_pv_is_seen_all_the_same() {
    assert!(plan(&view(vec![volume(1)], vec![vec![]]), &rules()).deletions().is_ok());
}

#[test]
fn two_volumes_of_one_name_are_both_kept_where_one_pv_has_the_name() {
    let twin = Volume { id: volume_id(2), ..volume(1) };
    let view = view(vec![volume(1), twin], vec![vec![pv(1)]]);
    let plan = plan(&view, &rules());
    assert!(plan.volumes().iter().all(|judged| judged.verdict.class == Class::InUse));
}

#[test]
fn a_project_that_is_listed_under_two_urls_has_its_volumes_once() {
    let mut view = view(vec![volume(1)], vec![vec![]]);
    let mut again = view.projects[0].clone();
    again.project.key.auth_url = "https://alias:5000/v3".to_owned();
    view.projects.push(again);
    let once = plan(&view, &rules());
    assert_eq!(once.volumes().len(), 1);
    assert_eq!(once.deletions().unwrap().volumes().len(), 1);
    view.projects[1].volumes[0].status = "in-use".to_owned();
    assert!(plan(&view, &rules()).deletions().unwrap().is_empty());
    view.projects.reverse();
    assert!(plan(&view, &rules()).deletions().unwrap().is_empty());
}

#[test]
fn a_pv_whose_volume_is_gone_is_lost() {
    let view = view(vec![volume(1)], vec![vec![pv(1), pv(2)]]);
    let plan = plan(&view, &rules());
    assert_eq!(plan.lost().len(), 1);
    assert_eq!(plan.lost()[0].name, pv(2).name);
    assert_eq!(plan.lost()[0].hub, &hub("hub-0"));
}

#[test]
fn a_pv_that_is_not_cinders_or_is_too_new_to_be_judged_is_not_lost() {
    let nfs = PersistentVolume { driver: "nfs.csi.k8s.io".to_owned(), ..pv(2) };
    let new = PersistentVolume { created_at: Some(now()), ..pv(3) };
    let ageless = PersistentVolume { created_at: None, ..pv(4) };
    let without_id = PersistentVolume { volume_ids: vec![], ..pv(5) };
    let in_tree = PersistentVolume { driver: CINDER_IN_TREE.to_owned(), ..pv(6) };
    let view = view(vec![], vec![vec![nfs, new, ageless, without_id, in_tree]]);
    let lost: Vec<_> = plan(&view, &rules()).lost().iter().map(|lost| lost.name.to_owned()).collect();
    assert_eq!(lost, [pv(6).name]);
}

#[test]
fn nothing_is_called_lost_in_an_incomplete_view() {
    let mut view = view(vec![], vec![vec![pv(1)]]);
    view.unseen = vec![silent("hub-9")];
    assert!(plan(&view, &rules()).lost().is_empty());
}

#[test]
fn whom_a_volume_was_made_for_is_read_from_either_provisioner() {
    let of = |pairs: &[(&str, &str)]| {
        let metadata: crate::observed::Metadata =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let made_for = MadeFor::of(&metadata);
        (made_for.to_text(), made_for.user.map(str::to_owned), made_for.pv.map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        of(&[
            ("kubernetes.io/created-for/pvc/name", "claim-bob"),
            ("kubernetes.io/created-for/pvc/namespace", "jhub"),
            ("kubernetes.io/created-for/pv/name", "pvc-1"),
        ]),
        (some("jhub/claim-bob"), some("bob"), some("pvc-1"))
    );
    assert_eq!(of(&[("csi.storage.k8s.io/pvc/name", "hub-db-dir")]), (some("hub-db-dir"), None, None));
    assert_eq!(of(&[("csi.storage.k8s.io/pvc/namespace", "jhub")]), (None, None, None));
}

#[test]
fn totals_are_counted_by_project_and_class() {
    let view = view(vec![volume(1), volume(2), volume(3)], vec![vec![pv(3)]]);
    let plan = plan(&view, &rules());
    let alpha = project("alpha");
    assert_eq!(plan.totals()[&(&alpha, Class::Orphan)], Total { volumes: 2, gib: 20 });
    assert_eq!(plan.totals()[&(&alpha, Class::InUse)], Total { volumes: 1, gib: 10 });
    let deletions = plan.deletions().unwrap();
    assert_eq!(deletions.total(), Total { volumes: 2, gib: 20 });
    assert_eq!(deletions.totals(), BTreeMap::from([(&alpha, Total { volumes: 2, gib: 20 })]));
}

/// The second hub was taken out of the fleet, and is remembered.
fn with_a_removed_hub(volume: Volume, pvs: Vec<PersistentVolume>) -> VolumeView {
    let mut view = view(vec![volume], vec![vec![], pvs]);
    view.clusters[1].removed_at = Some(now());
    view.projects[0].hubs.pop();
    view
}

#[test]
fn what_a_hub_used_when_it_was_taken_out_of_the_fleet_is_kept_and_never_lost() {
    let view = with_a_removed_hub(volume(1), vec![pv(1), pv(2)]);
    let plan = plan(&view, &rules());
    let judged = &plan.volumes()[0];
    assert_eq!(judged.verdict.class, Class::InUse);
    assert!(judged.verdict.reason.contains("taken out of the fleet"), "{}", judged.verdict.reason);
    assert!(plan.lost().is_empty());
}

#[test]
fn a_volume_that_names_a_hub_which_was_taken_out_of_the_fleet_is_foreign() {
    let named = with_metadata(1, "cinder.csi.openstack.org/cluster", "hub-1");
    assert_eq!(verdict(&with_a_removed_hub(named, vec![])).0, Class::Foreign);
}

#[test]
fn what_is_remembered_of_a_hub_is_no_answer_of_it() {
    let mut view = with_a_removed_hub(volume(1), vec![]);
    assert_eq!(verdict(&view), (Class::Orphan, "no PV of the one hub refers to it".to_owned()));
    view.projects[0].hubs.push(hub("hub-1"));
    assert_eq!(plan(&view, &rules()).deletions().unwrap_err()[0].subject, Subject::Hub(hub("hub-1")));
    view.projects[0].hubs.pop();
    view.clusters.remove(0);
    view.projects[0].hubs.clear();
    assert!(plan(&view, &rules()).deletions().is_err());
}

mod second_look {
    use super::*;

    fn planned() -> Planned {
        let view = view(vec![volume(1)], vec![vec![]]);
        let deletions = plan(&view, &rules()).deletions().unwrap();
        deletions.volumes()[0].clone()
    }

    fn look(pvs: Vec<PersistentVolume>) -> SecondLook {
        let clusters = view(vec![], vec![pvs]).clusters;
        SecondLook::new(clusters, &BTreeSet::from([hub("hub-0")])).unwrap()
    }

    fn judge(fresh: &Volume, snapshots: &[Snapshot], pvs: Vec<PersistentVolume>) -> Result<(), String> {
        still_orphan(&planned(), fresh, snapshots, &look(pvs), &rules(), now())
    }

    #[test]
    fn lets_an_unchanged_orphan_go() {
        assert_eq!(judge(&volume(1), &[snapshot_of(2)], vec![pv(2)]), Ok(()));
    }

    #[test]
    fn keeps_what_a_claim_was_bound_to_since() {
        let kept = judge(&volume(1), &[], vec![pv(1)]).unwrap_err();
        assert_eq!(kept, "in use: hub hub-0: claim jhub/claim-alice");
    }

    #[test]
    fn keeps_what_got_a_snapshot_since() {
        assert!(judge(&volume(1), &[snapshot_of(1)], vec![]).is_err());
    }

    #[test]
    fn keeps_what_changed_since_in_any_field() {
        let base = volume(1);
        for fresh in [
            Volume { id: volume_id(2), ..base.clone() },
            Volume { name: format!("pvc-{}", uuid(2)), ..base.clone() },
            Volume { status: "in-use".to_owned(), ..base.clone() },
            Volume { size_gib: 11, ..base.clone() },
            Volume { created_at: Some(hours_ago(24 * 31)), ..base.clone() },
            Volume { attachments: vec!["server".to_owned()], ..base.clone() },
            with_metadata(1, "note", "mine"),
            Volume { bootable: true, ..base.clone() },
        ] {
            assert!(judge(&fresh, &[], vec![]).is_err(), "{fresh:?}");
        }
    }

    #[test]
    fn refuses_a_look_in_which_a_hub_is_missing() {
        let clusters = view(vec![], vec![vec![]]).clusters;
        let missing = SecondLook::new(clusters, &BTreeSet::from([hub("hub-0"), hub("hub-1")])).unwrap_err();
        assert_eq!(missing[0].subject, Subject::Hub(hub("hub-1")));
        let mut remembered = view(vec![], vec![vec![], vec![]]).clusters;
        remembered[1].removed_at = Some(now());
        assert!(SecondLook::new(remembered, &BTreeSet::from([hub("hub-0"), hub("hub-1")])).is_err());
    }
}

#[test]
fn a_volume_made_after_a_hub_was_taken_out_of_the_fleet_may_be_its_and_is_kept() {
    let mut view = view(vec![volume(1)], vec![vec![], vec![]]);
    view.projects[0].hubs.truncate(1);
    let made = volume(1).created_at.unwrap();
    view.clusters[1].removed_at = Some(made - SignedDuration::from_hours(10));
    let (class, reason) = verdict(&view);
    assert_eq!(class, Class::Foreign);
    assert!(reason.contains("hub-1"), "{reason}");
    // What is older than that is judged as ever: the hub was asked when it was taken out.
    view.clusters[1].removed_at = Some(made + SignedDuration::from_hours(10));
    assert_eq!(verdict(&view).0, Class::Orphan);
}

#[test]
fn a_reference_is_found_whatever_its_uuid_begins_with() {
    let numbers: BTreeSet<u64> =
        (0..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << 32) - 1 - (1 << bit)]).collect();
    let volumes = numbers.iter().map(|number| volume(*number)).collect();
    let view = view(volumes, vec![numbers.iter().map(|number| pv(*number)).collect()]);
    assert!(numbers.len() > 60);
    assert_eq!(plan(&view, &rules()).of(Class::InUse).count(), numbers.len());
    // And none is found that is not there.
    let mut fewer = view.clone();
    fewer.clusters[0].persistent_volumes.retain(|pv| pv.volume_ids != [volume_id(1 << 31)]);
    assert_eq!(plan(&fewer, &rules()).of(Class::InUse).count(), numbers.len() - 1);
}

#[test]
fn a_plan_says_what_it_was_made_from() {
    let mut view = view(vec![volume(1)], vec![vec![], vec![pv(2)]]);
    let made = plan(&view, &rules());
    assert_eq!(made.unseen(), []);
    assert!(made.is_complete() && !made.is_empty());
    assert_eq!(made.hubs().collect::<Vec<_>>(), [&hub("hub-0"), &hub("hub-1")]);
    assert_eq!(made.projects().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["alpha"]);
    assert_eq!(made.seen_at(), view.seen_at);
    let deletions = made.deletions().unwrap();
    assert_eq!(deletions.hubs().iter().collect::<Vec<_>>(), [&hub("hub-0"), &hub("hub-1")]);
    assert!(!deletions.is_empty());
    view.unseen.push(silent("hub-1"));
    let incomplete = plan(&view, &rules());
    assert_eq!(incomplete.unseen(), [silent("hub-1")]);
    assert!(!incomplete.is_complete() && incomplete.is_empty());
}
