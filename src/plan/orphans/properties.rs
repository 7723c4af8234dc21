//! What has to hold in every view, however strange. `PROPTEST_CASES` sets how many views each property is tried on.

use proptest::prelude::*;

use super::samples::{
    claim, hours_ago, hub, now, project, pv, rules, silent, snapshot_of, uuid, view, volume, volume_id,
};
use super::*;
use crate::observed::{Claim, ProjectVolumes};

/// Few enough numbers that volumes and PVs often have one in common.
const NUMBERS: std::ops::Range<u64> = 0..12;

fn a_name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => NUMBERS.prop_map(|n| format!("pvc-{}", uuid(n))),
        2 => NUMBERS.prop_map(|n| format!("kubernetes-dynamic-pvc-{}", uuid(n))),
        1 => NUMBERS.prop_map(|n| format!("pvc-{}", uuid(n).to_uppercase())),
        1 => NUMBERS.prop_map(|n| format!("pvc-{}-x", uuid(n))),
        1 => "[a-z]{0,3}",
    ]
}

fn a_handle() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => NUMBERS.prop_map(volume_id),
        1 => NUMBERS.prop_map(|n| volume_id(n).to_uppercase()),
        1 => NUMBERS.prop_map(|n| format!("cinder/{}", volume_id(n))),
        1 => NUMBERS.prop_map(|n| format!("pvc-{}", uuid(n))),
        1 => "[a-z0-9-]{0,5}",
    ]
}

fn some_metadata() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        Just(("cinder.csi.openstack.org/cluster", "kubernetes")),
        Just(("cinder.csi.openstack.org/cluster", "hub-0")),
        Just(("cinder.csi.openstack.org/cluster", "theirs")),
        Just(("fleet.keep", "true")),
        Just(("fleet.keep", "no")),
        Just(("fleet.keep-until", "2026-03-05")),
        Just(("fleet.keep-until", "2026-01-05")),
        Just(("fleet.keep-until", "?")),
        Just(("note", "x")),
    ]
    .prop_map(|(key, value)| (key.to_owned(), value.to_owned()))
}

prop_compose! {
    pub(super) fn a_volume()(
        id in NUMBERS.prop_map(volume_id),
        name in a_name(),
        status in prop_oneof![8 => Just("available"), 1 => Just("in-use"), 1 => Just("reserved"), 1 => Just("error"),
            1 => "[a-z-]{0,9}".prop_map(|s| &*Box::leak(s.into_boxed_str()))],
        age in prop_oneof![1 => Just(None), 6 => (-50i64..2000).prop_map(Some)],
        attached in prop::bool::weighted(0.1),
        bootable in prop::bool::weighted(0.1),
        metadata in prop::collection::btree_map(Just(()), some_metadata(), 0..2),
    ) -> Volume {
        Volume {
            id,
            name,
            status: status.to_owned(),
            created_at: age.map(hours_ago),
            attachments: attached.then(|| "server".to_owned()).into_iter().collect(),
            bootable,
            metadata: metadata.into_values().collect(),
            ..volume(0)
        }
    }
}

prop_compose! {
    fn a_pv()(
        name in prop_oneof![4 => a_name(), 1 => "[a-z]{1,3}"],
        volume_ids in prop::collection::vec(a_handle(), 0..2),
        phase in prop_oneof![Just("Bound"), Just("Released"), Just("Available"), Just("Failed"), Just("")],
        driver in prop_oneof![Just(CINDER_CSI), Just(CINDER_IN_TREE), Just("nfs"), Just("")],
        claim in prop::bool::ANY,
    ) -> PersistentVolume {
        PersistentVolume {
            name,
            volume_ids,
            phase: phase.to_owned(),
            driver: driver.to_owned(),
            claim: claim.then(|| pv(0).claim).flatten(),
            ..pv(0)
        }
    }
}

prop_compose! {
    fn a_claim()(
        uid in prop_oneof![4 => NUMBERS.prop_map(uuid), 1 => Just(String::new())],
        volume_name in prop::option::of(prop_oneof![4 => a_name(), 1 => Just(String::new())]),
        phase in prop_oneof![Just("Bound"), Just("Pending"), Just("Lost"), Just("")],
    ) -> Claim {
        Claim { uid, volume_name, phase: phase.to_owned(), ..claim(0) }
    }
}

