use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::hub::EngineName;
use crate::observed::{PersistentVolume, ProjectVolumes};
use crate::plan::orphans::samples::{
    answered, hub, now, old_container, project, pv, rules, server, view, volume, volume_id, with_metadata,
};
use crate::plan::orphans::{Class, OrphanPlan, SecondLook, plan, still_orphan};

/// Project alpha with hub-0, project beta with hub-1; a volume in each that nothing speaks against.
fn two_projects() -> VolumeView {
    let mut view = view(vec![volume(1)], vec![vec![], vec![]]);
    view.projects[0].hubs = vec![hub("hub-0")];
    view.projects.push(ProjectVolumes {
        project: project("beta"),
        hubs: vec![hub("hub-1")],
        volumes: vec![volume(2)],
        ..view.projects[0].clone()
    });
    view.outside.addresses =
        [(hub("hub-0"), "149.165.1.1".parse().unwrap()), (hub("hub-1"), "149.165.1.2".parse().unwrap())]
            .into();
    view
}

fn with_servers(names: &[&str]) -> VolumeView {
    let mut view = two_projects();
    view.projects[0].servers = names.iter().map(|name| server(name)).collect();
    view
}

/// Names of the clusters that nobody answered for.
fn unknown<'v>(plan: &OrphanPlan<'v>) -> Vec<&'v str> {
    plan.unknown_clusters().map(|cluster| cluster.name).collect()
}

/// Ids of the volumes that may be deleted.
fn deletable(view: &VolumeView, rules: &OrphanRules) -> Vec<String> {
    let deletions = plan(view, rules).deletions().unwrap();
    deletions.volumes().iter().map(|planned| planned.volume().id.clone()).collect()
}

fn with_answers(answers: &[Foreign]) -> OrphanRules {
    OrphanRules { foreign: answers.to_vec(), ..rules() }
}

#[track_caller]
fn blocks_alpha_alone(view: &VolumeView, cluster: &str) {
    let rules = rules();
    let plan = plan(view, &rules);
    assert_eq!(unknown(&plan), [cluster]);
    let found = plan.unknown_clusters().next().unwrap();
    assert_eq!(found.blocks, [&project("alpha")]);
    assert_eq!(deletable(view, &rules), [volume_id(2)]);
    let kept = plan.of(Class::CannotTell).next().unwrap();
    assert_eq!(kept.volume.id, volume_id(1));
    assert!(kept.verdict.reason.contains(&format!("{cluster:?}")), "{}", kept.verdict.reason);
    // Answered for, it does not.
    for project in [None, Some("alpha"), Some("id-of-alpha")] {
        let rules = with_answers(&[answered(cluster, project)]);
        assert_eq!(deletable(view, &rules), [volume_id(1), volume_id(2)], "{project:?}");
        let plan = super::super::plan(view, &rules);
        assert!(!plan.is_blocked());
        assert_eq!(plan.answered_clusters().next().unwrap().answered[0].reason, "it has none");
    }
    for other in [answered(cluster, Some("beta")), answered("another", None), answered("", None)] {
        assert_eq!(deletable(view, &with_answers(&[other])), [volume_id(2)]);
    }
}

#[test]
fn a_server_that_looks_like_a_node_of_no_hub_blocks_its_project_and_no_other() {
    for name in [
        "mvu-test-k8s-node-nf-1",
        "mvu-test-k8s-master-1",
        "mvu-test-etcd-1",
        "mvu-test-control-plane-x2k4v",
        "mvu-test-worker-3",
        "mvu-test-gateway-1",
    ] {
        blocks_alpha_alone(&with_servers(&[name]), "mvu-test");
    }
    blocks_alpha_alone(&with_servers(&["science-abcd2fghijkl-master-0"]), "science-abcd2fghijkl");
}

