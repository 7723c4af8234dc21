mod kept;

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

#[tokio::test]
async fn logging_in_is_one_request_and_the_project_is_the_tokens() {
    let stand_in = StandIn::new(|asked| {
        if asked.path.ends_with("/tokens") {
            assert!(asked.body.contains(SECRET) && asked.token.is_none());
        }
        None
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    assert_eq!(cloud.project().name, "alpha");
    assert_eq!(cloud.project().key.id, "alpha-id");
    assert_eq!(cloud.project().key.region, "here");
    assert_eq!(cloud.project().key.auth_url, format!("{}/identity/v3", stand_in.url));
    assert_eq!(cloud.token_expires_at(), "2026-03-01T13:00:00Z".parse().unwrap());
    assert_eq!(stand_in.asked(), ["POST /identity/v3/auth/tokens?"]);
    assert!(!format!("{cloud:?}").contains(TOKEN));
}

#[tokio::test]
async fn no_token_is_kept_on_disk() {
    let stand_in = pages(|_| a_page([a_volume(1)], None)).await;
    let kept = || {
        let home = std::env::home_dir().unwrap();
        let mut files: Vec<_> = [".osc", ".cache/osc", ".config/openstack"]
            .iter()
            .filter_map(|place| std::fs::read_dir(home.join(place)).ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    };
    let before = kept();
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
    assert_eq!(kept(), before);
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let stand_in = pages(|marker| match marker {
        None => a_page([a_volume(1), a_volume(2)], Some(2)),
        Some(2) => a_page([a_volume(3)], Some(3)),
        Some(3) => a_page([a_volume(4)], None),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1, 2, 3, 4]);
    assert!(stand_in.asked()[1].contains("limit=1000"));
    assert!(stand_in.asked().iter().all(|asked| !asked.contains("all_tenants")));
}

#[tokio::test]
async fn a_full_page_without_a_link_is_not_taken_for_the_end() {
    let stand_in = pages(|marker| match marker {
        None => a_page((0..1000).map(a_volume), None),
        Some(999) => a_page([a_volume(1000)], None),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap().len(), 1001);
}

#[tokio::test]
async fn a_link_without_a_marker_goes_on_after_the_last_id() {
    let stand_in = pages(|marker| match marker {
        None => Reply::Json(
            200,
            json!({ "volumes": [a_volume(1)], "volumes_links": [{ "rel": "next", "href": "/v3/volumes/detail" }] }),
        ),
        _ => a_page([a_volume(2)], None),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn an_empty_page_with_a_next_one_is_an_error() {
    let stand_in = pages(|marker| match marker {
        None => a_page([a_volume(1)], Some(1)),
        _ => a_page([], Some(7)),
    })
    .await;
    let error = listed(&stand_in).await.unwrap_err();
    assert_eq!(
        error,
        "cannot list the volumes of project alpha: the list is not complete: volumes after 1 entries: a page is \
         empty and still has a next one"
    );
}

#[tokio::test]
async fn a_page_that_repeats_is_an_error() {
    let stand_in = pages(|_| a_page([a_volume(1)], Some(1))).await;
    assert!(listed(&stand_in).await.unwrap_err().contains("came twice"));
}

#[tokio::test]
async fn links_that_go_round_in_a_circle_are_an_error() {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let stand_in = pages(move |_| {
        let number = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        a_page([a_volume(number)], Some(number % 2))
    })
    .await;
    assert!(listed(&stand_in).await.unwrap_err().contains("circle"));
}

#[tokio::test]
async fn a_page_that_breaks_off_is_an_error_and_not_a_shorter_list() {
    for fault in ["cut", "close", "not json", "no key", "null", "bad entry", "other project", "duplicate key"]
    {
        let stand_in = pages(move |marker| match (marker, fault) {
            (None, _) => a_page([a_volume(1)], Some(1)),
            (_, "cut") => Reply::Cut("{\"volumes\": [".to_owned()),
            (_, "close") => Reply::Close,
            (_, "not json") => Reply::Text(200, "<html>".to_owned()),
            (_, "no key") => Reply::Json(200, json!({ "volume": [] })),
            (_, "null") => Reply::Json(200, json!({ "volumes": null })),
            (_, "bad entry") => Reply::Json(200, json!({ "volumes": [a_volume(2), { "id": "x" }] })),
            (_, "duplicate key") => Reply::Text(200, "{\"volumes\": [{}], \"volumes\": []}".to_owned()),
            (_, _) => {
                let mut other = a_volume(2);
                other["os-vol-tenant-attr:tenant_id"] = json!("beta-id");
                a_page([other], None)
            }
        })
        .await;
        let answer = listed(&stand_in).await;
        assert!(answer.is_err(), "{fault}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_that_was_put_off_is_asked_for_again() {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let stand_in = pages(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::Text(503, "<html>busy</html>".to_owned()),
        _ => a_page([a_volume(1)], None),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_list_that_is_forbidden_is_asked_for_once() {
    let stand_in =
        pages(|_| Reply::Json(403, json!({ "forbidden": { "code": 403, "message": "Policy says\nno." } })))
            .await;
    let error = listed(&stand_in).await.unwrap_err();
    assert_eq!(error, "cannot list the volumes of project alpha: HTTP 403: Policy says no.");
    assert_eq!(stand_in.asked().len(), 2);
}

#[tokio::test]
async fn a_field_that_is_missing_from_a_volume_is_an_error() {
    for field in ["id", "name", "status", "size", "attachments", "metadata", "bootable"] {
        let stand_in = pages(move |_| {
            let mut volume = a_volume(1);
            volume.as_object_mut().unwrap().remove(field);
            a_page([volume], None)
        })
        .await;
        assert!(listed(&stand_in).await.is_err(), "{field}");
    }
}

#[tokio::test]
async fn a_volume_is_read_so_that_doubt_keeps_it() {
    let stand_in = StandIn::new(|asked| {
        let mut volume = a_volume(1);
        volume["name"] = Value::Null;
        volume["created_at"] = json!("yesterday");
        volume["attachments"] = json!([{ "server_id": null, "attachment_id": "" }, { "server_id": "s" }, {}]);
        volume["bootable"] = json!("perhaps");
        volume["metadata"] = json!({ "n": 1 });
        asked.path.contains("/volumes/").then(|| Reply::Json(200, json!({ "volume": volume })))
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let volume = cloud.volume(&samples::volume_id(1)).await.unwrap().unwrap();
    assert_eq!(volume.name, "");
    assert_eq!(volume.created_at, None);
    assert_eq!(volume.attachments.len(), 3);
    assert_eq!(volume.attachments[1], "s");
    assert!(volume.bootable && volume.attachments.iter().all(|id| !id.is_empty()));
    assert_eq!(volume.metadata["n"], "1");
}

#[tokio::test]
async fn a_volume_with_image_metadata_counts_as_bootable() {
    let stand_in = StandIn::new(|asked| {
        let mut volume = a_volume(1);
        volume["volume_image_metadata"] = json!({ "image_id": "i" });
        asked.path.contains("/volumes/").then(|| Reply::Json(200, json!({ "volume": volume })))
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let volume = cloud.volume(&samples::volume_id(1)).await.unwrap().unwrap();
    assert!(volume.bootable);
    assert_eq!(volume.created_at, Some("2026-01-01T12:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn a_volume_that_cinder_does_not_know_is_none_and_one_that_it_mixes_up_is_an_error() {
    let stand_in = StandIn::new(|asked| {
        let number = asked.path.ends_with(&samples::volume_id(2)).then_some(3)?;
        Some(Reply::Json(200, json!({ "volume": a_volume(number) })))
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    assert_eq!(cloud.volume(&samples::volume_id(1)).await.unwrap(), None);
    assert!(cloud.volume(&samples::volume_id(2)).await.is_err());
}

#[tokio::test]
async fn an_id_that_would_lead_elsewhere_is_never_sent() {
    let stand_in = StandIn::new(|_| None).await;
    let cloud = stand_in.connect().await.unwrap();
    for id in ["", "..", "../snapshots/x", "a/b", "a?force=true", "a%2fb", "a b"] {
        assert!(cloud.volume(id).await.is_err(), "{id}");
        assert!(cloud.delete(id).await.is_err(), "{id}");
    }
    assert_eq!(stand_in.asked().len(), 1);
}

#[tokio::test]
async fn a_deletion_is_one_plain_delete_by_id() {
    let stand_in = StandIn::new(|asked| match asked.path.rsplit('/').next() {
        Some(id) if id == samples::volume_id(1) => Some(Reply::Text(202, String::new())),
        Some(id) if id == samples::volume_id(3) => {
            Some(Reply::Json(400, json!({ "badRequest": { "code": 400, "message": "has snapshots" } })))
        }
        Some(id) if id == samples::volume_id(4) => Some(Reply::Text(503, String::new())),
        Some(id) if id == samples::volume_id(5) => Some(Reply::Close),
        _ => None,
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let delete = async |number| {
        let id = samples::volume_id(number);
        cloud.delete_volume(&id, &confirmed(&cloud, &[&id])).await
    };
    assert_eq!(delete(1).await.unwrap(), Deletion::Accepted);
    assert_eq!(delete(2).await.unwrap(), Deletion::AlreadyGone);
    let refused = delete(3).await.unwrap_err();
    assert_eq!(refused.nature(), Nature::Refused);
    assert!(chain(&refused).ends_with("HTTP 400: has snapshots"), "{}", chain(&refused));
    assert_eq!(delete(4).await.unwrap_err().nature(), Nature::PutOff);
    assert_eq!(delete(5).await.unwrap_err().nature(), Nature::Unknown);
    let path = format!("DELETE /volume/v3/alpha-id/volumes/{}?", samples::volume_id(1));
    assert_eq!(stand_in.asked()[1], path);
    assert_eq!(stand_in.asked().len(), 6);
}

#[tokio::test]
async fn a_deletion_that_nobody_confirmed_is_never_sent() {
    let stand_in = StandIn::new(|_| None).await;
    let cloud = stand_in.connect().await.unwrap();
    let confirmed = confirmed(&cloud, &[&samples::volume_id(1)]);
    let error = cloud.delete_volume(&samples::volume_id(2), &confirmed).await.unwrap_err();
    assert!(chain(&error).ends_with("nobody confirmed that it is deleted"), "{}", chain(&error));
    assert_eq!(error.nature(), Nature::Refused);
    assert_eq!(stand_in.asked().len(), 1);
}

#[tokio::test]
async fn a_deletion_is_put_off_for_as_long_as_the_server_says() {
    for (status, after, seconds) in [
        (429, "7", Some(7)),
        (503, " 3600", Some(3600)),
        (500, "Sun, 01 Mar 2026 12:00:30 GMT", Some(30)),
        (503, "Sun, 01 Mar 2026 11:00:00 GMT", None),
        (503, "soon", None),
        (503, "-1", None),
        (503, "", None),
    ] {
        let stand_in = StandIn::new(move |asked| {
            asked.path.contains("/volumes/").then_some(Reply::Later(status, after))
        })
        .await;
        let cloud = stand_in.connect().await.unwrap();
        let id = samples::volume_id(1);
        let error = cloud.delete_volume(&id, &confirmed(&cloud, &[&id])).await.unwrap_err();
        assert_eq!(error.nature(), Nature::PutOff, "{status}");
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{after:?}");
        assert_eq!(stand_in.asked().len(), 2);
    }
}

#[tokio::test]
async fn metadata_is_added_and_taken_away_key_by_key() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&bodies);
    let stand_in = StandIn::new(move |asked| match asked.method.as_str() {
        "POST" if asked.path.ends_with("/metadata") => {
            log.lock().unwrap().push(serde_json::from_str::<Value>(&asked.body).unwrap());
            Some(Reply::Json(200, json!({ "metadata": {} })))
        }
        "DELETE" if asked.path.ends_with("/fleet.keep") => Some(Reply::Text(200, String::new())),
        "DELETE" if asked.path.ends_with("/forbidden") => Some(Reply::Json(403, json!({}))),
        _ => None,
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let id = samples::volume_id(1);
    let metadata = [("fleet.keep", "true"), ("fleet.keep-reason", "a \"thesis\" of Änne")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    cloud.set_metadata(&id, &metadata).await.unwrap();
    assert_eq!(bodies.lock().unwrap()[0], json!({ "metadata": metadata }));
    cloud.delete_metadata(&id, "fleet.keep").await.unwrap();
    // Gone already.
    cloud.delete_metadata(&id, " ../a?b/ä").await.unwrap();
    let refused = cloud.delete_metadata(&id, "forbidden").await.unwrap_err();
    assert!(chain(&refused).contains("cannot change the metadata of volume"), "{}", chain(&refused));
    let at = |key: &str| format!("DELETE /volume/v3/alpha-id/volumes/{id}/metadata/{key}?");
    assert_eq!(stand_in.asked()[2..4], [at("fleet.keep"), at("%20..%2Fa%3Fb%2F%C3%A4")]);
    for id in ["", "..", "a/b"] {
        assert!(cloud.set_metadata(id, &metadata).await.is_err());
        assert!(cloud.delete_metadata(id, "x").await.is_err());
    }
    assert_eq!(stand_in.asked().len(), 5);
}

#[tokio::test]
async fn no_4xx_but_429_is_ever_tried_again() {
    for status in [400, 403, 404, 405, 409, 413, 422] {
        let stand_in =
            StandIn::new(move |asked| asked.path.contains("/volumes/").then_some(Reply::Later(status, "1")))
                .await;
        let cloud = stand_in.connect().await.unwrap();
        let id = samples::volume_id(1);
        let error = cloud.delete_volume(&id, &confirmed(&cloud, &[&id])).await.unwrap_err();
        assert_eq!(error.nature(), Nature::Refused, "{status}");
    }
}

#[tokio::test]
async fn a_page_is_asked_for_again_when_the_server_wants_it() {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let stand_in = pages(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::Later(429, "3"),
        _ => a_page([a_volume(1)], None),
    })
    .await;
    let begin = std::time::Instant::now();
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
    assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_sent_again() {
    let logins = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&logins);
    let stand_in = StandIn::new(move |asked| {
        if asked.path.ends_with("/tokens") {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return None;
        }
        let fresh = count.load(std::sync::atomic::Ordering::Relaxed) > 1;
        Some(if fresh { a_page([a_volume(1)], None) } else { Reply::Json(401, json!({})) })
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
    assert_eq!(logins.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_that_is_always_refused_is_an_error() {
    let stand_in = pages(|_| Reply::Json(401, json!({ "error": { "message": "expired" } }))).await;
    assert!(listed(&stand_in).await.unwrap_err().ends_with("HTTP 401: expired"));
}

#[tokio::test]
async fn an_expired_or_wrong_credential_is_told_with_what_to_do() {
    let stand_in = StandIn::new(|_| {
        Some(Reply::Json(401, json!({ "error": { "code": 401, "message": "The request requires auth" } })))
    })
    .await;
    let error = stand_in.connect().await.unwrap_err();
    let host = stand_in.url.trim_start_matches("http://");
    assert_eq!(
        chain(&error),
        format!(
            "cannot log in to OpenStack at {host}: Keystone refused the application credential: it has expired, or \
             it is wrong (Keystone does not tell which)"
        )
    );
    assert!(error.is_credentials());
    assert!(error.hint().unwrap().contains("make a new application credential"));
}

#[tokio::test]
async fn an_unknown_credential_is_told_and_no_secret_with_it() {
    let stand_in = StandIn::new(|_| {
        let message = format!("Could not find Application Credential: x {SECRET}");
        Some(Reply::Json(404, json!({ "error": { "code": 404, "message": message } })))
    })
    .await;
    let error = stand_in.connect().await.unwrap_err();
    assert!(error.is_credentials());
    assert!(chain(&error).ends_with("Could not find Application Credential: x [secret]"));
    assert!(!format!("{error:?}").contains(SECRET));
}

#[tokio::test]
async fn a_token_without_a_project_is_an_error() {
    let stand_in = StandIn::new(|asked| {
        let mut body = token_body("http://x");
        body["token"]["project"] = Value::Null;
        asked.path.ends_with("/tokens").then_some(Reply::Json(201, body))
    })
    .await;
    assert!(chain(&stand_in.connect().await.unwrap_err()).ends_with("the token is for no project"));
}

#[tokio::test]
async fn a_region_that_the_catalog_does_not_have_is_an_error() {
    let stand_in = StandIn::new(|_| None).await;
    let of = async |name: &str, value: &str| {
        let url = format!("{}/identity", stand_in.url);
        let env = env(&[
            ("OS_AUTH_URL", &url),
            ("OS_APPLICATION_CREDENTIAL_ID", "credential-id"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", SECRET),
            (name, value),
        ]);
        Cloud::connect(&env, LIMIT, &Tokens::not_kept()).await.map_err(|error| chain(&error))
    };
    assert!(of("OS_REGION_NAME", "nowhere").await.unwrap_err().contains("no Cinder"));
    assert!(of("OS_REGION_NAME", "").await.unwrap_err().contains("set OS_REGION_NAME"));
    assert!(of("OS_INTERFACE", "admin").await.unwrap_err().contains("no Cinder"));
    assert!(of("OS_INTERFACE", "internalURL").await.is_ok());
}

#[tokio::test]
async fn a_cloud_that_cannot_be_reached_says_so() {
    let env = env(&[
        ("OS_AUTH_URL", "http://127.0.0.1:1/v3"),
        ("OS_APPLICATION_CREDENTIAL_ID", "credential-id"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", SECRET),
    ]);
    let error = Cloud::connect(&env, LIMIT, &Tokens::not_kept()).await.unwrap_err();
    assert!(chain(&error).starts_with("cannot log in to OpenStack at 127.0.0.1:1: Connection refused"));
    assert_eq!(error.nature(), Nature::Unknown);
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_time_limit_alone() {
    for reply in [|| Reply::Hang, || Reply::HangInBody] {
        let hangs = move |asked: &Asked| asked.path.contains("/volumes/").then(reply);
        let stand_in = StandIn::new(hangs).await;
        let cloud = Cloud::connect(&stand_in.env(), LIMIT, &Tokens::not_kept()).await.unwrap();
        let cloud = Cloud { limit: Duration::from_millis(300), ..cloud };
        let begin = std::time::Instant::now();
        for error in
            [cloud.volume(&samples::volume_id(1)).await.unwrap_err(), cloud.volumes().await.unwrap_err()]
        {
            assert!(chain(&error).ends_with("no answer within 0.3 s"), "{}", chain(&error));
        }
        assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn an_application_credentials_expiry_is_asked_for_with_the_token() {
    let stand_in = StandIn::new(|asked| {
        let path = "/identity/v3/users/user-id/application_credentials/credential-id";
        if asked.path != path {
            return None;
        }
        assert_eq!(asked.token.as_deref(), Some(TOKEN));
        let body = json!({ "application_credential": { "expires_at": "2026-06-01T00:00:00.000000" } });
        Some(Reply::Json(200, body))
    })
    .await;
    let expiry = stand_in.connect().await.unwrap().credential_expires_at().await.unwrap();
    assert_eq!(expiry, Some("2026-06-01T00:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn an_expiry_that_the_policy_hides_is_not_known() {
    let stand_in =
        StandIn::new(|asked| asked.path.contains("/users/").then(|| Reply::Json(403, json!({})))).await;
    assert_eq!(stand_in.connect().await.unwrap().credential_expires_at().await.unwrap(), None);
}

#[tokio::test]
async fn every_kind_of_openrc_asks_keystone_for_the_right_token() {
    let bodies = Arc::new(Mutex::new(Vec::<Value>::new()));
    let log = Arc::clone(&bodies);
    let stand_in = StandIn::new(move |asked| {
        log.lock().unwrap().push(serde_json::from_str(&asked.body).unwrap());
        None
    })
    .await;
    let url = format!("{}/identity/v3", stand_in.url);
    let login = async |variables: &[(&str, &str)]| {
        let mut all = vec![("OS_AUTH_URL", url.as_str()), ("OS_REGION_NAME", "here")];
        all.extend(variables);
        Cloud::connect(&env(&all), LIMIT, &Tokens::not_kept()).await.unwrap();
        bodies.lock().unwrap().pop().unwrap()["auth"].clone()
    };
    assert_eq!(
        login(&[
            ("OS_APPLICATION_CREDENTIAL_NAME", "fleet"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "s"),
            ("OS_USERNAME", "me"),
            ("OS_USER_DOMAIN_NAME", "access"),
        ])
        .await,
        json!({ "identity": {
            "methods": ["application_credential"],
            "application_credential":
                { "name": "fleet", "secret": "s", "user": { "name": "me", "domain": { "name": "access" } } },
        } })
    );
    assert_eq!(
        login(&[
            ("OS_USERNAME", "me"),
            ("OS_PASSWORD", "p"),
            ("OS_PROJECT_NAME", "alpha"),
            ("OS_PROJECT_DOMAIN_ID", "d"),
        ])
        .await,
        json!({
            "identity": { "methods": ["password"], "password":
                { "user": { "name": "me", "password": "p", "domain": { "id": "default" } } } },
            "scope": { "project": { "name": "alpha", "domain": { "id": "d" } } },
        })
    );
    assert_eq!(
        login(&[("OS_TOKEN", "t"), ("OS_PROJECT_ID", "alpha-id")]).await,
        json!({
            "identity": { "methods": ["token"], "token": { "id": "t" } },
            "scope": { "project": { "id": "alpha-id" } },
        })
    );
}

#[tokio::test]
async fn an_openrc_that_lacks_something_is_told_without_asking_anybody() {
    let good = [
        ("OS_AUTH_URL", "http://127.0.0.1:1/v3"),
        ("OS_APPLICATION_CREDENTIAL_ID", "i"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "s"),
    ];
    for (name, value, problem) in [
        ("OS_AUTH_URL", "", "OS_AUTH_URL is not set"),
        ("OS_AUTH_URL", "cloud:5000", "OS_AUTH_URL is not an http or https URL"),
        ("OS_AUTH_URL", "https://cloud:5000/v2.0", "version 2"),
        ("OS_APPLICATION_CREDENTIAL_ID", "", "OS_APPLICATION_CREDENTIAL_ID is not set"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "", "OS_USERNAME is not set"),
        ("OS_AUTH_TYPE", "v3oidcpassword", "OS_AUTH_TYPE is \"v3oidcpassword\""),
        ("OS_CACERT", "/home/openstack/nowhere.pem", "OS_CACERT is \"/home/openstack/nowhere.pem\""),
    ] {
        let mut variables: Vec<_> = good.into_iter().filter(|(known, _)| *known != name).collect();
        variables.push((name, value));
        let error = Cloud::connect(&env(&variables), LIMIT, &Tokens::not_kept()).await.unwrap_err();
        assert!(chain(&error).contains(problem), "{}", chain(&error));
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn snapshots_are_read_page_by_page_too() {
    let stand_in = StandIn::new(|asked| {
        let page = match asked.marker() {
            None => json!({ "snapshots": [{ "id": "s1", "volume_id": "v1", "name": null }],
                "snapshots_links": [{ "rel": "next", "href": "http://x/?marker=s1" }] }),
            Some(_) => json!({ "snapshots": [{ "id": "s2", "volume_id": "v2" }] }),
        };
        asked.path.ends_with("/snapshots/detail").then_some(Reply::Json(200, page))
    })
    .await;
    let snapshots = stand_in.connect().await.unwrap().snapshots().await.unwrap();
    assert_eq!(
        snapshots.iter().map(|snapshot| snapshot.volume_id.as_str()).collect::<Vec<_>>(),
        ["v1", "v2"]
    );
}

/// A token whose catalog has a Nova at these endpoints.
fn token_with_nova(base: &str, endpoints: &[(&str, &str)]) -> Reply {
    let mut body = token_body(base);
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(interface, region)| endpoint(interface, region, &format!("{base}/compute/v2.1")))
        .collect();
    let nova = json!({ "type": "compute", "name": "nova", "endpoints": endpoints });
    body["token"]["catalog"].as_array_mut().unwrap().push(nova);
    Reply::Json(201, body)
}

/// A cloud with a Nova, which answers by the marker.
async fn nova(page: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> StandIn {
    let base = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&base);
    let stand_in = StandIn::new(move |asked| match asked.path.as_str() {
        path if path.ends_with("/tokens") => {
            Some(token_with_nova(&known.lock().unwrap(), &[("public", "here"), ("admin", "here")]))
        }
        "/compute/v2.1/servers/detail" => Some(page(asked)),
        _ => None,
    })
    .await;
    base.lock().unwrap().clone_from(&stand_in.url);
    stand_in
}

fn a_server(id: &str) -> Value {
    json!({
        "id": id,
        "name": format!("theirs-k8s-node-{id}"),
        "tenant_id": "alpha-id",
        "status": "ACTIVE",
        "created": "2026-01-01T12:00:00Z",
        "addresses": { "inner": [
            { "version": 4, "addr": "10.0.0.7", "OS-EXT-IPS:type": "fixed" },
            { "version": 4, "addr": "149.165.1.2", "OS-EXT-IPS:type": "floating" },
        ] },
        "accessIPv4": "", "accessIPv6": "2001:db8::1",
        "metadata": { "kubespray_groups": "etcd", "n": 1 },
        "tags": ["prod"],
        "security_groups": [{ "name": "default" }],
        "key_name": "kubernetes-theirs",
    })
}

#[tokio::test]
async fn servers_are_read_page_by_page_and_the_first_page_is_asked_for_without_a_limit() {
    let stand_in = nova(|asked| {
        assert_eq!(asked.version.as_deref(), Some("compute 2.69"));
        assert_eq!(asked.token.as_deref(), Some(TOKEN));
        Reply::Json(
            200,
            match asked.marker() {
                None => json!({ "servers": [a_server("1")],
                    "servers_links": [{ "rel": "next", "href": "http://x/?marker=1" }] }),
                Some("1") => json!({ "servers": [a_server("2")] }),
                other => panic!("{other:?}"),
            },
        )
    })
    .await;
    let servers = stand_in.connect().await.unwrap().servers().await.unwrap();
    assert_eq!(servers.len(), 2);
    assert_eq!(servers[0].name, "theirs-k8s-node-1");
    let addresses: Vec<String> = servers[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.7", "149.165.1.2", "2001:db8::1"]);
    assert_eq!(servers[0].metadata["n"], "1");
    assert_eq!(servers[0].tags, ["prod"]);
    assert_eq!(servers[0].security_groups, ["default"]);
    assert_eq!(servers[0].key_name.as_deref(), Some("kubernetes-theirs"));
    assert_eq!(servers[0].created_at, Some("2026-01-01T12:00:00Z".parse().unwrap()));
    // With one, Nova would leave out what is in a part of the cloud that is down.
    assert_eq!(stand_in.asked()[1], "GET /compute/v2.1/servers/detail?");
}

#[tokio::test]
async fn a_list_of_servers_that_is_not_whole_is_an_error() {
    let down =
        json!({ "id": "1", "status": "UNKNOWN", "tenant_id": "alpha-id", "created": "2026-01-01T12:00:00Z" });
    let mut other = a_server("1");
    other["tenant_id"] = json!("beta-id");
    let mut nameless = a_server("1");
    nameless["id"] = json!("");
    for (answer, said) in [
        (Reply::Json(200, json!({ "servers": [down] })), "server 1 is in a part of the cloud that is down"),
        (Reply::Json(200, json!({ "servers": [other] })), "belongs to another project"),
        (Reply::Json(200, json!({ "servers": [nameless] })), "a server has no id"),
        (Reply::Json(200, json!({ "servers": [a_server("1"), a_server("1")] })), "came twice"),
        (Reply::Json(200, json!({ "servers": null })), "cannot be used"),
        (Reply::Json(404, json!({ "itemNotFound": {} })), "HTTP 404"),
        (Reply::Text(500, String::new()), "HTTP 500"),
        (Reply::Cut("{\"servers\": [".to_owned()), "end"),
    ] {
        let answer = Mutex::new(vec![answer]);
        let stand_in =
            nova(move |_| answer.lock().unwrap().pop().unwrap_or(Reply::Text(500, String::new()))).await;
        let error = stand_in.connect().await.unwrap().servers().await.unwrap_err();
        let told = chain(&error);
        assert!(told.starts_with("cannot list the servers of project alpha: "), "{told}");
        // Faults that pass are asked again, and then it is another one.
        assert!(told.contains(said) || told.ends_with("HTTP 500"), "{told} does not say {said:?}");
    }
}

#[tokio::test]
async fn servers_that_may_not_be_listed_are_told_with_what_to_do() {
    let stand_in =
        nova(|_| Reply::Json(403, json!({ "forbidden": { "code": 403, "message": "Policy says no." } })))
            .await;
    let error = stand_in.connect().await.unwrap().servers().await.unwrap_err();
    assert_eq!(chain(&error), "cannot list the servers of project alpha: HTTP 403: Policy says no.");
    assert!(error.hint().unwrap().contains("has to be allowed to list them"));
    assert_eq!(stand_in.asked().len(), 2);
}

#[tokio::test]
async fn a_catalog_without_nova_has_no_servers_and_one_with_it_elsewhere_is_no_answer() {
    let without = StandIn::new(|_| None).await;
    assert_eq!(without.connect().await.unwrap().servers().await.unwrap(), []);
    assert_eq!(without.asked().len(), 1);
    for (endpoints, servers) in [
        (vec![("public", "there")], Ok(0)),
        (
            vec![("internal", "here")],
            Err("the catalog has no Nova with interface \"public\" in region \"here\""),
        ),
        (vec![], Ok(0)),
    ] {
        let stand_in = StandIn::new(move |asked| {
            asked.path.ends_with("/tokens").then(|| token_with_nova("http://127.0.0.1:1", &endpoints))
        })
        .await;
        match (stand_in.connect().await, servers) {
            (Ok(cloud), Ok(count)) => assert_eq!(cloud.servers().await.unwrap().len(), count),
            (Err(error), Err(said)) => assert!(chain(&error).contains(said), "{}", chain(&error)),
            (cloud, expected) => panic!("{cloud:?} {expected:?}"),
        }
    }
}
