//! `OpenStack`: Keystone, Cinder and Nova, with the credentials that an openrc leaves in the environment.
//!
//! `openstack_sdk` builds and sends the requests. Three things are done here and not by it:
//!
//! - **Logging in**, with the SDK's own request for a token: its login keeps tokens under `~/.osc` unless told not to,
//!   asks for the version document first and hides why that failed, and does not know application credentials by name.
//! - **Paging**: its iterator ends without a word at an empty page that has a next link, and never ends where links go
//!   round in a circle. A list that is cut short would make volumes in use look like orphans. Here, an incomplete list
//!   is an error.
//! - **Renewing the token** at a 401: the SDK first trades the old token in for a new one, which may have another
//!   scope.

mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kept;
mod openrc;
mod pages;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use openstack_sdk::api::block_storage::v3::{snapshot, volume};
use openstack_sdk::api::compute::v2::server;
use openstack_sdk::api::identity::v3::auth::token;
use openstack_sdk::api::identity::v3::user::application_credential;
use openstack_sdk::api::{ApiError, QueryAsync, RestEndpoint, raw};
use openstack_sdk::auth::Auth;
use openstack_sdk::auth::authtoken::AuthToken;
use openstack_sdk::config::CloudConfig;
use openstack_sdk::{AsyncOpenStack, RestError};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::clock;
use crate::confirm::Confirmed;
use crate::observed::{CredentialKind, Metadata, Project, ProjectKey, Server, Snapshot, Validity, Volume};
use crate::secret::OpenrcEnv;

pub use self::error::{Cause, Error, Nature};
pub use self::kept::Tokens;
use self::openrc::Settings;
use self::pages::Pages;
use self::wire::Token;

/// Cinder's largest page, unless its operator chose another: asking for more than it gives is no error.
const PAGE: i32 = 1000;

/// The first version of Nova's API that names servers of a part of the cloud which is down, instead of leaving them out
/// of the list without a word.
const NOVA: &str = "compute 2.69";

/// How often a page is asked for again after 429, 500, 503 or a broken connection.
const RETRIES: usize = 2;

/// What Cinder said to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It will do it (202).
    Accepted,
    /// There is no such volume (404).
    AlreadyGone,
}

/// A connection to one project of one cloud.
pub struct Cloud {
    env: OpenrcEnv,
    settings: Settings,
    limit: Duration,
    project: Project,
    tokens: Tokens,
    session: RwLock<Arc<Session>>,
    renewal: tokio::sync::Mutex<()>,
}

