//! What fleet itself does on a master by SSH: see its host key, and fetch its kubeconfig; by way of a jump host where there is one. The
//! only importer of `ssh2`.
//!
//! libssh2 blocks, so it runs on threads of its own. Each call of it gets what is left of one deadline, and a caller
//! that goes away (time limit, Ctrl-C) hangs the connection up, which ends the thread.

use std::io;
use std::net::{IpAddr, Shutdown};
use std::time::{Duration, Instant};

use ssh2::{MethodType, Session};
use tokio::time::timeout;

pub use self::agent::AgentProblem;
pub use self::error::{Error, Libssh2, Peer};
use self::host_key::HOST_KEY_ALGORITHMS;
pub use self::host_key::HostKey;
use self::jump::Way;
use self::login::Login;
pub use self::private_key::KeyProblem;
use self::private_key::load_key;
use self::run::Ran;
use crate::hub::{JumpHost, SshTarget};

mod agent;
mod error;
mod host_key;
mod jump;
mod login;
mod private_key;
mod run;
#[cfg(test)]
mod tests;

/// Where a master may keep a kubeconfig, and how to read it there. kubeadm's is root's alone.
const ADMIN_CONF: [&str; 2] = ["sudo -n cat /etc/kubernetes/admin.conf", "cat ~/.kube/config"];

/// How much longer than libssh2's own deadline is waited for its thread, so that its message is the one that is seen.
const GRACE: Duration = Duration::from_millis(300);

/// libssh2's `LIBSSH2_ERROR_TIMEOUT`.
const TIMED_OUT: ssh2::ErrorCode = ssh2::ErrorCode::Session(-9);

/// The host keys of the servers that are on the way to a master, and the master's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// The master's.
    pub master: HostKey,
    /// The jump host's, where there is one.
    pub jump: Option<HostKey>,
}

/// Asks a master for its host key: one of the pinned key's type, where it has one, because a server has several; otherwise the
/// best that it has. `jump` is the pinned key of the jump host, if the way leads by one: whoever that is is told nothing and
/// asked for nothing before it has shown that key.
pub async fn host_key(
    target: &SshTarget,
    ip: IpAddr,
    pinned: Option<&HostKey>,
    jump: Option<&HostKey>,
    limit: Duration,
) -> Result<HostKey, Error> {
    let algorithms = preference(pinned);
    let call = Call::new(Peer::new(ip, target.port), limit);
    let way = Way::prepare(&call, target, jump).await?;
    call.on_thread(way, move |call, session| call.handshake(session, &algorithms)).await
}

/// Asks a jump host for its host key.
pub async fn jump_host_key(
    jump: &JumpHost,
    pinned: Option<&HostKey>,
    limit: Duration,
) -> Result<HostKey, Error> {
    let algorithms = preference(pinned);
    let call = Call::new(Peer::new(&jump.at.host, jump.at.port), limit);
    let asked = call.on_thread(None, move |call, session| call.handshake(session, &algorithms)).await;
    asked.map_err(Error::at_jump_host)
}

/// Fetches the cluster's kubeconfig from its master: kubeadm's `admin.conf`, else the account's own. It is a secret.
///
/// Nothing is told to a server whose host key is not the pinned one. Where the key's file cannot be used, an SSH agent
/// is asked if there is one.
pub async fn read_admin_conf(
    target: &SshTarget,
    ip: IpAddr,
    pins: &Pins,
    limit: Duration,
) -> Result<String, Error> {
    let user = target.user.clone();
    logged_in(target, ip, pins, limit, move |call, session| call.fetch(session, &user)).await
}

/// Logs in on a master, and does nothing there: the way to it can be gone.
pub async fn reach(target: &SshTarget, ip: IpAddr, pins: &Pins, limit: Duration) -> Result<(), Error> {
    logged_in(target, ip, pins, limit, |_, _| Ok(())).await
}

async fn logged_in<T: Send + 'static>(
    target: &SshTarget,
    ip: IpAddr,
    pins: &Pins,
    limit: Duration,
    work: impl FnOnce(&Call, &Session) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let call = Call::new(Peer::new(ip, target.port), limit);
    let login = Login::prepare(&target.user, &target.key, target.agent.as_deref(), &call).await?;
    let way = Way::prepare(&call, target, pins.jump.as_ref()).await?;
    let pinned = pins.master.clone();
    call.on_thread(way, move |call, session| {
        call.handshake_pinned(session, &pinned)?;
        login.log_in(call, session)?;
        work(call, session)
    })
    .await
}

/// Whether the private keys can be used by a sandbox's tunnel, where nobody types a passphrase.
pub fn check_keys(target: &SshTarget) -> Result<(), Error> {
    let check = |path: &std::path::Path| match load_key(path) {
        // The agent has the private half.
        Err(KeyProblem::Passphrase | KeyProblem::Public) if target.agent.is_some() => Ok(()),
        loaded => loaded.map(drop).map_err(|source| Error::Key { path: path.to_owned(), source }),
    };
    check(&target.key)?;
    match &target.jump {
        Some(jump) if jump.key != target.key => check(&jump.key).map_err(Error::at_jump_host),
        _ => Ok(()),
    }
}

/// The algorithms to ask a server for: the pinned key's first, the others too, so that a change can be told as one.
fn preference(pinned: Option<&HostKey>) -> String {
    let own = pinned.map_or("", HostKey::host_key_algorithms);
    let others = HOST_KEY_ALGORITHMS.into_iter().filter(|other| !own.split(',').any(|own| own == *other));
    let own = Some(own).filter(|own| !own.is_empty());
    own.into_iter().chain(others).collect::<Vec<_>>().join(",")
}