prop_compose! {
    pub(super) fn a_view()(
        volumes in prop::collection::vec(a_volume(), 0..10),
        more in prop::collection::vec(a_volume(), 0..4),
        clusters in prop::collection::vec(prop::collection::vec(a_pv(), 0..5), 1..4),
        claims in prop::collection::vec(a_claim(), 0..3),
        snapshots in prop::collection::vec(NUMBERS.prop_map(snapshot_of), 0..2),
        unseen in prop::bool::weighted(0.2),
    ) -> VolumeView {
        let mut view = view(unique(volumes), clusters);
        view.projects[0].snapshots = snapshots;
        view.clusters[0].claims = claims;
        view.projects.push(ProjectVolumes {
            project: project("beta"),
            hubs: vec![hub("hub-0")],
            volumes: unique(more),
            snapshots: vec![],
            servers: vec![],
            seen_at: now(),
        });
        view.unseen = unseen.then(|| silent("hub-77")).into_iter().collect();
        view
    }
}

/// Cinder's ids are unique within a project.
fn unique(volumes: Vec<Volume>) -> Vec<Volume> {
    let mut seen = HashSet::new();
    volumes.into_iter().filter(|volume| seen.insert(volume.id.clone())).collect()
}

/// The rule, put as naively as can be, with no index and no parsing in common with the one that is tested.
fn refers(pv: &PersistentVolume, volume: &Volume) -> bool {
    let id = volume.id.to_lowercase();
    let name = volume.name.to_lowercase();
    let claim = name.rsplit("pvc-").next().unwrap_or_default();
    let mentions = |text: &str| {
        let text = text.to_lowercase();
        text.contains(&id) || text == name || (claim.len() == 36 && text.contains(claim))
    };
    mentions(&pv.name) || pv.volume_ids.iter().any(|handle| mentions(handle))
}

fn claims(claim: &Claim, volume: &Volume) -> bool {
    let asked_for = claim.volume_name.clone().unwrap_or_default();
    let as_pvs = [asked_for, format!("pvc-{}", claim.uid)];
    as_pvs.into_iter().any(|name| refers(&PersistentVolume { name, volume_ids: vec![], ..pv(0) }, volume))
}

fn ids(plan: &OrphanPlan<'_>) -> BTreeMap<String, (Class, String)> {
    plan.volumes()
        .iter()
        .map(|judged| (judged.volume.id.clone(), (judged.verdict.class, judged.verdict.reason.clone())))
        .collect()
}

