//! What fleet itself does on a master by SSH: see its host key, and fetch its kubeconfig. The only importer of `ssh2`.
//!
//! libssh2 blocks, so it runs on threads of its own. Each call of it gets what is left of one deadline, and a caller
//! that goes away (time limit, Ctrl-C) hangs the connection up, which ends the thread.

use std::io::{self, Read};
use std::net::{IpAddr, Shutdown};
use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use ssh2::{Channel, MethodType, Session};
use tokio::time::timeout;

pub use self::error::{Error, Libssh2, Peer};
use self::host_key::HOST_KEY_ALGORITHMS;
pub use self::host_key::HostKey;
pub use self::private_key::KeyProblem;
use self::private_key::load_key;
use crate::hub::SshTarget;
use crate::text::excerpt;

mod error;
mod host_key;
mod private_key;

/// Where a master may keep a kubeconfig, and how to read it there. kubeadm's is root's alone.
const ADMIN_CONF: [&str; 2] = ["sudo -n cat /etc/kubernetes/admin.conf", "cat ~/.kube/config"];

/// The most bytes that are taken of a kubeconfig. kubeadm's has less than 6 KiB.
const OUTPUT_LIMIT: usize = 1 << 20;

/// How many of an agent's keys are tried: sshd hangs up after six (`MaxAuthTries`).
const AGENT_KEYS: usize = 5;

/// How much longer than libssh2's own deadline is waited for its thread, so that its message is the one that is seen.
const GRACE: Duration = Duration::from_millis(300);

/// libssh2's `LIBSSH2_ERROR_TIMEOUT`.
const TIMED_OUT: ssh2::ErrorCode = ssh2::ErrorCode::Session(-9);

/// Asks a server for its host key: one of the pinned key's type, where it has one, because a server has several; otherwise the
/// best that it has.
pub async fn host_key(
    ip: IpAddr,
    port: u16,
    pinned: Option<&HostKey>,
    limit: Duration,
) -> Result<HostKey, Error> {
    let algorithms = preference(pinned);
    let call = Call::new(ip, port, limit);
    call.on_thread(move |session| call.handshake(session, &algorithms)).await
}

/// Fetches the cluster's kubeconfig from its master: kubeadm's `admin.conf`, else the account's own. It is a secret.
///
/// Nothing is told to a server whose host key is not the pinned one. Where the key's file cannot be used, an SSH agent
/// is asked if there is one.
pub async fn read_admin_conf(
    target: &SshTarget,
    ip: IpAddr,
    pinned: &HostKey,
    limit: Duration,
) -> Result<String, Error> {
    let key = match load_key(&target.key) {
        Err(source) if !has_agent() => return Err(Error::Key { path: target.key.clone(), source }),
        key => key,
    };
    let (target, pinned) = (target.clone(), pinned.clone());
    let call = Call::new(ip, target.port, limit);
    call.on_thread(move |session| {
        call.handshake_pinned(session, &pinned)?;
        call.log_in(session, &target, key)?;
        call.fetch(session, &target.user)
    })
    .await
}

/// Whether a private key can be used by a sandbox's tunnel, where nobody types a passphrase and no agent is.
pub fn check_key(path: &Path) -> Result<(), Error> {
    load_key(path).map(drop).map_err(|source| Error::Key { path: path.to_owned(), source })
}

/// The algorithms to ask a server for: the pinned key's first, the others too, so that a change can be told as one.
fn preference(pinned: Option<&HostKey>) -> String {
    let own = pinned.map_or("", HostKey::host_key_algorithms);
    let others = HOST_KEY_ALGORITHMS.into_iter().filter(|other| !own.split(',').any(|own| own == *other));
    let own = Some(own).filter(|own| !own.is_empty());
    own.into_iter().chain(others).collect::<Vec<_>>().join(",")
}

/// Whether an SSH agent can be asked.
fn has_agent() -> bool {
    std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty())
}