/// What a login leaves.
struct Session {
    token: Token,
    /// For Cinder and, where the catalog has one, Nova.
    services: AsyncOpenStack,
    has_nova: bool,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Cloud {
    /// Logs in with what sourcing an openrc left, unless a token of such a login has been kept. Each request may take
    /// `limit`, its body included.
    pub async fn connect(env: &OpenrcEnv, limit: Duration, tokens: &Tokens) -> Result<Self, Error> {
        let settings = Settings::new(env)?;
        let kept = tokens.find(&settings, clock::now());
        let session = match kept.and_then(|token| Session::new(token, &settings, limit).ok()) {
            Some(session) => session,
            None => (|| log_in(&settings, limit, tokens))
                .retry(delays())
                .when(Cause::may_pass)
                .adjust(|cause, delay| cause.delay(delay, limit))
                .await
                .map_err(|cause| Error::LogIn { host: settings.host(), source: cause.scrubbed(env) })?,
        };
        let project = session.token.project(&settings);
        Ok(Self {
            env: env.clone(),
            settings,
            limit,
            project,
            tokens: tokens.clone(),
            session: RwLock::new(Arc::new(session)),
            renewal: tokio::sync::Mutex::new(()),
        })
    }

    /// What it logs in with.
    pub fn kind(&self) -> CredentialKind {
        self.settings.kind
    }

    /// The project that the token is for.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// When the token expires. A token of an application credential expires when that does, at the latest.
    pub fn token_expires_at(&self) -> Timestamp {
        self.session().token.expires_at
    }

    /// When the application credential expires; `None` where it never does, where the openrc has none, or where the
    /// cloud's policy does not let a user see it.
    pub async fn credential_expires_at(&self) -> Result<Option<Timestamp>, Error> {
        match self.credential().await? {
            Some(Validity::Until(at)) => Ok(Some(at)),
            _ => Ok(None),
        }
    }

    /// How long the credentials are valid, whatever they are.
    pub async fn valid(&self) -> Result<Validity, Error> {
        let session = self.session();
        Ok(match (self.settings.kind, session.token.password_expires_at) {
            (CredentialKind::ApplicationCredential, _) => {
                self.credential().await?.unwrap_or(Validity::Unknown)
            }
            (CredentialKind::Token, _) => Validity::Until(session.token.expires_at),
            (CredentialKind::Password, Some(at)) => Validity::Until(at),
            (CredentialKind::Password, None) => Validity::NoEnd,
        })
    }

    /// How long the application credential is valid; `None` where the openrc has none.
    async fn credential(&self) -> Result<Option<Validity>, Error> {
        let session = self.session();
        let Some(credential) = &session.token.credential else { return Ok(None) };
        let fail = |cause: Cause| Error::Credential { host: self.settings.host(), source: self.scrub(cause) };
        let request = application_credential::get::Request::builder()
            .user_id(session.token.user.as_str())
            .id(credential.as_str())
            .header(HeaderName::from_static("x-auth-token"), session.token.header().map_err(fail)?)
            .build()
            .map_err(|error| fail(Cause::request(&error)))?;
        let keystone = keystone(&self.settings, self.limit).map_err(fail)?;
        let response = ask(&keystone, request, self.limit).await.map_err(fail)?;
        match response.status() {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED => {
                Ok(Some(Validity::Unknown))
            }
            _ => wire::credential_expiry(&body(response).map_err(fail)?)
                .map(|at| Some(at.map_or(Validity::NoEnd, Validity::Until)))
                .map_err(fail),
        }
    }

    /// All volumes of the project, every page.
    pub async fn volumes(&self) -> Result<Vec<Volume>, Error> {
        let request = |marker: Option<String>| {
            let mut request = volume::list_detailed::Request::builder();
            request.limit(PAGE);
            if let Some(marker) = marker {
                request.marker(marker);
            }
            request.build().map_err(|error| Cause::request(&error))
        };
        let read = |raw: wire::RawVolume| raw.into_volume(&self.project.key.id);
        self.list("volumes", request, read, |volume| &volume.id)
            .await
            .map_err(|cause| Error::Volumes { project: self.project.name.clone(), source: self.scrub(cause) })
    }

    /// All snapshots of the project, every page.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        let request = |marker: Option<String>| {
            let mut request = snapshot::list_detailed::Request::builder();
            request.limit(PAGE);
            if let Some(marker) = marker {
                request.marker(marker);
            }
            request.build().map_err(|error| Cause::request(&error))
        };
        self.list(
            "snapshots",
            request,
            |raw: wire::RawSnapshot| Ok(raw.into()),
            |snapshot: &Snapshot| &snapshot.id,
        )
        .await
        .map_err(|cause| Error::Snapshots { project: self.project.name.clone(), source: self.scrub(cause) })
    }

    /// All servers of the project, every page. None where the catalog has no Nova.
    ///
    /// The first page is asked for without a limit: where a request has one, Nova leaves out what is in a part of the
    /// cloud that is down, whatever the version.
    pub async fn servers(&self) -> Result<Vec<Server>, Error> {
        if !self.session().has_nova {
            return Ok(Vec::new());
        }
        let request = |marker: Option<String>| {
            let mut request = server::list_detailed_21::Request::builder();
            let version = HeaderName::from_static("openstack-api-version");
            request.header(version, HeaderValue::from_static(NOVA));
            if let Some(marker) = marker {
                request.marker(marker);
            }
            request.build().map_err(|error| Cause::request(&error))
        };
        let read = |raw: wire::RawServer| raw.into_server(&self.project.key.id);
        self.list("servers", request, read, |server| &server.id)
            .await
            .map_err(|cause| Error::Servers { project: self.project.name.clone(), source: self.scrub(cause) })
    }

    /// One volume; `None` where Cinder says 404.
    pub async fn volume(&self, id: &str) -> Result<Option<Volume>, Error> {
        self.get_volume(id)
            .await
            .map_err(|cause| Error::Volume { id: id.to_owned(), source: self.scrub(cause) })
    }

    async fn get_volume(&self, id: &str) -> Result<Option<Volume>, Cause> {
        safe_id(id)?;
        let request =
            || volume::get::Request::builder().id(id).build().map_err(|error| Cause::request(&error));
        let response = self.service(request).await?;
        if is_gone(&response) {
            return Ok(None);
        }
        let answer: wire::OneVolume = parse(&body(response)?)?;
        let volume = answer.volume.into_volume(&self.project.key.id)?;
        if volume.id != id {
            return Err(Cause::Answer(format!("it is about volume {}", volume.id)));
        }
        Ok(Some(volume))
    }

    /// Asks Cinder to delete a volume, once, by id. Without cascade and without force, so that Cinder itself refuses
    /// where the volume is attached or has snapshots. What was not confirmed is refused here, whatever led to it.
    pub async fn delete_volume(&self, id: &str, confirmed: &Confirmed) -> Result<Deletion, Error> {
        let delete = async || {
            if !confirmed.covers(&self.project.key, id) {
                return Err(Cause::Request("nobody confirmed that it is deleted".to_owned()));
            }
            self.delete(id).await
        };
        delete().await.map_err(|cause| Error::Delete { id: id.to_owned(), source: self.scrub(cause) })
    }

    async fn delete(&self, id: &str) -> Result<Deletion, Cause> {
        safe_id(id)?;
        let request =
            || volume::delete::Request::builder().id(id).build().map_err(|error| Cause::request(&error));
        let response = self.service(request).await?;
        if is_gone(&response) {
            Ok(Deletion::AlreadyGone)
        } else {
            body(response).map(|_| Deletion::Accepted)
        }
    }

    /// Adds to a volume's metadata, or changes what is there; every other key stays as it is.
    pub async fn set_metadata(&self, id: &str, metadata: &Metadata) -> Result<(), Error> {
        let ask = async || {
            safe_id(id)?;
            let pairs = || metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let request = || {
                let request =
                    volume::metadata::create::Request::builder().volume_id(id).metadata(pairs()).build();
                request.map_err(|error| Cause::request(&error))
            };
            body(self.service(request).await?).map(drop)
        };
        ask().await.map_err(|cause| Error::Metadata { id: id.to_owned(), source: self.scrub(cause) })
    }

    /// Takes one key out of a volume's metadata. One that is not there is no error.
    pub async fn delete_metadata(&self, id: &str, key: &str) -> Result<(), Error> {
        let ask = async || {
            safe_id(id)?;
            let key = in_a_path(key);
            let request = || {
                let request =
                    volume::metadata::delete::Request::builder().volume_id(id).id(key.as_str()).build();
                request.map_err(|error| Cause::request(&error))
            };
            let response = self.service(request).await?;
            if is_gone(&response) { Ok(()) } else { body(response).map(drop) }
        };
        ask().await.map_err(|cause| Error::Metadata { id: id.to_owned(), source: self.scrub(cause) })
    }

    async fn list<R, T, E>(
        &self,
        key: &'static str,
        request: impl Fn(Option<String>) -> Result<E, Cause>,
        read: impl Fn(R) -> Result<T, Cause>,
        id: impl Fn(&T) -> &String,
    ) -> Result<Vec<T>, Cause>
    where
        R: DeserializeOwned,
        E: RestEndpoint + Sync,
    {
        let whole = async {
            let mut pages = Pages::new(key);
            let mut all = Vec::new();
            loop {
                let marker = pages.marker();
                let ask = || async { body(self.service(|| request(marker.clone())).await?) };
                let bytes = ask
                    .retry(delays())
                    .when(Cause::may_pass)
                    .adjust(|cause, delay| cause.delay(delay, self.limit))
                    .await?;
                let page: wire::Page<R> = parse(&bytes)?;
                let next = page.next();
                let entries: Vec<T> = page.entries.into_iter().map(&read).collect::<Result<_, _>>()?;
                let more = pages.take(entries.iter().map(|entry| id(entry).as_str()), next, PAGE)?;
                all.extend(entries);
                if !more {
                    return Ok(all);
                }
            }
        };
        whole.await.inspect_err(|_: &Cause| self.tokens.forget(&self.settings))
    }

    /// Sends a request to Cinder or Nova; at a 401, once more with a new token.
    async fn service<E: RestEndpoint + Sync>(
        &self,
        request: impl Fn() -> Result<E, Cause>,
    ) -> Result<Response<Bytes>, Cause> {
        let session = self.session();
        let response = ask(&session.services, request()?, self.limit).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let session = self.renew(&session).await?;
        ask(&session.services, request()?, self.limit).await
    }

    fn session(&self) -> Arc<Session> {
        // A panic while the lock is held cannot leave half a session: it holds one pointer.
        Arc::clone(&self.session.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Logs in again, once for all who found the old token refused.
    async fn renew(&self, refused: &Arc<Session>) -> Result<Arc<Session>, Cause> {
        let _one_at_a_time = self.renewal.lock().await;
        let current = self.session();
        if !Arc::ptr_eq(&current, refused) {
            return Ok(current);
        }
        let session = log_in(&self.settings, self.limit, &self.tokens).await?;
        if session.token.project(&self.settings).key != self.project.key {
            return Err(Cause::Answer("the new token is for another project".to_owned()));
        }
        let session = Arc::new(session);
        *self.session.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&session);
        Ok(session)
    }

    fn scrub(&self, cause: Cause) -> Cause {
        cause.scrubbed(&self.env)
    }
}

