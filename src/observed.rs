//! What fleet saw, in its own types: the clients in [`crate::systems`] return them, [`crate::observe`] gathers them,
//! and [`crate::plan`] judges them. Nothing here asks anything or decides anything.

mod openrc;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use litemap::LiteMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::hub::{EngineName, HubName};
use crate::sandbox::Part;

pub use openrc::{CredentialKind, FileId, Login, OpenrcFile, OpenrcMount, Process, Processes, Validity};

/// An `OpenStack` project, known by what its token says and never by a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProjectKey {
    /// Keystone's URL, without a trailing slash.
    pub auth_url: String,
    /// The region whose Cinder was asked; empty where the openrc names none.
    pub region: String,
    /// The project's id.
    pub id: String,
}

/// A project with the name that people know it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Project {
    /// Identity: two projects are one exactly when their keys are equal.
    #[serde(flatten)]
    pub key: ProjectKey,
    /// The name in the token. Not unique across clouds.
    pub name: String,
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The metadata of a volume or a server. In one piece of memory, since it is most of what 100,000 volumes need.
pub type Metadata = LiteMap<String, String>;

/// For `#[serde(serialize_with)]`: a map also where it is empty, which [`LiteMap`] writes as a list.
pub fn as_map<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metadata)
}

/// A Cinder volume, as `GET /volumes/detail` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Cinder's id: the only thing a volume is deleted by.
    pub id: String,
    /// Cinder's name: not unique, may be empty.
    pub name: String,
    /// Cinder's status, as it writes it (`available`, `in-use`, `reserved`, `error_deleting`, ...).
    pub status: String,
    /// Size in GiB.
    pub size_gib: u64,
    /// When Cinder made it. `None` where Cinder's answer has no readable time: then its age is not known.
    pub created_at: Option<Timestamp>,
    /// Ids of the servers (or, where Cinder names none, of the attachments) that hold it.
    pub attachments: Vec<String>,
    /// The volume's metadata.
    #[serde(serialize_with = "as_map")]
    pub metadata: Metadata,
    /// Whether Cinder marks it as bootable: a server's system disk.
    pub bootable: bool,
}

/// A Cinder snapshot: as long as it exists, its volume cannot be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Cinder's id.
    pub id: String,
    /// The volume that it was taken of.
    pub volume_id: String,
}

/// A Nova server, as `GET /servers/detail` shows it: what may tell that it is a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Nova's id.
    pub id: String,
    /// Nova's name: not unique.
    pub name: String,
    /// Its addresses, floating ones included, as far as they can be read.
    pub addresses: Vec<IpAddr>,
    /// Its metadata.
    #[serde(serialize_with = "as_map")]
    pub metadata: Metadata,
    /// Its tags.
    pub tags: Vec<String>,
    /// The names of its security groups.
    pub security_groups: Vec<String>,
    /// The name of the key pair that it was made with.
    pub key_name: Option<String>,
    /// When Nova made it.
    pub created_at: Option<Timestamp>,
}

/// A container on the engine that the old scripts may have made for a hub. Of its environment no more than this is read:
/// the rest may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OldContainer {
    /// The engine's id.
    pub id: String,
    /// The engine that has it.
    pub engine: EngineName,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
    /// Its state, in Docker's words.
    pub state: String,
    /// `CLUSTER` in its environment.
    pub cluster: Option<String>,
    /// `IP` in its environment.
    pub ip: Option<IpAddr>,
    /// Whether a directory is mounted where kubectl looks for its configuration.
    pub has_kubeconfig: bool,
    /// What is mounted into it.
    #[serde(skip)]
    pub mounts: Vec<OldMount>,
}

/// Something of this machine that is mounted into a container of the old scripts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldMount {
    /// On the engine's machine.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
}

/// A `PersistentVolume` of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistentVolume {
    /// Its name in the cluster.
    pub name: String,
    /// `Available`, `Bound`, `Released`, `Failed` or `Pending`; empty where the server sent none.
    pub phase: String,
    /// `Retain`, `Delete` or `Recycle`; empty where the server sent none.
    pub reclaim_policy: String,
    /// Storage class, empty where there is none.
    pub storage_class: String,
    /// Every id under which the PV may refer to a Cinder volume: `spec.csi.volumeHandle` of *any* driver, and in-tree
    /// `spec.cinder.volumeID`.
    pub volume_ids: Vec<String>,
    /// What serves it: the CSI driver's name ([`CINDER_CSI`]), [`CINDER_IN_TREE`] for `spec.cinder`, and empty for
    /// everything else.
    pub driver: String,
    /// The claim that it is, or was, bound to.
    pub claim: Option<ClaimRef>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// Cinder's CSI driver, as `spec.csi.driver` names it.
