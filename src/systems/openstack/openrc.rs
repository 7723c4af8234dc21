//! From the variables of an openrc to what Keystone is asked for. Nothing else is read: no `clouds.yaml`, and not the
//! environment that fleet itself runs in.

use std::path::Path;

use serde_json::{Value, json};

use crate::observed::CredentialKind;
use crate::secret::OpenrcEnv;

use super::error::Error;

/// What an openrc says.
#[derive(Clone)]
pub(super) struct Settings {
    /// With `/v3` and without a slash at the end.
    pub(super) auth_url: String,
    pub(super) region: Option<String>,
    /// `public`, `internal` or `admin`.
    pub(super) interface: String,
    pub(super) cacert: Option<String>,
    pub(super) kind: CredentialKind,
    /// The body of the request for a token. Has secrets in it.
    pub(super) login: Value,
}

impl Settings {
    pub(super) fn new(env: &OpenrcEnv) -> Result<Self, Error> {
        let kind = kind(env)?;
        let login = match kind {
            CredentialKind::ApplicationCredential => application_credential(env)?,
            CredentialKind::Password => password(env)?,
            CredentialKind::Token => token(env)?,
        };
        Ok(Self {
            auth_url: auth_url(env)?,
            region: env.get("OS_REGION_NAME").map(str::to_owned),
            interface: interface(env),
            cacert: cacert(env)?,
            kind,
            login,
        })
    }

    /// Keystone's host, for messages.
    pub(super) fn host(&self) -> String {
        let uri: Option<http::Uri> = self.auth_url.parse().ok();
        uri.and_then(|uri| uri.authority().map(|authority| host_of(authority).to_owned()))
            .unwrap_or_else(|| "OS_AUTH_URL".to_owned())
    }
}

/// Without a user and password that somebody may have put into the URL.
fn host_of(authority: &http::uri::Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

fn missing(name: &str) -> Error {
    Error::openrc(
        format!("{name} is not set"),
        "download the openrc of an application credential: it needs no password",
    )
}

fn required<'e>(env: &'e OpenrcEnv, name: &str) -> Result<&'e str, Error> {
    env.get(name).ok_or_else(|| missing(name))
}

fn auth_url(env: &OpenrcEnv) -> Result<String, Error> {
    let url = required(env, "OS_AUTH_URL")?.trim().trim_end_matches('/');
    let wrong = |why: &str| Error::openrc(format!("OS_AUTH_URL {why}"), "it looks like https://HOST:5000/v3");
    let uri: http::Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong("is not an http or https URL"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("has a user's name in it"));
    }
    if uri.query().is_some() {
        return Err(wrong("has a query"));
    }
    match uri.path().rsplit('/').next() {
        Some("v3") => Ok(url.to_owned()),
        Some("v2.0" | "v2") => Err(wrong("is of Keystone's version 2, which no cloud has any more")),
        _ => Ok(format!("{url}/v3")),
    }
}

fn interface(env: &OpenrcEnv) -> String {
    let name = env.get("OS_INTERFACE").or_else(|| env.get("OS_ENDPOINT_TYPE")).unwrap_or("public");
    name.trim_end_matches("URL").to_owned()
}

/// `OS_CACERT` is a path inside the sandbox, where the openrc is sourced. It can be used only if it is one here too.
fn cacert(env: &OpenrcEnv) -> Result<Option<String>, Error> {
    let Some(path) = env.get("OS_CACERT") else { return Ok(None) };
    if Path::new(path).is_absolute() && Path::new(path).is_file() {
        return Ok(Some(path.to_owned()));
    }
    Err(Error::openrc(
        format!("OS_CACERT is {path:?}, which is no file on this machine"),
        "put the certificate at the same absolute path on this machine and in the sandbox",
    ))
}

