//! The kubeconfig for this machine: one context a hub, each by way of the proxy. Pure.
//!
//! No key of a cluster is in it. It names fleet as the credential plugin, which reads the hub's own kubeconfig each time; what
//! it holds that is secret is the proxy's.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::kept::{Settings, WRITE_AGAIN};
use super::request::USER;
use super::{DOMAIN, address, target};
use crate::hub::HubName;
use crate::systems::kubeconfig::{Access, Credentials, parse};
use crate::text::one_line;

/// The plugin's contract with kubectl. `v1` is the same, and kubectl knows it only since 1.22; Debian 12 has 1.20.
const PLUGIN: &str = "client.authentication.k8s.io/v1beta1";

/// Why a hub's kubeconfig is no good outside of its sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOutside {
    /// kubectl's plugins give certificates and tokens alone.
    #[error("it logs in with a name and a password, which no credential plugin of kubectl can give")]
    Password,
    /// The server's URL has no host that a certificate could name.
    #[error("its server is no URL with a host")]
    NoHost,
}

/// One hub of the kubeconfig.
#[derive(Debug)]
pub struct Entry {
    hub: HubName,
    name: String,
    server_name: String,
    authorities: Vec<u8>,
    namespace: Option<String>,
}

impl Entry {
    /// Of what a hub's own kubeconfig says. `name` is for its cluster and its user, so that several fleets' files can be
    /// used as one.
    pub fn new(hub: &HubName, name: String, access: Access) -> Result<Self, NotOutside> {
        if let Credentials::Password { .. } = access.credentials {
            return Err(NotOutside::Password);
        }
        // The certificate is the API server's own, and is for the name that is asked inside the sandbox.
        let server_name = match access.tls_server_name {
            Some(name) => name,
            None => host(&access.server).ok_or(NotOutside::NoHost)?,
        };
        Ok(Self {
            hub: hub.clone(),
            name,
            server_name,
            authorities: access.authorities,
            namespace: access.namespace,
        })
    }

    /// Its hub, which is its context's name.
    pub fn hub(&self) -> &HubName {
        &self.hub
    }
}

fn host(server: &str) -> Option<String> {
    let url: http::Uri = server.parse().ok()?;
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_owned())
}

/// What kubectl runs before it asks a hub.
#[derive(Debug, Clone, Copy)]
pub struct Plugin<'a> {
    /// fleet, absolute.
    pub command: &'a str,
    /// The fleet's file, absolute.
    pub config: &'a str,
}

/// What an operator chose in an older file, and finds again in the new one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    current: Option<String>,
    namespaces: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    current_context: &'a str,
    clusters: Vec<NamedCluster<'a>>,
    contexts: Vec<NamedContext<'a>>,
    users: Vec<NamedUser<'a>>,
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: String,
    tls_server_name: &'a str,
    certificate_authority_data: String,
    proxy_url: &'a str,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    exec: Exec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exec<'a> {
    api_version: &'a str,
    command: &'a str,
    args: Vec<&'a str>,
    interactive_mode: &'a str,
    provide_cluster_info: bool,
    install_hint: String,
}

/// The kubeconfig of these hubs.
pub fn compose(
    entries: &[Entry],
    settings: &Settings,
    plugin: Plugin<'_>,
    kept: &Kept,
) -> Result<String, serde_saphyr::SerializeError> {
    let proxy = format!("http://{USER}:{}@{}", settings.secret.expose_secret(), address(settings.port));
    let port = settings.port.to_string();
    let current = entries.iter().map(|entry| entry.hub.as_str());
    let chosen = current.clone().find(|hub| kept.current.as_deref() == Some(hub));
    let document = Document {
        api_version: "v1",
        kind: "Config",
        current_context: chosen.or_else(|| current.clone().next()).unwrap_or_default(),
        clusters: entries
            .iter()
            .map(|entry| NamedCluster {
                name: &entry.name,
                cluster: Cluster {
                    server: format!("https://{}", target(&entry.hub)),
                    tls_server_name: &entry.server_name,
                    certificate_authority_data: STANDARD.encode(&entry.authorities),
                    proxy_url: &proxy,
                },
            })
            .collect(),
        contexts: entries
            .iter()
            .map(|entry| NamedContext {
                name: entry.hub.as_str(),
                context: Context {
                    cluster: &entry.name,
                    user: &entry.name,
                    namespace: kept
                        .namespaces
                        .get(entry.hub.as_str())
                        .or(entry.namespace.as_ref())
                        .map(String::as_str),
                },
            })
            .collect(),
        users: entries
            .iter()
            .map(|entry| NamedUser {
                name: &entry.name,
                user: User { exec: exec(plugin, entry.hub.as_str(), &port) },
            })
            .collect(),
    };
    // All strings quoted: `no` and `on` are hubs' names, and some readers of YAML take them for something else.
    let options = serde_saphyr::ser_options! { quote_all: true };
    let yaml = serde_saphyr::to_string_with_options(&document, options)?;
    Ok(format!(
        "# Written by `fleet kubeconfig` for {}. The proxy's secret is in it: keep it to yourself (mode 0600).\n{yaml}",
        one_line(plugin.config)
    ))
}

