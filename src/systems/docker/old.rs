//! Containers that the old scripts made, beside which fleet may run: each may be for a cluster that fleet does not know of.

use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, ContainerSummary, MountPoint};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use futures_util::future::try_join_all;

use super::{Connection, Error};
use crate::hub::EngineName;
use crate::observed::{OldContainer, OldMount};
use crate::sandbox::{labels, paths};

/// What the images of the old scripts are called, whoever built them: `unidata/science-gateway-gpu` too.
const IMAGE: &str = "science-gateway";

/// Where the old scripts have the directory with the cluster's kubeconfig.
const KUBE: &str = "/home/openstack/.kube";

/// What is read of a container's environment. The rest may be secret, and is not looked at.
const CLUSTER: &str = "CLUSTER";
const IP: &str = "IP";

impl Connection {
    /// All containers that may be the old scripts', stopped ones too. No sandbox of any fleet is one.
    pub async fn old_containers(&self) -> Result<Vec<OldContainer>, Error> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let listed =
            self.ask(|| "list containers".to_owned(), self.docker.list_containers(Some(options))).await?;
        let ids: Vec<String> =
            listed.into_iter().filter(may_be_old).filter_map(|container| container.id).collect();
        let looked = try_join_all(ids.iter().map(|id| self.look_at_old(id))).await?;
        Ok(looked.into_iter().flatten().collect())
    }

    /// `None` where it is none after all, or was removed meanwhile.
    async fn look_at_old(&self, id: &str) -> Result<Option<OldContainer>, Error> {
        let asked = self
            .ask(
                || format!("inspect container {id}"),
                self.docker.inspect_container(id, None::<InspectContainerOptions>),
            )
            .await;
        match asked {
            Ok(found) => Ok(as_old(found, self.name())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether it is worth a closer look.
fn may_be_old(container: &ContainerSummary) -> bool {
    let is_a_sandbox = container.labels.as_ref().is_some_and(|found| found.contains_key(labels::FLEET));
    // An image whose name has gone to a newer one is listed by its id.
    let by_image =
        container.image.as_deref().is_none_or(|image| is_theirs(image) || image.starts_with("sha256:"));
    let mounts = container.mounts.iter().flatten().filter_map(|mount| mount.destination.as_deref());
    !is_a_sandbox && (by_image || mounts.into_iter().any(|target| target.starts_with(paths::HOME)))
}

/// The last part of the image's name counts, without registry, tag and digest.
fn is_theirs(image: &str) -> bool {
    image.rsplit('/').next().is_some_and(|name| name.starts_with(IMAGE))
}

fn as_old(found: ContainerInspectResponse, engine: &EngineName) -> Option<OldContainer> {
    let config = found.config.unwrap_or_default();
    let env = config.env.unwrap_or_default();
    let of_env = |name: &str| {
        let value = env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim()).filter(|value| !value.is_empty())
    };
    let mounts = found.mounts.unwrap_or_default();
    let mut targets = mounts.iter().filter_map(|mount| mount.destination.as_deref());
    let image = config.image.unwrap_or_default();
    let cluster = of_env(CLUSTER).map(str::to_owned);
    let has_kubeconfig = targets.any(|target| target.trim_end_matches('/') == KUBE);
    let as_mount = |mount: &MountPoint| {
        let target = mount.destination.as_deref()?.trim_end_matches('/').to_owned();
        Some(OldMount { source: mount.source.as_deref()?.into(), target })
    };
    (is_theirs(&image) || cluster.is_some() || has_kubeconfig).then(|| OldContainer {
        id: found.id.unwrap_or_default(),
        engine: engine.clone(),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        state: found.state.and_then(|state| state.status).map_or_else(String::new, |state| state.to_string()),
        ip: of_env(IP).and_then(|text| text.parse::<IpAddr>().ok()),
        image,
        cluster,
        has_kubeconfig,
        mounts: mounts.iter().filter_map(as_mount).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::ContainerConfig;

    use super::*;

    fn mount(target: &str) -> MountPoint {
        MountPoint { destination: Some(target.to_owned()), ..Default::default() }
    }

    fn summary(image: &str, mounts: &[&str]) -> ContainerSummary {
        ContainerSummary {
            image: Some(image.to_owned()),
            mounts: Some(mounts.iter().map(|target| mount(target)).collect()),
            ..Default::default()
        }
    }

    fn inspected(image: &str, env: &[&str], mounts: &[&str]) -> Option<OldContainer> {
        let found = ContainerInspectResponse {
            id: Some("id".to_owned()),
            name: Some("/mvu-test".to_owned()),
            config: Some(ContainerConfig {
                image: Some(image.to_owned()),
                env: Some(env.iter().map(|&pair| pair.to_owned()).collect()),
                ..Default::default()
            }),
            mounts: Some(mounts.iter().map(|target| mount(target)).collect()),
            ..Default::default()
        };
        as_old(found, &EngineName::default())
    }

    #[test]
    fn a_container_of_the_old_scripts_is_known_by_its_image_or_by_what_is_mounted() {
        for image in
            ["unidata/science-gateway", "science-gateway-gpu:v2", "here:5000/x/science-gateway@sha256:12"]
        {
            assert!(may_be_old(&summary(image, &[])), "{image}");
        }
        assert!(may_be_old(&summary("sha256:0123", &[])));
        assert!(may_be_old(&summary("ours", &["/home/openstack/.kube/"])));
        for image in ["postgres", "unidata/thredds", "science-gateway/other"] {
            assert!(!may_be_old(&summary(image, &["/data"])), "{image}");
        }
        let mut sandbox = summary("unidata/science-gateway", &["/home/openstack/.kube"]);
        sandbox.labels = Some(HashMap::from([(labels::FLEET.to_owned(), "another".to_owned())]));
        assert!(!may_be_old(&sandbox));
    }

    #[test]
    fn of_its_environment_the_cluster_and_the_address_are_read_and_nothing_else() {
        let env = ["OS_PASSWORD=hunter2", "CLUSTER=mvu-test", "IP=149.165.1.2", "CLUSTER_TOKEN=hunter2", "X"];
        let old = inspected("unidata/science-gateway", &env, &["/home/openstack/.kube/"]).unwrap();
        assert_eq!((old.name.as_str(), old.cluster.as_deref()), ("mvu-test", Some("mvu-test")));
        assert_eq!(old.ip, Some("149.165.1.2".parse().unwrap()));
        assert!(old.has_kubeconfig);
        assert!(!format!("{old:?}").contains("hunter2"));
    }

    #[test]
    fn an_environment_without_them_is_no_trouble() {
        let old = inspected("unidata/science-gateway", &["CLUSTER=", "IP=none"], &[]).unwrap();
        assert_eq!((old.cluster, old.ip, old.has_kubeconfig), (None, None, false));
        assert_eq!(inspected("sha256:0123", &["A=b"], &["/home/openstack/data"]), None);
        assert!(inspected("sha256:0123", &["CLUSTER=x"], &[]).is_some());
    }
}
