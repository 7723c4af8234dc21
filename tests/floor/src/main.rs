//! The floor that `scripts/bench` and `scripts/bench-exec` measure fleet against: the same requests to the same servers by a
//! bare client, as many at once as their answers allow, with nothing checked, judged or shown.
//!
//! `floor claims|orphans|delete VOLUME-ID...`, with hubs as `NAME=KUBECONFIG=SOCKET` words in `$FLOOR_HUBS` and the openrc
//! files in `$FLOOR_OPENRCS`; `floor exec LABEL PARALLEL COMMAND...` for the containers with a label.

mod exec;

use std::collections::HashMap;
use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("claims") => claims().await,
        Some("orphans") => orphans().await,
        Some("delete") => delete(&args.collect::<Vec<_>>()).await,
        Some("exec") => {
            let (label, parallel) = (args.next().ok_or("no label")?, args.next().ok_or("no number")?);
            exec::exec(&label, parallel.parse()?, &args.collect::<Vec<_>>()).await
        }
        _ => {
            Err("usage: floor claims | orphans | delete VOLUME-ID... | exec LABEL PARALLEL COMMAND...".into())
        }
    }
}

fn words(name: &str) -> Vec<String> {
    std::env::var(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The text after a key of the kubeconfig, which kubeadm writes one to a line.
fn after<'t>(yaml: &'t str, key: &str) -> Result<&'t str> {
    let found = yaml.lines().find_map(|line| line.trim().strip_prefix(key));
    Ok(found.ok_or_else(|| format!("no {key} in the kubeconfig"))?.trim())
}

fn cluster(hub: &str) -> Result<Client> {
    let mut parts = hub.split('=').skip(1);
    let (kubeconfig, socket) = (parts.next().ok_or("no kubeconfig")?, parts.next().ok_or("no socket")?);
    let yaml = std::fs::read_to_string(kubeconfig)?;
    let data = |key| -> Result<Vec<u8>> { Ok(STANDARD.decode(after(&yaml, key)?)?) };
    let mut identity = data("client-certificate-data:")?;
    identity.extend(data("client-key-data:")?);
    Ok(Client::builder()
        .tls_certs_only([Certificate::from_pem(&data("certificate-authority-data:")?)?])
        .identity(Identity::from_pem(&identity)?)
        .unix_socket(std::path::PathBuf::from(socket))
        .build()?)
}

async fn get(client: &Client, path: &str) -> Result<()> {
    let answer = client.get(format!("https://127.0.0.1:6443{path}")).send().await?.error_for_status()?;
    answer.bytes().await?;
    Ok(())
}

/// Every PV and every claim of every hub: one list after the other on one connection, which is faster than a second
/// handshake.
async fn claims() -> Result<()> {
    try_join_all(words("FLOOR_HUBS").iter().map(async |hub| {
        let client = cluster(hub)?;
        get(&client, "/api/v1/persistentvolumes?limit=1000").await?;
        get(&client, "/api/v1/persistentvolumeclaims?limit=1000").await
    }))
    .await?;
    Ok(())
}

/// A project's Cinder and Nova, with a token.
struct Cloud {
    client: Client,
    cinder: String,
    nova: String,
    token: String,
}

impl Cloud {
    async fn log_in(openrc: &str) -> Result<Self> {
        let text = std::fs::read_to_string(openrc)?;
        let vars: HashMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let var = |name| vars.get(name).copied().ok_or_else(|| format!("no {name} in {openrc}"));
        let body = json!({ "auth": { "identity": { "methods": ["application_credential"], "application_credential": {
            "id": var("OS_APPLICATION_CREDENTIAL_ID")?, "secret": var("OS_APPLICATION_CREDENTIAL_SECRET")? } } } });
        let client = Client::new();
        let url = format!("{}/auth/tokens", var("OS_AUTH_URL")?.trim_end_matches('/'));
        let answer = client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await?
            .error_for_status()?;
        let token = answer.headers().get("x-subject-token").ok_or("no token")?.to_str()?.to_owned();
        let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let services = body["token"]["catalog"].as_array().ok_or("no catalog")?;
        let url = |kinds: [&str; 2]| {
            let found = services
                .iter()
                .filter(|service| kinds.iter().any(|kind| service["type"] == *kind))
                .flat_map(|service| service["endpoints"].as_array().into_iter().flatten())
                .find(|endpoint| endpoint["interface"] == "public")
                .and_then(|endpoint| endpoint["url"].as_str());
            found.map(str::to_owned).ok_or_else(|| format!("no {} in the catalog", kinds[0]))
        };
        let cinder = url(["block-storage", "volumev3"])?;
        Ok(Self { client, cinder, nova: url(["compute", "compute"])?, token })
    }

    async fn ask(&self, method: reqwest::Method, path: &str) -> Result<u16> {
        self.send(method, format!("{}{path}", self.cinder)).await
    }

    async fn send(&self, method: reqwest::Method, url: String) -> Result<u16> {
        let request = self.client.request(method, url).header("x-auth-token", &self.token);
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// Every volume, snapshot and server of every project, and every PV and claim of every hub, all at once.
async fn orphans() -> Result<()> {
    let openrcs = words("FLOOR_OPENRCS");
    let projects = try_join_all(openrcs.iter().map(async |openrc| {
        let cloud = Cloud::log_in(openrc).await?;
        futures_util::try_join!(
            cloud.ask(reqwest::Method::GET, "/volumes/detail?limit=1000"),
            cloud.ask(reqwest::Method::GET, "/snapshots/detail?limit=1000"),
            cloud.send(reqwest::Method::GET, format!("{}/servers/detail", cloud.nova)),
        )
    }));
    futures_util::try_join!(projects, claims())?;
    Ok(())
}

/// The lists, then one read and one delete for each volume, and reads until it is gone; all at once.
async fn delete(ids: &[String]) -> Result<()> {
    orphans().await?;
    let openrcs = words("FLOOR_OPENRCS");
    let cloud = Cloud::log_in(openrcs.first().ok_or("no openrc")?).await?;
    let cloud = &cloud;
    try_join_all(ids.iter().map(async |id| -> Result<()> {
        let path = format!("/volumes/{id}");
        cloud.ask(reqwest::Method::GET, &path).await?;
        cloud.ask(reqwest::Method::DELETE, &path).await?;
        while cloud.ask(reqwest::Method::GET, &path).await? != 404 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(())
    }))
    .await?;
    Ok(())
}
