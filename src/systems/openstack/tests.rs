mod kept;
mod lists;
mod login;
mod one_volume;
mod servers;

use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::exit::chain;
use crate::plan::orphans::samples;

const LIMIT: Duration = Duration::from_secs(5);
const SECRET: &str = "s3cret-of-the-credential";
const TOKEN: &str = "gAAAA-the-token";

/// What a stand-in answers.
enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// A status, with how long the server wants to be left alone.
    Later(u16, &'static str),
    /// The first half of a body, then the end of the connection.
    Cut(String),
    /// Headers, and then nothing.
    HangInBody,
    Hang,
    Close,
}

struct Asked {
    method: String,
    host: String,
    path: String,
    query: String,
    token: Option<String>,
    version: Option<String>,
    body: String,
}

impl Asked {
    fn marker(&self) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix("marker="))
    }
}

/// A cloud of one thread: Keystone answers as it should unless `answer` says otherwise, and Cinder as `answer` says.
struct StandIn {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    async fn new(answer: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, base, answer) = (Arc::clone(&asked), url.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, base, answer) = (Arc::clone(&log), base.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some((mut stream, asked)) = read(stream).await else { return };
                    log.lock().unwrap().push(format!("{} {}?{}", asked.method, asked.path, asked.query));
                    let reply = answer(&asked).unwrap_or_else(|| by_default(&asked, &base));
                    write(&mut stream, reply).await;
                });
            }
        });
        Self { url, asked }
    }

    fn env(&self) -> OpenrcEnv {
        env(&[
            ("OS_AUTH_TYPE", "v3applicationcredential"),
            ("OS_AUTH_URL", &format!("{}/identity/v3/", self.url)),
            ("OS_APPLICATION_CREDENTIAL_ID", "credential-id"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", SECRET),
            ("OS_REGION_NAME", "here"),
        ])
    }

    async fn connect(&self) -> Result<Cloud, Error> {
        Cloud::connect(&self.env(), LIMIT, &Tokens::not_kept()).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(mut stream: TcpStream) -> Option<(TcpStream, Asked)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    while bytes.len() < end + 4 + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let mut first = head.lines().next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let asked = Asked {
        method,
        host: header("host").unwrap_or_default(),
        path: path.to_owned(),
        query: query.to_owned(),
        token: header("x-auth-token"),
        version: header("openstack-api-version"),
        body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned(),
    };
    Some((stream, asked))
}

async fn write(stream: &mut TcpStream, reply: Reply) {
    let head = |status: u16, length: usize| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-subject-token: {TOKEN}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n"
        )
    };
    let hangs = matches!(reply, Reply::Hang | Reply::HangInBody);
    let text = match reply {
        Reply::Json(status, body) => {
            let body = body.to_string();
            head(status, body.len()) + &body
        }
        Reply::Text(status, body) => head(status, body.len()) + &body,
        Reply::Later(status, after) => {
            let date = "Sun, 01 Mar 2026 12:00:00 GMT";
            head(status, 0).replace("\r\n\r\n", &format!("\r\ndate: {date}\r\nretry-after: {after}\r\n\r\n"))
        }
        Reply::Cut(body) => head(200, body.len() * 2) + &body,
        Reply::HangInBody => head(200, 100),
        Reply::Hang | Reply::Close => String::new(),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    if hangs {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    let _ = stream.shutdown().await;
}

fn by_default(asked: &Asked, base: &str) -> Reply {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/identity/v3/auth/tokens") => Reply::Json(201, token_body(base)),
        _ => Reply::Json(404, json!({ "itemNotFound": { "code": 404, "message": "not here" } })),
    }
}

fn token_body(base: &str) -> Value {
    json!({ "token": {
        "expires_at": "2026-03-01T13:00:00.000000Z",
        "user": { "id": "user-id", "name": "somebody" },
        "project": { "id": "alpha-id", "name": "alpha" },
        "application_credential": { "id": "credential-id", "name": "c", "restricted": true },
        "catalog": [
            { "type": "volumev2", "name": "old", "endpoints": [endpoint("public", "here", &format!("{base}/v2"))] },
            { "type": "volumev3", "name": "cinder", "endpoints": [
                endpoint("public", "here", &format!("{base}/volume/v3/alpha-id")),
                endpoint("public", "there", &format!("{base}/elsewhere/v3/alpha-id")),
                endpoint("internal", "here", &format!("{base}/internal/v3/alpha-id")),
            ] },
        ],
    } })
}

fn endpoint(interface: &str, region: &str, url: &str) -> Value {
    json!({ "id": "e", "interface": interface, "region": region, "region_id": region, "url": url })
}

fn env(variables: &[(&str, &str)]) -> OpenrcEnv {
    let text: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}\0")).collect();
    OpenrcEnv::from_env0(text.concat().as_bytes())
}

fn a_volume(number: u64) -> Value {
    json!({
        "id": samples::volume_id(number),
        "name": format!("pvc-{}", samples::uuid(number)),
        "status": "available",
        "size": 10,
        "created_at": "2026-01-01T12:00:00.000000",
        "attachments": [],
        "metadata": { "k": "v" },
        "bootable": "false",
        "os-vol-tenant-attr:tenant_id": "alpha-id",
    })
}

/// A page of volumes, with a next link to the marker.
fn a_page(volumes: impl IntoIterator<Item = Value>, next: Option<u64>) -> Reply {
    let volumes: Vec<Value> = volumes.into_iter().collect();
    let mut body = json!({ "volumes": volumes });
    if let Some(next) = next {
        let href = format!("http://wrong/v3/volumes/detail?limit=1000&marker={}", samples::volume_id(next));
        body["volumes_links"] = json!([{ "rel": "next", "href": href }]);
    }
    Reply::Json(200, body)
}

/// A cloud whose pages of volumes are answered by the marker's number.
async fn pages(page: impl Fn(Option<u64>) -> Reply + Send + Sync + 'static) -> StandIn {
    StandIn::new(move |asked| {
        let marker = asked.marker().map(|id| u64::from_str_radix(&id[..8], 16).unwrap());
        (asked.path == "/volume/v3/alpha-id/volumes/detail").then(|| page(marker))
    })
    .await
}

async fn listed(stand_in: &StandIn) -> Result<Vec<u64>, String> {
    let cloud = stand_in.connect().await.unwrap();
    let volumes = cloud.volumes().await.map_err(|error| chain(&error))?;
    Ok(volumes.iter().map(|volume| u64::from_str_radix(&volume.id[..8], 16).unwrap()).collect())
}

/// That these volumes of the cloud's project are deleted.
fn confirmed(cloud: &Cloud, ids: &[&str]) -> Confirmed {
    let volumes = ids.iter().map(|id| Volume { id: (*id).to_owned(), ..samples::volume(1) });
    let mut view = samples::view(volumes.collect(), vec![vec![]]);
    view.projects[0].project = cloud.project().clone();
    let deletions = crate::plan::orphans::plan(&view, &samples::rules()).deletions().unwrap();
    assert_eq!(deletions.volumes().len(), ids.len());
    Confirmed::by_flag(&deletions, true).unwrap()
}
