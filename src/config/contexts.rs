//! Docker contexts: what `docker context create` wrote down of an engine.
//!
//! Docker's own client keeps each in a directory that is called after the SHA-256 of its name: `contexts/meta/<hash>/meta.json`, and
//! what TLS goes by in `contexts/tls/<hash>/docker/`.

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::hub::{Endpoint, TlsFiles};
use crate::text::{clean, hex, nearest};

use super::endpoint::endpoint;

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Docker>,
}

#[derive(Deserialize)]
struct Docker {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// Where the engine of a context is. `docker_config` is the directory of Docker's own client.
pub(super) fn find(docker_config: Option<&Path>, name: &str) -> Result<Endpoint, String> {
    if name == "default" {
        return Err("the context \"default\" is no engine of its own; write where it is: url = \"unix:///var/run/docker.sock\"".to_owned());
    }
    let Some(docker_config) = docker_config else {
        return Err(
            "there is no home directory and no $DOCKER_CONFIG to look for Docker contexts in".to_owned()
        );
    };
    let contexts = docker_config.join("contexts");
    let directory = hex(&Sha256::digest(name.as_bytes()));
    let path = contexts.join("meta").join(&directory).join("meta.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_context(&contexts, name));
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let tls = contexts.join("tls").join(&directory).join("docker");
    read(&text, tls_files(&tls))
        .map_err(|why| format!("the Docker context {name:?} ({}): {why}", path.display()))
}

/// What a context's file says.
fn read(text: &str, tls: Option<TlsFiles>) -> Result<Endpoint, String> {
    let meta: Meta = serde_json::from_str(text).map_err(|error| format!("it cannot be read: {error}"))?;
    let docker = meta.endpoints.docker.ok_or("it has no Docker endpoint")?;
    if docker.skip_tls_verify {
        return Err("it does not verify whom it talks to (SkipTLSVerify), and fleet always does".to_owned());
    }
    // Docker itself takes an empty one for the usual socket.
    if docker.host.is_empty() {
        return Err("it does not say where its engine is".to_owned());
    }
    match endpoint(&docker.host)? {
        Endpoint::Tcp { host, port, tls: _ } => Ok(Endpoint::Tcp { host, port, tls }),
        other => Ok(other),
    }
}

fn tls_files(directory: &Path) -> Option<TlsFiles> {
    let file = |name: &str| Some(directory.join(name)).filter(|path| path.is_file());
    Some(TlsFiles { ca: file("ca.pem")?, client: file("cert.pem").zip(file("key.pem")) })
}

fn no_context(contexts: &Path, name: &str) -> String {
    let entries = std::fs::read_dir(contexts.join("meta")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("meta.json")).ok())
        .filter_map(|text| serde_json::from_str::<Meta>(&text).ok())
        .map(|meta| clean(&meta.name).into_owned())
        .collect();
    names.sort_unstable();
    let more = match (nearest(name, names.iter().map(String::as_str)), names.is_empty()) {
        (Some(near), _) => format!("; did you mean {near:?}?"),
        (None, false) => format!("; there are: {}", names.join(", ")),
        (None, true) => format!(": {} has none", contexts.display()),
    };
    format!("there is no Docker context {name:?}{more}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_context_says_where_its_engine_is() {
        let text = |host: &str| {
            format!(
                r#"{{"Name":"east","Metadata":{{"Description":"d"}},"Endpoints":{{"docker":{{"Host":{host:?},"SkipTLSVerify":false}}}}}}"#
            )
        };
        let ssh = Endpoint::Ssh { user: Some("op".to_owned()), host: "east".to_owned(), port: None };
        assert_eq!(read(&text("ssh://op@east"), None), Ok(ssh));
        assert_eq!(read(&text("unix:///x"), None), Ok(Endpoint::Unix("/x".into())));
        let files = TlsFiles { ca: "/ca".into(), client: Some(("/cert".into(), "/key".into())) };
        let tcp = Endpoint::Tcp { host: "east".to_owned(), port: 2376, tls: Some(files.clone()) };
        assert_eq!(read(&text("tcp://east:2376"), Some(files)), Ok(tcp));
        assert!(read(&text(""), None).unwrap_err().contains("does not say"));
        assert!(read(&text("npipe://x"), None).unwrap_err().contains("not supported"));
    }

    #[test]
    fn one_that_does_not_verify_or_has_no_engine_is_refused() {
        let skips = r#"{"Name":"x","Endpoints":{"docker":{"Host":"tcp://x:1","SkipTLSVerify":true}}}"#;
        assert!(read(skips, None).unwrap_err().contains("SkipTLSVerify"));
        assert!(read(r#"{"Name":"x","Endpoints":{}}"#, None).unwrap_err().contains("no Docker endpoint"));
        assert!(read("{", None).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn one_that_is_not_there_is_told_with_those_that_are() {
        let dir = tempfile::tempdir().unwrap();
        let told = |name: &str| find(Some(dir.path()), name).unwrap_err();
        assert!(told("east").contains("has none"), "{}", told("east"));
        let meta = dir.path().join("contexts/meta").join(hex(&Sha256::digest(b"east")));
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"east","Endpoints":{"docker":{"Host":"unix:///e"}}}"#;
        crate::files::replace(&meta.join("meta.json"), text.as_bytes(), 0o600).unwrap();
        assert_eq!(find(Some(dir.path()), "east"), Ok(Endpoint::Unix("/e".into())));
        assert!(told("eest").contains("did you mean \"east\"?"), "{}", told("eest"));
        assert!(told("north-pole").contains("there are: east"), "{}", told("north-pole"));
        assert!(told("default").contains("url ="));
        assert!(find(None, "east").unwrap_err().contains("DOCKER_CONFIG"));
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(text in "(\\PC|[{}\":,]){0,60}") {
            let _ = read(&text, None);
        }
    }
}