#[test]
fn a_desktop_blocks_nothing() {
    let view = with_servers(&["my-vm-1", "my-vm-2", "pleasant-dove", "thredds", "node-red"]);
    assert_eq!(unknown(&plan(&view, &rules())), [""; 0]);
    assert_eq!(deletable(&view, &rules()).len(), 2);
}

#[test]
fn two_desktops_of_one_name_block_nothing() {
    let mut view = with_servers(&["my-vm-1", "my-vm-1"]);
    view.projects[0].servers[1].id = "another".to_owned();
    assert_eq!(unknown(&plan(&view, &rules())), [""; 0]);
    assert_eq!(deletable(&view, &rules()).len(), 2);
}

type Mark = fn(&mut Server);

#[test]
fn a_name_and_a_number_are_a_masters_where_something_else_says_so() {
    let marks: [(&str, Mark); 5] = [
        ("metadata", |server| {
            server.metadata.insert("kubespray_groups".to_owned(), "etcd,kube_control_plane".to_owned());
        }),
        ("metadata's value", |server| {
            server.metadata.insert("groups".to_owned(), "etcd,kube-master".to_owned());
        }),
        ("tag", |server| server.tags.push("k8s-prod".to_owned())),
        ("security group", |server| server.security_groups.push("elsewhere-k8s-master".to_owned())),
        ("key pair", |server| server.key_name = Some("kubernetes-elsewhere".to_owned())),
    ];
    for (what, mark) in marks {
        let mut view = with_servers(&["elsewhere-1"]);
        mark(&mut view.projects[0].servers[0]);
        blocks_alpha_alone(&view, "elsewhere");
        let rules = rules();
        let plan = plan(&view, &rules);
        let Sign::Server { why, .. } = &plan.unknown_clusters().next().unwrap().signs[0] else { panic!() };
        assert_eq!(why.len(), 1, "{what}: {why:?}");
    }
}

#[test]
fn the_masters_of_a_cluster_that_another_server_tells_of_are_told_with_it() {
    let view = with_servers(&["mvu-test-1", "mvu-test-k8s-node-nf-1", "my-vm-1"]);
    let rules = rules();
    let plan = plan(&view, &rules);
    let found = plan.unknown_clusters().next().unwrap();
    let names: Vec<&str> = found
        .signs
        .iter()
        .map(|sign| match sign {
            Sign::Server { name, .. } => *name,
            _ => panic!("{sign:?}"),
        })
        .collect();
    assert_eq!(names, ["mvu-test-1", "mvu-test-k8s-node-nf-1"]);
}

#[test]
fn a_server_with_a_claims_volume_that_is_no_hubs_is_a_node_whatever_it_is_called() {
    let mut view = with_servers(&["pleasant-dove"]);
    let held = Volume {
        attachments: vec!["id-of-pleasant-dove".to_owned()],
        status: "in-use".to_owned(),
        ..volume(7)
    };
    view.projects[0].volumes.push(held.clone());
    blocks_alpha_alone(&view, "pleasant-dove");
    // A volume of one's own, or one that a hub's PV refers to, makes no node of it.
    view.projects[0].volumes[1].name = "data".to_owned();
    assert!(!plan(&view, &rules()).is_blocked());
    view.projects[0].volumes[1] = held;
    view.clusters[1].persistent_volumes = vec![pv(7)];
    assert!(!plan(&view, &rules()).is_blocked());
}

#[test]
fn a_hubs_own_servers_block_nothing() {
    let names = ["hub-0-1", "hub-0-k8s-node-nf-1", "hub-0-k8s-node-nf-2", "hub-0-bastion-1", "hub-0"];
    let mut view = with_servers(&names);
    for server in &mut view.projects[0].servers {
        server.metadata.insert("kubespray_groups".to_owned(), "k8s_cluster".to_owned());
    }
    assert!(!plan(&view, &rules()).is_blocked());
    let of_magnum = ["hub-0-abcd2fghijkl-master-0", "hub-0-abcd2fghijkl-node-0"];
    assert!(!plan(&with_servers(&of_magnum), &rules()).is_blocked());
}

