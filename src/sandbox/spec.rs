//! The specification of a sandbox, and the fingerprint by which drift from it is seen.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::hub::{
    ADOPTED_JUMP_KNOWN_HOSTS, ADOPTED_KNOWN_HOSTS, ADOPTED_SOCKET, EngineName, Fleet, Hub, SandboxSettings,
};
use crate::observed::Sandbox;
use crate::text::hex;

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
    /// What the tunnel says in a container that fleet did not make: that container's own log is what people type and see.
    pub const ADOPTED_LOG: &str = "/tmp/.fleet-tunnel.log";
    /// The private key for the jump host, where it is another one than the master's.
    pub const JUMP_KEY: &str = "/home/openstack/.ssh/fleet-jump-key";
    /// The directory of the SSH agent's socket.
    pub const AGENT: &str = "/run/fleet-agent";
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
    /// The hub that a probe was made for, which is no sandbox.
    pub const PROBE: &str = "fleet.probe";
    /// The version of this scheme of labels and mounts.
    pub const SCHEMA: &str = "fleet.schema";
    /// The fingerprint of the specification that it was made from.
    pub const SPEC: &str = "fleet.spec";
    /// The id of the hub's image, where fleet has put a layer of its own on it: on that image, and so on what is made from it. It is
    /// empty on what is made from the hub's image itself.
    pub const IMAGE: &str = "fleet.image";
}

/// The version of the scheme; a sandbox of another version is recreated.
pub const SCHEMA: &str = "1";

/// The user that a sandbox runs as: the owner of the hub's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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

/// What fleet brings into every container.
pub const PAYLOADS: [Payload; 3] = [
    Payload { name: "run", text: include_str!("run.sh") },
    Payload { name: "end", text: include_str!("end.sh") },
    Payload { name: "tunnel", text: include_str!("tunnel.sh") },
];

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
    /// The engine that it lives on.
    pub engine: EngineName,
    /// The engine's network; its default one where none is named.
    pub network: Option<String>,
    /// What fleet brings along.
    pub programs: [Payload; 3],
}

impl SandboxSpec {
    /// The sandbox that `fleet.toml` asks for.
    pub fn new(fleet: &Fleet, hub: &Hub, owner: Owner) -> Self {
        let SandboxSettings { memory, pids, network: _ } = &fleet.sandbox;
        Self::of(&fleet.name, hub, owner, *memory, *pids, fleet.network_of(hub).map(str::to_owned))
    }

