//! Docker engines: sandboxes, and commands in them. The only importer of `bollard`.

mod adopted;
mod connection;
mod create;
mod dial;
mod engine;
mod images;
mod inside;
mod layer;
mod old;
mod probe;
mod processes;
mod ssh;
mod tls;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::io::AsyncWrite;

use crate::hub::{Endpoint, EngineName};

pub use connection::Connection;
pub use engine::{Engine, Of, Silent};
pub use inside::Inside;
pub use probe::Probe;

/// What could not be done with an engine. `source` says why.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum Error {
    /// Nothing answers there.
    #[error("no Docker engine answers at {at}")]
    NoEngine { at: Box<Endpoint>, source: Box<bollard::errors::Error> },
    /// What TLS with an engine goes by cannot be used.
    #[error("cannot use {} for TLS with the engine at {at}", file.display())]
    Tls { at: Box<Endpoint>, file: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    /// It did not answer when this command began. `reason` says why.
    #[error("engine {engine} does not answer: {reason}")]
    Silent { engine: EngineName, reason: String, hint: Option<String> },
    /// The container is on none of the engines that were looked at.
    #[error("no engine that answers has container {id}")]
    NoPlace { id: String },
    /// What would have to be mounted is not where the engine's machine looks for it.
    #[error("engine {engine} ({at}) does not have the hub's files: {why}")]
    NotThere { engine: EngineName, at: Box<Endpoint>, why: String },
    /// A request failed.
    #[error("cannot {what}")]
    Request { what: String, source: Box<bollard::errors::Error> },
    /// The engine did not answer in time.
    #[error("cannot {what}: no answer within {}", crate::report::duration(*limit))]
    TimedOut { what: String, limit: Duration },
    /// The image is not on the engine.
    #[error("the engine has no image {image}")]
    NoImage { image: String },
    /// A container of that name is there and is not this fleet's.
    #[error("container {name} is there and is not a sandbox of this fleet")]
    NotOurs { name: String },
    /// The registry does not give the image.
    #[error("cannot pull image {image}: {why}")]
    Pull { image: String, why: String },
    /// The container's `/etc/passwd` could not be read or written.
    #[error("cannot prepare the users of {container}: {why}")]
    Passwd { container: String, why: String },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NoEngine { at, source } => Some(no_engine(at, source)),
            Error::Silent { hint, .. } => hint.clone(),
            Error::NotThere { .. } => Some(
                "a sandbox mounts the hub's openrc, key and state under the same paths as here: have them there (a shared file \
                 system), or let the hub live on another engine (`engine` in fleet.toml)"
                    .to_owned(),
            ),
            Error::NoImage { image } => Some(format!(
                "pull it (`docker pull {image}`), or build fleet's own: `docker build -t {image} images/sandbox`"
            )),
            Error::Pull { image, .. } => Some(format!(
                "fleet asks the registry as nobody in particular: where it wants a login, `docker pull {image}` and then `fleet up`"
            )),
            Error::NotOurs { name } => {
                Some(format!("remove it (`docker rm {name}`), or give the fleet another `name` in fleet.toml"))
            }
            _ => None,
        }
    }

    /// The same for those who know errors of connections.
    pub fn as_io(&self) -> std::io::Error {
        let kind = match self {
            Error::TimedOut { .. } => std::io::ErrorKind::TimedOut,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, crate::exit::chain(self))
    }

    /// Whether the engine itself said no: then nothing was begun.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Request { source, .. } if status_of(source).is_some())
    }

    /// Whether the connection was closed while something that was sent had not been read.
    pub fn is_reset(&self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        let Error::Request { source, .. } = self else { return false };
        matches!(io_kind(source), Some(ConnectionReset | BrokenPipe))
    }

    /// Whether the engine said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Request { source, .. } if status_of(source) == Some(404))
    }

    /// What the engine said where it said no.
    fn refusal(&self) -> Option<&str> {
        let Error::Request { source, .. } = self else { return None };
        match source.as_ref() {
            bollard::errors::Error::DockerResponseServerError { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Whether the engine said that something of that name is there already.
    fn is_conflict(&self) -> bool {
        matches!(self, Error::Request { source, .. } if status_of(source) == Some(409))
    }
}

fn no_engine(at: &Endpoint, source: &bollard::errors::Error) -> String {
    match at {
        Endpoint::Unix(socket) if io_kind(source) == Some(std::io::ErrorKind::PermissionDenied) => format!(
            "{} is there, and you may not use it: join the group that owns it (usually `docker`)",
            socket.display()
        ),
        Endpoint::Unix(_) => {
            "start it (`systemctl start docker`), or name its socket in fleet.toml (`engine = \"unix:///...\"`)"
                .to_owned()
        }
        Endpoint::Tcp { .. } => "see whether it runs there, and whether the port is open to this machine".to_owned(),
        Endpoint::Ssh { user, host, port } => {
            let user = user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
            let port = port.map_or_else(String::new, |port| format!("-p {port} "));
            format!("try it: ssh -o BatchMode=yes {port}{user}{host} docker version")
        }
    }
}

fn status_of(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

/// What to run in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecSpec {
    /// Program and arguments, no shell in between.
    pub argv: Vec<String>,
    /// Environment on top of the container's: `NAME=value`. Never a secret.
    pub env: Vec<String>,
    /// Whether standard input is wanted.
    pub stdin: bool,
    /// Whether a terminal is wanted, of that many rows and columns.
    pub tty: Option<(u16, u16)>,
}

/// A piece of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Standard output; with a terminal, everything.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
}

/// A command that runs in a container.
pub struct Running {
    /// The engine's id of it.
    pub id: String,
    /// Its output.
    pub output: Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>,
    /// Its standard input, if it was asked for.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("id", &self.id).finish_non_exhaustive()
    }
}