#[test]
fn all_servers_of_a_cluster_are_a_hubs_whose_address_one_of_them_has() {
    let mut view = with_servers(&["kubejetstream-1", "kubejetstream-k8s-node-nf-1"]);
    blocks_alpha_alone(&view, "kubejetstream");
    view.projects[0].servers[0].addresses =
        vec!["10.0.0.3".parse().unwrap(), "::ffff:149.165.1.1".parse().unwrap()];
    assert!(!plan(&view, &rules()).is_blocked());
    // A hub of another project has no servers here, and its address may be an inner one.
    view.projects[0].servers[0].addresses = vec!["149.165.1.2".parse().unwrap()];
    blocks_alpha_alone(&view, "kubejetstream");
}

#[test]
fn a_cluster_of_a_hubs_name_in_another_project_is_another_cluster() {
    let mut view = with_servers(&["hub-1-k8s-node-nf-1"]);
    blocks_alpha_alone(&view, "hub-1");
    // Once it is answered for, volumes in its project that carry the name are its.
    view.projects[0].volumes[0] = with_metadata(1, "cinder.csi.openstack.org/cluster", "hub-1");
    let rules = with_answers(&[answered("hub-1", Some("alpha"))]);
    let judged = plan(&view, &rules);
    assert_eq!(judged.volumes()[0].verdict.class, Class::Foreign);
    assert!(!judged.is_blocked());
    // In its own project, the name is still the hub's.
    view.projects[0].volumes[0] = volume(1);
    view.projects[1].volumes[0] = with_metadata(2, "cinder.csi.openstack.org/cluster", "hub-1");
    assert_eq!(deletable(&view, &rules), [volume_id(1), volume_id(2)]);
}

#[test]
fn two_clusters_of_one_hubs_name_are_not_both_the_hubs() {
    let twice = |name: &str| {
        let mut view = with_servers(&[name, name]);
        view.projects[0].servers[1].id = "another".to_owned();
        view
    };
    blocks_alpha_alone(&twice("hub-0-k8s-node-nf-1"), "hub-0");
    blocks_alpha_alone(&twice("hub-0-1"), "hub-0");
    let mut view = twice("hub-0-1");
    view.projects[0].servers[0].addresses = vec!["149.165.1.1".parse().unwrap()];
    let rules = rules();
    let judged = plan(&view, &rules);
    let found: Vec<_> = judged.unknown_clusters().flat_map(|cluster| &cluster.signs).collect();
    assert!(matches!(found[..], [Sign::Server { id: "another", .. }]), "{found:?}");
    // Magnum makes as many of one name as it is asked to.
    let stacks = ["hub-0-abcd2fghijkl-master-0", "hub-0-zbcd2fghijkl-master-0"];
    let mut view = with_servers(&stacks);
    assert_eq!(unknown(&plan(&view, &rules)), ["hub-0-abcd2fghijkl", "hub-0-zbcd2fghijkl"]);
    view.projects[0].servers[0].addresses = vec!["149.165.1.1".parse().unwrap()];
    assert_eq!(unknown(&plan(&view, &rules)), ["hub-0-zbcd2fghijkl"]);
    let beside = with_servers(&["hub-0-k8s-node-nf-1", "hub-0-zbcd2fghijkl-master-0"]);
    assert_eq!(unknown(&plan(&beside, &rules)), ["hub-0-zbcd2fghijkl"]);
}