/// What credentials are, and the project that they lead to as far as that is known without asking: a token of the same
/// application credential has been kept, however old, or a password's openrc names it.
pub fn known_of(env: &OpenrcEnv, tokens: &Tokens) -> (Option<CredentialKind>, Option<Project>) {
    let Ok(settings) = Settings::new(env) else { return (None, None) };
    let remembered = tokens.remembered(&settings).map(|token| token.project(&settings));
    let named = || {
        openrc::named_project(env, &settings)
            .map(|(id, name)| Project { key: project_key(&settings, &id), name })
    };
    (Some(settings.kind), remembered.or_else(named))
}

/// A client of the SDK that writes nothing to disk, reads no file of its own, and never logs in by itself.
fn client(
    settings: &Settings,
    limit: Duration,
    endpoints: &[(&str, &str)],
    auth: Auth,
) -> Result<AsyncOpenStack, Cause> {
    let mut config = json!({
        "auth": { "auth_url": format!("{}/", settings.auth_url) },
        "auth_cache": false,
        // Whole seconds; `ask` keeps the exact limit.
        "api_timeout": limit.as_secs() + 1,
    });
    for (service, url) in endpoints {
        config[format!("{service}_endpoint_override")] = json!(url);
    }
    if let Some(cacert) = &settings.cacert {
        config["cacert"] = json!(cacert);
    }
    let config: CloudConfig = serde_json::from_value(config).map_err(|error| Cause::request(&error))?;
    let mut client = AsyncOpenStack::new_impl(&config, auth).map_err(|error| Cause::request(&error))?;
    client.set_max_auth_retries(0);
    remove_litter();
    Ok(client)
}

