//! What was seen of openrc files: one may serve many hubs.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::{Answer, Project, SandboxState, Unseen};
use crate::hub::HubName;

/// What is used to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// An application credential.
    ApplicationCredential,
    /// A user's password.
    Password,
    /// A token that somebody made.
    Token,
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApplicationCredential => "application credential",
            Self::Password => "user name and password",
            Self::Token => "token",
        })
    }
}

/// How long credentials are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// For good.
    NoEnd,
    /// Up to then.
    Until(Timestamp),
    /// Keystone does not say.
    Unknown,
}

/// A file itself, whatever name it has: its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

impl FileId {
    /// From what `stat -c %d:%i` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let (device, inode) = text.trim().split_once(':')?;
        Some(Self { device: device.parse().ok()?, inode: inode.parse().ok()? })
    }
}

/// What credentials lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    /// The project, from the token.
    pub project: Project,
    /// How long they are valid.
    pub valid: Validity,
}

/// One hub's share in an openrc file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenrcMount {
    /// The hub.
    pub hub: HubName,
    /// Its sandbox's state; `None` where it has none.
    pub state: Option<SandboxState>,
    /// Whether nobody can tell if it has one: its engine does not answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
    /// Whether the sandbox holds another file than the one at the path now.
    pub stale: Answer<bool>,
    /// The file that the sandbox holds.
    #[serde(skip)]
    pub held: Option<FileId>,
}

/// One openrc file with everything that was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenrcFile {
    /// Where `fleet.toml` says that it is.
    pub file: PathBuf,
    /// The hubs that use it, in the order of `fleet.toml`.
    pub hubs: Vec<OpenrcMount>,
    /// Its permissions; `None` where there is no such file.
    #[serde(skip)]
    pub mode: Option<u32>,
    /// The file at the path.
    #[serde(skip)]
    pub id: Option<FileId>,
    /// The digest of its text, where it can be read.
    #[serde(skip)]
    pub digest: Option<String>,
    /// What is used to log in.
    pub kind: Option<CredentialKind>,
    /// What Keystone says.
    pub login: Answer<Login>,
    /// Whether the credentials themselves were refused.
    pub refused: bool,
    /// The project that they led to when they were last accepted, where that is still known.
    pub remembered: Option<Project>,
}

impl OpenrcFile {
    /// The project that its credentials lead to, or led to.
    pub fn project(&self) -> Option<&Project> {
        self.login.seen().map(|login| &login.project).or(self.remembered.as_ref())
    }

    /// The hubs that use it, for messages.
    pub fn hub_names(&self) -> String {
        self.hubs.iter().map(|mount| mount.hub.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Why nobody logged in with it.
    pub fn unseen(&self) -> Option<&Unseen> {
        self.login.unseen()
    }
}

/// A process in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id on the engine's machine.
    pub id: i64,
    /// Its parent's.
    pub parent: i64,
    /// Its program's name.
    pub name: String,
}

/// All processes of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// The id of the first one.
    pub first: i64,
    /// Each of them.
    pub all: Vec<Process>,
}
