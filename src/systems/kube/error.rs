//! Why a cluster cannot be seen.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use super::objects::Incomplete;
use crate::systems::kubeconfig::Problem;
use crate::text::excerpt;

/// A step that did not work. The source says why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig's file.
    #[error("reading the kubeconfig {}", path.display())]
    ReadKubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the kubeconfig says.
    #[error("using the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Problem,
    },
    /// The kubeconfig's certificates and keys.
    #[error("using the certificates in the kubeconfig {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: BadCertificates,
    },
    /// A request.
    #[error("asking the API server for {what} through {}", socket.display())]
    Ask {
        /// For what.
        what: &'static str,
        /// The tunnel's end.
        socket: PathBuf,
        /// Why there is no answer, or none that can be used.
        source: Cause,
    },
}

/// What is wrong with a kubeconfig's certificates, without what is in them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadCertificates(pub(super) String);

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The tunnel's socket is missing, or nothing listens at it.
    #[error("there is no tunnel")]
    NoTunnel(#[source] io::Error),
    /// The time limit.
    #[error("no answer within {0:?}")]
    Hanging(Duration),
    /// The connection ended in the middle.
    #[error("the connection ended before the answer ({0})")]
    Closed(String),
    /// A certificate, the server's or the client's.
    #[error("the TLS connection failed ({0})")]
    Tls(rustls::Error),
    /// The server says no.
    #[error("the server answered {code} ({message})")]
    Status {
        /// HTTP status.
        code: u16,
        /// What it says.
        message: String,
    },
    /// An answer that is not what was asked for.
    #[error("the answer cannot be used: {0}")]
    BadAnswer(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Why a cluster cannot be seen, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The tunnel's socket is missing, or nothing listens at it.
    NoTunnel,
    /// The time limit passed.
    Hanging,
    /// There is a tunnel, and at its far end nobody answers.
    Closed,
    /// A certificate is out of date.
    CertificateExpired,
    /// A certificate is not one that the other side knows.
    CertificateUntrusted,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 5xx.
    ServerError,
    /// An answer that is not what was asked for.
    BadAnswer,
    /// The kubeconfig.
    Kubeconfig,
    /// Anything else.
    Other,
}

impl Error {
    /// Why the cluster cannot be seen, as data.
    pub fn kind(&self) -> Kind {
        match self {
            Error::ReadKubeconfig { .. } | Error::Kubeconfig { .. } | Error::Certificates { .. } => {
                Kind::Kubeconfig
            }
            Error::Ask { source, .. } => source.kind(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::ReadKubeconfig { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("copy the master's /etc/kubernetes/admin.conf there, and set its server to https://127.0.0.1:6443".to_owned())
            }
            Error::ReadKubeconfig { .. } => None,
            Error::Kubeconfig { source, .. } => Some(source.hint()),
            Error::Certificates { .. } => {
                Some("fetch the master's admin.conf again: fleet trust HUB --kubeconfig".to_owned())
            }
            Error::Ask { source, .. } => source.hint().map(ToOwned::to_owned),
        }
    }
}

impl Cause {
    /// An answer that began, and broke off.
    pub(super) fn reading(error: &io::Error) -> Self {
        transport_cause(error)
    }

    fn kind(&self) -> Kind {
        match self {
            Cause::NoTunnel(_) => Kind::NoTunnel,
            Cause::Hanging(_) => Kind::Hanging,
            Cause::Closed(_) => Kind::Closed,
            Cause::Tls(error) => tls_kind(error),
            Cause::Status { code: 401, .. } => Kind::Unauthorized,
            Cause::Status { code: 403, .. } => Kind::Forbidden,
            Cause::Status { code: 500..=599, .. } => Kind::ServerError,
            Cause::BadAnswer(_) => Kind::BadAnswer,
            Cause::Status { .. } | Cause::Other(_) => Kind::Other,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Cause::Tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                ..
            })) => {
                "the API server's certificate does not name 127.0.0.1: add it to the apiserver's certSANs on the \
                 master, or set the cluster's tls-server-name in the kubeconfig"
            }
            _ => match self.kind() {
                Kind::NoTunnel => "the sandbox is stopped, or its tunnel is down: fleet status shows which",
                Kind::Hanging => {
                    "the master is paused, overloaded or cut off; the tunnel to it notices after about 20 s"
                }
                Kind::Closed => {
                    "the tunnel is up, and at the master's end nothing answers: check kube-apiserver on the master"
                }
                Kind::CertificateExpired => {
                    "renew with `sudo kubeadm certs renew all` on the master, restart its control plane, then fetch \
                     admin.conf again: fleet trust HUB --kubeconfig"
                }
                Kind::CertificateUntrusted => {
                    "the cluster may have been made anew: `fleet trust HUB --kubeconfig` fetches the master's admin.conf \
                     again; a clock that is wrong looks the same"
                }
                Kind::Unauthorized => {
                    "often an expired client certificate: `sudo kubeadm certs check-expiration` on the master tells; \
                     renew with `sudo kubeadm certs renew all`, then fetch admin.conf again: fleet trust HUB --kubeconfig"
                }
                Kind::Forbidden => {
                    "the kubeconfig's user may not do this: use the master's /etc/kubernetes/admin.conf"
                }
                Kind::ServerError => "look at kube-apiserver and etcd on the master",
                Kind::BadAnswer | Kind::Kubeconfig | Kind::Other => return None,
            },
        })
    }

    /// Whether another try may have an answer. A server that hangs has had its time.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Cause::Closed(_) | Cause::Status { code: 429 | 500 | 502 | 503 | 504, .. })
    }

    /// Whether the place in a list was forgotten by the server, which keeps it for some minutes only.
    pub(super) fn is_expired_list(&self) -> bool {
        matches!(self, Cause::Status { code: 410, .. })
    }
}

