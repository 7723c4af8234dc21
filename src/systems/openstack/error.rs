//! What can go wrong between fleet and a cloud: one variant an operation, and why it failed as its source.

use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Response};
use jiff::fmt::rfc2822::DateTimeParser;

use crate::observed::CredentialKind;
use crate::secret::OpenrcEnv;

/// The most characters of a server's message that are worth showing.
const MESSAGE_LIMIT: usize = 300;

/// What was tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The openrc does not say what is needed.
    #[error("the openrc cannot be used: {problem}")]
    Openrc {
        /// What is missing or not supported.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Logging in.
    #[error("cannot log in to OpenStack at {host}")]
    LogIn {
        /// Keystone's host.
        host: String,
        /// Why.
        source: Cause,
    },
    /// Asking when the application credential expires.
    #[error("cannot ask Keystone at {host} for the application credential")]
    Credential {
        /// Keystone's host.
        host: String,
        /// Why.
        source: Cause,
    },
    /// Listing volumes.
    #[error("cannot list the volumes of project {project}")]
    Volumes {
        /// The project's name.
        project: String,
        /// Why.
        source: Cause,
    },
    /// Listing snapshots.
    #[error("cannot list the snapshots of project {project}")]
    Snapshots {
        /// The project's name.
        project: String,
        /// Why.
        source: Cause,
    },
    /// Listing servers.
    #[error("cannot list the servers of project {project}")]
    Servers {
        /// The project's name.
        project: String,
        /// Why.
        source: Cause,
    },
    /// Asking for one volume.
    #[error("cannot get volume {id}")]
    Volume {
        /// The volume.
        id: String,
        /// Why.
        source: Cause,
    },
    /// Changing the metadata of one volume.
    #[error("cannot change the metadata of volume {id}")]
    Metadata {
        /// The volume.
        id: String,
        /// Why.
        source: Cause,
    },
    /// Asking to delete one volume.
    #[error("cannot delete volume {id}")]
    Delete {
        /// The volume.
        id: String,
        /// Why.
        source: Cause,
    },
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No whole answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// No connection, or one that broke.
    #[error("{0}")]
    Unreachable(String),
    /// The server said no.
    #[error("HTTP {status}{}{message}", if .message.is_empty() { "" } else { ": " })]
    Status {
        /// HTTP's status.
        status: u16,
        /// What the server said about it.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Keystone's 401 to a login. Expired and wrong look the same.
    #[error("Keystone refused the {kind}: it has expired, or it is wrong (Keystone does not tell which)")]
    Credentials {
        /// What was used.
        kind: CredentialKind,
    },
    /// Keystone's 404 to a login.
    #[error("Keystone does not know the {kind}{}{message}", if .message.is_empty() { "" } else { ": " })]
    Unknown {
        /// What was used.
        kind: CredentialKind,
        /// What Keystone said.
        message: String,
    },
    /// The answer is not what it has to be.
    #[error("the answer cannot be used: {0}")]
    Answer(String),
    /// A list that is not the whole list.
    #[error("the list is not complete: {0}")]
    Incomplete(String),
    /// The request could not be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

/// What a failure means for trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// The server says that it did nothing, and may be asked again (429, 500, 503). A proxy may have passed it on all the
    /// same.
    PutOff,
    /// Nobody knows whether it was done: the connection broke, or 502, 504.
    Unknown,
    /// Nobody knows either, and finding out took the whole time limit: asking again would take another one.
    TimedOut,
    /// Trying again changes nothing.
    Refused,
}

impl Error {
    pub(super) fn openrc(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Openrc { problem: problem.into(), hint: Some(hint.into()) }
    }

    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self.cause() {
            Some(Cause::Status { status: 403, .. }) if matches!(self, Self::Servers { .. }) => Some(
                "fleet looks among the servers for clusters that fleet.toml does not have: the application credential has to \
                 be allowed to list them"
                    .to_owned(),
            ),
            None => match self {
                Self::Openrc { hint, .. } => hint.clone(),
                _ => None,
            },
            Some(cause) => cause.hint(),
        }
    }

    /// What it means for trying again.
    pub fn nature(&self) -> Nature {
        self.cause().map_or(Nature::Refused, Cause::nature)
    }

    /// How long the server wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause().and_then(Cause::retry_after)
    }

    /// Whether the credentials themselves are what is wrong.
    pub fn is_credentials(&self) -> bool {
        matches!(self.cause(), Some(Cause::Credentials { .. } | Cause::Unknown { .. }))
    }

    fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Openrc { .. } => None,
            Self::LogIn { source, .. }
            | Self::Credential { source, .. }
            | Self::Volumes { source, .. }
            | Self::Snapshots { source, .. }
            | Self::Servers { source, .. }
            | Self::Volume { source, .. }
            | Self::Metadata { source, .. }
            | Self::Delete { source, .. } => Some(source),
        }
    }
}