#[test]
fn a_volume_that_names_an_unknown_cluster_blocks_its_project_whatever_else_it_is() {
    for (key, value, name) in [
        ("cinder.csi.openstack.org/cluster", "theirs", "theirs"),
        ("kubernetes.io/cluster/theirs", "owned", "theirs"),
        ("openshiftClusterID", "ocp-x7k2p", "ocp-x7k2p"),
    ] {
        let mut view = two_projects();
        view.projects[0].volumes.push(with_metadata(7, key, value));
        blocks_alpha_alone(&view, name);
        // In use by a hub, it still names another cluster.
        view.clusters[0].persistent_volumes = vec![pv(7)];
        blocks_alpha_alone(&view, name);
    }
    let mut view = two_projects();
    for (number, name) in [(7, "kubernetes"), (8, "hub-0"), (10, "")] {
        view.projects[0].volumes.push(with_metadata(number, "cinder.csi.openstack.org/cluster", name));
    }
    assert!(!plan(&view, &rules()).is_blocked());
}

#[test]
fn a_hub_of_another_project_is_another_cluster_where_a_volume_names_it() {
    let mut view = two_projects();
    view.projects[0].volumes.push(with_metadata(7, "cinder.csi.openstack.org/cluster", "hub-1"));
    blocks_alpha_alone(&view, "hub-1");
}

#[test]
fn a_claims_volume_that_is_attached_to_a_server_which_nobody_lists_tells_of_a_cluster() {
    let mut view = two_projects();
    let attached =
        Volume { status: "in-use".to_owned(), attachments: vec!["elsewhere".to_owned()], ..volume(7) };
    view.projects[0].volumes.push(attached);
    blocks_alpha_alone(&view, "elsewhere");
    // A hub's, and one that was made for no claim, tell of none.
    let mut of_a_hub = view.clone();
    of_a_hub.clusters[1].persistent_volumes = vec![pv(7)];
    assert!(!plan(&of_a_hub, &rules()).is_blocked());
    view.projects[0].volumes.last_mut().unwrap().name = "data".to_owned();
    assert!(!plan(&view, &rules()).is_blocked());
}

#[test]
fn servers_called_by_what_they_are_alone_are_a_hubs_only_where_its_address_is() {
    let mut view = with_servers(&["k8s-master-0", "k8s-node-1"]);
    view.projects[0].servers[0].addresses = vec!["10.0.0.10".parse().unwrap()];
    view.outside.addresses = [(hub("hub-0"), "10.0.0.10".parse().unwrap())].into();
    blocks_alpha_alone(&view, "k8s");
    // With a name of their own, all are the hub's.
    for (server, name) in view.projects[0].servers.iter_mut().zip(["ou-master-0", "ou-k8s-node-1"]) {
        server.name = name.to_owned();
    }
    assert!(!plan(&view, &rules()).is_blocked());
    // Where two servers have its address, nobody knows which is the hub's.
    let address = view.projects[0].servers[0].addresses.clone();
    view.projects[0].servers[1].addresses = address;
    blocks_alpha_alone(&view, "ou");
}

#[test]
fn of_two_projects_of_one_name_only_the_id_tells_which_was_answered_for() {
    let mut view = with_servers(&["mvu-test-k8s-node-nf-1"]);
    view.projects[1].project.name = "alpha".to_owned();
    let by_name = with_answers(&[answered("mvu-test", Some("alpha"))]);
    assert!(plan(&view, &by_name).is_blocked());
    let by_id = with_answers(&[answered("mvu-test", Some("id-of-alpha"))]);
    assert!(!plan(&view, &by_id).is_blocked());
}

#[test]
fn a_volume_of_a_cluster_that_was_answered_for_is_still_kept() {
    let mut view = two_projects();
    view.projects[0].volumes[0] = with_metadata(1, "cinder.csi.openstack.org/cluster", "theirs");
    let rules = with_answers(&[answered("theirs", None)]);
    assert_eq!(deletable(&view, &rules), [volume_id(2)]);
    assert_eq!(plan(&view, &rules).volumes()[0].verdict.class, Class::Foreign);
}

