//! A cluster's API server, spoken with through the tunnel's Unix socket. The only importer of `kube`.
//!
//! Nothing but the kubeconfig that is given decides where a request goes and as whom: no variable of the environment,
//! no proxy, no service account.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::kube::Config;
use ::kube::client::{Body, Client, ConfigExt as _};
use ::kube::config::AuthInfo;
use backon::{ExponentialBuilder, Retryable as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::AsyncReadExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder};

use self::course::Course;
use self::error::NoSocket;
pub use self::error::{BadCertificates, Cause, Error, Kind};
use self::objects::{ClaimWire, NodeWire, Page, PvWire, Wire};
use super::kubeconfig::{self, Access, Credentials};
use super::wire::{self, Route};
use crate::observed::{Claim, Node, PersistentVolume};
use crate::text::excerpt;

mod course;
mod error;
mod objects;
#[cfg(test)]
mod tests;

/// How many objects are asked for at once. Most clusters fit into one answer (a PV is about 2 KiB), and the answers of a
/// large one stay small enough to arrive within a time limit.
const PAGE: usize = 1000;

/// How many answers may be read and decoded at once, over all clusters: with 300 of them, 90,000 PVs would be in memory as
/// text otherwise, and that is most of what fleet needs. Waiting for an answer to begin takes no turn.
static READING: Semaphore = Semaphore::const_new(32);

/// How much of an answer is read before its turn. hyper's own buffer grows to 400 KiB, 300 times.
const READ_AHEAD: usize = 32 * 1024;

/// How often a page is asked for again where the server is overloaded, being restarted, or ended the connection.
const RETRIES: usize = 2;

/// Before it is asked again for the first time.
const RETRY: Duration = Duration::from_millis(500);

/// The year 10000, in seconds since 1970: later than a certificate can be good (RFC 5280, 4.1.2.5).
const END_OF_TIME: u64 = 253_402_300_800;

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    socket: PathBuf,
    limit: Duration,
    expires: Option<Timestamp>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("socket", &self.socket)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Prepares to ask the cluster of a kubeconfig by way of a route. Nothing is asked yet. Each request has `limit`.
    pub async fn connect(kubeconfig: &Path, route: impl Into<Route>, limit: Duration) -> Result<Self, Error> {
        let route = route.into();
        let socket = route.socket().to_owned();
        let path = kubeconfig.to_owned();
        let yaml = match tokio::fs::read_to_string(kubeconfig).await {
            Ok(yaml) => yaml,
            Err(source) => return Err(Error::ReadKubeconfig { path, source }),
        };
        let access = match kubeconfig::access(&yaml) {
            Ok(access) => access,
            Err(source) => return Err(Error::Kubeconfig { path, source }),
        };
        let expires = expiry(&access);
        match client(access, route) {
            Ok(client) => Ok(Self { client, socket, limit, expires }),
            Err(source) => Err(Error::Certificates { path, source }),
        }
    }

    /// Until when the kubeconfig's client certificate is good. `None` where it logs in otherwise.
    pub fn client_certificate_expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the API server says that it is ready.
    pub async fn ready(&self) -> Result<(), Error> {
        let what = "/readyz";
        let answer = self.get(what).await.map_err(|source| self.failed(what, source))?;
        match answer.text.trim() {
            "ok" => Ok(()),
            other => Err(self.failed(what, Cause::BadAnswer(format!("{:?} instead of ok", excerpt(other))))),
        }
    }

    /// All persistent volumes, in every phase.
    pub async fn persistent_volumes(&self) -> Result<Vec<PersistentVolume>, Error> {
        self.list::<PvWire>().await
    }

    /// All claims, of every namespace.
    pub async fn claims(&self) -> Result<Vec<Claim>, Error> {
        self.list::<ClaimWire>().await
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.list::<NodeWire>().await
    }

    fn failed(&self, what: &'static str, source: Cause) -> Error {
        Error::Ask { what, socket: self.socket.clone(), source }
    }

    /// The server does not say that a client certificate has expired: it says 401, as to anybody that it does not know.
    fn refused(&self, cause: Cause) -> Cause {
        match (cause, self.expires) {
            (Cause::Status { code: 401, message }, Some(expires)) => Cause::Status {
                code: 401,
                message: format!("{message}; the client certificate is good until {expires}"),
            },
            (cause, _) => cause,
        }
    }

    /// The whole of a list, or an error.
    async fn list<T: Wire>(&self) -> Result<Vec<T::Seen>, Error> {
        let mut all = self.pages::<T>(Some(PAGE)).await;
        if all.as_ref().is_err_and(Cause::is_expired_list) {
            // The pages so far are of a state that is gone: all of it again, in one answer, which cannot expire.
            all = self.pages::<T>(None).await;
        }
        all.map_err(|source| self.failed(T::PATH, source))
    }

    async fn pages<T: Wire>(&self, limit: Option<usize>) -> Result<Vec<T::Seen>, Cause> {
        let mut all = Vec::new();
        let mut course = Course::default();
        let mut from: Option<String> = None;
        loop {
            let path = objects::page_path(T::PATH, limit, from.as_deref());
            let ask = || self.get(&path);
            let answer = ask
                .retry(
                    ExponentialBuilder::default().with_min_delay(RETRY).with_max_times(RETRIES).with_jitter(),
                )
                .when(Cause::may_pass)
                .await?;
            let page: Page<T> = Page::parse(&answer.text)?;
            drop(answer);
            let next = page.next(from.as_deref())?;
            for item in page.items {
                let item = item.seen()?;
                course.take(T::key(&item))?;
                all.push(item);
            }
            let Some(place) = next else { return Ok(all) };
            course.go_to(&place)?;
            from = Some(place);
        }
    }

    /// One request, with its whole answer. Each of the two, waiting for it and reading it, has the time limit.
    async fn get(&self, path: &str) -> Result<Answer, Cause> {
        let request = http::Request::get(path)
            .header(http::header::USER_AGENT, concat!("fleet/", env!("CARGO_PKG_VERSION")))
            .body(Vec::new())
            .map_err(|error| Cause::Other(excerpt(&error.to_string())))?;
        let begun = self.within(self.client.request_stream(request)).await?;
        let mut body = begun.map_err(|error| self.refused(error.into()))?;
        let turn = READING.acquire().await.ok();
        let mut text = Vec::new();
        self.within(body.read_to_end(&mut text)).await?.map_err(|error| Cause::reading(&error))?;
        let text = String::from_utf8(text).map_err(|_| Cause::BadAnswer("it is not text".to_owned()))?;
        Ok(Answer { text, _turn: turn })
    }

    async fn within<T>(&self, something: impl Future<Output = T>) -> Result<T, Cause> {
        timeout(self.limit, something).await.map_err(|_| Cause::Hanging(self.limit))
    }
}

