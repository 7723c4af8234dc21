//! Hubs, their names, and the fleet that `fleet.toml` declares, once it has been checked.

mod engine;
#[cfg(test)]
pub(crate) mod samples;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text::nearest;

pub use engine::{DEFAULT_ENGINE, DeclaredEngine, Endpoint, EngineName, TlsFiles, place};

/// A master's domain has to be shorter than this: Let's Encrypt issues no certificate for a longer name (its common name
/// has at most 64 characters by RFC 5280, `ub-common-name`; operators keep one below).
pub const DOMAIN_LIMIT: usize = 64;

/// The most characters of a DNS label (RFC 1035, 2.3.4).
pub const LABEL_LIMIT: usize = 63;

/// The name of the tunnel's socket beside the kubeconfig, for containers of the old scripts.
pub const ADOPTED_SOCKET: &str = ".fleet-api.sock";

/// The name of the file beside it with the host key that such a tunnel goes by.
pub const ADOPTED_KNOWN_HOSTS: &str = ".fleet-known_hosts";

/// The name of the file beside it with the jump host's key.
pub const ADOPTED_JUMP_KNOWN_HOSTS: &str = ".fleet-known_hosts_jump";

/// What follows the name of a sandbox that was put aside. No hub has a name with a dot in it.
pub const ASIDE: &str = ".before";

/// A hub's name: a DNS label, because servers, domains and containers are named after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HubName(String);

/// Why a name cannot be a hub's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a DNS label: {why}")]
pub struct BadName {
    name: String,
    why: &'static str,
}

impl HubName {
    /// Checks a name. A DNS label has 1 to 63 lowercase letters, digits and hyphens, and no hyphen at either end.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let bad = |why| Err(BadName { name: name.to_owned(), why });
        if name.is_empty() {
            return bad("it is empty");
        }
        if name.len() > LABEL_LIMIT {
            return bad("it is longer than 63 characters");
        }
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return bad("only a-z, 0-9 and '-' can be in it");
        }
        if name.starts_with('-') || name.ends_with('-') {
            return bad("it begins or ends with '-'");
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The master's domain in a project's domain, as kubespray and Jetstream2's dynamic DNS name it.
    pub fn master_domain(&self, project_domain: &str) -> String {
        format!("{}-1.{}", self.0, project_domain.trim_end_matches('.'))
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` and not `write_str`: tables and prefixes ask for a width.
        f.pad(&self.0)
    }
}

impl FromStr for HubName {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for HubName {
    type Error = BadName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(&s)
    }
}

impl From<HubName> for String {
    fn from(name: HubName) -> String {
        name.0
    }
}

/// How a hub's master is reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// The account on the master.
    pub user: String,
    /// The port of its sshd.
    pub port: u16,
    /// The private key, on this machine. Mounted read-only into the sandbox. With an agent it may have a passphrase, or be the public
    /// half.
    pub key: PathBuf,
    /// The host that all connections to the master go by.
    pub jump: Option<JumpHost>,
    /// The socket of an SSH agent on this machine. Its directory is mounted into the sandbox.
    pub agent: Option<PathBuf>,
}

/// Where a jump host's sshd is, and the account there. Shown as it is written in `fleet.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpAddress {
    /// The account.
    pub user: String,
    /// An address or a name, as OpenSSH looks it up in `known_hosts`: in lowercase, without brackets.
    pub host: String,
    /// The port of its sshd.
    pub port: u16,
}

impl fmt::Display for JumpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        if host.contains(':') {
            write!(f, "{user}@[{host}]:{port}")
        } else {
            write!(f, "{user}@{host}:{port}")
        }
    }
}

/// A host that a master is reached by way of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpHost {
    /// Where it is.
    pub at: JumpAddress,
    /// The private key for it, on this machine.
    pub key: PathBuf,
}

