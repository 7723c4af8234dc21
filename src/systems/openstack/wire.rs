//! What Keystone, Cinder and Nova answer, and fleet's own types made of it. A field that is not as it should be is an error
//! of the whole answer: an entry that was skipped would be a volume that nobody counts.

use std::collections::BTreeMap;

use http::HeaderValue;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;

use crate::observed::{Project, Server, Snapshot, Volume};
use crate::systems::unique;

use super::error::Cause;
use super::openrc::Settings;
use super::pages::Next;
use super::{header, parse, project_key};

/// The names that Cinder's version 3 has in catalogs, the better one first.
const CINDER: [&str; 2] = ["block-storage", "volumev3"];

/// Nova's name there.
const NOVA: &str = "compute";

/// A token, with what fleet needs of its body.
pub(super) struct Token {
    pub(super) secret: SecretString,
    pub(super) user: String,
    pub(super) credential: Option<String>,
    pub(super) expires_at: Timestamp,
    /// When the user's password has to be changed; `None` where it never has to, and where it is a time that cannot be read.
    pub(super) password_expires_at: Option<Timestamp>,
    project_id: String,
    project_name: String,
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: TokenBody,
}

#[derive(Deserialize)]
struct TokenBody {
    expires_at: Timestamp,
    user: User,
    project: Option<IdAndName>,
    application_credential: Option<WithId>,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    password_expires_at: Option<String>,
}

#[derive(Deserialize)]
struct WithId {
    id: String,
}

#[derive(Deserialize)]
struct IdAndName {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    region: Option<String>,
    url: String,
}

impl Token {
    pub(super) fn read(subject: Option<&HeaderValue>, body: &[u8]) -> Result<Self, Cause> {
        let secret = subject
            .and_then(|value| value.to_str().ok())
            .filter(|secret| !secret.is_empty())
            .ok_or_else(|| Cause::Answer("it has no token".to_owned()))?;
        let TokenAnswer { token } = parse(body)?;
        let project = token
            .project
            .filter(|project| !project.id.is_empty())
            .ok_or_else(|| Cause::Answer("the token is for no project".to_owned()))?;
        Ok(Self {
            secret: SecretString::from(secret),
            password_expires_at: token.user.password_expires_at.as_deref().and_then(time),
            user: token.user.id,
            credential: token.application_credential.map(|credential| credential.id),
            expires_at: token.expires_at,
            project_id: project.id,
            project_name: project.name,
            catalog: token.catalog,
        })
    }

    pub(super) fn project(&self, settings: &Settings) -> Project {
        Project { key: project_key(settings, &self.project_id), name: self.project_name.clone() }
    }

    pub(super) fn header(&self) -> Result<HeaderValue, Cause> {
        header(self.secret.expose_secret())
    }

    /// Cinder's URL in the region and for the interface that the openrc names.
    pub(super) fn cinder(&self, settings: &Settings) -> Result<&str, Cause> {
        for kind in CINDER {
            if let Some(url) = only(self.endpoints(kind, settings), "Cinders", settings)? {
                return Ok(url);
            }
        }
        Err(none("Cinder", settings))
    }

    /// Nova's URL likewise. `None` where there is none in the region at all; one that is there for other interfaces only
    /// has servers that could not be seen.
    pub(super) fn nova(&self, settings: &Settings) -> Result<Option<&str>, Cause> {
        let mut there = self.endpoints(NOVA, settings).peekable();
        if there.peek().is_none() {
            return Ok(None);
        }
        let url = only(there, "Novas", settings)?;
        url.map(Some).ok_or_else(|| none("Nova", settings))
    }

    /// A service's endpoints in the region that the openrc names, for every interface.
    fn endpoints<'a, 's>(
        &'a self,
        kind: &'s str,
        settings: &'s Settings,
    ) -> impl Iterator<Item = &'a Endpoint> + use<'a, 's> {
        self.catalog
            .iter()
            .filter(move |service| service.kind == kind)
            .flat_map(|service| &service.endpoints)
            .filter(move |endpoint| settings.region.is_none() || endpoint.region == settings.region)
    }
}

