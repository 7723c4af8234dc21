//! Whether an engine's machine has files, found without making anything that stays: a container that is never started would mount them.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, Mount};
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptions};

use super::create::bind;
use super::{Connection, Error};
use crate::sandbox::labels;

/// Such a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its name, which no other one has.
    pub name: String,
    /// The fleet's name.
    pub fleet: String,
    /// The hub's name.
    pub hub: String,
}

impl Connection {
    /// Fails where the engine's machine has no files at these paths.
    pub async fn has_files(&self, image: &str, probe: &Probe, paths: &[PathBuf]) -> Result<(), Error> {
        let mounts =
            paths.iter().enumerate().map(|(number, path)| bind(path, format!("/fleet/{number}"), true));
        let made = self.make_probe(image, probe, mounts.collect(), "look for the hub's files").await;
        match made {
            Ok(id) => self.remove(&id).await,
            Err(error) if error.is_not_found() => Err(Error::NoImage { image: image.to_owned() }),
            Err(error) => {
                if let Error::TimedOut { .. } = error {
                    let _ = self.remove(&probe.name).await;
                }
                Err(self.not_there(error))
            }
        }
    }

    /// Makes such a container, and returns its id.
    pub(super) async fn make_probe(
        &self,
        image: &str,
        probe: &Probe,
        mounts: Vec<Mount>,
        what: &str,
    ) -> Result<String, Error> {
        // Without a hub's label: it is no sandbox.
        let labels = [(labels::FLEET, &probe.fleet), (labels::PROBE, &probe.hub)];
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec!["true".to_owned()]),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.clone())).into()),
            host_config: Some(HostConfig { mounts: Some(mounts), ..Default::default() }),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(probe.name.clone()), ..Default::default() };
        Ok(self.ask(|| what.to_owned(), self.docker.create_container(Some(options), body)).await?.id)
    }

    /// The names of such containers for a hub: whoever made one was killed before it was removed.
    pub async fn probes(&self, fleet: &str, hub: &str) -> Result<Vec<String>, Error> {
        let labels = [(labels::FLEET, fleet), (labels::PROBE, hub)];
        let labels = labels.map(|(name, value)| format!("{name}={value}")).to_vec();
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let found =
            self.ask(|| "list containers".to_owned(), self.docker.list_containers(Some(options))).await?;
        let name = |summary: ContainerSummary| {
            let names = summary.names?;
            names.first().map(|name| name.trim_start_matches('/').to_owned())
        };
        Ok(found.into_iter().filter_map(name).collect())
    }
}