pub const CINDER_CSI: &str = "cinder.csi.openstack.org";

/// The name of the in-tree Cinder plugin, which `spec.cinder` stands for.
pub const CINDER_IN_TREE: &str = "kubernetes.io/cinder";

/// The claim that a PV names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClaimRef {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub name: String,
}

/// A `PersistentVolumeClaim` of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its id in the cluster: what the volume that was made for it is named after (`pvc-<uid>`).
    pub uid: String,
    /// The `JupyterHub` user it was made for: kubespawner's `hub.jupyter.org/username` label or annotation, else what
    /// follows `claim-` in its name; `None` for claims of no user.
    pub user: Option<String>,
    /// `Bound`, `Pending` or `Lost`.
    pub phase: String,
    /// Size in bytes: what is bound, else what is asked for.
    pub size_bytes: Option<u64>,
    /// The PV that it is bound to.
    pub volume_name: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// A cluster's node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether its `Ready` condition is `True`.
    pub ready: bool,
}

/// Whose answer is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A hub of the fleet.
    Hub(HubName),
    /// A project, named as people know it.
    Project(String),
    /// A Docker engine.
    Engine(EngineName),
    /// A Docker engine that `fleet.toml` had once and has no more: where it is.
    FormerEngine(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Hub(name) => write!(f, "hub {name}"),
            Subject::Project(name) => write!(f, "project {name}"),
            Subject::Engine(name) => write!(f, "engine {name}"),
            Subject::FormerEngine(at) => write!(f, "the former engine at {at}"),
        }
    }
}

/// Something fleet could not see: *cannot tell*, which is never *not in use*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// Whose answer is missing.
    pub subject: Subject,
    /// What went wrong, in one line, without secrets.
    pub reason: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One project's half of the view that orphans are judged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectVolumes {
    /// The project.
    pub project: Project,
    /// The hubs whose openrc leads to it.
    pub hubs: Vec<HubName>,
    /// All of its volumes, every page.
    pub volumes: Vec<Volume>,
    /// All of its snapshots, every page.
    pub snapshots: Vec<Snapshot>,
    /// All of its servers, every page; none where the cloud has no Nova.
    pub servers: Vec<Server>,
    /// When all of this had arrived.
    pub seen_at: Timestamp,
}

/// One cluster's half of the view that orphans are judged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterVolumes {
    /// The hub.
    pub hub: HubName,
    /// All of its PVs, in every phase.
    pub persistent_volumes: Vec<PersistentVolume>,
    /// All of its claims, of every namespace: one whose PV was deleted by hand still speaks for its user's data.
    pub claims: Vec<Claim>,
    /// Set where the hub was taken out of the fleet: then this is what its cluster had at that time.
    pub removed_at: Option<Timestamp>,
    /// When the list had arrived.
    pub seen_at: Timestamp,
}

/// What else may tell of clusters that use the projects' volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Outside {
    /// Where `fleet.toml` says that each hub's master is,
    pub addresses: BTreeMap<HubName, IpAddr>,
    /// and the engine that it lives on.
    pub engines: BTreeMap<HubName, EngineName>,
    /// Containers of the old scripts on the engine, stopped ones too.
    pub containers: Vec<OldContainer>,
}

/// Everything that orphans are judged from: volumes asked for first, then PVs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeView {
    /// What the projects hold.
    pub projects: Vec<ProjectVolumes>,
    /// What the clusters use.
    pub clusters: Vec<ClusterVolumes>,
    /// What else there is.
    pub outside: Outside,
    /// What could not be seen. Empty exactly when the view is complete.
    pub unseen: Vec<Unseen>,
    /// When all volumes were there and the PVs were asked for: ages are counted up to here.
    pub seen_at: Timestamp,
}

impl VolumeView {
    /// Whether every hub and every project answered in full.
    pub fn is_complete(&self) -> bool {
        self.unseen.is_empty()
    }
}