proptest! {
    // However many cases are asked for, so many in proportion may be passed over.
    #![proptest_config(ProptestConfig { max_global_rejects: u32::MAX, ..ProptestConfig::default() })]

    #[test]
    fn every_volume_is_in_exactly_one_class(view in a_view()) {
        let plan = plan(&view, &rules());
        let all: HashSet<&str> =
            view.projects.iter().flat_map(|half| &half.volumes).map(|volume| volume.id.as_str()).collect();
        prop_assert_eq!(plan.volumes().len(), all.len());
        let counted: u64 = plan.totals().values().map(|total| total.volumes).sum();
        prop_assert_eq!(counted, all.len() as u64);
        let by_class: usize = Class::ALL.iter().map(|class| plan.of(*class).count()).sum();
        prop_assert_eq!(by_class, all.len());
    }

    #[test]
    fn no_volume_that_any_pv_refers_to_may_be_deleted(view in a_view()) {
        for judged in plan(&view, &rules()).of(Class::Orphan) {
            for pv in view.clusters.iter().flat_map(|cluster| &cluster.persistent_volumes) {
                prop_assert!(!refers(pv, judged.volume), "{:?} refers to {:?}", pv, judged.volume);
            }
        }
    }

    #[test]
    fn no_volume_that_any_claim_was_made_with_or_asks_for_may_be_deleted(view in a_view()) {
        for judged in plan(&view, &rules()).of(Class::Orphan) {
            for claim in view.clusters.iter().flat_map(|cluster| &cluster.claims) {
                prop_assert!(!claims(claim, judged.volume), "{:?} refers to {:?}", claim, judged.volume);
            }
        }
    }

    #[test]
    fn no_volume_against_which_anything_speaks_may_be_deleted(view in a_view()) {
        let plan = plan(&view, &rules());
        for judged in plan.of(Class::Orphan) {
            let volume = judged.volume;
            prop_assert_eq!(&volume.status, "available");
            prop_assert!(volume.attachments.is_empty() && !volume.bootable);
            prop_assert!(volume.created_at.is_some_and(|at| now().duration_since(at).as_hours() >= 24));
            prop_assert!(volume.metadata.get("fleet.keep").is_none_or(|value| value == "no"));
            prop_assert!(volume.metadata.get("fleet.keep-until").is_none_or(|value| value == "2026-01-05"));
            prop_assert!(volume.metadata.values().all(|value| value != "theirs"));
            let snapshots = view.projects.iter().flat_map(|half| &half.snapshots);
            prop_assert!(snapshots.clone().all(|snapshot| snapshot.volume_id != volume.id));
            prop_assert!(volume.name.len() == 40 || volume.name.starts_with("kubernetes-dynamic-pvc-"));
        }
    }

    #[test]
    fn an_incomplete_view_gives_no_deletions(view in a_view()) {
        let plan = plan(&view, &rules());
        prop_assert_eq!(plan.deletions().is_ok(), view.is_complete());
        if !view.is_complete() {
            prop_assert!(plan.is_empty() && plan.lost().is_empty());
        }
    }

    #[test]
    fn the_order_of_what_was_seen_changes_nothing(view in a_view(), seed in any::<u64>()) {
        let mut other = view.clone();
        let turn = |len: usize| if len == 0 { 0 } else { usize::try_from(seed % len as u64).unwrap() };
        other.projects.reverse();
        other.clusters.reverse();
        for half in &mut other.projects {
            let by = turn(half.volumes.len());
            half.volumes.rotate_left(by);
            half.hubs.reverse();
        }
        for cluster in &mut other.clusters {
            let by = turn(cluster.persistent_volumes.len());
            cluster.persistent_volumes.rotate_left(by);
            cluster.claims.reverse();
        }
        // A volume that two projects list, and not alike, has no order that would be the right one; its class must
        // still never be `orphan`, which the next property says.
        let twice = twice(&view);
        let (a, b) = (plan(&view, &rules()), plan(&other, &rules()));
        let keep = |(id, _): &(String, (Class, String))| !twice.contains(id);
        prop_assert_eq!(
            ids(&a).into_iter().filter(keep).collect::<Vec<_>>(),
            ids(&b).into_iter().filter(keep).collect::<Vec<_>>()
        );
        prop_assert_eq!(a.lost(), b.lost());
        prop_assert_eq!(a.deletions().ok(), b.deletions().ok());
    }

    #[test]
    fn one_more_pv_never_makes_anything_an_orphan(view in a_view(), pv in a_pv()) {
        // It may be the one that says whose an attached volume is, which told of an unknown cluster until then.
        prop_assume!(!plan(&view, &rules()).is_blocked());
        let before = ids(&plan(&view, &rules()));
        let mut more = view.clone();
        more.clusters[0].persistent_volumes.push(pv);
        for (id, (class, _)) in ids(&plan(&more, &rules())) {
            if class == Class::Orphan {
                prop_assert_eq!(before[&id].0, Class::Orphan);
            }
        }
    }

    #[test]
    fn the_second_look_agrees_with_the_first(view in a_view()) {
        let plan = plan(&view, &rules());
        let Ok(deletions) = plan.deletions() else { return Ok(()) };
        let look = SecondLook::new(view.clusters.clone(), deletions.hubs()).unwrap();
        for planned in deletions.volumes() {
            let all: Vec<Snapshot> = view.projects.iter().flat_map(|half| half.snapshots.clone()).collect();
            prop_assert_eq!(still_orphan(planned, planned.volume(), &all, &look, &rules(), now()), Ok(()));
        }
    }

    #[test]
    fn names_of_any_text_are_read_without_a_panic(name in "\\PC{0,60}", id in "\\PC{0,60}", key in "\\PC{0,30}",
        value in "\\PC{0,30}", handle in "\\PC{0,60}") {
        let strange = Volume { name, id, metadata: [(key, value)].into_iter().collect(), ..volume(0) };
        let pv = PersistentVolume { volume_ids: vec![handle], ..pv(5) };
        plan(&view(vec![strange], vec![vec![pv]]), &rules());
    }
}

fn twice(view: &VolumeView) -> HashSet<String> {
    let first: HashSet<&str> = view.projects[0].volumes.iter().map(|volume| volume.id.as_str()).collect();
    view.projects[1]
        .volumes
        .iter()
        .map(|volume| volume.id.clone())
        .filter(|id| first.contains(id.as_str()))
        .collect()
}
