//! A cluster's API server, spoken with through the tunnel's Unix socket. The only importer of `kube`.
//!
//! Nothing but the kubeconfig that is given decides where a request goes and as whom: no variable of the environment,
//! no proxy, no service account.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::kube::Config;
use ::kube::client::{Body, Client, ConfigExt as _};
use ::kube::config::AuthInfo;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{AlertDescription, CertificateError};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder};

use super::kube_objects::{self as objects, Incomplete, Page};
use super::kubeconfig::{self, Access, Credentials, Problem};
use super::line::one_line;
use crate::observed::{Claim, Node, PersistentVolume};

/// How many objects are asked for at once. Most clusters fit into one answer (a PV is about 2 KiB), and the answers of a
/// large one stay small enough to arrive within a time limit.
const PAGE: usize = 1000;

/// The longest path that fits into a socket's address (`sun_path` of unix(7), with its closing zero).
const SOCKET_PATH_LIMIT: usize = 107;

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    socket: PathBuf,
    limit: Duration,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("socket", &self.socket)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

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
pub struct BadCertificates(String);

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
            Error::Certificates { .. } => Some("fetch the master's admin.conf again".to_owned()),
            Error::Ask { source, .. } => source.hint().map(ToOwned::to_owned),
        }
    }
}

impl Cause {
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
                     admin.conf again"
                }
                Kind::CertificateUntrusted => {
                    "the cluster may have been made anew: fetch the master's admin.conf again; a clock that is wrong \
                     looks the same"
                }
                Kind::Unauthorized => {
                    "often an expired client certificate: `sudo kubeadm certs check-expiration` on the master tells; \
                     renew with `sudo kubeadm certs renew all`, then fetch admin.conf again"
                }
                Kind::Forbidden => {
                    "the kubeconfig's user may not do this: use the master's /etc/kubernetes/admin.conf"
                }
                Kind::ServerError => "look at kube-apiserver and etcd on the master",
                Kind::BadAnswer | Kind::Kubeconfig | Kind::Other => return None,
            },
        })
    }

    /// Whether the place in a list was forgotten by the server, which keeps it for some minutes only.
    fn is_expired_list(&self) -> bool {
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
            Error::Api(status) => Cause::Status { code: status.code, message: one_line(&status.message) },
            Error::SerdeError(error) => Cause::BadAnswer(one_line(&error.to_string())),
            Error::FromUtf8(_) => Cause::BadAnswer("it is not text".to_owned()),
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
            return Cause::Closed(one_line(&error.to_string()));
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                return Cause::BadAnswer(one_line(&error.to_string()));
            }
            if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
                return Cause::Closed(one_line(&error.to_string()));
            }
        }
        deepest = cause.to_string();
    }
    Cause::Other(one_line(&deepest))
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

impl Cluster {
    /// Prepares to ask the cluster of a kubeconfig through a socket. Nothing is asked yet. Each request has `limit`.
    pub async fn connect(kubeconfig: &Path, socket: &Path, limit: Duration) -> Result<Self, Error> {
        let path = kubeconfig.to_owned();
        let yaml = match tokio::fs::read_to_string(kubeconfig).await {
            Ok(yaml) => yaml,
            Err(source) => return Err(Error::ReadKubeconfig { path, source }),
        };
        let access = match kubeconfig::access(&yaml) {
            Ok(access) => access,
            Err(source) => return Err(Error::Kubeconfig { path, source }),
        };
        match client(access, socket) {
            Ok(client) => Ok(Self { client, socket: socket.to_owned(), limit }),
            Err(source) => Err(Error::Certificates { path, source }),
        }
    }

    /// Whether the API server says that it is ready.
    pub async fn ready(&self) -> Result<(), Error> {
        let what = "/readyz";
        let answer = self.get(what).await.map_err(|source| self.failed(what, source))?;
        match answer.trim() {
            "ok" => Ok(()),
            other => Err(self.failed(what, Cause::BadAnswer(format!("{:?} instead of ok", one_line(other))))),
        }
    }

    /// All persistent volumes, in every phase.
    pub async fn persistent_volumes(&self) -> Result<Vec<PersistentVolume>, Error> {
        self.list("/api/v1/persistentvolumes", "PersistentVolumeList", objects::persistent_volume).await
    }

    /// All claims, of every namespace.
    pub async fn claims(&self) -> Result<Vec<Claim>, Error> {
        self.list("/api/v1/persistentvolumeclaims", "PersistentVolumeClaimList", objects::claim).await
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.list("/api/v1/nodes", "NodeList", objects::node).await
    }

