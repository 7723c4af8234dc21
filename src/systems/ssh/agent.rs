//! SSH agents. libssh2 speaks with one by a socket of its own that has no time limit: it gets to a bridge instead, which goes on to the
//! agent and closes both connections at the deadline, so that one that hangs holds nobody up.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::Libssh2;
use crate::systems::socket;

/// Why an agent did not log anybody in.
#[derive(Debug, thiserror::Error)]
pub enum AgentProblem {
    /// Nothing answers there.
    #[error("no agent answers there")]
    NotThere(#[source] io::Error),
    /// No bridge could be made.
    #[error("it cannot be reached")]
    NoBridge(#[source] io::Error),
    /// It hangs, or waits for somebody.
    #[error("it does not answer within {}", crate::report::duration(*.0))]
    Silent(Duration),
    /// It has no keys, or does not show them: `ssh-add -x`.
    #[error("it has no keys, or is locked")]
    Empty,
    /// The key is not there.
    #[error("it does not have this key, and the server takes none of those that it has")]
    OtherKeys,
    /// The key is there.
    #[error("the server does not take its keys")]
    NotTaken,
    /// It does not speak as an agent does.
    #[error("{0}")]
    Libssh2(Libssh2),
}

/// A way to an agent that ends at a deadline, and when this is dropped.
pub(super) struct Bridge {
    socket: PathBuf,
    _held: Option<OwnedFd>,
    _dir: TempDir,
    task: JoinHandle<()>,
}

impl Bridge {
    /// To the agent at that socket.
    pub(super) async fn to(agent: &Path, end: Instant) -> Result<Self, AgentProblem> {
        let end = end.into();
        let tried = timeout_at(end, socket::connect(agent)).await;
        tried
            .map_err(|_| AgentProblem::NotThere(io::ErrorKind::TimedOut.into()))?
            .map_err(AgentProblem::NotThere)?;
        // For its owner alone, as `mkdtemp` makes it.
        let dir =
            tempfile::Builder::new().prefix("fleet-agent-").tempdir().map_err(AgentProblem::NoBridge)?;
        let path = dir.path().join("agent.sock");
        let listener = socket::listen(&path).map_err(AgentProblem::NoBridge)?;
        let (socket, held) = socket::short(&path).map_err(AgentProblem::NoBridge)?;
        let agent = agent.to_owned();
        let task = tokio::spawn(async move {
            let _ = timeout_at(end, carry(listener, &agent)).await;
        });
        Ok(Self { socket, _held: held, _dir: dir, task })
    }

    /// Where libssh2 finds it.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection after the other: libssh2 makes one.
async fn carry(listener: UnixListener, agent: &Path) {
    while let Ok((mut near, _)) = listener.accept().await {
        // Whatever fails, both are closed, and libssh2 says that nobody answers.
        if let Ok(mut far) = socket::connect(agent).await {
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    }
}
