//! Logging in: with the key's file, or by an agent that has the key.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use ssh2::Session;

use super::agent::{AgentProblem, Bridge};
use super::private_key::{load_key, public_half};
use super::{Call, Error, KeyProblem};

/// How many of an agent's keys are tried: sshd hangs up after six (`MaxAuthTries`), and the file's key may have been the first.
const AGENT_KEYS: usize = 5;

/// What an account is logged in to with.
pub(super) struct Login {
    user: String,
    path: PathBuf,
    key: Result<SecretString, KeyProblem>,
    /// The file's public half, as it goes over the wire: an agent's key that is this one comes first.
    public: Option<Vec<u8>>,
    agent: Option<SecondChance>,
}

/// An agent that is asked where the file alone does not do.
struct SecondChance {
    socket: PathBuf,
    bridge: Result<Bridge, AgentProblem>,
    /// Whether it is fleet.toml that names it, and not the environment.
    is_named: bool,
}

impl Login {
    /// Looks at the key's file, and for the agent.
    pub(super) async fn prepare(
        user: &str,
        path: &Path,
        agent: Option<&Path>,
        call: &Call,
    ) -> Result<Self, Error> {
        let key = load_key(path);
        let of_environment = || std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
        let socket = match agent {
            Some(agent) => Some(agent.to_owned()),
            // What somebody's environment has is only for keys that cannot be used without.
            None if key.is_err() => of_environment().map(PathBuf::from),
            None => None,
        };
        let agent = match socket {
            Some(socket) => {
                let bridge = Bridge::to(&socket, call.end).await;
                Some(SecondChance { socket, bridge, is_named: agent.is_some() })
            }
            None => None,
        };
        match (key, agent) {
            (Err(source), None) => Err(Error::Key { path: path.to_owned(), source }),
            (key, agent) => Ok(Self {
                user: user.to_owned(),
                path: path.to_owned(),
                key,
                public: public_half(path),
                agent,
            }),
        }
    }

    /// Logs in on a server that has shown its pinned key.
    pub(super) fn log_in(self, call: &Call, session: &Session) -> Result<(), Error> {
        let Self { user, path, key, public, agent } = self;
        let by_file = match key {
            Err(source) => Err(Error::Key { path, source }),
            Ok(key) => call.step(
                session,
                "logging in",
                || session.userauth_pubkey_memory(&user, None, key.expose_secret(), None),
                |source| Error::Authenticate { user: user.clone(), peer: call.peer.clone(), path, source },
            ),
        };
        let (first, agent) = match (by_file, agent) {
            (Err(first), Some(agent)) if !matches!(first, Error::TimedOut { .. }) => (first, agent),
            (by_file, _) => return by_file,
        };
        let by_agent = agent.bridge.and_then(|bridge| ask(call, session, &user, public.as_deref(), &bridge));
        by_agent.map_err(|source| match first {
            // The key is the agent's to use, so what is wrong is wrong with the agent.
            Error::Key { source: KeyProblem::Passphrase | KeyProblem::Public, path } if agent.is_named => {
                Error::Agent {
                    agent: agent.socket,
                    path,
                    user,
                    peer: call.peer.clone(),
                    source: source.into(),
                }
            }
            // The agent was a second chance, and the key's file is what has to be mended.
            first => first,
        })
    }
}

/// Has an agent log in, with the key that is meant before all others that it has.
fn ask(
    call: &Call,
    session: &Session,
    user: &str,
    public: Option<&[u8]>,
    bridge: &Bridge,
) -> Result<(), AgentProblem> {
    let failed = |error: ssh2::Error| match call.left() {
        left if left.is_zero() => AgentProblem::Silent(call.limit),
        _ => AgentProblem::Libssh2(error.into()),
    };
    call.arm(session);
    let mut agent = session.agent().map_err(failed)?;
    agent.set_identity_path(bridge.socket()).map_err(failed)?;
    agent.connect().map_err(failed)?;
    agent.list_identities().map_err(failed)?;
    let mut keys = agent.identities().map_err(failed)?;
    if keys.is_empty() {
        return Err(AgentProblem::Empty);
    }
    let is_meant = |key: &ssh2::PublicKey| public == Some(key.blob());
    keys.sort_by_key(|key| !is_meant(key));
    for key in keys.iter().take(AGENT_KEYS) {
        call.arm(session);
        match agent.userauth(user, key) {
            Ok(()) => return Ok(()),
            Err(_) if call.left().is_zero() => return Err(AgentProblem::Silent(call.limit)),
            Err(_) => {}
        }
    }
    if public.is_some() && !keys.iter().any(is_meant) {
        Err(AgentProblem::OtherKeys)
    } else {
        Err(AgentProblem::NotTaken)
    }
}
