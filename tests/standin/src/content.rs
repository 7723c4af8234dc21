//! What there is: hubs with PVs, claims and nodes, and projects with volumes, snapshots and servers. Read from a file, or
//! made in code.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

/// Everything that a stand-in answers from.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Content {
    /// The fleet's name.
    pub fleet: String,
    /// More of `fleet.toml`: tables such as `[timeouts]`.
    pub settings: String,
    /// How long each answer of `OpenStack` and of the API servers takes, in milliseconds.
    pub latency_ms: u64,
    /// How long a volume is being deleted before it is gone, in milliseconds.
    pub deleting_ms: u64,
    /// How many seconds `OpenStack`'s clock is ahead of this machine's; negative where it is behind.
    pub clock_ahead: i64,
    /// The most entries of one of Cinder's or Nova's pages, whatever limit is asked for.
    pub largest_page: usize,
    /// The projects.
    pub projects: Vec<Project>,
    /// The hubs.
    pub hubs: Vec<Hub>,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            fleet: "standin".to_owned(),
            settings: String::new(),
            latency_ms: 0,
            deleting_ms: 30,
            clock_ahead: 0,
            largest_page: 1000,
            projects: Vec::new(),
            hubs: Vec::new(),
        }
    }
}

/// A project of `OpenStack`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// Its snapshots.
    pub snapshots: Vec<Snapshot>,
    /// Its servers.
    pub servers: Vec<Server>,
}

/// A volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// GiB.
    #[serde(default = "one")]
    pub size: u64,
    /// Cinder's word for its state.
    #[serde(default = "available")]
    pub status: String,
    /// Its metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Ids of servers that it is attached to.
    #[serde(default)]
    pub attached_to: Vec<String>,
    /// Whether it is a system disk.
    #[serde(default)]
    pub bootable: bool,
}

fn one() -> u64 {
    1
}

fn available() -> String {
    "available".to_owned()
}

/// A snapshot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// The volume that it is of.
    pub volume_id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A hub with its cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hub {
    /// Its name.
    pub name: String,
    /// The name of the project whose openrc it has.
    pub project: String,
    /// Its master's address; one of 10.200.0.0/16 where none is given.
    pub ip: Option<String>,
    /// Its PVs, each with its claim.
    pub volumes: Vec<PersistentVolume>,
    /// Names of its nodes.
    pub nodes: Vec<String>,
}

/// A PV of Cinder's, with the claim that it is bound to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistentVolume {
    /// Its name.
    pub name: String,
    /// The volume that it stands for.
    pub handle: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// `Bound`, `Released`, ...
    #[serde(default = "bound")]
    pub phase: String,
    /// The claim's name, in the namespace `jhub`. A claim is there only while the PV is `Bound`.
    pub claim: String,
    /// GiB.
    #[serde(default = "one")]
    pub size: u64,
    /// Whether it is of the old driver, `spec.cinder`.
    #[serde(default)]
    pub in_tree: bool,
}

fn bound() -> String {
    "Bound".to_owned()
}

impl Content {
    /// The project of that name.
    pub fn project(&self, name: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.name == name)
    }

    /// A hub's address: its own, or one by its place.
    pub fn ip_of(&self, place: usize) -> String {
        let own = self.hubs.get(place).and_then(|hub| hub.ip.clone());
        own.unwrap_or_else(|| format!("10.200.{}.{}", place / 250, place % 250 + 1))
    }
}
