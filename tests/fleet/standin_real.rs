//! What the stand-in answers, held against the real parts: the same requests to both, loaded with the same content, have
//! answers of the same form. Where a real part changes, the stand-in has to follow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use standin::content::{Content, Hub, PersistentVolume, Project, Server, Snapshot, Volume};
use standin::{Fault, Rule, Service};
use tempfile::TempDir;

use crate::common::standin::Servers;
use crate::common::world::docker;
use crate::common::{breaking, standing, using, world};

/// An answer.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: BTreeMap<String, String>,
    text: String,
}

impl Got {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Asks with curl. What has secrets in it goes through standard input: everybody can read command lines.
fn curl(args: &[&str], config: &str) -> Got {
    use std::io::Write as _;
    let mut child = Command::new("curl")
        .args(["-sS", "--http1.1", "-m", "30", "-i", "-K", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    child.stdin.take().expect("piped").write_all(config.as_bytes()).expect("curl reads");
    let output = child.wait_with_output().expect("curl ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {args:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    Got {
        status: status.expect("a status"),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect(),
        text: body.to_owned(),
    }
}

/// Keystone, Cinder and Nova, with the token of an openrc.
struct Cloud {
    auth_url: String,
    login: Got,
    token: String,
    secret: String,
    id: String,
}

impl Cloud {
    fn of(openrc: &Path) -> Self {
        let text = std::fs::read_to_string(openrc).expect("an openrc");
        let var = |name: &str| {
            let prefix = format!("export {name}=");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix)).expect("it is there");
            line.trim_matches('"').to_owned()
        };
        let auth_url = var("OS_AUTH_URL").trim_end_matches('/').to_owned();
        let (id, secret) = (var("OS_APPLICATION_CREDENTIAL_ID"), var("OS_APPLICATION_CREDENTIAL_SECRET"));
        let login = log_in(&auth_url, &id, &secret);
        let token = login.headers.get("x-subject-token").expect("a token").clone();
        Self { auth_url, login, token, secret, id }
    }

    /// Where a service is, without a slash at the end.
    fn url(&self, kind: &str) -> String {
        let login = self.login.json();
        let services = login["token"]["catalog"].as_array().expect("a catalog").clone();
        let service = services.iter().find(|service| service["type"] == kind).expect("it is in the catalog");
        let endpoints = service["endpoints"].as_array().expect("endpoints");
        let public = endpoints.iter().find(|endpoint| endpoint["interface"] == "public").expect("public");
        public["url"].as_str().expect("a URL").trim_end_matches('/').to_owned()
    }

    fn ask_as(&self, token: &str, method: &str, url: &str, body: Option<&Value>) -> Got {
        let data =
            body.map(|body| format!("data = {}\n", Value::String(body.to_string()))).unwrap_or_default();
        curl(
            &["-X", method, "-H", "Content-Type: application/json", url],
            &format!("header = \"X-Auth-Token: {token}\"\n{data}"),
        )
    }

    fn ask(&self, method: &str, kind: &str, path: &str) -> Got {
        self.ask_as(&self.token, method, &format!("{}{path}", self.url(kind)), None)
    }
}

fn log_in(auth_url: &str, id: &str, secret: &str) -> Got {
    let credential = json!({ "id": id, "secret": secret });
    let auth = json!({ "auth": { "identity": {
        "methods": ["application_credential"], "application_credential": credential,
    } } });
    curl(
        &["-H", "Content-Type: application/json", &format!("{auth_url}/auth/tokens")],
        &format!("data = {}\n", Value::String(auth.to_string())),
    )
}

/// An API server, as a hub's state directory says.
struct Kube {
    socket: PathBuf,
    scratch: TempDir,
}

impl Kube {
    #[expect(clippy::disallowed_methods, reason = "a test's own scratch files")]
    fn of(state: &Path) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let config = std::fs::read_to_string(state.join("kube/config")).expect("a kubeconfig");
        for (key, file) in [
            ("client-certificate-data", "crt"),
            ("client-key-data", "key"),
            ("certificate-authority-data", "ca"),
        ] {
            let prefix = format!("{key}: ");
            let data =
                config.lines().find_map(|line| line.trim().strip_prefix(&prefix)).expect("it is there");
            std::fs::write(scratch.path().join(file), STANDARD.decode(data).expect("base64"))
                .expect("written");
        }
        Self { socket: state.join("tunnel/api.sock"), scratch }
    }