/// The SDK makes its directory for tokens even where it is told to keep none. Only an empty directory can be removed
/// this way, so what the SDK's own command-line client keeps there stays.
fn remove_litter() {
    if let Some(home) = std::env::home_dir() {
        let _ = std::fs::remove_dir(home.join(".osc"));
    }
}

/// A client that has no token.
fn keystone(settings: &Settings, limit: Duration) -> Result<AsyncOpenStack, Cause> {
    client(settings, limit, &[], Auth::None)
}

async fn log_in(settings: &Settings, limit: Duration, tokens: &Tokens) -> Result<Session, Cause> {
    let auth: token::create::Auth<'static> =
        serde_json::from_value(settings.login.clone()).map_err(|error| Cause::request(&error))?;
    let request =
        token::create::Request::builder().auth(auth).build().map_err(|error| Cause::request(&error))?;
    let response = ask(&keystone(settings, limit)?, request, limit).await?;
    match response.status() {
        StatusCode::UNAUTHORIZED => return Err(Cause::Credentials { kind: settings.kind }),
        StatusCode::NOT_FOUND => {
            return Err(Cause::unknown_credential(settings.kind, &error::message(&response)));
        }
        _ => {}
    }
    let subject = response.headers().get("x-subject-token").cloned();
    let answer = body(response)?;
    let session = Session::new(Token::read(subject.as_ref(), &answer)?, settings, limit)?;
    tokens.keep(settings, subject.as_ref(), &answer);
    Ok(session)
}