#[test]
fn a_container_of_the_old_scripts_blocks_every_project() {
    let mut view = two_projects();
    view.outside.containers = vec![old_container("mvu-test", "149.165.9.9")];
    let rules = rules();
    let plan = plan(&view, &rules);
    assert_eq!(unknown(&plan), ["mvu-test"]);
    assert!(plan.is_empty() && plan.is_complete());
    assert_eq!(plan.of(Class::CannotTell).count(), 2);
    assert!(deletable(&view, &rules).is_empty());
    assert_eq!(deletable(&view, &with_answers(&[answered("mvu-test", None)])).len(), 2);
    // An answer for one project is one for that project alone.
    assert_eq!(deletable(&view, &with_answers(&[answered("mvu-test", Some("beta"))])), [volume_id(2)]);
}

#[test]
fn a_hubs_old_container_blocks_nothing_and_neither_does_one_that_is_for_no_cluster() {
    let none = OldContainer { cluster: None, has_kubeconfig: false, ..old_container("x", "") };
    for (container, blocks) in [
        (old_container("hub-0", ""), None),
        (
            OldContainer { engine: EngineName::new("east").unwrap(), ..old_container("hub-0", "") },
            Some("hub-0"),
        ),
        (old_container("hub-0", "149.165.1.1"), None),
        (old_container("old-name", "149.165.1.2"), None),
        (old_container("hub-0", "149.165.9.9"), Some("hub-0")),
        (old_container("hub-0", "::ffff:149.165.1.1"), None),
        (OldContainer { name: "quirky_noether".to_owned(), ..none.clone() }, None),
        (OldContainer { name: "mvu-test".to_owned(), ..none.clone() }, Some("mvu-test")),
        (OldContainer { name: "hub-1".to_owned(), ..none.clone() }, None),
        (
            OldContainer { name: "quirky_noether".to_owned(), has_kubeconfig: true, ..none.clone() },
            Some("quirky_noether"),
        ),
        (
            OldContainer { name: "quirky_noether".to_owned(), cluster: Some("c".to_owned()), ..none },
            Some("c"),
        ),
    ] {
        let mut view = two_projects();
        view.outside.engines = [(hub("hub-0"), EngineName::default())].into();
        view.outside.containers = vec![container.clone()];
        assert_eq!(unknown(&plan(&view, &rules())), blocks.into_iter().collect::<Vec<_>>(), "{container:?}");
    }
}

/// A hub that was taken out of the fleet when it used these.
fn removed(view: &mut VolumeView, name: &str, used: Vec<PersistentVolume>) {
    let at = now() - SignedDuration::from_hours(1);
    view.clusters.push(ClusterVolumes {
        hub: hub(name),
        persistent_volumes: used,
        claims: vec![],
        removed_at: Some(at),
        seen_at: at,
    });
}

#[test]
fn a_hub_that_was_taken_out_of_the_fleet_is_answered_for_where_it_had_volumes() {
    let mut view = with_servers(&["gone-1", "gone-k8s-node-nf-1"]);
    removed(&mut view, "gone", vec![pv(7)]);
    // Where it had none, this may be another cluster of the name.
    blocks_alpha_alone(&view, "gone");
    view.projects[0].volumes.push(volume(7));
    let judged = plan(&view, &rules()).is_blocked();
    assert!(!judged);
    let rules = rules();
    let plan = plan(&view, &rules);
    let reason = &plan.answered_clusters().next().unwrap().answered[0].reason;
    assert!(reason.starts_with("hub gone was taken out of the fleet on "), "{reason}");
    // Its old container is for that cluster, wherever it is.
    view.projects[0].servers.clear();
    view.outside.containers = vec![old_container("gone", "149.165.9.9")];
    assert!(!super::super::plan(&view, &rules).is_blocked());
}

#[test]
fn a_cluster_is_unknown_where_it_blocks_and_where_no_project_could_answer_for_it() {
    let (alpha, beta) = (project("alpha"), project("beta"));
    let answer = || vec![Answer { project: &beta, reason: "it has none".to_owned() }];
    for (blocks, answered, unknown) in [
        (vec![&alpha], answer(), true),
        (vec![&alpha], vec![], true),
        (vec![], answer(), false),
        // Its signs are of no project that was seen.
        (vec![], vec![], true),
    ] {
        let cluster = ForeignCluster { name: "theirs", blocks, answered, signs: vec![] };
        assert_eq!(cluster.is_unknown(), unknown, "{cluster:?}");
    }
}