/// The URL of a service's endpoints for the interface that the openrc names; `None` where there is none for it. Two are an error:
/// what only the other one knows would be missing from a list without a word.
fn only<'a>(
    endpoints: impl Iterator<Item = &'a Endpoint>,
    what: &str,
    settings: &Settings,
) -> Result<Option<&'a str>, Cause> {
    let mut urls = endpoints
        .filter(|endpoint| endpoint.interface == settings.interface)
        .map(|endpoint| endpoint.url.as_str());
    let Some(url) = urls.next() else { return Ok(None) };
    if urls.all(|other| other == url) { Ok(Some(url)) } else { Err(Cause::Answer(several(what, settings))) }
}

fn none(what: &str, settings: &Settings) -> Cause {
    let region = settings.region.as_deref().unwrap_or("any");
    Cause::Answer(format!(
        "the catalog has no {what} with interface {:?} in region {region:?}",
        settings.interface
    ))
}

fn several(what: &str, settings: &Settings) -> String {
    match &settings.region {
        None => format!("the catalog has several {what}: set OS_REGION_NAME"),
        Some(region) => format!("the catalog has several {what} in region {region:?}"),
    }
}

/// When an application credential expires.
pub(super) fn credential_expiry(body: &[u8]) -> Result<Option<Timestamp>, Cause> {
    #[derive(Deserialize)]
    struct Answer {
        application_credential: Credential,
    }
    #[derive(Deserialize)]
    struct Credential {
        expires_at: Option<String>,
    }
    let answer: Answer = parse(body)?;
    answer
        .application_credential
        .expires_at
        .map(|text| time(&text).ok_or_else(|| Cause::Answer(format!("its expiry is {text:?}"))))
        .transpose()
}

/// A page of a list: `{"volumes": [...], "volumes_links": [{"rel": "next", "href": ...}]}`. A key that comes twice is an
/// error.
#[derive(Deserialize)]
#[serde(bound = "R: DeserializeOwned")]
pub(super) struct Page<R> {
    #[serde(rename = "volumes", alias = "snapshots", alias = "servers")]
    pub(super) entries: Vec<R>,
    #[serde(rename = "volumes_links", alias = "snapshots_links", alias = "servers_links", default)]
    links: Vec<Link>,
}

impl<R> Page<R> {
    pub(super) fn next(&self) -> Next {
        next(&self.links)
    }
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    #[serde(default)]
    href: String,
}

/// Only the marker of a link is used: host and path stay those of the catalog.
fn next(links: &[Link]) -> Next {
    let Some(link) = links.iter().find(|link| link.rel == "next") else { return Next::None };
    let query = link.href.split_once('?').map_or("", |(_, query)| query);
    let marker = query.split('&').find_map(|pair| pair.strip_prefix("marker="));
    match marker {
        // Ids need no escape in a query. What has one is not an id.
        Some(marker) if !marker.is_empty() && !marker.contains(['%', '+', '#']) => {
            Next::After(marker.to_owned())
        }
        _ => Next::AfterLast,
    }
}

#[derive(Deserialize)]
pub(super) struct OneVolume {
    pub(super) volume: RawVolume,
}

/// A volume in Cinder's answer. Fields without a default have to be there.
#[derive(Deserialize)]
pub(super) struct RawVolume {
    id: String,
    #[serde(deserialize_with = "null_is_empty")]
    name: String,
    status: String,
    size: u64,
    #[serde(default)]
    created_at: Option<String>,
    attachments: Vec<RawAttachment>,
    #[serde(deserialize_with = "unique::map")]
    metadata: BTreeMap<String, Value>,
    bootable: Value,
    #[serde(default)]
    volume_image_metadata: Option<BTreeMap<String, Value>>,
    #[serde(default, rename = "os-vol-tenant-attr:tenant_id")]
    project: Option<String>,
}

#[derive(Deserialize)]
struct RawAttachment {
    #[serde(default)]
    server_id: Option<String>,
    #[serde(default)]
    attachment_id: Option<String>,
}

