//! What can go wrong on a master.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agent::AgentProblem;
use super::private_key::KeyProblem;
use crate::text::excerpt;

/// Where an sshd listens: an address or a name. Shown as OpenSSH writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Peer {
    pub(super) fn new(host: impl fmt::Display, port: u16) -> Self {
        Self { host: host.to_string(), port }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A step that did not work. The source says why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something went wrong with the jump host, and the master was not asked for anything.
    #[error("on the jump host")]
    Jump {
        /// What.
        source: Box<Error>,
    },
    /// The jump host does not get to the master, or does not want to.
    #[error("connecting to {peer} from the jump host {jump}")]
    Onward {
        /// The jump host.
        jump: Peer,
        /// The master.
        peer: Peer,
        /// Why not.
        source: Libssh2,
    },
    /// Nobody has looked at the jump host's key yet.
    #[error("no host key is pinned for the jump host {peer}")]
    NoJumpPin {
        /// The jump host.
        peer: Peer,
    },
    /// The agent that has the key did not log in with it.
    #[error("logging in as {user} at {peer} with the SSH key {} by the agent at {}", path.display(), agent.display())]
    Agent {
        /// Its socket.
        agent: PathBuf,
        /// The key's file.
        path: PathBuf,
        /// The account.
        user: String,
        /// Where.
        peer: Peer,
        /// Why not.
        source: Box<AgentProblem>,
    },
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
    /// One that befell a jump host.
    pub(super) fn at_jump_host(self) -> Self {
        match self {
            // It says so by itself.
            Error::Jump { .. } | Error::NoJumpPin { .. } => self,
            other => Error::Jump { source: Box::new(other) },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Jump { source } => source.hint_about("jump host", "ssh_jump_key", "ssh_jump"),
            other => other.hint_about("master", "ssh_key", "ip"),
        }
    }

    /// What to do about it, where it befell this host; with the keys of fleet.toml that name its private key and its address.
    fn hint_about(&self, host: &str, key: &str, address: &str) -> Option<String> {
        Some(match self {
            Error::Jump { .. } => return self.hint(),
            Error::Onward { .. } => "the jump host answers and lets you in: check that the master runs, that `ip` and `ssh_port` are \
                 right, that its security group lets the jump host in, and that the jump host's sshd allows forwarding \
                 (AllowTcpForwarding)"
                .to_owned(),
            Error::NoJumpPin { .. } => "`fleet trust HUB` shows its key and pins it".to_owned(),
            Error::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                format!("the machine is there, but no SSH server listens: check the port, and sshd on the {host}")
            }
            Error::Connect { .. } => {
                format!("check that the {host} runs, that its address (`{address}`) is right, and that the security group lets SSH in")
            }
            Error::TimedOut { .. } => {
                format!("the {host} may be paused, overloaded or cut off: try `ssh` by hand")
            }
            Error::Handshake { .. } => {
                "sshd hangs up when many connections start at once (MaxStartups): try again".to_owned()
            }
            Error::UnknownHostKey { .. } => {
                format!("give the {host} an ed25519 host key: `sudo ssh-keygen -A`")
            }
            Error::HostKeyChanged { .. } => format!(
                "if the {host} was made anew, compare the fingerprint with `ssh-keygen -lf \
                 /etc/ssh/ssh_host_ed25519_key.pub` on its console, and pin the new key (`fleet trust`); if it was not, \
                 somebody may be listening in"
            ),
            Error::Key { path, source } => source.hint(path, key)?,
            Error::Agent { agent, path, user, source, .. } => match &**source {
                AgentProblem::NotThere(_) | AgentProblem::NoBridge(_) | AgentProblem::Libssh2(_) => {
                    format!("start it (`ssh-agent -a {}`), and give it the key with ssh-add", agent.display())
                }
                AgentProblem::Silent(_) => {
                    "it may wait for somebody to confirm (ssh-add -c), which nobody does for a tunnel".to_owned()
                }
                AgentProblem::Empty | AgentProblem::OtherKeys => format!(
                    "give it the key: SSH_AUTH_SOCK={} ssh-add {}",
                    agent.display(),
                    path.display()
                ),
                AgentProblem::NotTaken => authorize(host, user, path),
            },
            Error::Authenticate { user, path, .. } => authorize(host, user, path),
            Error::NoAdminConf { user, .. } => {
                format!("let {user} run `sudo` without a password on the master, or copy admin.conf to ~{user}/.kube/config")
            }
            Error::Run { .. } | Error::Thread { .. } => return None,
        })
    }
}

fn authorize(host: &str, user: &str, path: &Path) -> String {
    format!(
        "put the key's public half into ~{user}/.ssh/authorized_keys on the {host} (`ssh-copy-id -i {}`), or name another user or key",
        path.display()
    )
}