/// One connection, and the deadline of all that is done over it.
#[derive(Clone, Copy)]
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
    fn new(ip: IpAddr, port: u16, limit: Duration) -> Self {
        Self { peer: Peer { ip, port }, limit, end: Instant::now() + limit }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn timed_out(&self, doing: &'static str) -> Error {
        Error::TimedOut { peer: self.peer, doing, limit: self.limit }
    }

    /// Connects, and does the blocking work on a thread that ends with this future, however that ends.
    async fn on_thread<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let peer = self.peer;
        let (stream, _hang_up) = timeout(self.limit, self.connect())
            .await
            .map_err(|_| self.timed_out("connecting"))?
            .map_err(|source| Error::Connect { peer, source })?;
        let thread = tokio::task::spawn_blocking(move || {
            let mut session =
                Session::new().map_err(|error| Error::Handshake { peer, source: error.into() })?;
            session.set_tcp_stream(stream);
            work(&mut session)
        });
        timeout(self.left() + GRACE, thread)
            .await
            .map_err(|_| self.timed_out("speaking SSH"))?
            .map_err(|source| Error::Thread { peer, source })?
    }

    async fn connect(self) -> io::Result<(std::net::TcpStream, HangUp)> {
        let stream = tokio::net::TcpStream::connect((self.peer.ip, self.peer.port)).await?.into_std()?;
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
        let peer = self.peer;
        let failed = |source| Error::Handshake { peer, source };
        session.method_pref(MethodType::HostKey, algorithms).map_err(|error| failed(error.into()))?;
        let mut shaking = session.clone();
        self.step(session, "agreeing on keys", || shaking.handshake(), failed)?;
        let (blob, _) = session.host_key().ok_or(Error::UnknownHostKey { peer })?;
        HostKey::from_blob(blob).ok_or(Error::UnknownHostKey { peer })
    }

    fn handshake_pinned(&self, session: &mut Session, pinned: &HostKey) -> Result<(), Error> {
        let found = self.handshake(session, &preference(Some(pinned)))?;
        if found == *pinned {
            return Ok(());
        }
        Err(Error::HostKeyChanged {
            peer: self.peer,
            pinned: pinned.fingerprint(),
            found: found.fingerprint(),
        })
    }

    fn log_in(
        &self,
        session: &Session,
        target: &SshTarget,
        key: Result<SecretString, KeyProblem>,
    ) -> Result<(), Error> {
        let path = target.key.clone();
        match key {
            Ok(key) => self.step(
                session,
                "logging in",
                || session.userauth_pubkey_memory(&target.user, None, key.expose_secret(), None),
                |source| Error::Authenticate {
                    user: target.user.clone(),
                    peer: self.peer,
                    path: path.clone(),
                    source,
                },
            ),
            // The agent is a second chance: where it fails too, the key's file is what has to be mended.
            Err(source) => {
                self.arm(session);
                agent_log_in(session, &target.user).map_err(|_| Error::Key { path, source })
            }
        }
    }

    fn fetch(&self, session: &Session, user: &str) -> Result<String, Error> {
        let mut tried = Vec::new();
        for command in ADMIN_CONF {
            match self.run(session, user, command)? {
                Ok(text) => return Ok(text),
                Err(end) => tried.push(format!("`{command}` {end}")),
            }
        }
        Err(Error::NoAdminConf { user: user.to_owned(), peer: self.peer, tried: tried.join("; ") })
    }

    /// A command's output, or how it ended.
    fn run(
        &self,
        session: &Session,
        user: &str,
        command: &'static str,
    ) -> Result<Result<String, String>, Error> {
        let (peer, user) = (self.peer, user.to_owned());
        let failed = |source| Error::Run { command, user, peer, source };
        self.step(session, "fetching the kubeconfig", || Ran::new(self, session, command), failed)
            .map(Ran::output)
    }
}

/// A command that has ended.
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: i32,
    signal: Option<String>,
}

impl Ran {
    fn new(call: &Call, session: &Session, command: &str) -> Result<Self, Libssh2> {
        let mut channel = session.channel_session()?;
        let ran = Self::on(call, session, &mut channel, command);
        if ran.is_err() {
            // Dropping a channel waits for the server to close it, which one that is silent does not.
            session.set_timeout(1);
        }
        ran
    }

    fn on(call: &Call, session: &Session, channel: &mut Channel, command: &str) -> Result<Self, Libssh2> {
        call.arm(session);
        channel.exec(command)?;
        let stdout = read_bounded(call, session, channel)?;
        let stderr = read_bounded(call, session, &mut channel.stderr())?;
        call.arm(session);
        channel.wait_close()?;
        // libssh2 says 0 for a command that a signal ended.
        let (status, signal) = (channel.exit_status()?, channel.exit_signal()?.exit_signal);
        Ok(Self { stdout, stderr, status, signal })
    }