    /// The sandbox of a hub in a fleet of that name.
    pub fn of(fleet: &str, hub: &Hub, owner: Owner, memory: u64, pids: u32, network: Option<String>) -> Self {
        let name = hub.name.as_str();
        let key = format!("{}/.ssh/{}", paths::HOME, file_name(&hub.ssh.key));
        let mut env = BTreeMap::from([
            // The two that the old scripts set, and that kubespray's own scripts read.
            ("CLUSTER", name.to_owned()),
            ("K8S_CLUSTER_NAME", name.to_owned()),
            ("HOME", paths::HOME.to_owned()),
            ("KUBECONFIG", paths::KUBECONFIG.to_owned()),
            ("OPENRC", paths::OPENRC.to_owned()),
        ]);
        env.extend(Self::tunnel_env(hub));
        let home = |dir: &str| format!("{}/{dir}", paths::HOME);
        let bind = |source: PathBuf, target: String, read_only: bool| Mount { source, target, read_only };
        let mut mounts = vec![
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
        if let Some(jump) = hub.ssh.jump.as_ref().filter(|jump| jump.key != hub.ssh.key) {
            mounts.push(bind(jump.key.clone(), paths::JUMP_KEY.to_owned(), true));
        }
        if let Some((dir, socket)) =
            hub.ssh.agent.as_deref().and_then(|agent| Some((agent.parent()?, file_name(agent))))
        {
            mounts.push(bind(dir.to_owned(), paths::AGENT.to_owned(), true));
            env.insert("SSH_AUTH_SOCK", format!("{}/{socket}", paths::AGENT));
        }
        Self {
            container: format!("{fleet}-{name}"),
            fleet: fleet.to_owned(),
            hub: name.to_owned(),
            image: hub.image.clone(),
            owner,
            env,
            mounts,
            memory,
            pids,
            engine: hub.engine.clone(),
            network,
            programs: PAYLOADS,
        }
    }

    /// Where the tunnel's socket is in a hub's container.
    pub fn socket_in(hub: &Hub) -> String {
        match hub.container {
            None => format!("{}/api.sock", paths::TUNNEL),
            Some(_) => format!("{}/.kube/{ADOPTED_SOCKET}", paths::HOME),
        }
    }

    /// What the tunnel of a container that fleet did not make goes by; there the socket goes into what is mounted of the state.
    pub fn adopted_tunnel_env(hub: &Hub) -> Vec<String> {
        let beside_kubeconfig = |name| format!("{}/.kube/{name}", paths::HOME);
        let own = [
            ("FLEET_SOCKET", beside_kubeconfig(ADOPTED_SOCKET)),
            ("FLEET_KNOWN_HOSTS", beside_kubeconfig(ADOPTED_KNOWN_HOSTS)),
            ("FLEET_JUMP_KNOWN_HOSTS", beside_kubeconfig(ADOPTED_JUMP_KNOWN_HOSTS)),
        ];
        let env = Self::tunnel_env(hub).into_iter().chain(own);
        env.map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// The same as it is written down, so that a change is seen.
    pub fn adopted_way(hub: &Hub) -> String {
        Self::adopted_tunnel_env(hub).join("\n") + "\n"
    }

    /// What a tunnel goes by: the master's address, and how it is reached.
    pub fn tunnel_env(hub: &Hub) -> Vec<(&'static str, String)> {
        let key = format!("{}/.ssh/{}", paths::HOME, file_name(&hub.ssh.key));
        let mut env = vec![
            ("IP", hub.ip.to_string()),
            ("FLEET_SSH_USER", hub.ssh.user.clone()),
            ("FLEET_SSH_PORT", hub.ssh.port.to_string()),
            ("FLEET_SSH_KEY", key.clone()),
        ];
        if let Some(jump) = &hub.ssh.jump {
            let jump_key = if jump.key == hub.ssh.key { key } else { paths::JUMP_KEY.to_owned() };
            env.extend([
                ("FLEET_JUMP_USER", jump.at.user.clone()),
                ("FLEET_JUMP_HOST", jump.at.host.clone()),
                ("FLEET_JUMP_PORT", jump.at.port.to_string()),
                ("FLEET_JUMP_KEY", jump_key),
            ]);
        }
        env
    }

    /// Directories of a hub's state, as the old scripts lay them out, and the tunnel's own.
    pub fn state_dirs(hub: &Hub) -> Vec<PathBuf> {
        ["kube", "novaclient", "terraform", "helm", hub.name.as_str(), "tunnel"]
            .map(|dir| hub.state.join(dir))
            .to_vec()
    }

    /// What the container is labelled with: a hash of each part, so that drift can be told by its name. Two specs have one
    /// fingerprint exactly when they ask for the same.
    pub fn fingerprint(&self) -> String {
        // Where it is, the engine knows that lists it.
        let Self {
            container,
            fleet,
            hub,
            image,
            owner,
            env,
            mounts,
            memory,
            pids,
            engine: _,
            network,
            programs,
        } = self;
        [
            (Part::Name, digest(&(container, fleet, hub))),
            (Part::Image, digest(image)),
            (Part::Owner, digest(owner)),
            (Part::Environment, digest(env)),
            (Part::Mounts, digest(mounts)),
            (Part::Limits, digest(&(memory, pids))),
            (Part::Network, digest(network)),
            (Part::Programs, digest(programs)),
        ]
        .map(|(part, hash)| format!("{part}:{hash}"))
        .join(" ")
    }

    /// The parts in which a container that carries this fingerprint is not what is asked for. Without any part's name in
    /// it, it is of another version of fleet, and nobody knows.
    pub fn drift_from(&self, fingerprint: &str) -> Vec<Part> {
        let wanted = self.fingerprint();
        Part::ALL
            .into_iter()
            .filter(|part| {
                let of = |text: &str| text.split(' ').find_map(|one| hash_of(one, *part).map(str::to_owned));
                of(&wanted) != of(fingerprint)
            })
            .collect()
    }

    /// The parts in which a sandbox that is there is not what is asked for.
    pub fn drift_of(&self, sandbox: &Sandbox) -> Vec<Part> {
        let elsewhere = (sandbox.engine != self.engine).then_some(Part::Engine);
        elsewhere.into_iter().chain(self.drift_from(&sandbox.fingerprint)).collect()
    }

    /// The labels that the container carries.
    pub fn labels(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (labels::FLEET, self.fleet.clone()),
            (labels::HUB, self.hub.clone()),
            (labels::SCHEMA, SCHEMA.to_owned()),
            (labels::SPEC, self.fingerprint()),
        ])
    }
}

/// What a sandbox's specification consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The names of the container, its fleet and its hub.
    Name,
    /// The engine that it lives on.
    Engine,
    /// The image.
    Image,
    /// Who it runs as.
    Owner,
    /// Its environment: the master's address, how to reach it.
    Environment,
    /// What is mounted.
    Mounts,
    /// Memory and processes.
    Limits,
    /// The engine's network.
    Network,
    /// What fleet brings along: another version of fleet has others.
    Programs,
    /// The way that the tunnel in a container of the old scripts goes.
    Tunnel,
}