fn kind(env: &OpenrcEnv) -> Result<CredentialKind, Error> {
    match env.get("OS_AUTH_TYPE") {
        Some("v3applicationcredential" | "applicationcredential") => {
            Ok(CredentialKind::ApplicationCredential)
        }
        Some("v3password" | "password") => Ok(CredentialKind::Password),
        Some("v3token" | "token") => Ok(CredentialKind::Token),
        Some(other) => Err(Error::openrc(
            format!("OS_AUTH_TYPE is {other:?}, which fleet does not know"),
            "use an application credential (v3applicationcredential)",
        )),
        None if env.get("OS_APPLICATION_CREDENTIAL_SECRET").is_some() => {
            Ok(CredentialKind::ApplicationCredential)
        }
        None if env.get("OS_TOKEN").is_some() => Ok(CredentialKind::Token),
        None => Ok(CredentialKind::Password),
    }
}

/// The project that a login asks for, where the openrc names it by its id. An application credential has one of its own,
/// whatever else its openrc says.
pub(super) fn named_project(env: &OpenrcEnv, settings: &Settings) -> Option<(String, String)> {
    if settings.kind == CredentialKind::ApplicationCredential {
        return None;
    }
    let id = env.get("OS_PROJECT_ID").or_else(|| env.get("OS_TENANT_ID"))?;
    let name = env.get("OS_PROJECT_NAME").or_else(|| env.get("OS_TENANT_NAME")).unwrap_or(id);
    Some((id.to_owned(), name.to_owned()))
}

fn application_credential(env: &OpenrcEnv) -> Result<Value, Error> {
    let mut credential = json!({ "secret": required(env, "OS_APPLICATION_CREDENTIAL_SECRET")? });
    if let Some(id) = env.get("OS_APPLICATION_CREDENTIAL_ID") {
        credential["id"] = json!(id);
    } else if let Some(name) = env.get("OS_APPLICATION_CREDENTIAL_NAME") {
        credential["name"] = json!(name);
        credential["user"] = user(env)?;
    } else {
        return Err(missing("OS_APPLICATION_CREDENTIAL_ID"));
    }
    Ok(json!({ "identity": { "methods": ["application_credential"], "application_credential": credential } }))
}

fn password(env: &OpenrcEnv) -> Result<Value, Error> {
    let mut user = user(env)?;
    user["password"] = json!(required(env, "OS_PASSWORD")?);
    Ok(json!({
        "identity": { "methods": ["password"], "password": { "user": user } },
        "scope": scope(env)?,
    }))
}

fn token(env: &OpenrcEnv) -> Result<Value, Error> {
    Ok(json!({
        "identity": { "methods": ["token"], "token": { "id": required(env, "OS_TOKEN")? } },
        "scope": scope(env)?,
    }))
}

fn user(env: &OpenrcEnv) -> Result<Value, Error> {
    if let Some(id) = env.get("OS_USER_ID") {
        return Ok(json!({ "id": id }));
    }
    let name = required(env, "OS_USERNAME")?;
    Ok(json!({ "name": name, "domain": domain(env, "OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME") }))
}

fn scope(env: &OpenrcEnv) -> Result<Value, Error> {
    if let Some(id) = env.get("OS_PROJECT_ID").or_else(|| env.get("OS_TENANT_ID")) {
        return Ok(json!({ "project": { "id": id } }));
    }
    let name = env
        .get("OS_PROJECT_NAME")
        .or_else(|| env.get("OS_TENANT_NAME"))
        .ok_or_else(|| missing("OS_PROJECT_ID"))?;
    let domain = domain(env, "OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME");
    Ok(json!({ "project": { "name": name, "domain": domain } }))
}

/// The `openstack` client takes the domain with the id `default` where none is named, and so does fleet.
fn domain(env: &OpenrcEnv, id: &str, name: &str) -> Value {
    match (env.get(id), env.get(name)) {
        (Some(id), _) => json!({ "id": id }),
        (None, Some(name)) => json!({ "name": name }),
        (None, None) => json!({ "id": env.get("OS_DEFAULT_DOMAIN").unwrap_or("default") }),
    }
}