/// One connection, and the deadline of all that is done over it.
#[derive(Clone)]
struct Call {
    peer: Peer,
    limit: Duration,
    end: Instant,
}

/// Hangs up when dropped.
struct HangUp(std::net::TcpStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        // It may be closed already, which is what is wanted.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Call {
    fn new(peer: Peer, limit: Duration) -> Self {
        Self { peer, limit, end: Instant::now() + limit }
    }

    /// With another server, up to the same moment.
    fn with(&self, peer: Peer) -> Self {
        Self { peer, ..self.clone() }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn timed_out(&self, doing: &'static str) -> Error {
        Error::TimedOut { peer: self.peer.clone(), doing, limit: self.limit }
    }

    /// Connects, by way of a jump host where one is given, and does the blocking work on a thread that ends with this future,
    /// however that ends.
    async fn on_thread<T: Send + 'static>(
        self,
        way: Option<Way>,
        work: impl FnOnce(&Call, &mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (stream, _hang_up) = match &way {
            None => self.connected().await?,
            Some(way) => way.call.connected().await.map_err(Error::at_jump_host)?,
        };
        let call = self.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut session = call.session()?;
            match way {
                None => session.set_tcp_stream(stream),
                Some(way) => session.set_tcp_stream(way.open(stream, &call)?),
            }
            work(&call, &mut session)
        });
        timeout(self.left() + GRACE, thread)
            .await
            .map_err(|_| self.timed_out("speaking SSH"))?
            .map_err(|source| Error::Thread { peer: self.peer.clone(), source })?
    }

    fn session(&self) -> Result<Session, Error> {
        Session::new().map_err(|error| Error::Handshake { peer: self.peer.clone(), source: error.into() })
    }

    async fn connected(&self) -> Result<(std::net::TcpStream, HangUp), Error> {
        timeout(self.left(), self.connect())
            .await
            .map_err(|_| self.timed_out("connecting"))?
            .map_err(|source| Error::Connect { peer: self.peer.clone(), source })
    }

    async fn connect(&self) -> io::Result<(std::net::TcpStream, HangUp)> {
        let address = (self.peer.host.as_str(), self.peer.port);
        let stream = tokio::net::TcpStream::connect(address).await?.into_std()?;
        stream.set_nonblocking(false)?;
        let hang_up = HangUp(stream.try_clone()?);
        Ok((stream, hang_up))
    }

    /// Gives libssh2's next call what is left of the time.
    fn arm(&self, session: &Session) {
        // Zero would mean no limit.
        let left = u32::try_from(self.left().as_millis()).unwrap_or(u32::MAX);
        session.set_timeout(left.max(1));
    }

    /// One step. A time limit is told as one, whatever the step.
    fn step<T, E: Into<Libssh2>>(
        &self,
        session: &Session,
        doing: &'static str,
        step: impl FnOnce() -> Result<T, E>,
        failed: impl FnOnce(Libssh2) -> Error,
    ) -> Result<T, Error> {
        self.arm(session);
        step().map_err(|error| {
            let error = error.into();
            // libssh2 forgets the code on the way through std's traits.
            let late = ssh2::Error::last_session_error(session).is_some_and(|last| last.code() == TIMED_OUT);
            if late || self.left().is_zero() { self.timed_out(doing) } else { failed(error) }
        })
    }

    fn handshake(&self, session: &mut Session, algorithms: &str) -> Result<HostKey, Error> {
        let peer = || self.peer.clone();
        let failed = |source| Error::Handshake { peer: peer(), source };
        session.method_pref(MethodType::HostKey, algorithms).map_err(|error| failed(error.into()))?;
        let mut shaking = session.clone();
        self.step(session, "agreeing on keys", || shaking.handshake(), failed)?;
        let (blob, _) = session.host_key().ok_or_else(|| Error::UnknownHostKey { peer: peer() })?;
        HostKey::from_blob(blob).ok_or_else(|| Error::UnknownHostKey { peer: peer() })
    }

    fn handshake_pinned(&self, session: &mut Session, pinned: &HostKey) -> Result<(), Error> {
        let found = self.handshake(session, &preference(Some(pinned)))?;
        if found == *pinned {
            return Ok(());
        }
        Err(Error::HostKeyChanged {
            peer: self.peer.clone(),
            pinned: pinned.fingerprint(),
            found: found.fingerprint(),
        })
    }

    fn fetch(&self, session: &Session, user: &str) -> Result<String, Error> {
        let mut tried = Vec::new();
        for command in ADMIN_CONF {
            match self.run(session, user, command)? {
                Ok(text) => return Ok(text),
                Err(end) => tried.push(format!("`{command}` {end}")),
            }
        }
        Err(Error::NoAdminConf { user: user.to_owned(), peer: self.peer.clone(), tried: tried.join("; ") })
    }

    /// A command's output, or how it ended.
    fn run(
        &self,
        session: &Session,
        user: &str,
        command: &'static str,
    ) -> Result<Result<String, String>, Error> {
        let (peer, user) = (self.peer.clone(), user.to_owned());
        let failed = |source| Error::Run { command, user, peer, source };
        self.step(session, "fetching the kubeconfig", || Ran::new(self, session, command), failed)
            .map(Ran::output)
    }
}