impl Part {
    /// All that a fingerprint tells.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Image,
        Self::Owner,
        Self::Environment,
        Self::Mounts,
        Self::Limits,
        Self::Network,
        Self::Programs,
    ];
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Name => "name",
            Self::Engine => "engine",
            Self::Image => "image",
            Self::Owner => "owner",
            Self::Environment => "environment",
            Self::Mounts => "mounts",
            Self::Limits => "limits",
            Self::Network => "network",
            Self::Programs => "programs",
            Self::Tunnel => "tunnel",
        })
    }
}

fn hash_of(entry: &str, part: Part) -> Option<&str> {
    entry.strip_prefix(&part.to_string())?.strip_prefix(':')
}

/// Eight bytes of a hash: enough to tell two settings apart, and a label that can be read.
fn digest(part: &impl Serialize) -> String {
    // Serialising strings and numbers cannot fail.
    let text = serde_json::to_vec(part).unwrap_or_default();
    hex(&Sha256::digest(&text)[..8])
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "id".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            container: "fleet-a".to_owned(),
            fleet: "fleet".to_owned(),
            hub: "a".to_owned(),
            image: "fleet/sandbox:latest".to_owned(),
            owner: Owner { uid: 1000, gid: 1000 },
            env: BTreeMap::from([("IP", "10.0.0.1".to_owned())]),
            mounts: vec![Mount { source: "/a".into(), target: "/b".to_owned(), read_only: true }],
            memory: 1 << 30,
            pids: 512,
            engine: EngineName::default(),
            network: None,
            programs: [Payload { name: "run", text: "x" }; 3],
        }
    }

    #[test]
    fn drift_is_told_by_the_part_that_differs() {
        let made = spec().fingerprint();
        assert_eq!(spec().drift_from(&made), []);
        let change = |change: fn(&mut SandboxSpec)| {
            let mut wanted = spec();
            change(&mut wanted);
            wanted.drift_from(&made)
        };
        assert_eq!(change(|spec| spec.container.push('x')), [Part::Name]);
        assert_eq!(change(|spec| spec.image.push('x')), [Part::Image]);
        assert_eq!(change(|spec| spec.owner.gid = 0), [Part::Owner]);
        assert_eq!(change(|spec| spec.env.clear()), [Part::Environment]);
        assert_eq!(change(|spec| spec.mounts[0].read_only = false), [Part::Mounts]);
        assert_eq!(change(|spec| spec.pids = 1), [Part::Limits]);
        assert_eq!(change(|spec| spec.network = Some("n".to_owned())), [Part::Network]);
        assert_eq!(change(|spec| spec.programs[1].text = "y"), [Part::Programs]);
        let both = change(|spec| {
            spec.memory = 1;
            spec.env.clear();
        });
        assert_eq!(both, [Part::Environment, Part::Limits]);
    }

    #[test]
    fn a_jump_host_and_an_agent_are_in_the_environment_and_the_mounts_and_nothing_is_where_there_are_none() {
        let of = |hub: &Hub| SandboxSpec::of("fleet", hub, Owner { uid: 0, gid: 0 }, 1, 1, None);
        let mut hub = crate::hub::samples::hub("a");
        let plain = of(&hub);
        assert!(!plain.env.keys().any(|name| name.contains("JUMP") || name.contains("AUTH")));
        let at = crate::hub::JumpAddress { user: "op".to_owned(), host: "bastion".to_owned(), port: 2222 };
        hub.ssh.jump = Some(crate::hub::JumpHost { at, key: hub.ssh.key.clone() });
        let same_key = of(&hub);
        assert_eq!(same_key.drift_from(&plain.fingerprint()), [Part::Environment]);
        assert_eq!(
            (&*same_key.env["FLEET_JUMP_HOST"], &*same_key.env["FLEET_JUMP_PORT"]),
            ("bastion", "2222")
        );
        assert_eq!(same_key.env["FLEET_JUMP_KEY"], same_key.env["FLEET_SSH_KEY"]);
        hub.ssh.jump.as_mut().unwrap().key = "/other/key".into();
        let other_key = of(&hub);
        assert_eq!(other_key.drift_from(&same_key.fingerprint()), [Part::Environment, Part::Mounts]);
        hub.ssh.agent = Some("/agents/mine/agent.sock".into());
        let agent = of(&hub);
        assert_eq!(agent.env["SSH_AUTH_SOCK"], "/run/fleet-agent/agent.sock");
        let mount = agent.mounts.last().unwrap();
        assert_eq!((mount.source.to_str(), mount.read_only), (Some("/agents/mine"), true));
    }

    #[test]
    fn a_container_of_another_version_has_drifted_in_every_part() {
        for label in ["", "0123456789abcdef", "image: name:"] {
            assert_eq!(spec().drift_from(label), Part::ALL, "{label:?}");
        }
    }

    #[test]
    fn no_secret_and_no_path_is_in_a_fingerprint() {
        assert!(!spec().fingerprint().contains('/'), "{}", spec().fingerprint());
    }
}