    fn failed(&self, what: &'static str, source: Cause) -> Error {
        Error::Ask { what, socket: self.socket.clone(), source }
    }

    /// The whole of a list, or an error.
    async fn list<W: DeserializeOwned, T>(
        &self,
        path: &'static str,
        kind: &'static str,
        convert: fn(W) -> Result<T, Incomplete>,
    ) -> Result<Vec<T>, Error> {
        let mut all = self.pages(path, kind, convert, Some(PAGE)).await;
        if all.as_ref().is_err_and(Cause::is_expired_list) {
            // The pages so far are of a state that is gone: all of it again, in one answer, which cannot expire.
            all = self.pages(path, kind, convert, None).await;
        }
        all.map_err(|source| self.failed(path, source))
    }

    async fn pages<W: DeserializeOwned, T>(
        &self,
        path: &str,
        kind: &str,
        convert: fn(W) -> Result<T, Incomplete>,
        limit: Option<usize>,
    ) -> Result<Vec<T>, Cause> {
        let mut all = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let text = self.get(&objects::page_path(path, limit, from.as_deref())).await?;
            let page: Page<W> = Page::parse(&text, kind)?;
            let next = page.next(from.as_deref())?;
            for item in page.items {
                all.push(convert(item)?);
            }
            if next.is_none() {
                return Ok(all);
            }
            from = next;
        }
    }

    /// One request, with its whole answer, within the time limit.
    async fn get(&self, path: &str) -> Result<String, Cause> {
        let request = http::Request::get(path)
            .header(http::header::USER_AGENT, concat!("fleet/", env!("CARGO_PKG_VERSION")))
            .body(Vec::new())
            .map_err(|error| Cause::Other(one_line(&error.to_string())))?;
        match timeout(self.limit, self.client.request_text(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Cause::Hanging(self.limit)),
        }
    }
}

/// A client that does what a kubeconfig says, through a socket.
fn client(access: Access, socket: &Path) -> Result<Client, BadCertificates> {
    let bad = |error: &dyn StdError| BadCertificates(one_line(&error.to_string()));
    // kube asks rustls for the process's provider, which panics where there is none and several are compiled in. An error
    // means that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = config(access)?;
    let https = config
        .rustls_https_connector_with_connector(Connector { socket: socket.into() })
        .map_err(|error| bad(&error))?;
    let http: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(|error| bad(&error))?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}

/// kube's configuration, made by hand: its own loaders look at `HTTPS_PROXY`.
fn config(access: Access) -> Result<Config, BadCertificates> {
    let server =
        access.server.parse().map_err(|_| BadCertificates(format!("{:?} is not a URL", access.server)))?;
    let mut config = Config::new(server);
    config.tls_server_name = access.tls_server_name;
    config.root_cert = Some(authorities(&access.authorities)?);
    config.auth_info = match access.credentials {
        Credentials::Certificate { certificate, key } => AuthInfo {
            client_certificate_data: Some(certificate),
            client_key_data: Some(key),
            ..AuthInfo::default()
        },
        Credentials::Token(token) => AuthInfo { token: Some(token), ..AuthInfo::default() },
        Credentials::Password { user, password } => {
            AuthInfo { username: Some(user), password: Some(password), ..AuthInfo::default() }
        }
    };
    Ok(config)
}

fn authorities(pem: &[u8]) -> Result<Vec<Vec<u8>>, BadCertificates> {
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| BadCertificates("its certificate-authority-data is not PEM".to_owned()))?;
    if certificates.is_empty() {
        return Err(BadCertificates("its certificate-authority-data has no certificate".to_owned()));
    }
    Ok(certificates)
}

/// Opens the tunnel's socket, whatever the URL says.
#[derive(Clone)]
struct Connector {
    socket: Arc<Path>,
}

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the tunnel's socket")]
struct NoSocket(#[source] io::Error);

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

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = NoSocket;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let socket = Arc::clone(&self.socket);
        Box::pin(async move { open(&socket).await.map(TokioIo::new).map_err(NoSocket) })
    }
}

/// Connects to a Unix socket. State directories may lie deeper than a socket's address is long: then by way of the
/// directory, which is held open for the while.
async fn open(socket: &Path) -> io::Result<UnixStream> {
    if socket.as_os_str().len() <= SOCKET_PATH_LIMIT {
        return UnixStream::connect(socket).await;
    }
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    UnixStream::connect(short).await
}
