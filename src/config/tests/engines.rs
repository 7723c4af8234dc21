//! `[engines]`, and which hubs live where.

use super::*;
use crate::hub::{Endpoint, TlsFiles};

fn at(name: &str, ip: &str, more: &str) -> String {
    format!("{}{more}\n", hub(name, ip))
}

/// Where each hub lives.
fn places(text: &str) -> Vec<String> {
    fleet(text).unwrap().hubs.iter().map(|hub| hub.engine.to_string()).collect()
}

const TWO: &str = "[engines.east]\nurl = \"ssh://op@east\"\ntags = [\"gpu\"]\n[engines.west]\nurl = \"unix:///w\"\ntags = [\"fall\"]\n";

#[test]
fn hubs_live_where_they_say_where_their_tag_is_or_on_the_usual_engine() {
    let hubs = [
        at("a", "10.0.0.1", ""),
        at("b", "10.0.0.2", "tags = [\"x\", \"gpu\"]"),
        at("c", "10.0.0.3", "tags = [\"gpu\"]\nengine = \"west\""),
        at("d", "10.0.0.4", "tags = [\"gpu\"]\nengine = \"default\""),
    ]
    .concat();
    assert_eq!(places(&format!("{TWO}{hubs}")), ["default", "east", "west", "default"]);
}

#[test]
fn the_usual_engine_may_be_one_that_has_a_name_and_then_there_is_no_other() {
    let text = format!("engine = \"east\"\n{TWO}{}", at("a", "10.0.0.1", ""));
    let read = fleet(&text).unwrap();
    let names: Vec<&str> = read.engines.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!((names, read.usual_engine.as_str()), (vec!["east", "west"], "east"));
    assert_eq!(places(&text), ["east"]);
}

#[test]
fn an_engine_has_its_own_network_and_what_tls_goes_by_starts_from_the_files_directory() {
    let text = "[sandbox]\nnetwork = \"here\"\n[engines.far]\nurl = \"tcp://far:2376\"\ntls_ca = \"ca.pem\"\ntls_cert = \"c.pem\"\n\
                tls_key = \"/k.pem\"\nnetwork = \"there\"\n";
    let hubs = [at("a", "10.0.0.1", ""), at("b", "10.0.0.2", "engine = \"far\"")].concat();
    let read = fleet(&format!("{text}{hubs}")).unwrap();
    assert_eq!(read.network_of(&read.hubs[0]), Some("here"));
    assert_eq!(read.network_of(&read.hubs[1]), Some("there"));
    let client = Some(("/srv/fleet/c.pem".into(), "/k.pem".into()));
    let tls = Some(TlsFiles { ca: "/srv/fleet/ca.pem".into(), client });
    assert_eq!(read.engines[1].endpoint, Endpoint::Tcp { host: "far".to_owned(), port: 2376, tls });
    assert!(!read.may_be_elsewhere(&read.hubs[0]) && read.may_be_elsewhere(&read.hubs[1]));
}

#[test]
fn every_problem_of_an_engine_is_told_with_its_line() {
    let text = format!(
        r#"engine = "eest"
[engines]
none = {{}}
word = "ssh://x"
[engines.east]
url = "ssh://op@east"
tags = ["gpu", "big"]
ulr = "x"
[engines.both]
url = "unix:///b"
context = "b"
[engines.open]
url = "tcp://10.0.0.5:2375"
[engines.half]
url = "tcp://10.0.0.5:2376"
tls_ca = "ca.pem"
tls_key = "key.pem"
[engines.keyless]
url = "tcp://10.0.0.5:2376"
tls_cert = "c.pem"
[engines.idle]
url = "ssh://east"
tls_ca = "ca.pem"
[engines.lost]
context = "nowhere"
[engines."a b"]
url = "http://x"
[engines.west]
url = "unix:///w"
tags = ["fall"]
{}{}"#,
        at("a", "10.0.0.1", "tags = [\"gpu\", \"fall\"]"),
        at("b", "10.0.0.2", "engine = \"wset\""),
    );
    let told = problems(&text);
    for (line, what) in [
        (1, "no engine \"eest\" in [engines]; did you mean \"east\"?"),
        (3, "needs \"url\" or \"context\""),
        (4, "must be a table"),
        (8, "did you mean \"url\"?"),
        (11, "both say where the engine is"),
        (13, "without TLS"),
        (15, "go together"),
        (19, "needs \"tls_ca\" too"),
        (23, "has no meaning here"),
        (25, "Docker contexts"),
        (26, "is not an engine's name"),
        (27, "is not supported"),
    ] {
        let begins = format!("fleet.toml:{line}:");
        let is_told = told.lines().any(|one| one.starts_with(&begins) && one.contains(what));
        assert!(is_told, "{line}: {what}\n{told}");
    }
    assert!(told.contains("those of several engines (east, west)"), "{told}");
    assert!(told.contains("no engine \"wset\" in [engines]; did you mean \"west\"?"), "{told}");
}

#[test]
fn the_name_of_the_usual_engine_is_taken_unless_the_file_means_it() {
    let table = "[engines.default]\nurl = \"unix:///d\"\n";
    let told = problems(table);
    assert!(told.contains("fleet.toml:1:10: ") && told.contains("is called \"default\""), "{told}");
    let meant = fleet(&format!("engine = \"default\"\n{table}")).unwrap();
    assert_eq!(meant.engines.len(), 1);
    assert_eq!(meant.engines[0].endpoint, Endpoint::Unix("/d".into()));
}

#[test]
fn a_context_is_looked_up_where_dockers_own_client_keeps_it() {
    use sha2::{Digest as _, Sha256};
    let dir = tempfile::tempdir().unwrap();
    let meta = dir.path().join("contexts/meta").join(crate::text::hex(&Sha256::digest(b"vm")));
    std::fs::create_dir_all(&meta).unwrap();
    let text =
        r#"{"Name":"vm","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://op@vm","SkipTLSVerify":false}}}"#;
    files::replace(&meta.join("meta.json"), text.as_bytes(), 0o600).unwrap();
    let around = Surroundings { docker_config: Some(dir.path().to_owned()), ..around() };
    let read = |text: &str| {
        parse(Path::new(FILE), text, &around).map_err(super::super::problems::Problems::messages)
    };
    let found = read("[engines.x]\ncontext = \"vm\"\n").ok().unwrap();
    assert_eq!(found.engines[1].endpoint.to_string(), "ssh://op@vm");
    let told = read("[engines.x]\ncontext = \"wm\"\n").err().unwrap();
    assert_eq!(told, ["there is no Docker context \"wm\"; did you mean \"vm\"?"]);
}

#[test]
fn a_hub_that_is_added_names_its_engine_and_the_rest_of_the_file_stays() {
    let (_dir, path) = on_disk(&format!("# kept\n{TWO}"));
    let new =
        NewHub { engine: Some(crate::hub::EngineName::new("west").unwrap()), ..new_hub("a", "10.0.0.1") };
    add_hub(&path, &new).unwrap();
    let text = on_disk_now(&path);
    assert!(text.starts_with("# kept\n[engines.east]") && text.contains("engine = \"west\""), "{text}");
    assert_eq!(load(&path).unwrap().hubs[0].engine.as_str(), "west");
    let lost =
        NewHub { engine: Some(crate::hub::EngineName::new("wets").unwrap()), ..new_hub("b", "10.0.0.2") };
    let told = add_hub(&path, &lost).unwrap_err().to_string();
    assert!(told.contains("did you mean \"west\"?"), "{told}");
}