/// One `JupyterHub` on one Kubernetes cluster, with everything inherited from the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// Its name.
    pub name: HubName,
    /// Its master's address.
    pub ip: IpAddr,
    /// Its openrc, absolute.
    pub openrc: PathBuf,
    /// How its master is reached.
    pub ssh: SshTarget,
    /// The project's DNS domain, where it is known.
    pub project_domain: Option<String>,
    /// The sandbox's image.
    pub image: String,
    /// Its state directory, absolute: `<state_dir>/<name>`, unless it says otherwise.
    pub state: PathBuf,
    /// The container of the old scripts that is its sandbox, as it is: `fleet adopt`. fleet starts and stops it, and never makes
    /// or removes it.
    pub container: Option<String>,
    /// What it is chosen by, beside its name.
    pub tags: Vec<String>,
    /// The engine that its sandbox lives on.
    pub engine: EngineName,
}

impl Hub {
    /// The cluster's kubeconfig on this machine (`kube/` is what the old scripts mount as `~/.kube`).
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kube/config")
    }

    /// The directory shared with the tunnel: its socket, the master's host key, and what the supervisor says.
    pub fn tunnel_dir(&self) -> PathBuf {
        self.state.join("tunnel")
    }

    /// The Unix socket that leads to the cluster's API server through the tunnel. The old scripts' containers have no
    /// directory of fleet's mounted; of what they have, the one with the kubeconfig is as private.
    pub fn api_socket(&self) -> PathBuf {
        match self.container {
            None => self.tunnel_dir().join("api.sock"),
            Some(_) => self.state.join("kube").join(ADOPTED_SOCKET),
        }
    }

    /// What the tunnel of a container of the old scripts goes by. It is in what is mounted there, so that a tunnel that was
    /// forgotten in such a container goes by what is pinned now, and not by what was pinned then.
    pub fn adopted_known_hosts(&self) -> PathBuf {
        self.state.join("kube").join(ADOPTED_KNOWN_HOSTS)
    }

    /// The same for the jump host's key.
    pub fn adopted_jump_known_hosts(&self) -> PathBuf {
        self.state.join("kube").join(ADOPTED_JUMP_KNOWN_HOSTS)
    }

    /// How the tunnel that was last started in a container of the old scripts goes to the master.
    pub fn adopted_way(&self) -> PathBuf {
        self.tunnel_dir().join("way")
    }

    /// A pipe that a tunnel which begins reads to its end first, where it is there.
    pub fn tunnel_hold(&self) -> PathBuf {
        self.tunnel_dir().join("hold")
    }

    /// The master's pinned host key, as OpenSSH's `known_hosts` has it.
    pub fn known_hosts(&self) -> PathBuf {
        self.tunnel_dir().join("known_hosts")
    }

    /// The jump host's pinned host key. In a file of its own: none of the two hosts may show the other's key.
    pub fn jump_known_hosts(&self) -> PathBuf {
        self.tunnel_dir().join("known_hosts_jump")
    }
}

/// What all sandboxes have in common: limits, so that one hub cannot take the control VM from the others, and a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSettings {
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
    /// The engine's network that they are on; its default one where none is named.
    pub network: Option<String>,
}

/// How long fleet waits, each for one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// One request to a Docker engine.
    pub engine: Duration,
    /// One SSH connection to a master, with what is done over it.
    pub ssh: Duration,
    /// Sourcing an openrc.
    pub openrc: Duration,
    /// One request to `OpenStack`.
    pub openstack: Duration,
    /// One request to a Kubernetes API server.
    pub kubernetes: Duration,
    /// Until a tunnel that was just started answers.
    pub tunnel: Duration,
}

/// What `fleet orphans` goes by, beside the rule itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanRules {
    /// Volumes younger than this are kept.
    pub min_age: Duration,
    /// How many deletions may be under way at once, over all projects.
    pub parallel: usize,
    /// More than so many volumes are only deleted when the number is named.
    pub brake_volumes: u64,
    /// The same for a larger share of a project's volumes.
    pub brake_percent: u64,
    /// How long a plan may be applied after it was saved.
    pub plan_expires: Duration,
    /// Clusters that are not of this fleet and that the operator has answered for.
    pub foreign: Vec<Foreign>,
}