impl RawVolume {
    /// Where Cinder says whose volume it is, it has to be the project's.
    pub(super) fn into_volume(self, project: &str) -> Result<Volume, Cause> {
        let Self {
            id,
            name,
            status,
            size,
            created_at,
            attachments,
            metadata,
            bootable,
            volume_image_metadata,
            project: owner,
        } = self;
        if id.is_empty() {
            return Err(Cause::Answer("a volume has no id".to_owned()));
        }
        if let Some(owner) = owner
            && owner != project
        {
            return Err(Cause::Answer(format!("volume {id} belongs to another project ({owner})")));
        }
        Ok(Volume {
            id,
            name,
            status,
            size_gib: size,
            created_at: created_at.as_deref().and_then(time),
            attachments: attachments.into_iter().map(RawAttachment::into_id).collect(),
            metadata: metadata.into_iter().map(|(key, value)| (key, text(value))).collect(),
            // A volume that was made of an image is a server's disk, even where the mark was taken off.
            bootable: !is_false(&bootable) || volume_image_metadata.is_some_and(|image| !image.is_empty()),
        })
    }
}

impl RawAttachment {
    /// Never empty, so that an attachment that says nothing about itself still counts.
    fn into_id(self) -> String {
        [self.server_id, self.attachment_id]
            .into_iter()
            .flatten()
            .find(|id| !id.is_empty())
            .unwrap_or_else(|| "something that Cinder does not name".to_owned())
    }
}

/// A snapshot in Cinder's answer.
#[derive(Deserialize)]
pub(super) struct RawSnapshot {
    id: String,
    volume_id: String,
}

impl From<RawSnapshot> for Snapshot {
    fn from(raw: RawSnapshot) -> Self {
        Self { id: raw.id, volume_id: raw.volume_id }
    }
}

/// A server in Nova's answer. Nova leaves out most of one that is in a part of the cloud which is down.
#[derive(Deserialize)]
pub(super) struct RawServer {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default, deserialize_with = "unique::map")]
    addresses: BTreeMap<String, Vec<RawAddress>>,
    #[serde(default, rename = "accessIPv4", deserialize_with = "null_is_empty")]
    access_v4: String,
    #[serde(default, rename = "accessIPv6", deserialize_with = "null_is_empty")]
    access_v6: String,
    #[serde(default, deserialize_with = "unique::map")]
    metadata: BTreeMap<String, Value>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    security_groups: Vec<Named>,
    #[serde(default)]
    key_name: Option<String>,
}

#[derive(Deserialize)]
struct RawAddress {
    addr: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl RawServer {
    /// Where Nova says whose server it is, it has to be the project's.
    pub(super) fn into_server(self, project: &str) -> Result<Server, Cause> {
        let Self {
            id,
            name,
            tenant_id: owner,
            created,
            addresses,
            access_v4,
            access_v6,
            metadata,
            tags,
            security_groups,
            key_name,
        } = self;
        let Some(name) = name else {
            return Err(Cause::Incomplete(format!("server {id} is in a part of the cloud that is down")));
        };
        if id.is_empty() {
            return Err(Cause::Answer("a server has no id".to_owned()));
        }
        if let Some(owner) = owner
            && owner != project
        {
            return Err(Cause::Answer(format!("server {id} belongs to another project ({owner})")));
        }
        let addresses = addresses.into_values().flatten().map(|address| address.addr);
        let addresses =
            addresses.chain([access_v4, access_v6]).filter_map(|text| text.parse().ok()).collect();
        Ok(Server {
            id,
            name,
            addresses,
            metadata: metadata.into_iter().map(|(key, value)| (key, text(value))).collect(),
            tags,
            security_groups: security_groups.into_iter().map(|group| group.name).collect(),
            key_name,
            created_at: created.as_deref().and_then(time),
        })
    }
}

/// Cinder writes `"true"` and `"false"`. Whatever is not plainly false counts as true: a bootable volume is kept.
fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(bootable) => !bootable,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Cinder's times have no zone and are UTC; Keystone's have one.
fn time(text: &str) -> Option<Timestamp> {
    let utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse().ok().or_else(utc)
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