    fn get(&self, path: &str) -> Got {
        let file = |name: &str| self.scratch.path().join(name).display().to_string();
        let socket = self.socket.display().to_string();
        curl(
            &[
                "--unix-socket",
                &socket,
                "--cert",
                &file("crt"),
                "--key",
                &file("key"),
                "--cacert",
                &file("ca"),
                &format!("https://127.0.0.1:6443{path}"),
            ],
            "",
        )
    }
}

/// Where a document has free keys: there the values alone count.
const FREE: [&str; 6] = ["metadata", "labels", "annotations", "fieldsV1", "addresses", "Labels"];

/// The form of a document: where there are values, and of what kind. Lists count as one entry that has everything.
fn form(value: &Value) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found = BTreeMap::new();
    note(value, "", &mut found);
    found
}

fn note(value: &Value, at: &str, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    found.entry(at.to_owned()).or_default().insert(kind);
    match value {
        Value::Array(entries) => {
            for entry in entries {
                note(entry, &format!("{at}[]"), found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                // Kubernetes has its own `metadata`, which is not free.
                let free = FREE.contains(&key.as_str())
                    && !fields.contains_key("spec")
                    && !fields.contains_key("apiVersion");
                if free {
                    found.entry(format!("{at}.{key}")).or_default().insert("object");
                } else {
                    note(value, &format!("{at}.{key}"), found);
                }
            }
        }
        _ => {}
    }
}

/// Fails unless two documents have the same keys with values of the same kinds. `null` may stand for anything. Keys that
/// begin with one of `but` may be missing in the stand-in's.
#[track_caller]
fn same_form(what: &str, real: &Value, standin: &Value, but: &[&str]) {
    let (real, standin) = (form(real), form(standin));
    for (at, kinds) in &standin {
        let known = real.get(at).unwrap_or_else(|| panic!("{what}: the real part has no {at}"));
        let fits = kinds.contains("null") || known.contains("null") || kinds.is_subset(known);
        assert!(fits, "{what}: {at} is {kinds:?}, and really {known:?}");
    }
    for at in real.keys() {
        let excused = but.iter().any(|prefix| at.starts_with(prefix));
        assert!(excused || standin.contains_key(at), "{what}: the stand-in has no {at}");
    }
}

/// Fails unless two answers have the same status, kind of content and form.
#[track_caller]
fn same(what: &str, real: &Got, standin: &Got, but: &[&str]) {
    assert_eq!(standin.status, real.status, "{what}: {} instead of {}", standin.text, real.text);
    let kind = |got: &Got| {
        let whole = got.headers.get("content-type").cloned().unwrap_or_default();
        whole.split(';').next().unwrap_or_default().to_owned()
    };
    assert_eq!(kind(standin), kind(real), "{what}");
    if kind(real) == "application/json" {
        same_form(what, &real.json(), &standin.json(), but);
    } else {
        assert_eq!(standin.text.is_empty(), real.text.is_empty(), "{what}");
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

fn time(value: &Value) -> jiff::Timestamp {
    let text = text(value);
    text.parse().or_else(|_| format!("{text}Z").parse()).expect("a time")
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}")).clone()
}

/// Alpha as it really is, and one hub of it.
fn content(cloud: &Cloud, kube: &Kube) -> Content {
    let strings = |value: &Value| {
        let fields = value.as_object().expect("an object");
        fields.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    };
    let all = |kind: &str, key: &str| list(&cloud.ask("GET", kind, &format!("/{key}/detail")).json()[key]);
    let volumes = all("block-storage", "volumes").into_iter().map(|volume| Volume {
        id: text(&volume["id"]),
        name: text(&volume["name"]),
        created_at: time(&volume["created_at"]),
        size: volume["size"].as_u64().expect("a size"),
        status: text(&volume["status"]),
        metadata: strings(&volume["metadata"]),
        // One that is only reserved has no server.
        attached_to: list(&volume["attachments"])
            .iter()
            .map(|held| held["server_id"].as_str().unwrap_or("reserved").to_owned())
            .collect(),
        bootable: volume["bootable"] == "true",
    });
    let snapshots = all("block-storage", "snapshots").into_iter().map(|snapshot| Snapshot {
        id: text(&snapshot["id"]),
        volume_id: text(&snapshot["volume_id"]),
        created_at: time(&snapshot["created_at"]),
    });
    // Nova sorts by the fractions of a second, and does not show them.
    let servers = (0i64..).zip(all("compute", "servers")).map(|(place, server)| Server {
        id: text(&server["id"]),
        name: text(&server["name"]),
        created_at: time(&server["created"]) - jiff::SignedDuration::from_millis(place),
        addresses: Vec::new(),
        metadata: strings(&server["metadata"]),
    });
    let login = cloud.login.json();
    let project = Project {
        name: "alpha".to_owned(),
        id: text(&login["token"]["project"]["id"]),
        volumes: volumes.collect(),
        snapshots: snapshots.collect(),
        servers: servers.collect(),
    };
    let pvs = list(&kube.get("/api/v1/persistentvolumes").json()["items"]);
    let nodes = list(&kube.get("/api/v1/nodes").json()["items"]);
    let hub = Hub {
        name: "one".to_owned(),
        project: "alpha".to_owned(),
        ip: None,
        volumes: pvs
            .iter()
            .map(|pv| PersistentVolume {
                name: text(&pv["metadata"]["name"]),
                handle: pv["spec"]["csi"]["volumeHandle"]
                    .as_str()
                    .or(pv["spec"]["cinder"]["volumeID"].as_str())
                    .expect("a PV of Cinder's")
                    .to_owned(),
                in_tree: pv["spec"]["csi"].is_null(),
                created_at: time(&pv["metadata"]["creationTimestamp"]),
                phase: text(&pv["status"]["phase"]),
                claim: text(&pv["spec"]["claimRef"]["name"]),
                size: 1,
            })
            .collect(),
        nodes: nodes.iter().map(|node| text(&node["metadata"]["name"])).collect(),
    };
    Content { projects: vec![project], hubs: vec![hub], ..Content::default() }
}

/// The real parts and a stand-in with the same content.
struct Both {
    servers: Servers,
    real: (Cloud, Kube),
    standin: (Cloud, Kube),
}

fn both() -> Both {
    let real = (Cloud::of(&world().openrc("alpha")), Kube::of(&standing().state("ou23s")));
    let servers = Servers::of(content(&real.0, &real.1));
    let dir = servers.standin.dir();
    let standin = (Cloud::of(&dir.join("openrc-alpha.sh")), Kube::of(&dir.join("jhubs/one")));
    Both { servers, real, standin }
}

impl Both {
    /// The same request to both clouds has the same answer.
    #[track_caller]
    fn cloud(&self, method: &str, kind: &str, path: &str) -> (Got, Got) {
        let (real, standin) = (self.real.0.ask(method, kind, path), self.standin.0.ask(method, kind, path));
        same(&format!("{method} {kind} {path}"), &real, &standin, &[]);
        (real, standin)
    }

    /// The same request to both API servers has the same answer.
    #[track_caller]
    fn kube(&self, path: &str, but: &[&str]) -> (Got, Got) {
        let (real, standin) = (self.real.1.get(path), self.standin.1.get(path));
        same(path, &real, &standin, but);
        (real, standin)
    }
}

/// A link without what differs from cloud to cloud: `http://HOST:PORT` and the stand-in's own prefix.
fn bare_link(link: &Value) -> String {
    let whole = text(&link["href"]);
    let path = whole.splitn(4, '/').nth(3).expect("a path").to_owned();
    ["volume/", "compute/"].iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(&path).to_owned()
}

fn ids(list: &[Value]) -> Vec<String> {
    list.iter().map(|entry| text(&entry["id"])).collect()
}

#[test]
fn standin_keystone_answers_as_the_real_one_does() {
    let _using = using();
    let Both { real: (real, _), standin: (standin, _), servers: _servers } = &both();
    // A cloud's catalog has more services than fleet asks; each entry has the same form.
    same("a login", &real.login, &standin.login, &[]);
    for (id, secret) in [(true, false), (false, true)] {
        let wrong = |cloud: &Cloud| {
            let id = if id { cloud.id.clone() } else { "0".repeat(32) };
            let secret = if secret { cloud.secret.clone() } else { "wrong".to_owned() };
            log_in(&cloud.auth_url, &id, &secret)
        };
        same("a login that is refused", &wrong(real), &wrong(standin), &[]);
    }
    let credential = |cloud: &Cloud, token: &str| {
        let user = text(&cloud.login.json()["token"]["user"]["id"]);
        let url = format!("{}/users/{user}/application_credentials/{}", cloud.auth_url, cloud.id);
        cloud.ask_as(token, "GET", &url, None)
    };
    same("a credential", &credential(real, &real.token), &credential(standin, &standin.token), &[]);
    same("a credential without a token", &credential(real, "no"), &credential(standin, "no"), &[]);
}

#[test]
fn standin_cinders_and_novas_lists_are_the_same_as_the_real_ones_page_by_page() {
    let _using = using();
    let both = both();
    for (kind, key) in [("block-storage", "volumes"), ("block-storage", "snapshots"), ("compute", "servers")]
    {
        let links = format!("{key}_links");
        let (real, standin) = both.cloud("GET", kind, &format!("/{key}/detail"));
        assert_eq!(ids(&list(&standin.json()[key])), ids(&list(&real.json()[key])), "{key}");
        let all = list(&real.json()[key]).len();
        // As many as there are: a full page has a link though nothing comes after it.
        for limit in [1, 2, 5, all, all + 1] {
            let mut marker = String::new();
            for page in 0..4 {
                let path = format!("/{key}/detail?limit={limit}{marker}");
                let (real, standin) = both.cloud("GET", kind, &path);
                let (real, standin) = (real.json(), standin.json());
                let found = ids(&list(&real[key]));
                assert_eq!(ids(&list(&standin[key])), found, "{path}, page {page}");
                assert_eq!(real.get(&links).is_some(), found.len() == limit, "{path}");
                if real.get(&links).is_none() {
                    break;
                }
                let (link, other) = (bare_link(&real[&links][0]), bare_link(&standin[&links][0]));
                assert_eq!(other, link);
                marker = format!("&{}", link.rsplit_once('&').expect("a marker").1);
            }
        }
        both.cloud(
            "GET",
            kind,
            &format!("/{key}/detail?limit=1&marker=00000000-0000-4000-8000-000000000000"),
        );
        let refused =
            |cloud: &Cloud| cloud.ask_as("no", "GET", &format!("{}/{key}/detail", cloud.url(kind)), None);
        same("a list without a token", &refused(&both.real.0), &refused(&both.standin.0), &[]);
    }
    for path in ["/volumes/detail?limit=0", "/volumes/detail?limit=x", "/nothing"] {
        both.cloud("GET", "block-storage", path);
    }
}

#[test]
fn standin_a_volume_and_its_metadata_are_read_changed_and_refused_as_by_the_real_cinder() {
    let _using = using();
    let both = both();
    let volumes = list(&both.real.0.ask("GET", "block-storage", "/volumes/detail").json()["volumes"]);
    let of = |status: &str| {
        let found = volumes.iter().find(|volume| volume["status"] == status);
        text(&found.unwrap_or_else(|| panic!("the world has no volume that is {status}"))["id"])
    };
    for status in ["available", "in-use"] {
        both.cloud("GET", "block-storage", &format!("/volumes/{}", of(status)));
        both.cloud("GET", "block-storage", &format!("/volumes/{}/metadata", of(status)));
    }
    let snapshots = list(&both.real.0.ask("GET", "block-storage", "/snapshots/detail").json()["snapshots"]);
    let held = text(&snapshots.first().expect("the world has a snapshot")["volume_id"]);
    for id in [&of("in-use"), &held, "00000000-0000-4000-8000-000000000000"] {
        // Refused: nothing is deleted.
        let (real, _) = both.cloud("DELETE", "block-storage", &format!("/volumes/{id}"));
        assert!(real.status == 400 || real.status == 404, "{}", real.text);
    }
    let path = format!("/volumes/{}/metadata", of("available"));
    let mark = json!({ "metadata": { "fleet.test": "mark" } });
    let set = |cloud: &Cloud| {
        cloud.ask_as(&cloud.token, "POST", &format!("{}{path}", cloud.url("block-storage")), Some(&mark))
    };
    let (real, standin) = (set(&both.real.0), set(&both.standin.0));
    same("marking", &real, &standin, &[]);
    assert_eq!(standin.json(), real.json());
    both.cloud("DELETE", "block-storage", &format!("{path}/fleet.test"));
    both.cloud("DELETE", "block-storage", &format!("{path}/fleet.test"));
    both.cloud("GET", "block-storage", "/volumes/00000000-0000-4000-8000-000000000000");
}

#[test]
fn standin_a_deletion_goes_as_with_the_real_cinder() {
    use crate::common::volumes::{Wanted, plant};
    let _breaking = crate::common::breaking();
    let planted = plant("alpha", &[Wanted::orphan()]);
    let both = both();
    let path = format!("/volumes/{}", planted.ids()[0]);
    let (real, standin) = both.cloud("DELETE", "block-storage", &path);
    assert_eq!((real.status, standin.status), (202, 202));
    for cloud in [&both.real.0, &both.standin.0] {
        crate::common::world::eventually("it is gone", std::time::Duration::from_secs(30), || {
            let seen = cloud.ask("GET", "block-storage", &path);
            assert!(seen.status == 404 || seen.json()["volume"]["status"] == "deleting", "{}", seen.text);
            seen.status == 404
        });
    }
    both.cloud("GET", "block-storage", &path);
    both.cloud("DELETE", "block-storage", &path);
    // A marker that is gone is no marker.
    let marker = planted.ids()[0];
    both.cloud("GET", "block-storage", &format!("/volumes/detail?limit=1&marker={marker}"));
}

/// What differs from object to object, and fleet does not read.
const UNREAD: [&str; 3] =
    [".items[].metadata.managedFields", ".items[].status.addresses", ".items[].spec.podCIDR"];

#[test]
fn standin_lists_of_a_cluster_are_the_same_as_the_real_ones_chunk_by_chunk() {
    let _using = using();
    let both = both();
    for kind in ["persistentvolumes", "persistentvolumeclaims", "nodes"] {
        for limit in [1, 2, 5, 1000] {
            let mut places = (String::new(), String::new());
            for _ in 0..4 {
                let path = |place: &str| format!("/api/v1/{kind}?limit={limit}{place}");
                let (real, standin) =
                    (both.real.1.get(&path(&places.0)), both.standin.1.get(&path(&places.1)));
                same(&path(""), &real, &standin, &UNREAD);
                let (real, standin) = (real.json(), standin.json());
                let names = |page: &Value| -> Vec<String> {
                    list(&page["items"]).iter().map(|item| text(&item["metadata"]["name"])).collect()
                };
                assert_eq!(names(&standin), names(&real), "{}", path(""));
                assert_eq!(standin["metadata"]["remainingItemCount"], real["metadata"]["remainingItemCount"]);
                let next = |page: &Value| page["metadata"]["continue"].as_str().map(str::to_owned);
                let (Some(next_real), Some(next_standin)) = (next(&real), next(&standin)) else {
                    assert_eq!(next(&real).is_some(), next(&standin).is_some());
                    break;
                };
                places = (format!("&continue={next_real}"), format!("&continue={next_standin}"));
            }
        }
        both.kube(&format!("/api/v1/{kind}?limit=1&continue=nonsense"), &[]);
    }
    both.kube("/readyz", &[]);
    both.kube("/api/v1/nothing", &[]);
}

#[test]
fn standin_a_place_in_a_list_that_was_forgotten_is_told_as_by_the_real_api_server() {
    // Lists that others read chunk by chunk are forgotten too.
    let _breaking = breaking();
    let both = both();
    let hub = world().hub("ou23s");
    // etcd forgets what was before now, as it does by itself every five minutes.
    let version =
        text(&both.real.1.get("/api/v1/persistentvolumes?limit=1").json()["metadata"]["resourceVersion"]);
    let scratch = tempfile::tempdir().expect("a directory");
    for end in ["crt", "key"] {
        let from = format!("/etc/kubernetes/pki/apiserver-etcd-client.{end}");
        let text = docker(&["exec", &hub.container, "cat", &from]);
        #[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
        std::fs::write(scratch.path().join(end), text + "\n").expect("written");
    }
    let file = |name: &str| scratch.path().join(name).display().to_string();
    let body = json!({ "revision": version }).to_string();
    let url = format!("https://{}:2379/v3/kv/compaction", hub.ip);
    curl(&["-k", "--cert", &file("crt"), "--key", &file("key"), "-d", &body, &url], "");
    let old = json!({ "v": "meta.k8s.io/v1", "rv": 5, "start": "a\u{0}" }).to_string();
    let place = STANDARD_NO_PAD.encode(old);
    both.servers.standin.break_with(Rule::of(Service::Kubernetes, Fault::ForgetPlace));
    let (real, _) = both.kube(&format!("/api/v1/persistentvolumes?limit=1&continue={place}"), &[]);
    assert_eq!(real.status, 410);
}

#[test]
fn standin_a_cluster_refuses_in_the_words_of_a_real_api_server() {
    let _using = using();
    let both = both();
    let hub = world().hub("ou23s");
    let url = format!("https://{}:6443/api/v1/persistentvolumes", hub.ip);
    // Nobody in particular may not ask (403), and somebody with a wrong token is not known (401).
    for (code, args) in [(403, &[][..]), (401, &["-H", "Authorization: Bearer wrong"])] {
        let args: Vec<&str> = ["-k"].iter().chain(args).copied().chain([url.as_str()]).collect();
        let real = curl(&args, "");
        both.servers.standin.mend();
        both.servers
            .standin
            .break_with(Rule::of(Service::Kubernetes, Fault::Status { code, retry_after: None }));
        let standin = both.standin.1.get("/api/v1/persistentvolumes");
        same("a refusal", &real, &standin, &[]);
        assert_eq!(standin.json()["reason"], real.json()["reason"]);
    }
}

/// What an engine is asked to run.
const TRUE: &str = r#"{"Cmd":["true"],"AttachStdout":true}"#;

#[test]
fn standin_an_engine_has_nothing_that_the_real_one_does_not_have() {
    let _using = using();
    let servers = Servers::of(crate::common::standin::small());
    let fake = servers.standin.dir().join("docker.sock").display().to_string();
    let ask = |socket: &str, path: &str, body: Option<&str>| {
        let url = format!("http://engine{path}");
        let mut args = vec!["--unix-socket", socket];
        if let Some(body) = body {
            args.extend(["-H", "Content-Type: application/json", "-d", body]);
        }
        args.push(&url);
        curl(&args, "")
    };
    let engines = [("/var/run/docker.sock", standing().name.as_str()), (&fake, "standin")];
    let subset = |what: &str, [real, standin]: [Got; 2]| {
        assert_eq!(standin.status, real.status, "{what}");
        let known = form(&real.json());
        for (at, kinds) in form(&standin.json()) {
            let found = known.get(&at).unwrap_or_else(|| panic!("{what}: the real engine has no {at}"));
            assert!(
                kinds.contains("null") || found.contains("null") || kinds.is_subset(found),
                "{what}: {at}"
            );
        }
        [real, standin]
    };
    subset("version", engines.map(|(socket, _)| ask(socket, "/version", None)));
    let containers = engines.map(|(socket, fleet)| {
        let filters = format!("%7B%22label%22%3A%5B%22fleet.name%3D{fleet}%22%5D%7D");
        ask(socket, &format!("/containers/json?all=true&filters={filters}"), None)
    });
    let containers = subset("containers", containers).map(|got| list(&got.json()));
    assert_eq!(containers[1].len(), 3);
    let ids = containers.map(|list| text(&list[0]["Id"]));
    let made: [Got; 2] =
        [0, 1].map(|at| ask(engines[at].0, &format!("/containers/{}/exec", ids[at]), Some(TRUE)));
    let execs = subset("a command", made).map(|got| text(&got.json()["Id"]));
    subset("how it stands", [0, 1].map(|at| ask(engines[at].0, &format!("/exec/{}/json", execs[at]), None)));
    subset("no such container", engines.map(|(socket, _)| ask(socket, "/containers/none/exec", Some(TRUE))));
}
