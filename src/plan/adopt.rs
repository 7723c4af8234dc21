//! What a container of the old scripts says of its hub, and whether that is enough to take it over.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::hub::{EngineName, Fleet, HubName};
use crate::observed::OldContainer;
use crate::plan::diagnose::Finding;
use crate::sandbox::paths;

/// Where the old scripts mount the parts of a hub's state, from its home, and what each is called in the state directory.
/// `{}` is the hub's name.
const STATE: [(&str, &str); 6] = [
    (".kube", "kube"),
    (".novaclient", "novaclient"),
    (".terraform.d", "terraform"),
    (".helm", "helm"),
    ("jetstream_kubespray/inventory/{}", "{}"),
    ("jupyterhub-deploy-kubernetes-jetstream/secrets.yaml", "secrets.yaml"),
];

/// The keys that OpenSSH itself tries, the better one first.
const KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// A hub as its container tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adoption {
    /// The container's name.
    pub container: String,
    /// Its id.
    pub id: String,
    /// The engine that has it.
    pub engine: EngineName,
    /// Whether it runs.
    pub running: bool,
    /// The hub.
    pub hub: HubName,
    /// Its master's address.
    pub ip: IpAddr,
    /// Its openrc.
    pub openrc: PathBuf,
    /// Its state directory.
    pub state: PathBuf,
    /// The private key for its master, where a directory with one is mounted.
    pub ssh_key: Option<PathBuf>,
}

/// What becomes of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Reading {
    /// It can be taken over.
    Adopt(Adoption),
    /// Its hub is in the fleet.
    Known {
        /// The container's name.
        container: String,
        /// The hub.
        hub: HubName,
        /// Whether this container is the hub's sandbox.
        is_its_sandbox: bool,
    },
    /// It cannot be taken over.
    Cannot {
        /// The container's name.
        container: String,
        /// The hub, as far as it is told.
        hub: Option<String>,
        /// Everything that is missing or wrong.
        problems: Vec<String>,
    },
}

impl Reading {
    /// The container's name.
    pub fn container(&self) -> &str {
        match self {
            Self::Adopt(Adoption { container, .. })
            | Self::Known { container, .. }
            | Self::Cannot { container, .. } => container,
        }
    }
}

/// What is to be said of a container beside the fleet: as long as nobody has answered for its cluster, `fleet orphans` deletes
/// nothing in any project. `None` for those of the fleet's hubs.
pub fn beside_the_fleet(reading: &Reading) -> Option<Finding> {
    match reading {
        Reading::Known { .. } => None,
        Reading::Adopt(Adoption { container, hub, .. }) => Some(Finding::warning(
            format!("container {container} looks like hub {hub}'s, which fleet.toml does not have"),
            format!("fleet adopt {container}"),
        )),
        Reading::Cannot { container, problems, .. } => Some(Finding::warning(
            format!("container {container} looks like one of the old scripts': {}", problems.join("; ")),
            "fleet new for its hub; or, if no cluster is behind it any more, remove the container",
        )),
    }
}

/// Reads a container. `is_there` tells whether a file or a directory is.
pub fn read(container: &OldContainer, fleet: &Fleet, is_there: &dyn Fn(&Path) -> bool) -> Reading {
    let name = container.cluster.as_deref().unwrap_or(&container.name);
    let mut problems = Vec::new();
    let hub = match HubName::new(name) {
        Ok(hub) => Some(hub),
        Err(bad) => {
            problems.push(bad.to_string());
            None
        }
    };
    if let Some(known) = hub.as_ref().and_then(|hub| fleet.hub(hub)) {
        return Reading::Known {
            container: container.name.clone(),
            hub: known.name.clone(),
            is_its_sandbox: known.container.as_deref() == Some(&container.name)
                && known.engine == container.engine,
        };
    }
    let ip = container.ip;
    if ip.is_none() {
        problems.push("its environment has no IP, or none that is an address".to_owned());
    }
    let openrc = mounted(container, "bin/openrc.sh");
    match openrc {
        None => problems.push(format!("no openrc is mounted at {}", paths::OPENRC)),
        Some(path) if !is_there(path) => problems.push(gone(path)),
        Some(_) => {}
    }
    if !["running", "exited", "created"].contains(&container.state.as_str()) {
        problems.push(format!("it is {}; it has to run, or to be stopped", container.state));
    }
    let state = state_of(container, name, is_there, &mut problems);
    if let (Some(hub), Some(ip), Some(openrc), Some(state)) = (hub, ip, openrc, state)
        && problems.is_empty()
    {
        return Reading::Adopt(Adoption {
            container: container.name.clone(),
            id: container.id.clone(),
            engine: container.engine.clone(),
            running: container.state == "running",
            hub,
            ip,
            openrc: openrc.to_owned(),
            state,
            ssh_key: mounted(container, ".ssh")
                .and_then(|keys| KEYS.iter().map(|key| keys.join(key)).find(|key| is_there(key))),
        });
    }
    Reading::Cannot { container: container.name.clone(), hub: Some(name.to_owned()), problems }
}

/// What of this machine is mounted at a place in the home.
fn mounted<'a>(container: &'a OldContainer, place: &str) -> Option<&'a Path> {
    let target = format!("{}/{place}", paths::HOME);
    container.mounts.iter().find(|mount| mount.target == target).map(|mount| mount.source.as_path())
}

/// The directory that all parts of the state come from.
fn state_of(
    container: &OldContainer,
    hub: &str,
    is_there: &dyn Fn(&Path) -> bool,
    problems: &mut Vec<String>,
) -> Option<PathBuf> {
    let mut state: Option<&Path> = None;
    for (place, part) in STATE {
        let (place, part) = (place.replace("{}", hub), part.replace("{}", hub));
        let Some(source) = mounted(container, &place) else {
            // The others are made when they are missing; without a kubeconfig's place there is no state to go by.
            if part == "kube" {
                problems.push(format!(
                    "nothing is mounted at {}/{place}, which its state would be known by",
                    paths::HOME
                ));
            }
            continue;
        };
        if !is_there(source) {
            problems.push(gone(source));
        }
        let is_named_so = source.file_name().is_some_and(|name| *name == *part);
        match (source.parent().filter(|_| is_named_so), state) {
            (None, _) => problems.push(format!(
                "{} is mounted at ~/{place}; it would have to be called {part}",
                source.display()
            )),
            (Some(parent), Some(first)) if parent != first => problems.push(format!(
                "~/{place} is mounted from {}, and other parts of its state from {}",
                parent.display(),
                first.display()
            )),
            (Some(parent), _) => state = Some(parent),
        }
    }
    state.map(Path::to_owned)
}

fn gone(path: &Path) -> String {
    format!("{} is mounted, and not there any more", path.display())
}