#[test]
fn a_project_that_is_listed_under_two_urls_has_the_hubs_of_both() {
    let mut view = with_servers(&["hub-0-k8s-node-nf-1", "hub-2-k8s-node-nf-1"]);
    let mut again = view.projects[0].clone();
    again.project.key.auth_url = "https://alias:5000/v3".to_owned();
    again.hubs = vec![hub("hub-2")];
    let other = ClusterVolumes { hub: hub("hub-2"), ..view.clusters[0].clone() };
    view.clusters.push(other);
    view.projects.push(again);
    assert!(!plan(&view, &rules()).is_blocked());
    // What blocks under one of them blocks the volume.
    view.projects[2].servers.push(server("theirs-k8s-node-1"));
    assert_eq!(deletable(&view, &rules()), [volume_id(2)]);
    view.projects.reverse();
    assert_eq!(deletable(&view, &rules()), [volume_id(2)]);
}

#[test]
fn an_unknown_cluster_hides_no_other_reason_to_keep() {
    let mut view = with_servers(&["theirs-k8s-node-1"]);
    view.projects[0].volumes.push(with_metadata(7, "fleet.keep", "yes"));
    view.projects[0].volumes.push(volume(8));
    view.clusters[0].persistent_volumes = vec![pv(8)];
    let rules = rules();
    let plan = plan(&view, &rules);
    let class = |number| {
        let id = volume_id(number);
        plan.volumes().iter().find(|judged| judged.volume.id == id).unwrap().verdict.class
    };
    assert_eq!((class(1), class(7), class(8)), (Class::CannotTell, Class::Kept, Class::InUse));
}

#[test]
fn the_second_look_keeps_what_names_a_cluster_that_was_answered_for() {
    let view = two_projects();
    let rules = with_answers(&[answered("hub-0", Some("alpha"))]);
    let deletions = plan(&view, &rules).deletions().unwrap();
    let look = SecondLook::new(view.clusters.clone(), deletions.hubs()).unwrap();
    let planned = &deletions.volumes()[0];
    assert_eq!(still_orphan(planned, planned.volume(), &[], &look, &rules, now()), Ok(()));
    let mut named = view;
    named.projects[0].volumes[0] = with_metadata(1, "cinder.csi.openstack.org/cluster", "hub-0");
    let before = plan(&named, &super::tests::rules()).deletions().unwrap();
    let planned = &before.volumes()[0];
    let kept = still_orphan(planned, planned.volume(), &[], &look, &rules, now()).unwrap_err();
    assert!(kept.starts_with("foreign: "), "{kept}");
}

fn a_name() -> impl Strategy<Value = String> {
    let cluster = prop::sample::select(vec!["hub-0", "hub-1", "theirs", "ou", "hub", "k8s", "gone"]);
    let rest = prop::sample::select(vec![
        "-1",
        "-2",
        "-k8s-node-nf-1",
        "-k8s-master-1",
        "-abcd2fghijkl-master-0",
        "-control-plane-x2k4v",
        "",
        "-desktop",
        "-etcd-1",
        "-md-0-x",
        "-worker2",
    ]);
    prop_oneof![8 => (cluster, rest).prop_map(|(cluster, rest)| format!("{cluster}{rest}")), 1 => "\\PC{0,12}"]
}