fn exec<'a>(plugin: Plugin<'a>, hub: &'a str, port: &'a str) -> Exec<'a> {
    Exec {
        api_version: PLUGIN,
        command: plugin.command,
        args: vec!["--config", plugin.config, "proxy", "--credential", hub, "--at", port],
        interactive_mode: "Never",
        provide_cluster_info: false,
        install_hint: format!("fleet is not there any more. Where it has moved, {WRITE_AGAIN}"),
    }
}

#[derive(Deserialize)]
struct Old {
    #[serde(rename = "current-context")]
    current_context: Option<String>,
    #[serde(default)]
    clusters: Vec<OldCluster>,
    #[serde(default)]
    contexts: Vec<OldContext>,
    #[serde(default)]
    users: Vec<OldUser>,
}

#[derive(Deserialize)]
struct OldCluster {
    cluster: OldServer,
}

#[derive(Deserialize)]
struct OldServer {
    server: Option<String>,
}

#[derive(Deserialize)]
struct OldContext {
    name: String,
    context: OldPlace,
}

#[derive(Deserialize)]
struct OldPlace {
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct OldUser {
    user: OldLogin,
}

#[derive(Deserialize)]
struct OldLogin {
    exec: Option<OldExec>,
}

#[derive(Deserialize)]
struct OldExec {
    #[serde(default)]
    args: Vec<String>,
}

/// What is kept of a file that is to be written over. `None` where anything is in it that fleet would not write again for the
/// same `fleet.toml`: somebody would lose that. (A mark in the file would not tell: kubectl leaves it standing, whatever it
/// adds.)
pub fn own(yaml: &str, config: &str) -> Option<Kept> {
    let old: Old = parse(yaml).ok()?;
    let by_proxy = |cluster: &OldCluster| {
        cluster.cluster.server.as_ref().is_some_and(|server| server.contains(&format!(".{DOMAIN}:")))
    };
    let by_plugin = |user: &OldUser| {
        let args =
            user.user.exec.as_ref().map(|exec| exec.args.iter().map(String::as_str).collect::<Vec<_>>());
        args.is_some_and(|args| args.starts_with(&["--config", config, "proxy", "--credential"]))
    };
    if old.users.is_empty() || !old.users.iter().all(by_plugin) || !old.clusters.iter().all(by_proxy) {
        return None;
    }
    let chosen = |context: OldContext| {
        Some((context.name, context.context.namespace.filter(|name| !name.is_empty())?))
    };
    Some(Kept {
        current: old.current_context,
        namespaces: old.contexts.into_iter().filter_map(chosen).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::Value;

    use super::*;
    use crate::systems::kubeconfig;

    const SECRET: &str = "5d41402abc4b2a76b9719d911017c592";
    const CERTIFICATE: &str = "VEhFLUNFUlRJRklDQVRF";
    const KEY: &str = "VEhFLVBSSVZBVEUtS0VZ";
    const PLUGIN: Plugin<'_> = Plugin { command: "/usr/bin/fleet", config: "/srv/hubs/fleet.toml" };

    fn settings() -> Settings {
        Settings { port: 23_456, secret: SecretString::from(SECRET) }
    }

    fn hubs_own(login: &str) -> String {
        format!(
            "current-context: c\n\
             contexts: [{{name: c, context: {{cluster: c, user: u, namespace: jhub}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:6443', certificate-authority-data: Y2E=}}}}]\n\
             users: [{{name: u, user: {{{login}}}}}]\n"
        )
    }

    fn certificate() -> String {
        hubs_own(&format!("client-certificate-data: {CERTIFICATE}, client-key-data: {KEY}"))
    }

    fn entry(hub: &str, yaml: &str) -> Result<Entry, NotOutside> {
        let hub = HubName::new(hub).unwrap();
        Entry::new(&hub, format!("fleet-{hub}"), kubeconfig::access(yaml).unwrap())
    }

    fn composed(hubs: &[&str], kept: &Kept) -> String {
        let entries: Vec<_> = hubs.iter().map(|hub| entry(hub, &certificate()).unwrap()).collect();
        compose(&entries, &settings(), PLUGIN, kept).unwrap()
    }

    fn read(yaml: &str) -> Value {
        kubeconfig::parse(yaml).unwrap()
    }

    #[test]
    fn a_context_leads_to_its_hub_by_way_of_the_proxy() {
        let text = composed(&["ou23s", "pyaos"], &Kept::default());
        let value = read(&text);
        assert_eq!(value["current-context"], "ou23s");
        assert_eq!(
            value["clusters"][1],
            serde_json::json!({ "name": "fleet-pyaos", "cluster": {
                "server": "https://pyaos.fleet.internal:6443",
                "tls-server-name": "127.0.0.1",
                "certificate-authority-data": "Y2E=",
                "proxy-url": format!("http://fleet:{SECRET}@127.0.0.1:23456"),
            }})
        );
        assert_eq!(
            value["contexts"][1],
            serde_json::json!({ "name": "pyaos", "context": {
                "cluster": "fleet-pyaos", "user": "fleet-pyaos", "namespace": "jhub",
            }})
        );
        let exec = &value["users"][1]["user"]["exec"];
        assert_eq!(exec["command"], "/usr/bin/fleet");
        assert_eq!(
            exec["args"],
            serde_json::json!([
                "--config",
                "/srv/hubs/fleet.toml",
                "proxy",
                "--credential",
                "pyaos",
                "--at",
                "23456"
            ])
        );
        assert!(text.starts_with("# Written by `fleet kubeconfig` for /srv/hubs/fleet.toml. "), "{text}");
    }

    #[test]
    fn no_secret_of_a_cluster_is_in_it() {
        let token = hubs_own("token: hunter2-token");
        let entries = [entry("a", &certificate()).unwrap(), entry("b", &token).unwrap()];
        let text = compose(&entries, &settings(), PLUGIN, &Kept::default()).unwrap();
        for secret in [KEY, CERTIFICATE, "THE-PRIVATE-KEY", "hunter2"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }

    #[test]
    fn the_name_in_the_certificate_is_the_one_that_is_asked_in_the_sandbox() {
        let with = |old: &str, new: &str| entry("a", &certificate().replace(old, new)).unwrap().server_name;
        assert_eq!(with("https://127.0.0.1:6443", "https://localhost:6443"), "localhost");
        assert_eq!(with("https://127.0.0.1:6443", "https://[::1]:6443"), "::1");
        assert_eq!(with("server:", "tls-server-name: kubernetes, server:"), "kubernetes");
    }

    #[test]
    fn a_password_cannot_be_passed_on() {
        let login = hubs_own("username: admin, password: hunter2");
        assert_eq!(entry("a", &login).unwrap_err(), NotOutside::Password);
    }

    #[test]
    fn what_the_operator_chose_in_the_old_file_is_in_the_new_one() {
        let old = composed(&["a", "b", "c"], &Kept::default())
            .replace("current-context: 'a'", "current-context: b")
            .replace("user: 'fleet-b'\n", "user: fleet-b\n")
            .replacen("namespace: 'jhub'", "namespace: kube-system", 1);
        let kept = own(&old, PLUGIN.config).unwrap();
        let new = read(&composed(&["a", "b"], &kept));
        assert_eq!(new["current-context"], "b");
        assert_eq!(new["contexts"][0]["context"]["namespace"], "kube-system");
        assert_eq!(new["contexts"][1]["context"]["namespace"], "jhub");
        // A hub that is gone is nobody's current context.
        assert_eq!(read(&composed(&["c", "a"], &kept))["current-context"], "c");
    }

    #[test]
    fn a_file_with_anything_of_somebody_elses_is_not_fleets_own() {
        let ours = composed(&["a"], &Kept::default());
        assert!(own(&ours, PLUGIN.config).is_some());
        assert_eq!(own(&ours, "/srv/other/fleet.toml"), None);
        for yaml in ["", "{}", "not: [yaml", "hello", &certificate()] {
            assert_eq!(own(yaml, PLUGIN.config), None, "{yaml}");
        }
        let mut with_user = read(&ours);
        let theirs = serde_json::json!({ "name": "x", "user": { "token": "t" } });
        with_user["users"].as_array_mut().unwrap().push(theirs);
        assert_eq!(own(&with_user.to_string(), PLUGIN.config), None);
        let mut with_cluster = read(&ours);
        let theirs = serde_json::json!({ "name": "x", "cluster": { "server": "https://10.0.0.1:6443" } });
        with_cluster["clusters"].as_array_mut().unwrap().push(theirs);
        assert_eq!(own(&with_cluster.to_string(), PLUGIN.config), None);
    }

    proptest! {
        #[test]
        fn every_name_of_a_hub_and_every_path_comes_back_as_it_was(
            mut names in proptest::collection::btree_set("[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", 1..5),
            config in "/[^\\p{C}]{1,30}",
        ) {
            names.extend(["no", "on", "y", "null", "true", "1e3", "0x10", "0o7", "123", "1-2"].map(str::to_owned));
            let entries: Vec<_> = names.iter().map(|hub| entry(hub, &certificate()).unwrap()).collect();
            let plugin = Plugin { config: &config, ..PLUGIN };
            let text = compose(&entries, &settings(), plugin, &Kept::default()).unwrap();
            let value = read(&text);
            for (index, name) in names.iter().enumerate() {
                prop_assert_eq!(&value["contexts"][index]["name"], name.as_str());
                prop_assert_eq!(&value["users"][index]["user"]["exec"]["args"][4], name.as_str());
                prop_assert_eq!(&value["users"][index]["user"]["exec"]["args"][1], config.as_str());
            }
            // Readers of older YAML take unquoted words for something else.
            for line in text.lines().skip(1).filter(|line| line.contains("name: ")) {
                prop_assert!(line.ends_with(['\'', '"']), "{}", line);
            }
            prop_assert!(own(&text, &config).is_some());
        }
    }
}