/// What was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// An answer.
    Seen(T),
    /// None, and why.
    Unseen(Unseen),
    /// It was not asked, because something before it is missing already.
    NotAsked,
}

impl<T> Answer<T> {
    /// The answer, if there is one.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Answer::Seen(answer) => Some(answer),
            _ => None,
        }
    }

    /// Why there is none.
    pub fn unseen(&self) -> Option<&Unseen> {
        match self {
            Answer::Unseen(unseen) => Some(unseen),
            _ => None,
        }
    }
}

/// A sandbox's container, as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The engine's id.
    pub id: String,
    /// The hub that it is labelled with.
    pub hub: HubName,
    /// Its state.
    pub state: SandboxState,
    /// The id of the image that it was made of.
    pub image: String,
    /// The fingerprint of the specification that it was made from.
    pub fingerprint: String,
    /// Whether the old scripts made it: then there is nothing that it should be but what it is.
    pub adopted: bool,
    /// The engine that has it.
    pub engine: EngineName,
    /// Whether it was put aside for one of another image, and waits to be removed or to come back.
    pub aside: bool,
}

/// A container's state, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen by `docker pause`.
    Paused,
    /// Between two starts.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed.
    Dead,
}

impl SandboxState {
    /// Docker's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }
}

impl std::fmt::Display for SandboxState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a sandbox stands to what `fleet.toml` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SandboxLook {
    /// The container's state, in Docker's words; `None` where there is no container.
    pub state: Option<&'static str>,
    /// Whether commands can run in it.
    pub running: bool,
    /// Why nobody can tell what there is: its engine does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// The parts in which it is not what `fleet.toml` asks for now.
    pub drift: Vec<Part>,
}

/// How far a request to the API server got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tunnel {
    /// It carries requests.
    Up,
    /// Nothing listens at its end in the sandbox.
    Down,
    /// It takes connections, and nothing comes back.
    Hangs,
}

/// A hub's tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TunnelLook {
    /// The hub.
    pub hub: HubName,
    /// Where it leads: account, address and port.
    pub master: String,
    /// The fingerprint of the host key that is pinned for that address.
    pub host_key: Option<String>,
    /// The jump host that it goes by way of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// The fingerprint of the host key that is pinned for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump_host_key: Option<String>,
    /// How far requests get; `None` where that could not be tried.
    pub tunnel: Option<Tunnel>,
    /// Since when it is connected.
    pub since: Option<Timestamp>,
    /// How long `/readyz` took, in milliseconds.
    pub answered_ms: Option<u64>,
    /// What it said last, where requests do not get through.
    pub said: Option<String>,
    /// Why requests do not get through.
    pub problem: Option<Unseen>,
}

/// The project that a hub's credentials lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The project, from the token.
    pub project: Project,
    /// When the application credential expires; `None` where it never does, or Keystone does not say.
    pub expires_at: Option<Timestamp>,
}

/// Everything that `fleet status` and `fleet doctor` know of one hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HubLook {
    /// The hub.
    pub hub: HubName,
    /// The engine that it lives on.
    pub engine: EngineName,
    /// Its sandbox.
    pub sandbox: SandboxLook,
    /// Where `fleet.toml` says that its openrc is.
    pub openrc: PathBuf,
    /// Whether the sandbox holds another openrc than the one at the path now.
    pub openrc_stale: Answer<bool>,
    /// Whether the openrc can be read by others on this machine; `None` where it is gone.
    pub openrc_open_to_others: Option<bool>,
    /// How far requests to the API server get.
    pub tunnel: Answer<Tunnel>,
    /// What the tunnel said last, where it carries no requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel_said: Option<String>,
    /// `/readyz`.
    pub api: Answer<()>,
    /// What Keystone says.
    pub credentials: Answer<Credentials>,
    /// The cluster's nodes.
    pub nodes: Answer<Vec<Node>>,
    /// The cluster's claims.
    pub claims: Answer<Vec<Claim>>,
    /// Programs that the sandbox's image lacks; empty where they were not asked for.
    pub lacks: Vec<String>,
}

/// What is remembered of a hub that was taken out of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The hub.
    pub hub: HubName,
    /// When it was taken out.
    pub removed_at: Timestamp,
    /// The PVs that its cluster had then.
    pub persistent_volumes: Vec<PersistentVolume>,
    /// The claims that its cluster had then.
    #[serde(default)]
    pub claims: Vec<Claim>,
}