prop_compose! {
    fn a_view()(
        servers in prop::collection::vec(a_name(), 0..6),
        others in prop::collection::vec(a_name(), 0..4),
        marked in prop::option::of(prop::sample::select(vec!["hub-0", "hub-1", "theirs", "gone", "kubernetes"])),
        container in prop::option::of(prop::sample::select(vec!["hub-0", "theirs", "gone"])),
        at_hub in prop::option::of(0usize..6),
        stone in prop::bool::ANY,
    ) -> VolumeView {
        let mut view = two_projects();
        let numbered = |names: Vec<String>| -> Vec<Server> {
            let of = |(number, name): (usize, &String)| Server { id: format!("s{number}"), ..server(name) };
            names.iter().enumerate().map(of).collect()
        };
        view.projects[0].servers = numbered(servers);
        view.projects[1].servers = numbered(others);
        if let Some(server) = at_hub.and_then(|at| view.projects[0].servers.get_mut(at)) {
            server.addresses = vec!["149.165.1.1".parse().unwrap()];
        }
        if let Some(name) = marked {
            view.projects[1].volumes.push(with_metadata(7, "cinder.csi.openstack.org/cluster", name));
        }
        view.outside.containers = container.map(|name| old_container(name, "")).into_iter().collect();
        if stone {
            removed(&mut view, "gone", vec![pv(7)]);
        }
        view
    }
}

proptest! {
    #[test]
    fn nothing_may_be_deleted_where_a_server_is_a_node_of_no_hub(view in a_view()) {
        let rules = rules();
        let deletions = plan(&view, &rules).deletions().unwrap();
        for planned in deletions.volumes() {
            let half = view.projects.iter().find(|half| half.project == *planned.project()).unwrap();
            let hub = half.hubs[0].as_str();
            for server in &half.servers {
                let is_node = ["-node-", "-master-", "-control-plane-", "-etcd-", "-md-", "-worker"]
                    .iter()
                    .any(|role| server.name.contains(role));
                // Of a hub, of its address, or of one that is remembered.
                let may_be_here = server.name.starts_with(hub)
                    || server.name.starts_with("gone")
                    || half.servers.iter().any(|other| !other.addresses.is_empty());
                prop_assert!(!is_node || may_be_here, "{} with {}", planned.project(), server.name);
            }
            prop_assert!(view.outside.containers.iter().all(|old| old.name != "theirs"));
        }
    }

    #[test]
    fn an_answer_for_every_cluster_unblocks_everything_and_changes_no_other_class(view in a_view()) {
        let rules = rules();
        let before = plan(&view, &rules);
        let answers: Vec<Foreign> = before
            .unknown_clusters()
            .flat_map(|cluster| cluster.blocks.iter().map(|project| answered(cluster.name, Some(&project.key.id))))
            .collect();
        let rules = with_answers(&answers);
        let after = plan(&view, &rules);
        prop_assert!(!after.is_blocked(), "{:?}", after.unknown_clusters().collect::<Vec<_>>());
        for (one, other) in before.volumes().iter().zip(after.volumes()) {
            let (one, other) = (one.verdict.class, other.verdict.class);
            prop_assert!(one == other || one == Class::CannotTell, "{one} is {other}");
        }
    }

    #[test]
    fn the_order_of_servers_and_projects_changes_nothing(view in a_view()) {
        let mut other = view.clone();
        other.projects.reverse();
        for half in &mut other.projects {
            half.servers.reverse();
        }
        let rules = rules();
        let (one, other) = (plan(&view, &rules), plan(&other, &rules));
        prop_assert_eq!(unknown(&one), unknown(&other));
        prop_assert_eq!(one.deletions().ok(), other.deletions().ok());
    }

    #[test]
    fn one_more_server_never_frees_a_volume(view in a_view(), name in "[a-z]{1,6}(-[a-z0-9]{1,5}){0,3}") {
        // One that has a hub's name may free the others of its cluster from nothing; one that has an address may.
        let rules = rules();
        let before: BTreeSet<String> = deletable(&view, &rules).into_iter().collect();
        let mut more = view.clone();
        more.projects[0].servers.push(Server { id: "more".to_owned(), ..server(&name) });
        for id in deletable(&more, &rules) {
            prop_assert!(before.contains(&id));
        }
    }
}