/// A `[[foreign]]` of `fleet.toml`. Whoever writes it says that this cluster has no volumes in the project, or that all of
/// them carry its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// The cluster's name, as its servers or its volumes carry it.
    pub name: String,
    /// Why the operator is sure.
    pub reason: String,
    /// The project that this holds in, by name or id; left out, it holds in all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// What `fleet exec` goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRules {
    /// Commands that are only run in many hubs when the number of hubs is named.
    pub guard: Vec<String>,
}

/// A fleet: what `fleet.toml` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The file it was read from, absolute.
    pub path: PathBuf,
    /// Its name: sandboxes are called `<fleet>-<hub>`, so that several fleets share an engine.
    pub name: String,
    /// The engines, the usual one first, where it has no name of its own; never none.
    pub engines: Vec<DeclaredEngine>,
    /// Where hubs live that say nothing else.
    pub usual_engine: EngineName,
    /// Where state directories are, absolute.
    pub state_dir: PathBuf,
    /// What all sandboxes have in common.
    pub sandbox: SandboxSettings,
    /// Limits of every wait.
    pub timeouts: Timeouts,
    /// What `fleet orphans` goes by.
    pub orphans: OrphanRules,
    /// What `fleet exec` goes by.
    pub exec: ExecRules,
    /// What a hub that is added now would inherit.
    pub defaults: HubDefaults,
    /// The hubs, in the file's order.
    pub hubs: Vec<Hub>,
}

/// What hubs inherit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubDefaults {
    /// The account on masters.
    pub ssh_user: String,
    /// The port of their sshd.
    pub ssh_port: u16,
    /// The private key, absolute.
    pub ssh_key: Option<PathBuf>,
    /// The host that masters are reached by way of.
    pub ssh_jump: Option<JumpAddress>,
    /// The private key for it, absolute.
    pub ssh_jump_key: Option<PathBuf>,
    /// The socket of an SSH agent, absolute.
    pub ssh_agent: Option<PathBuf>,
    /// The project's DNS domain.
    pub project_domain: Option<String>,
    /// The sandbox's image.
    pub image: String,
}

impl Fleet {
    /// The hub of that name.
    pub fn hub(&self, name: &HubName) -> Option<&Hub> {
        self.hubs.iter().find(|hub| hub.name == *name)
    }

    /// The engine of that name.
    pub fn engine(&self, name: &EngineName) -> Option<&DeclaredEngine> {
        self.engines.iter().find(|engine| engine.name == *name)
    }

    /// Whether a hub's files and sockets may be out of its sandbox's reach, or the other way round.
    pub fn may_be_elsewhere(&self, hub: &Hub) -> bool {
        self.engine(&hub.engine).is_some_and(|engine| engine.endpoint.may_be_elsewhere())
    }

    /// The network that a hub's sandbox is on; the engine's own one where none is named.
    pub fn network_of(&self, hub: &Hub) -> Option<&str> {
        let own = self.engine(&hub.engine).and_then(|engine| engine.network.as_deref());
        own.or(self.sandbox.network.as_deref())
    }

    /// Where a hub of that name keeps its state.
    pub fn state_of(&self, name: &HubName) -> PathBuf {
        self.state_dir.join(name.as_str())
    }

    /// The name of a hub's container.
    pub fn container_of(&self, name: &HubName) -> String {
        match self.hub(name).and_then(|hub| hub.container.clone()) {
            Some(adopted) => adopted,
            None => self.sandbox_of(name),
        }
    }

    /// The name of a hub's sandbox while one of another image is made in its place.
    pub fn aside_of(&self, name: &HubName) -> String {
        format!("{}{ASIDE}", self.sandbox_of(name))
    }

    /// The name of the container that fleet makes for a hub.
    pub fn sandbox_of(&self, name: &HubName) -> String {
        format!("{}-{}", self.name, name)
    }

    /// Says that no hub has this name, and which was probably meant.
    pub fn unknown_hub(&self, name: &str) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str()).display();
        let nearest = nearest(name, self.hubs.iter().map(|hub| hub.name.as_str()));
        let meant = nearest.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        format!("no hub {name:?} in {file}{meant}")
    }

    /// The directory that relative paths in `fleet.toml` start from.
    pub fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}
