//! The specification of a sandbox, and the hash by which drift from it is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::hub::{Fleet, Hub};

/// Where things are inside a sandbox. The home and what is mounted into it are where the old scripts have them.
pub mod paths {
    /// The operator's home.
    pub const HOME: &str = "/home/openstack";
    /// The openrc, one file.
    pub const OPENRC: &str = "/home/openstack/bin/openrc.sh";
    /// The kubeconfig, in the mounted `.kube`.
    pub const KUBECONFIG: &str = "/home/openstack/.kube/config";
    /// Shared with the hub's state directory: the tunnel's socket and the pinned host key.
    pub const TUNNEL: &str = "/run/fleet";
    /// What fleet brings into the container.
    pub const PROGRAMS: &str = "/opt/fleet";
    /// Runs a command with the openrc sourced.
    pub const RUN: &str = "/opt/fleet/run";
    /// Ends all processes of a run.
    pub const END: &str = "/opt/fleet/end";
    /// Holds the tunnel.
    pub const HOLD_TUNNEL: &str = "/opt/fleet/tunnel";
}

/// Labels that fleet puts on its containers, and the only ones that it knows them by.
pub mod labels {
    /// The fleet's name.
    pub const FLEET: &str = "fleet.name";
    /// The hub's name.
    pub const HUB: &str = "fleet.hub";
    /// The version of this scheme of labels and mounts.
    pub const SCHEMA: &str = "fleet.schema";
    /// The hash of the specification that it was made from.
    pub const SPEC: &str = "fleet.spec";
}

/// The version of the scheme; a sandbox of another version is recreated.
pub const SCHEMA: &str = "1";

/// The user that a sandbox runs as: the owner of the hub's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// Whose a file or directory is.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self { uid: file.uid(), gid: file.gid() })
    }
}

/// A bind mount. The source must exist: the engine is told never to make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// On the engine's machine, absolute.
    pub source: PathBuf,
    /// In the sandbox, absolute.
    pub target: String,
    /// Whether the sandbox may write to it.
    pub read_only: bool,
}

/// A program that fleet brings into the container before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Payload {
    /// Its name in [`paths::PROGRAMS`].
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Everything that makes a hub's sandbox what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SandboxSpec {
    /// The container's name.
    pub container: String,
    /// The fleet it belongs to.
    pub fleet: String,
    /// The hub it is for.
    pub hub: String,
    /// The image, by the name that `fleet.toml` gives.
    pub image: String,
    /// Who it runs as.
    pub owner: Owner,
    /// Environment. Never a secret: `docker inspect` shows it.
    pub env: BTreeMap<&'static str, String>,
    /// Bind mounts.
    pub mounts: Vec<Mount>,
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
    /// The engine's network; its default one where none is named.
    pub network: Option<String>,
    /// What fleet brings along.
    pub programs: [Payload; 3],
}

impl SandboxSpec {
    /// The sandbox that `fleet.toml` asks for.
    pub fn new(fleet: &Fleet, hub: &Hub, owner: Owner) -> Self {
        let name = hub.name.as_str();
        let key = format!("{}/.ssh/{}", paths::HOME, file_name(&hub.ssh.key));
        let env = BTreeMap::from([
            // The two that the old scripts set, and that kubespray's own scripts read.
            ("CLUSTER", name.to_owned()),
            ("K8S_CLUSTER_NAME", name.to_owned()),
            ("IP", hub.ip.to_string()),
            ("HOME", paths::HOME.to_owned()),
            ("KUBECONFIG", paths::KUBECONFIG.to_owned()),
            ("OPENRC", paths::OPENRC.to_owned()),
            ("FLEET_SSH_USER", hub.ssh.user.clone()),
            ("FLEET_SSH_PORT", hub.ssh.port.to_string()),
            ("FLEET_SSH_KEY", key.clone()),
        ]);
        let home = |dir: &str| format!("{}/{dir}", paths::HOME);
        let bind = |source: PathBuf, target: String, read_only: bool| Mount { source, target, read_only };
        let mounts = vec![
            bind(hub.openrc.clone(), paths::OPENRC.to_owned(), true),
            bind(hub.ssh.key.clone(), key, true),
            bind(hub.state.join("kube"), home(".kube"), false),
            bind(hub.state.join("novaclient"), home(".novaclient"), false),
            bind(hub.state.join("terraform"), home(".terraform.d"), false),
            bind(hub.state.join("helm"), home(".helm"), false),
            bind(hub.state.join(name), home(&format!("jetstream_kubespray/inventory/{name}")), false),
            bind(
                hub.state.join("secrets.yaml"),
                home("jupyterhub-deploy-kubernetes-jetstream/secrets.yaml"),
                false,
            ),
            bind(hub.tunnel_dir(), paths::TUNNEL.to_owned(), false),
        ];
        Self {
            container: fleet.container_of(&hub.name),
            fleet: fleet.name.clone(),
            hub: name.to_owned(),
            image: hub.image.clone(),
            owner,
            env,
            mounts,
            memory: fleet.sandbox.memory,
            pids: fleet.sandbox.pids,
            network: fleet.sandbox.network.clone(),
            programs: [
                Payload { name: "run", text: include_str!("run.sh") },
                Payload { name: "end", text: include_str!("end.sh") },
                Payload { name: "tunnel", text: include_str!("tunnel.sh") },
            ],
        }
    }

    /// Directories of a hub's state, as the old scripts lay them out, and the tunnel's own.
    pub fn state_dirs(hub: &Hub) -> Vec<PathBuf> {
        ["kube", "novaclient", "terraform", "helm", hub.name.as_str(), "tunnel"]
            .map(|dir| hub.state.join(dir))
            .to_vec()
    }

    /// The hash that the container is labelled with. Two specs have one hash exactly when they ask for the same.
    pub fn hash(&self) -> String {
        // Serialising a struct of strings and numbers cannot fail.
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&text).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The labels that the container carries.
    pub fn labels(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (labels::FLEET, self.fleet.clone()),
            (labels::HUB, self.hub.clone()),
            (labels::SCHEMA, SCHEMA.to_owned()),
            (labels::SPEC, self.hash()),
        ])
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "id".to_owned(), |name| name.to_string_lossy().into_owned())
}