/// An answer, and the turn to decode it.
struct Answer {
    text: String,
    _turn: Option<SemaphorePermit<'static>>,
}

/// A client that does what a kubeconfig says, by way of a route.
fn client(access: Access, route: Route) -> Result<Client, BadCertificates> {
    let bad = |error: &dyn std::error::Error| BadCertificates(excerpt(&error.to_string()));
    use_provider();
    let config = config(access)?;
    let https =
        config.rustls_https_connector_with_connector(Connector { route }).map_err(|error| bad(&error))?;
    let http: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .http1_read_buf_exact_size(READ_AHEAD)
            .build(https);
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

/// Until when a client certificate is good. rustls shows no dates, but tells them when a certificate is held against a
/// time at which none is good any more.
fn expiry(access: &Access) -> Option<Timestamp> {
    use_provider();
    let Credentials::Certificate { certificate, .. } = &access.credentials else { return None };
    let certificate = CertificateDer::from_pem_slice(&STANDARD.decode(certificate).ok()?).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&access.authorities).flatten());
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(END_OF_TIME));
    match verifier.verify_client_cert(&certificate, &[], end_of_time) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
        }
        _ => None,
    }
}

/// kube asks rustls for the process's provider, which panics where there is none and several are compiled in.
fn use_provider() {
    // An error means that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
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

/// Goes by the route, whatever the URL says.
#[derive(Clone)]
struct Connector {
    route: Route,
}

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<wire::Wire>;
    type Error = NoSocket;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let route = self.route.clone();
        Box::pin(async move { route.open().await.map(TokioIo::new).map_err(NoSocket) })
    }
}

/// What `fuzz/` reads answers with.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::objects::{ClaimWire, NodeWire, Page, PvWire, Wire};
    use crate::observed::{Claim, PersistentVolume};

    fn page<T: Wire>(text: &str) -> Option<Vec<T::Seen>> {
        let page: Page<T> = Page::parse(text).ok()?;
        let _ = page.next(None);
        page.items.into_iter().map(|item| item.seen().ok()).collect()
    }

    /// A page of PVs.
    pub fn persistent_volumes(text: &str) -> Option<Vec<PersistentVolume>> {
        page::<PvWire>(text)
    }

    /// A page of claims.
    pub fn claims(text: &str) -> Option<Vec<Claim>> {
        page::<ClaimWire>(text)
    }

    /// A page of nodes.
    pub fn nodes(text: &str) {
        drop(page::<NodeWire>(text));
    }
}