fn tls_kind(error: &rustls::Error) -> Kind {
    use rustls::Error::{AlertReceived, InvalidCertificate};
    match error {
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })
        | AlertReceived(AlertDescription::CertificateExpired) => Kind::CertificateExpired,
        InvalidCertificate(_)
        | AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRequired,
        ) => Kind::CertificateUntrusted,
        _ => Kind::Other,
    }
}

impl From<::kube::Error> for Cause {
    fn from(error: ::kube::Error) -> Self {
        use ::kube::Error;
        match error {
            Error::Api(status) => Cause::Status { code: status.code, message: excerpt(&status.message) },
            Error::SerdeError(error) => Cause::BadAnswer(excerpt(&error.to_string())),
            other => transport_cause(&other),
        }
    }
}

impl From<Incomplete> for Cause {
    fn from(incomplete: Incomplete) -> Self {
        Cause::BadAnswer(incomplete.to_string())
    }
}

/// What is at the bottom of a connection's failure: the layers above it say no more than that there was one.
fn transport_cause(error: &(dyn StdError + 'static)) -> Cause {
    let mut deepest = String::new();
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<NoSocket>() {
            return error.cause();
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return Cause::Tls(error.clone());
        }
        if let Some(error) = cause.downcast_ref::<io::Error>()
            && is_closed(error.kind())
        {
            return Cause::Closed(excerpt(&error.to_string()));
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                return Cause::BadAnswer(excerpt(&error.to_string()));
            }
            if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
                return Cause::Closed(excerpt(&error.to_string()));
            }
        }
        deepest = cause.to_string();
    }
    Cause::Other(excerpt(&deepest))
}

fn is_closed(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// An error and everything under it. `io::Error` hides the error that it was made of from `source`.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| under(*error))
}

fn under<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the tunnel's socket")]
pub(super) struct NoSocket(#[source] pub(super) io::Error);

impl NoSocket {
    fn cause(&self) -> Cause {
        // An `io::Error` cannot be cloned; of a system call it is no more than its number.
        let error = self
            .0
            .raw_os_error()
            .map_or_else(|| io::Error::from(self.0.kind()), io::Error::from_raw_os_error);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Cause::NoTunnel(error),
            _ => Cause::Other(format!("opening the tunnel's socket: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_about_the_client_certificate_is_told_apart() {
        use AlertDescription::{CertificateExpired, HandshakeFailure, UnknownCA};
        let kind = |alert| Cause::Tls(rustls::Error::AlertReceived(alert)).kind();
        assert_eq!(kind(CertificateExpired), Kind::CertificateExpired);
        assert_eq!(kind(UnknownCA), Kind::CertificateUntrusted);
        assert_eq!(kind(HandshakeFailure), Kind::Other);
    }
}