impl Cause {
    /// What it means for trying again.
    pub fn nature(&self) -> Nature {
        match self {
            Self::Status { status: 429 | 500 | 503, .. } => Nature::PutOff,
            Self::TimedOut(_) => Nature::TimedOut,
            // An answer that arrived and cannot be read: it may have been done all the same.
            Self::Unreachable(_) | Self::Answer(_) | Self::Status { status: 502 | 504, .. } => {
                Nature::Unknown
            }
            _ => Nature::Refused,
        }
    }

    /// Whether it is worth asking again: not where the answer was no, and not where the time was up.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.nature(), Nature::PutOff | Nature::Unknown)
    }

    /// How long to wait before the next try, which would come after `delay`: at least as long as the server says. `None`
    /// where that is longer than `limit`, which nobody waits for.
    pub(super) fn delay(&self, delay: Option<Duration>, limit: Duration) -> Option<Duration> {
        match self.retry_after() {
            Some(wait) if wait > limit => None,
            Some(wait) => delay.map(|delay| delay.max(wait)),
            None => delay,
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Credentials { kind } | Self::Unknown { kind, .. } => Some(refused(*kind).to_owned()),
            Self::TimedOut(_) | Self::Unreachable(_) => {
                Some("check OS_AUTH_URL, and whether this machine can reach it".to_owned())
            }
            _ => None,
        }
    }

    /// A failure that comes from this machine and not from the server.
    pub(super) fn request(error: &dyn std::error::Error) -> Self {
        Self::Request(crate::exit::chain(error))
    }

    /// A connection that could not be made or that broke. The innermost cause says it best; what is around it repeats
    /// the URL.
    pub(super) fn unreachable(error: &dyn std::error::Error) -> Self {
        let mut innermost = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        Self::Unreachable(innermost.to_string())
    }

    pub(super) fn unknown_credential(kind: CredentialKind, message: &str) -> Self {
        Self::Unknown { kind, message: message.to_owned() }
    }

    /// The same, with every secret of the openrc blotted out of what came from elsewhere.
    pub(super) fn scrubbed(self, env: &OpenrcEnv) -> Self {
        match self {
            Self::Unreachable(text) => Self::Unreachable(env.scrub(&text)),
            Self::Status { status, message, retry_after } => {
                Self::Status { status, message: cut(&env.scrub(&message)), retry_after }
            }
            Self::Unknown { kind, message } => Self::Unknown { kind, message: cut(&env.scrub(&message)) },
            Self::Answer(text) => Self::Answer(env.scrub(&text)),
            Self::Incomplete(text) => Self::Incomplete(env.scrub(&text)),
            Self::Request(text) => Self::Request(env.scrub(&text)),
            same @ (Self::TimedOut(_) | Self::Credentials { .. }) => same,
        }
    }
}

/// What `Retry-After` says: seconds, or a date, which is counted from the answer's own date, as clocks differ.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let after = text(RETRY_AFTER)?;
    let date = |text: &str| DateTimeParser::new().parse_timestamp(text).ok();
    let until = || Duration::try_from(date(after)?.duration_since(date(text(DATE)?)?)).ok();
    after.parse().ok().map(Duration::from_secs).or_else(until)
}

/// What a server says about an error: `{"<name>": {"message": "..."}}`, or nothing worth showing (a proxy's page).
pub(super) fn message(response: &Response<Bytes>) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(response.body()) else {
        return String::new();
    };
    let text = fields
        .values()
        .find_map(|value| value.get("message"))
        .or_else(|| fields.get("message"))
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Only once the secrets are out: one that was cut in two would not be found.
fn cut(message: &str) -> String {
    message.chars().take(MESSAGE_LIMIT).collect()
}

/// What to do when Keystone refuses credentials.
fn refused(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::ApplicationCredential => {
            "make a new application credential in the project and put its id and secret into the openrc"
        }
        CredentialKind::Password => "correct the openrc, or use an application credential",
        CredentialKind::Token => "tokens expire soon: use an application credential",
    }
}
