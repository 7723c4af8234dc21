//! What fleet itself does on a master by SSH: see its host key, and fetch its kubeconfig. The only importer of `ssh2`.
//!
//! libssh2 blocks, so it runs on threads of its own. Each call of it gets what is left of one deadline, and a caller
//! that goes away (time limit, Ctrl-C) hangs the connection up, which ends the thread.

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use ssh2::{Channel, MethodType, Session};
use tokio::time::timeout;

use super::line::one_line;
use crate::hub::SshTarget;

/// What fleet asks for, best first. `ssh-rsa`, RSA with SHA-1, is left out: OpenSSH has refused it since 8.8.
const HOST_KEY_ALGORITHMS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Where a master may keep a kubeconfig, and how to read it there. kubeadm's is root's alone.
const ADMIN_CONF: [&str; 2] = ["sudo -n cat /etc/kubernetes/admin.conf", "cat ~/.kube/config"];

/// The most bytes that are taken of a kubeconfig. kubeadm's has less than 6 KiB.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// The most bytes of a private key's file. An RSA key of 16,384 bits has less than 13 KiB.
const KEY_LIMIT: u64 = 64 << 10;

/// How many of an agent's keys are tried: sshd hangs up after six (`MaxAuthTries`).
const AGENT_KEYS: usize = 5;

/// How much longer than libssh2's own deadline is waited for its thread, so that its message is the one that is seen.
const GRACE: Duration = Duration::from_millis(300);

/// libssh2's `LIBSSH2_ERROR_TIMEOUT`.
const TIMED_OUT: ssh2::ErrorCode = ssh2::ErrorCode::Session(-9);

/// Where an sshd listens. Shown as OpenSSH writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    ip: IpAddr,
    port: u16,
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
pub struct Libssh2(String);

impl From<ssh2::Error> for Libssh2 {
    fn from(error: ssh2::Error) -> Self {
        Self(one_line(error.message()))
    }
}

impl From<io::Error> for Libssh2 {
    fn from(error: io::Error) -> Self {
        Self(one_line(&error.to_string()))
    }
}

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// No such file.
    #[error("there is no such file")]
    Missing,
    /// A directory, a pipe.
    #[error("it is not a file")]
    NotAFile,
    /// Cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// Readable for others: OpenSSH does not use it then.
    #[error("others than its owner may read it (mode {0:03o}), and ssh refuses such a key")]
    TooOpen(u32),
    /// The other half of the pair.
    #[error("it is a public key")]
    Public,
    /// Locked.
    #[error("it has a passphrase, and nobody is there to type it")]
    Passphrase,
    /// Something else.
    #[error("it is not a private key in OpenSSH's or PEM format")]
    NotAKey,
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

impl KeyProblem {
    fn hint(&self, path: &Path) -> Option<String> {
        Some(match self {
            KeyProblem::Missing | KeyProblem::NotAFile | KeyProblem::NotAKey => {
                "name the private key that the master knows, with --ssh-key or as ssh_key in fleet.toml"
                    .to_owned()
            }
            KeyProblem::TooOpen(_) => format!("chmod 600 {}", path.display()),
            KeyProblem::Public => "name the private key, the file without .pub".to_owned(),
            KeyProblem::Passphrase => {
                "make a key without a passphrase for fleet: the tunnel has to come up with nobody there"
                    .to_owned()
            }
            KeyProblem::Unreadable(_) => return None,
        })
    }
}

/// A server's public host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    key_type: String,
    blob: Vec<u8>,
}

impl HostKey {
    /// From a key as it goes over the wire (RFC 4253, 6.6): its type's name is in front. Only types that fleet asks
    /// for.
    fn from_blob(blob: &[u8]) -> Option<Self> {
        let key_type = std::str::from_utf8(wire_string(blob)?).ok()?;
        let known = key_type == "ssh-rsa" || HOST_KEY_ALGORITHMS.contains(&key_type);
        known.then(|| Self { key_type: key_type.to_owned(), blob: blob.to_vec() })
    }

    /// The key of a server as fleet's own `known_hosts` files have it.
    pub fn from_known_hosts(text: &str, ip: IpAddr, port: u16) -> Option<Self> {
        let host = known_hosts_name(ip, port);
        text.lines().find_map(|line| {
            let mut fields = line.split_whitespace();
            let (names, key_type, key) = (fields.next()?, fields.next()?, fields.next()?);
            let key = Self::from_blob(&STANDARD.decode(key).ok()?)?;
            (names.split(',').any(|name| name == host) && key.key_type == key_type).then_some(key)
        })
    }

    /// The type's name, as OpenSSH writes it: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`.
    pub fn key_type(&self) -> &str {
        &self.key_type
    }

    /// The key itself, base64.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.blob)
    }

    /// The fingerprint as `ssh-keygen -l` shows it: `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// The line of a `known_hosts` file, without an end of line.
    pub fn known_hosts_line(&self, ip: IpAddr, port: u16) -> String {
        format!("{} {} {}", known_hosts_name(ip, port), self.key_type, self.base64())
    }

    /// OpenSSH's `HostKeyAlgorithms` for this key. Without it OpenSSH may ask the server for a key of another type, which
    /// is in no `known_hosts` then.
    pub fn host_key_algorithms(&self) -> &str {
        // One RSA key signs with several hashes; the key's type is no algorithm that is safe today.
        if self.key_type == "ssh-rsa" { "rsa-sha2-512,rsa-sha2-256" } else { &self.key_type }
    }
}