impl Session {
    fn new(token: Token, settings: &Settings, limit: Duration) -> Result<Self, Cause> {
        let auth = Auth::AuthToken(Box::new(AuthToken::new(token.secret.clone(), None)));
        let nova = token.nova(settings)?;
        let mut endpoints = vec![("block_storage", token.cinder(settings)?)];
        endpoints.extend(nova.map(|url| ("compute", url)));
        let services = client(settings, limit, &endpoints, auth)?;
        Ok(Self { has_nova: nova.is_some(), services, token })
    }
}

/// Between a request that may be sent again and the next try.
fn delays() -> ExponentialBuilder {
    ExponentialBuilder::default().with_max_times(RETRIES).with_jitter()
}

/// Sends one request and reads its whole answer, within the limit.
async fn ask<E: RestEndpoint + Sync>(
    client: &AsyncOpenStack,
    request: E,
    limit: Duration,
) -> Result<Response<Bytes>, Cause> {
    let request = raw(request).skip_error_check(true);
    match tokio::time::timeout(limit, request.query_async(client)).await {
        Err(_) => Err(Cause::TimedOut(limit)),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(ApiError::Client { source: RestError::Communication { source } })) => {
            Err(if source.is_timeout() { Cause::TimedOut(limit) } else { Cause::unreachable(&source) })
        }
        Ok(Err(error)) => Err(Cause::request(&error)),
    }
}

/// The body of a good answer.
fn body(response: Response<Bytes>) -> Result<Bytes, Cause> {
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    let (status, message) = (response.status().as_u16(), error::message(&response));
    Err(Cause::Status { status, message, retry_after: error::retry_after(response.headers()) })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Cause> {
    serde_json::from_slice(bytes).map_err(|error| Cause::Answer(error.to_string()))
}

/// Whether Cinder itself says that there is no such volume. A 404 of a proxy in front of it says nothing.
fn is_gone(response: &Response<Bytes>) -> bool {
    response.status() == StatusCode::NOT_FOUND
        && serde_json::from_slice::<serde_json::Value>(response.body())
            .is_ok_and(|answer| answer.get("itemNotFound").is_some())
}

/// An id becomes a part of a path: nothing may be in it that could lead to another one.
fn safe_id(id: &str) -> Result<(), Cause> {
    let safe = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if safe { Ok(()) } else { Err(Cause::Request(format!("{id:?} is not a volume's id"))) }
}

/// A key of the metadata as one part of a path, whatever is in it.
fn in_a_path(key: &str) -> String {
    let one = |byte: u8| match byte {
        b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    key.bytes().map(one).collect()
}

/// The project's key, as Keystone and the openrc have it.
fn project_key(settings: &Settings, id: &str) -> ProjectKey {
    ProjectKey {
        auth_url: settings.auth_url.clone(),
        region: settings.region.clone().unwrap_or_default(),
        id: id.to_owned(),
    }
}

/// A token as a header, which is never shown.
fn header(secret: &str) -> Result<HeaderValue, Cause> {
    let mut value = HeaderValue::from_str(secret)
        .map_err(|_| Cause::Answer("its token cannot be a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
