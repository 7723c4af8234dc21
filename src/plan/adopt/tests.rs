use std::path::PathBuf;

use super::*;
use crate::hub::{Fleet, samples};
use crate::observed::OldMount;
use crate::plan::orphans::samples::{old_container, rules};

/// A fleet with one hub, which no sample container is for.
fn fleet() -> Fleet {
    samples::fleet(vec![samples::hub("known")], rules())
}

/// As `z2j.sh` makes it.
fn of_z2j() -> OldContainer {
    let mount = |source: &str, target: &str| OldMount {
        source: PathBuf::from(source),
        target: format!("/home/openstack/{target}"),
    };
    OldContainer {
        mounts: vec![
            mount("/home/op/.ssh", ".ssh"),
            mount("/home/op/rc/ou23s.sh", "bin/openrc.sh"),
            mount("/home/op/jhub/ou23s/kube", ".kube"),
            mount("/home/op/jhub/ou23s/novaclient", ".novaclient"),
            mount("/home/op/jhub/ou23s/terraform", ".terraform.d"),
            mount("/home/op/jhub/ou23s/ou23s", "jetstream_kubespray/inventory/ou23s"),
            mount("/home/op/jhub/ou23s/helm", ".helm"),
            mount("/home/op/jhub/ou23s/secrets.yaml", "jupyterhub-deploy-kubernetes-jetstream/secrets.yaml"),
        ],
        name: "ou23s".to_owned(),
        ..old_container("ou23s", "10.0.0.1")
    }
}

fn problems(container: &OldContainer) -> Vec<String> {
    match read(container, &fleet(), &|_| true) {
        Reading::Cannot { problems, .. } => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_is_read_from_environment_and_mounts() {
    let Reading::Adopt(adoption) = read(&of_z2j(), &fleet(), &|path| !path.ends_with("id_ed25519")) else {
        panic!("not adopted")
    };
    assert_eq!(adoption.hub.as_str(), "ou23s");
    assert_eq!(adoption.ip.to_string(), "10.0.0.1");
    assert_eq!(adoption.openrc, PathBuf::from("/home/op/rc/ou23s.sh"));
    assert_eq!(adoption.state, PathBuf::from("/home/op/jhub/ou23s"));
    assert_eq!(adoption.ssh_key, Some(PathBuf::from("/home/op/.ssh/id_ecdsa")));
}

#[test]
fn a_stopped_container_counts_and_one_without_cluster_goes_by_its_name() {
    let stopped = OldContainer { state: "exited".to_owned(), cluster: None, ..of_z2j() };
    let Reading::Adopt(adoption) = read(&stopped, &fleet(), &|_| true) else { panic!("not adopted") };
    assert!(!adoption.running);
    assert_eq!(adoption.hub.as_str(), "ou23s");
}

#[test]
fn a_paused_container_is_left_alone() {
    assert!(problems(&OldContainer { state: "paused".to_owned(), ..of_z2j() })[0].contains("it is paused"));
}

#[test]
fn a_hub_of_the_fleet_is_known_and_not_adopted_again() {
    let known = OldContainer { cluster: Some("known".to_owned()), ..of_z2j() };
    let mut fleet = fleet();
    assert!(matches!(read(&known, &fleet, &|_| true), Reading::Known { is_its_sandbox: false, .. }));
    fleet.hubs[0].container = Some("ou23s".to_owned());
    assert!(matches!(read(&known, &fleet, &|_| true), Reading::Known { is_its_sandbox: true, .. }));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let bare = OldContainer { ip: None, mounts: Vec::new(), ..of_z2j() };
    assert_eq!(problems(&bare).len(), 3, "{:?}", problems(&bare));
    let bad = OldContainer { cluster: Some("Not A Label".to_owned()), ..of_z2j() };
    assert!(problems(&bad).iter().any(|problem| problem.contains("not a DNS label")));
    let Reading::Cannot { problems, .. } = read(&of_z2j(), &fleet(), &|path| !path.ends_with("ou23s.sh"))
    else {
        panic!("adopted without an openrc")
    };
    assert_eq!(problems, ["/home/op/rc/ou23s.sh is mounted, and not there any more"]);
}

#[test]
fn a_state_that_is_not_in_one_place_or_is_called_otherwise_is_not_taken_for_one() {
    let mut scattered = of_z2j();
    scattered.mounts[6].source = "/elsewhere/helm".into();
    assert!(problems(&scattered)[0].contains("/elsewhere"), "{:?}", problems(&scattered));
    let mut renamed = of_z2j();
    renamed.mounts[2].source = "/home/op/.kube".into();
    assert!(problems(&renamed).iter().any(|problem| problem.contains("called kube")));
}

#[test]
fn parts_of_the_state_that_are_not_mounted_are_no_trouble() {
    let mut few = of_z2j();
    few.mounts.truncate(3);
    assert!(matches!(read(&few, &fleet(), &|_| true), Reading::Adopt(_)));
}

#[test]
fn whatever_becomes_of_a_container_its_name_is_told() {
    let known = OldContainer { cluster: Some("known".to_owned()), ..of_z2j() };
    for container in [of_z2j(), known, OldContainer { ip: None, ..of_z2j() }] {
        assert_eq!(read(&container, &fleet(), &|_| true).container(), "ou23s");
    }
}

#[test]
fn a_container_beside_the_fleet_is_told_with_what_to_do_and_one_of_its_hubs_is_not() {
    let told = |container: &OldContainer| beside_the_fleet(&read(container, &fleet(), &|_| true));
    assert_eq!(told(&of_z2j()).unwrap().hint.as_deref(), Some("fleet adopt ou23s"));
    assert!(told(&OldContainer { ip: None, ..of_z2j() }).unwrap().what.contains("no IP"));
    assert_eq!(told(&OldContainer { cluster: Some("known".to_owned()), ..of_z2j() }), None);
}