/// A server's name in a `known_hosts` file (sshd(8)).
fn known_hosts_name(ip: IpAddr, port: u16) -> String {
    if port == 22 { ip.to_string() } else { format!("[{ip}]:{port}") }
}

/// The first length-prefixed string of SSH's wire format (RFC 4251, 5).
fn wire_string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Asks a server for its host key, the best that it has.
pub async fn host_key(ip: IpAddr, port: u16, limit: Duration) -> Result<HostKey, Error> {
    let algorithms = HOST_KEY_ALGORITHMS.join(",");
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

/// Whether an SSH agent can be asked.
fn has_agent() -> bool {
    std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty())
}

fn load_key(path: &Path) -> Result<SecretString, KeyProblem> {
    use std::os::unix::fs::PermissionsExt as _;
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyProblem::Missing,
        _ => KeyProblem::Unreadable(error),
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // Before it is opened: opening a pipe would wait for somebody to write into it.
    if !metadata.is_file() {
        return Err(KeyProblem::NotAFile);
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    match file.take(KEY_LIMIT).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(KeyProblem::NotAKey),
        read => read.map_err(unreadable)?,
    };
    let text = SecretString::from(text);
    check_key_text(text.expose_secret())?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyProblem::TooOpen(mode));
    }
    Ok(text)
}

fn check_key_text(text: &str) -> Result<(), KeyProblem> {
    let text = text.trim_start();
    if ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|start| text.starts_with(start))
        || text.contains("BEGIN PUBLIC KEY")
    {
        return Err(KeyProblem::Public);
    }
    let Some(body) = text.strip_prefix("-----BEGIN OPENSSH PRIVATE KEY-----") else {
        return check_pem(text);
    };
    // PROTOCOL.key of OpenSSH: a magic, then the cipher's name.
    let body: String = body.lines().take_while(|line| !line.starts_with('-')).map(str::trim).collect();
    let bytes = STANDARD.decode(body).map_err(|_| KeyProblem::NotAKey)?;
    match bytes.strip_prefix(b"openssh-key-v1\0").and_then(wire_string) {
        Some(b"none") => Ok(()),
        Some(_) => Err(KeyProblem::Passphrase),
        None => Err(KeyProblem::NotAKey),
    }
}

fn check_pem(text: &str) -> Result<(), KeyProblem> {
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("-----BEGIN ") || !first.contains("PRIVATE KEY") {
        Err(KeyProblem::NotAKey)
    } else if text.contains("ENCRYPTED") {
        Err(KeyProblem::Passphrase)
    } else {
        Ok(())
    }
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

    /// Asks for the pinned key's type first, because a server has several keys; for the others too, so that a change can
    /// be told as one.
    fn handshake_pinned(&self, session: &mut Session, pinned: &HostKey) -> Result<(), Error> {
        let own = pinned.host_key_algorithms();
        let others = HOST_KEY_ALGORITHMS.into_iter().filter(|other| !own.split(',').any(|own| own == *other));
        let algorithms: Vec<&str> = std::iter::once(own).chain(others).collect();
        let found = self.handshake(session, &algorithms.join(","))?;
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
        self.step(session, "fetching the kubeconfig", || Ran::new(session, command), failed).map(Ran::output)
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
    fn new(session: &Session, command: &str) -> Result<Self, Libssh2> {
        let mut channel = session.channel_session()?;
        channel.exec(command)?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        read_bounded(&mut channel, &mut stdout)?;
        read_bounded(&mut channel.stderr(), &mut stderr)?;
        let (status, signal) = end(&mut channel)?;
        Ok(Self { stdout, stderr, status, signal })
    }

    /// What it wrote; else how it ended, with what it complained about. What it wrote is never in that.
    fn output(self) -> Result<String, String> {
        let complaint = match one_line(&String::from_utf8_lossy(&self.stderr)) {
            line if line.is_empty() => String::new(),
            line => format!(" ({line})"),
        };
        if let Some(signal) = self.signal {
            return Err(format!("was ended by signal {}{complaint}", one_line(&signal)));
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
fn read_bounded(from: &mut impl Read, into: &mut Vec<u8>) -> Result<(), Libssh2> {
    let read = from.take(OUTPUT_LIMIT + 1).read_to_end(into)?;
    if u64::try_from(read).is_ok_and(|read| read <= OUTPUT_LIMIT) {
        Ok(())
    } else {
        Err(Libssh2(format!("it writes more than {OUTPUT_LIMIT} bytes")))
    }
}

fn end(channel: &mut Channel) -> Result<(i32, Option<String>), Libssh2> {
    channel.wait_close()?;
    // libssh2 says 0 for a command that a signal ended.
    Ok((channel.exit_status()?, channel.exit_signal()?.exit_signal))
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