    /// What it wrote; else how it ended, with what it complained about. What it wrote is never in that.
    fn output(self) -> Result<String, String> {
        let complaint = match excerpt(&String::from_utf8_lossy(&self.stderr)) {
            line if line.is_empty() => String::new(),
            line => format!(" ({line})"),
        };
        if let Some(signal) = self.signal {
            return Err(format!("was ended by signal {}{complaint}", excerpt(&signal)));
        }
        if self.status != 0 {
            return Err(format!("ended with status {}{complaint}", self.status));
        }
        match String::from_utf8(self.stdout) {
            Ok(text) if text.trim().is_empty() => Err(format!("wrote nothing{complaint}")),
            Ok(text) => Ok(text),
            Err(_) => Err("wrote something that is not text".to_owned()),
        }
    }
}

/// Reads to the end. More than the limit is an error: half a kubeconfig is of no use.
fn read_bounded(call: &Call, session: &Session, from: &mut impl Read) -> Result<Vec<u8>, Libssh2> {
    let mut all = Vec::new();
    let mut chunk = [0; 8 << 10];
    loop {
        call.arm(session);
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&chunk[..read]);
        if all.len() > OUTPUT_LIMIT {
            return Err(Libssh2(format!("it writes more than {OUTPUT_LIMIT} bytes")));
        }
    }
}

fn agent_log_in(session: &Session, user: &str) -> Result<(), ssh2::Error> {
    let mut agent = session.agent()?;
    agent.connect()?;
    agent.list_identities()?;
    for identity in agent.identities()?.iter().take(AGENT_KEYS) {
        if agent.userauth(user, identity).is_ok() {
            return Ok(());
        }
    }
    Err(ssh2::Error::eof())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;
    use crate::exit::chain;

    const LIMIT: Duration = Duration::from_secs(5);
    /// For servers that never answer.
    const SHORT: Duration = Duration::from_millis(300);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_commands_output_is_taken_only_if_it_ended_well() {
        let ran = |stdout: &str, stderr: &str, status, signal: Option<&str>| {
            let (stdout, stderr) = (stdout.into(), stderr.into());
            Ran { stdout, stderr, status, signal: signal.map(ToOwned::to_owned) }.output()
        };
        assert_eq!(ran("a: 1\n", "warning", 0, None).unwrap(), "a: 1\n");
        assert_eq!(
            ran("half a secret", "sudo: a\npassword\u{1b}[0m", 1, None).unwrap_err(),
            "ended with status 1 (sudo: a password [0m)"
        );
        assert_eq!(ran("half a secret", "", 0, Some("KILL")).unwrap_err(), "was ended by signal KILL");
        assert_eq!(ran(" \n", "", 0, None).unwrap_err(), "wrote nothing");
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_told_as_refused() {
        let port = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
        let error = host_key(HERE, port, None, LIMIT).await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }));
        assert!(
            chain(&error).contains(&format!("127.0.0.1:{port}: Connection refused")),
            "{}",
            chain(&error)
        );
        assert!(error.hint().unwrap().contains("no SSH server listens"));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_costs_the_time_limit_alone() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let start = Instant::now();
        let error = host_key(HERE, listener.local_addr().unwrap().port(), None, SHORT).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { doing: "agreeing on keys", .. }), "{error:?}");
        assert!(start.elapsed() < SHORT * 3);
    }

    #[tokio::test]
    async fn a_server_that_trickles_costs_the_time_limit_alone() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"a\r\n").is_ok() {
                std::thread::sleep(SHORT / 20);
            }
        });
        let start = Instant::now();
        let error = host_key(HERE, port, None, SHORT).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. } | Error::Handshake { .. }), "{error:?}");
        assert!(start.elapsed() < SHORT * 3);
    }

    #[tokio::test]
    async fn a_server_that_is_no_ssh_server_is_told_as_such() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let error = host_key(HERE, port, None, LIMIT).await.unwrap_err();
        assert!(matches!(error, Error::Handshake { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_hangs_up() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let call = host_key(HERE, port, None, Duration::from_mins(1));
        assert!(timeout(SHORT, call).await.is_err());
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // libssh2's banner, and then the end and not a time limit.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
}
