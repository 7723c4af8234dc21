//! What can go wrong on a master.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::private_key::KeyProblem;
use crate::text::excerpt;

/// Where an sshd listens. Shown as OpenSSH writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// A step that did not work. The source says why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("connecting to {peer}")]
    Connect {
        /// Where to.
        peer: Peer,
        /// Why not.
        source: io::Error,
    },
    /// A connection, but no SSH.
    #[error("agreeing on keys with the SSH server at {peer}")]
    Handshake {
        /// With whom.
        peer: Peer,
        /// Why not.
        source: Libssh2,
    },
    /// The host key is of a kind that OpenSSH would not know either.
    #[error("reading the host key of {peer}: it is of an unknown kind")]
    UnknownHostKey {
        /// Whose.
        peer: Peer,
    },
    /// Not the machine that the hub was made with, or somebody in between.
    #[error("{peer} has the host key {found}, and {pinned} is expected")]
    HostKeyChanged {
        /// Who answered.
        peer: Peer,
        /// The fingerprint that is pinned.
        pinned: String,
        /// The fingerprint that the server has.
        found: String,
    },
    /// The private key cannot be used.
    #[error("using the SSH key {}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: KeyProblem,
    },
    /// The server does not let this key in.
    #[error("logging in as {user} at {peer} with the SSH key {}", path.display())]
    Authenticate {
        /// The account.
        user: String,
        /// Where.
        peer: Peer,
        /// The key's file.
        path: PathBuf,
        /// Why not.
        source: Libssh2,
    },
    /// A command could not be run or its output not be read.
    #[error("running `{command}` as {user} at {peer}")]
    Run {
        /// The command.
        command: &'static str,
        /// The account.
        user: String,
        /// Where.
        peer: Peer,
        /// Why not.
        source: Libssh2,
    },
    /// No kubeconfig at any of the places.
    #[error("fetching the kubeconfig as {user} at {peer}: {tried}")]
    NoAdminConf {
        /// The account.
        user: String,
        /// Where.
        peer: Peer,
        /// How each command ended.
        tried: String,
    },
    /// The time limit.
    #[error("waiting for {peer} while {doing}: no answer within {limit:?}")]
    TimedOut {
        /// For whom.
        peer: Peer,
        /// In the middle of what.
        doing: &'static str,
        /// How long it was waited.
        limit: Duration,
    },
    /// fleet's own thread ended without a result.
    #[error("speaking SSH with {peer}")]
    Thread {
        /// With whom.
        peer: Peer,
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// What libssh2 says, without its numbers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Libssh2(pub(super) String);

impl From<ssh2::Error> for Libssh2 {
    fn from(error: ssh2::Error) -> Self {
        Self(excerpt(error.message()))
    }
}

impl From<io::Error> for Libssh2 {
    fn from(error: io::Error) -> Self {
        Self(excerpt(&error.to_string()))
    }
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                "the machine is there, but no SSH server listens: check the port, and sshd on the master".to_owned()
            }
            Error::Connect { .. } => {
                "check that the master runs, that its IP is right, and that the security group lets SSH in".to_owned()
            }
            Error::TimedOut { .. } => {
                "the master may be paused, overloaded or cut off: try `ssh` by hand".to_owned()
            }
            Error::Handshake { .. } => {
                "sshd hangs up when many connections start at once (MaxStartups): try again".to_owned()
            }
            Error::UnknownHostKey { .. } => {
                "give the master an ed25519 host key: `sudo ssh-keygen -A`".to_owned()
            }
            Error::HostKeyChanged { .. } => "if the master was made anew, compare the fingerprint with \
                 `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console, and pin the new key; if it was \
                 not, somebody may be listening in"
                .to_owned(),
            Error::Key { path, source } => source.hint(path)?,
            Error::Authenticate { user, path, .. } => {
                format!(
                    "put the key's public half into ~{user}/.ssh/authorized_keys on the master \
                     (`ssh-copy-id -i {}`), or name another user or key",
                    path.display()
                )
            }
            Error::NoAdminConf { user, .. } => {
                format!("let {user} run `sudo` without a password on the master, or copy admin.conf to ~{user}/.kube/config")
            }
            Error::Run { .. } | Error::Thread { .. } => return None,
        })
    }
}
