//! Cinder by hand, for what tests make, change and look at beside fleet.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{eventually, sh, world};

/// A project's Cinder, with a token.
pub struct Cinder {
    token: String,
    url: String,
}

fn exported(project: &str, name: &str) -> String {
    let text = std::fs::read_to_string(world().openrc(project)).expect("openrc");
    let prefix = format!("export {name}=");
    let line =
        text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("no {name}"));
    line.trim_matches('"').to_owned()
}

/// Asks with curl; the token goes through standard input, as everybody can read command lines.
fn curl(method: &str, url: &str, token: Option<&str>, body: Option<&Value>) -> (u16, String, String) {
    use std::io::Write as _;
    let headers = tempfile::NamedTempFile::new().expect("a scratch file");
    let mut config = format!(
        "url = \"{url}\"\nrequest = \"{method}\"\nheader = \"Content-Type: application/json\"\nheader = \"OpenStack-API-Version: volume 3.27\"\n"
    );
    if let Some(token) = token {
        config.push_str(&format!("header = \"X-Auth-Token: {token}\"\n"));
    }
    if let Some(body) = body {
        config.push_str(&format!("data = {}\n", Value::String(body.to_string())));
    }
    let mut child = Command::new("curl")
        .args(["-sS", "-m", "60", "-w", "\n%{http_code}", "-D"])
        .arg(headers.path())
        .args(["-K", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("curl starts");
    child.stdin.take().expect("piped").write_all(config.as_bytes()).expect("curl reads");
    let output = child.wait_with_output().expect("curl ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("curl writes the status");
    let headers = std::fs::read_to_string(headers.path()).unwrap_or_default();
    (status.trim().parse().unwrap_or(0), body.to_owned(), headers)
}

/// An openrc with a new application credential, as a project's operator makes one in Horizon. Keystone takes an end in whole
/// seconds.
pub fn new_openrc(project: &str, ends_in: Option<Duration>) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let operator = format!("{project}-operator");
    let domain = json!({ "id": "default" });
    let auth = json!({ "auth": {
        "identity": { "methods": ["password"], "password": {
            "user": { "name": operator, "password": operator, "domain": domain },
        } },
        "scope": { "project": { "name": project, "domain": domain } },
    } });
    let keystone = world().cloud.auth_url.trim_end_matches('/');
    let (status, body, headers) = curl("POST", &format!("{keystone}/auth/tokens"), None, Some(&auth));
    assert_eq!(status, 201, "{body}");
    let token = token_in(&headers);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let user = answer["token"]["user"]["id"].as_str().expect("a user");
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut credential = json!({
        "name": format!("test-{}-{number}", std::process::id()),
        "secret": format!("test-secret-{}-{number}-{}", std::process::id(), token.len()),
    });
    if let Some(ends_in) = ends_in {
        let end = sh("date", &["-u", "-d", &format!("+{} seconds", ends_in.as_secs()), "+%Y-%m-%dT%H:%M:%S"]);
        credential["expires_at"] = json!(end);
    }
    let url = format!("{keystone}/users/{user}/application_credentials");
    let asked = json!({ "application_credential": credential });
    let (status, body, _) = curl("POST", &url, Some(&token), Some(&asked));
    assert_eq!(status, 201, "{body}");
    let made: Value = serde_json::from_str(&body).expect("JSON");
    let id = made["application_credential"]["id"].as_str().expect("an id");
    let secret = credential["secret"].as_str().expect("a secret");
    let text = std::fs::read_to_string(world().openrc(project)).expect("openrc");
    let lines = text.lines().map(|line| match line.split_once('=') {
        Some((name, _)) if name.ends_with("OS_APPLICATION_CREDENTIAL_ID") => format!("{name}=\"{id}\"\n"),
        Some((name, _)) if name.ends_with("OS_APPLICATION_CREDENTIAL_SECRET") => {
            format!("{name}=\"{secret}\"\n")
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn token_in(headers: &str) -> String {
    let token = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-subject-token").then(|| value.trim().to_owned())
    });
    token.expect("a token")
}

impl Cinder {
    /// With the application credential of a project: `alpha` or `beta`.
    pub fn of(project: &str) -> Self {
        let auth = json!({ "auth": { "identity": {
            "methods": ["application_credential"],
            "application_credential": {
                "id": exported(project, "OS_APPLICATION_CREDENTIAL_ID"),
                "secret": exported(project, "OS_APPLICATION_CREDENTIAL_SECRET"),
            },
        } } });
        let url = format!("{}/auth/tokens", world().cloud.auth_url.trim_end_matches('/'));
        let (status, body, headers) = curl("POST", &url, None, Some(&auth));
        assert_eq!(status, 201, "{body}");
        let token = token_in(&headers);
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let catalog = body["token"]["catalog"].as_array().expect("a catalog").clone();
        let url = catalog
            .iter()
            .filter(|service| service["type"] == "volumev3" || service["type"] == "block-storage")
            .flat_map(|service| service["endpoints"].as_array().cloned().unwrap_or_default())
            .find(|endpoint| endpoint["interface"] == "public")
            .and_then(|endpoint| endpoint["url"].as_str().map(str::to_owned))
            .expect("Cinder is in the catalog");
        Self { token, url }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, text, _) = curl(method, &format!("{}{path}", self.url), Some(&self.token), body);
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A volume's status; `None` when there is no such volume.
    pub fn status(&self, id: &str) -> Option<String> {
        match self.ask("GET", &format!("/volumes/{id}"), None) {
            (200, volume) => volume["volume"]["status"].as_str().map(str::to_owned),
            (404, _) => None,
            (status, body) => panic!("Cinder says {status}: {body}"),
        }
    }

    /// Whether a volume is there, in whatever status.
    pub fn has(&self, id: &str) -> bool {
        self.status(id).is_some()
    }

    /// Ids of all volumes of the project.
    pub fn ids(&self) -> Vec<String> {
        let (status, body) = self.ask("GET", "/volumes", None);
        assert_eq!(status, 200, "{body}");
        let mut ids: Vec<String> = body["volumes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|volume| volume["id"].as_str().map(str::to_owned))
            .collect();
        ids.sort();
        ids
    }

    /// Deletes a volume that a test made. One that is gone already is fine.
    pub fn delete(&self, id: &str) {
        let (status, body) = self.ask("DELETE", &format!("/volumes/{id}"), None);
        assert!(status == 202 || status == 404, "Cinder says {status}: {body}");
    }

    /// Takes a snapshot of a volume and waits until it is there.
    pub fn snapshot(&self, volume: &str) -> String {
        let body = json!({ "snapshot": { "volume_id": volume, "name": "test", "force": true } });
        let (status, made) = self.ask("POST", "/snapshots", Some(&body));
        assert_eq!(status, 202, "{made}");
        let id = made["snapshot"]["id"].as_str().expect("an id").to_owned();
        eventually("the snapshot is available", Duration::from_secs(30), || {
            self.ask("GET", &format!("/snapshots/{id}"), None).1["snapshot"]["status"] == "available"
        });
        id
    }

    /// Reserves a volume: an attachment without a connector.
    pub fn reserve(&self, volume: &str) -> String {
        let server = "00000000-0000-4000-8000-000000000001";
        let body = json!({ "attachment": { "volume_uuid": volume, "instance_uuid": server } });
        let (status, made) = self.ask("POST", "/attachments", Some(&body));
        assert_eq!(status, 200, "{made}");
        made["attachment"]["id"].as_str().expect("an id").to_owned()
    }

    /// Gives a volume another name.
    pub fn rename(&self, volume: &str, name: &str) {
        let body = json!({ "volume": { "name": name } });
        let (status, body) = self.ask("PUT", &format!("/volumes/{volume}"), Some(&body));
        assert_eq!(status, 200, "{body}");
    }

    /// Adds to a volume's metadata.
    pub fn set_metadata(&self, volume: &str, metadata: &Value) {
        let (status, body) =
            self.ask("POST", &format!("/volumes/{volume}/metadata"), Some(&json!({ "metadata": metadata })));
        assert_eq!(status, 200, "{body}");
    }
}
