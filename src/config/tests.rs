//! The file as a whole: its problems, its meaning, and its comments.

mod edit;
mod engines;
mod way;

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, HubName};

use super::load::parse;
use super::surroundings::Surroundings;
use super::*;

const FILE: &str = "fleet.toml";

/// The file that stands at the repository's top.
const EXAMPLE: &str = include_str!("../../fleet.toml");

fn around() -> Surroundings {
    Surroundings {
        base: "/srv/fleet".into(),
        home: Some("/home/op".into()),
        docker_host: None,
        docker_config: None,
    }
}

fn fleet(text: &str) -> Result<Fleet, Failure> {
    parse(Path::new(FILE), text, &around()).map_err(|problems| problems.failure(Path::new(FILE)))
}

fn problems(text: &str) -> String {
    let failure = fleet(text).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    failure.to_string()
}

fn hub(name: &str, ip: &str) -> String {
    format!("[[hub]]\nname = \"{name}\"\nip = \"{ip}\"\nopenrc = \"{name}.sh\"\n")
}

fn name(name: &str) -> HubName {
    HubName::new(name).unwrap()
}

fn new_hub(name: &str, ip: &str) -> NewHub {
    NewHub {
        name: self::name(name),
        ip: ip.parse().unwrap(),
        openrc: PathBuf::from(format!("/rc/{name}.sh")),
        ssh_user: None,
        ssh_port: None,
        ssh_key: None,
        ssh_jump: None,
        ssh_jump_key: None,
        ssh_agent: None,
        project_domain: None,
        image: None,
        state: None,
        container: None,
        engine: None,
        tags: Vec::new(),
    }
}

/// A scratch directory with a `fleet.toml` in it.
fn on_disk(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    files::replace(&path, text.as_bytes(), 0o644).unwrap();
    (dir, path)
}

fn on_disk_now(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

// What the file means.

#[test]
fn the_example_says_what_holds_without_it() {
    assert_eq!(fleet(EXAMPLE).unwrap(), fleet("").unwrap());
}

#[test]
fn the_examples_hubs_are_valid_once_they_are_uncommented() {
    let (values, hubs) = EXAMPLE.split_at(EXAMPLE.find("# [[hub]]").unwrap());
    let hubs = hubs.lines().map(|line| line.trim_start_matches('#')).collect::<Vec<_>>().join("\n");
    let fleet = fleet(&format!("{values}{hubs}")).unwrap();
    assert_eq!(fleet.hubs.len(), 2);
    assert_eq!(fleet.hubs[1].ssh.user, "rocky");
    assert_eq!(fleet.hubs[1].image, "unidata/science-gateway:latest");
    assert_eq!(fleet.hubs[1].tags, ["gpu", "fall"]);
    assert_eq!(fleet.hubs[0].openrc, Path::new("/home/op/openrc/ou23s.sh"));
}

#[test]
fn the_examples_foreign_clusters_are_valid_once_they_are_uncommented() {
    let from = EXAMPLE.find("# [[foreign]]").unwrap();
    let to = from + EXAMPLE[from..].find("\n\n").unwrap();
    let text =
        EXAMPLE[from..to].lines().map(|line| line.trim_start_matches('#')).collect::<Vec<_>>().join("\n");
    let answers = fleet(&text).unwrap().orphans.foreign;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1].project.as_deref(), Some("ees220002"));
}

#[test]
fn hubs_inherit_what_they_do_not_say_and_keep_the_files_order() {
    let text = format!(
        "name = \"uni\"\nstate_dir = \"../state\"\nsandbox.image = \"a/b:c\"\n\
         [defaults]\nssh_user = \"rocky\"\nssh_key = \"keys/id\"\nproject_domain = \"x.org\"\n\
         [orphans]\nmin_age = \"7d\"\n{}{}ssh_port = 2222\nssh_key = \"~/own\"\n",
        hub("zeta", "10.0.0.1"),
        hub("alpha", "10.0.0.2")
    );
    let fleet = fleet(&text).unwrap();
    let [zeta, alpha] = fleet.hubs.as_slice() else { panic!("two hubs") };
    assert_eq!((zeta.name.as_str(), alpha.name.as_str()), ("zeta", "alpha"));
    assert_eq!(zeta.openrc, Path::new("/srv/fleet/zeta.sh"));
    assert_eq!(zeta.state, Path::new("/srv/fleet/../state/zeta"));
    assert_eq!(zeta.ssh.key, Path::new("/srv/fleet/keys/id"));
    assert_eq!((zeta.ssh.user.as_str(), zeta.ssh.port, zeta.image.as_str()), ("rocky", 22, "a/b:c"));
    assert_eq!((alpha.ssh.key.as_path(), alpha.ssh.port), (Path::new("/home/op/own"), 2222));
    assert_eq!(alpha.project_domain.as_deref(), Some("x.org"));
    assert_eq!(fleet.orphans.min_age, Duration::from_hours(168));
    assert_eq!(fleet.path, Path::new("/srv/fleet/fleet.toml"));
}

#[test]
fn tags_are_words_in_an_array_and_each_that_is_none_is_told_at_its_place() {
    let with = |tags: &str| format!("{}tags = {tags}\n", hub("a", "10.0.0.1"));
    assert_eq!(fleet(&with("[]")).unwrap().hubs[0].tags, [""; 0]);
    assert_eq!(fleet(&with("[\"gpu\", \"term=fall\"]")).unwrap().hubs[0].tags, ["gpu", "term=fall"]);
    insta::assert_snapshot!(problems(&with("\"gpu\"")), @r#"
    fleet.toml:5:8: "tags" must be an array of strings, not a string
    "#);
    insta::assert_snapshot!(problems(&with("[\"a,b\", 1, \"ok\", \"\", \"g*\"]")), @r#"
    fleet.toml:5:9: "tags": "a,b" is not a tag: only a-z, 0-9, '_', '-', '.', ':' and '=' can be in it, no '-' first
    fleet.toml:5:16: "tags" must be a string, not a whole number
    fleet.toml:5:25: "tags": "" is not a tag: only a-z, 0-9, '_', '-', '.', ':' and '=' can be in it, no '-' first
    fleet.toml:5:29: "tags": "g*" is not a tag: only a-z, 0-9, '_', '-', '.', ':' and '=' can be in it, no '-' first
    "#);
}

#[test]
fn what_is_guarded_is_a_setting() {
    let guard = |text: &str| fleet(text).unwrap().exec.guard;
    assert_eq!(guard(""), ["kubectl delete", "openstack * delete", "helm uninstall"]);
    assert_eq!(guard("[exec]\nguard = []\n"), [""; 0]);
    assert_eq!(guard("[exec]\nguard = [\"rm\"]\n"), ["rm"]);
    insta::assert_snapshot!(problems("[exec]\nguard = [\"\", \"* delete\"]\nserial = 1\n"), @r#"
    fleet.toml:2:10: "guard": it has no words; write it like "kubectl delete"
    fleet.toml:2:14: "guard": "* delete" has to begin with a program's name; write it like "openstack * delete"
    fleet.toml:3:1: unknown key "serial" in [exec]; it knows guard
    "#);
}

#[test]
fn docker_host_counts_only_where_the_file_names_no_engine() {
    let engine = |text: &str, host: &str| {
        let around = Surroundings { docker_host: Some(host.to_owned()), ..around() };
        let fleet = parse(Path::new(FILE), text, &around).ok().unwrap();
        fleet.engine(&fleet.usual_engine).unwrap().endpoint.to_string()
    };
    assert_eq!(engine("", "unix:///run/user/1000/docker.sock"), "/run/user/1000/docker.sock");
    assert_eq!(engine("", "ssh://op@east"), "ssh://op@east");
    assert_eq!(engine("", ""), "/var/run/docker.sock");
    assert_eq!(engine("", "tcp://127.0.0.1:2375"), "tcp://127.0.0.1:2375");
    assert_eq!(engine("engine = \"unix:///a\"", "unix:///b"), "/a");
    assert_eq!(engine("engine = \"unix:///a\"", "nonsense"), "/a");
}

#[test]
fn a_docker_host_that_cannot_be_used_is_told_and_no_other_engine_is_taken_for_it() {
    for (host, why) in [
        ("http://10.0.0.1:2375", "\"http://10.0.0.1:2375\" is not supported"),
        ("npipe:////./pipe/docker_engine", "is not supported"),
        ("tcp://10.0.0.1:2375", "without TLS"),
        ("east", "\"east\" is not supported"),
        ("ssh://op:hunter2@east", "there is a password in it"),
    ] {
        let around = Surroundings { docker_host: Some(host.to_owned()), ..around() };
        let text = hub("a", "10.0.0.1");
        let Err(problems) = parse(Path::new(FILE), &text, &around) else { panic!("{host} is taken") };
        let told = problems.failure(Path::new(FILE));
        let [told] = told.problems.as_slice() else { panic!("{:?}", told.problems) };
        assert!(told.starts_with("$DOCKER_HOST in the environment: ") && told.contains(why), "{told}");
        assert!(told.contains("unset it") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn the_usual_key_is_the_one_that_is_there() {
    let home = tempfile::tempdir().unwrap();
    let key = || {
        let around = Surroundings { home: Some(home.path().to_owned()), ..around() };
        let fleet = parse(Path::new(FILE), &hub("a", "10.0.0.1"), &around).ok().unwrap();
        fleet.hubs[0].ssh.key.strip_prefix(home.path()).unwrap().to_owned()
    };
    assert_eq!(key(), Path::new(".ssh/id_ed25519"));
    files::private_dir(&home.path().join(".ssh")).unwrap();
    files::replace(&home.path().join(".ssh/id_rsa"), b"", 0o600).unwrap();
    assert_eq!(key(), Path::new(".ssh/id_rsa"));
    files::replace(&home.path().join(".ssh/id_ed25519"), b"", 0o600).unwrap();
    assert_eq!(key(), Path::new(".ssh/id_ed25519"));
}

// What is wrong with it.

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = r#"name = "Uni Data"
enginge = "unix:///var/run/docker.sock"
engine = "tcp://10.0.0.1:2375"
OS_PASSWORD = "hunter2"

[sandbox]
memory = "1 lot"
pids = 0

[defaults]
ssh_port = "22"
project_domain = "a-rather-long-project.projects.jetstream-cloud.org"

[timeouts]
ssh = "0s"
tunnel = 30

[orphans]
min_age = "-1d"
plan_expires = "0s"
[[hub]]
name = "ou23s"
ip = "149.165.1.2"
openrc = "ou23s.sh"

[[hub]]
name = "ou23s"
ip = "::ffff:149.165.1.2"
openrc = ""

[[hub]]
name = "a-hub-with-a-long-name"
ip = "149.165.1.300"
open_rc = "hunter2"

[[hub]]
name = "Ou24"
ip = "149.165.1.3"
openrc = "~root/openrc"
ssh_user = "-oProxyCommand=true"
[hub.extra]
password = "hunter2"
"#;
    let told = problems(text);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @r#"
    fleet.toml:1:8: "name": "Uni Data" is not a DNS label: only a-z, 0-9 and '-' can be in it
    fleet.toml:2:1: unknown key "enginge" in the file; did you mean "engine"?
    fleet.toml:3:10: "engine": "tcp://10.0.0.1:2375" is another machine, which needs TLS: write [engines.NAME] with url, tls_ca, tls_cert and tls_key, and here its NAME
    fleet.toml:4:1: unknown key "OS_PASSWORD" in the file: secrets never go in this file; leave it in the hub's openrc
    fleet.toml:7:10: "memory": "1 lot" is not a size; write it like "512MiB" or "1GiB"
    fleet.toml:8:8: "pids" must be from 16 to 4194304, not 0
    fleet.toml:11:12: "ssh_port" must be a whole number, not a string
    fleet.toml:15:7: "ssh": "0s" leaves no time at all
    fleet.toml:16:10: "tunnel" must be a string, not a whole number
    fleet.toml:19:11: "min_age": "-1d" is negative
    fleet.toml:20:16: "plan_expires": "0s" leaves no time at all
    fleet.toml:27:8: the hub on line 22 is named ou23s already
    fleet.toml:28:6: the hub on line 23 has the IP 149.165.1.2 already
    fleet.toml:29:10: "openrc" is empty; give it a value or take the line out
    fleet.toml:31:1: [[hub]] needs "openrc": the file with its OpenStack credentials
    fleet.toml:32:8: the master's domain "a-hub-with-a-long-name-1.a-rather-long-project.projects.jetstream-cloud.org" would be 75 characters long, and Let's Encrypt refuses 64 or more: shorten the name or the project_domain
    fleet.toml:33:6: "ip": "149.165.1.300" is not an IP address
    fleet.toml:34:1: unknown key "open_rc" in [[hub]]; did you mean "openrc"?
    fleet.toml:37:8: "name": "Ou24" is not a DNS label: only a-z, 0-9 and '-' can be in it
    fleet.toml:39:10: "openrc": "~root/openrc": only "~" and "~/..." are understood, and only with a home directory
    fleet.toml:40:12: "ssh_user": "-oProxyCommand=true" is not an account: only a-z, 0-9, '_', '.' and '-' can be in it, no '-' first
    fleet.toml:41:6: unknown key "extra" in [[hub]]; it knows name, ip, openrc, ssh_user, ssh_port, ssh_key, ssh_jump, ssh_jump_key, ssh_agent, project_domain, image, state, container, tags, engine
    "#);
}

#[test]
fn a_table_written_otherwise_is_told_how() {
    insta::assert_snapshot!(problems("sandbox = 1\n[hub]\nname = \"a\"\n"), @r#"
    fleet.toml:1:11: "sandbox" must be a table, [sandbox], not a whole number
    fleet.toml:2:1: "hub" must be written [[hub]], once for each, not a table
    "#);
    insta::assert_snapshot!(problems("hub = [1]\n[[orphans]]\n"), @r#"
    fleet.toml:1:8: each "hub" must be a table, [[hub]], not a whole number
    fleet.toml:2:1: "orphans" must be a table, [orphans], not an array
    "#);
}

#[test]
fn syntax_errors_are_told_beside_the_other_problems() {
    let text = "name = \"A\"\nstate_dir = \nsecret hunter2\n[sandbox]\npids = -1\n[[hub]]\nname = \"a\"\nip = 149.165.1.2\n";
    let told = problems(text);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @r#"
    fleet.toml:1:8: "name": "A" is not a DNS label: only a-z, 0-9 and '-' can be in it
    fleet.toml:2:13: this is not TOML: a value here is neither a number nor text in quotes
    fleet.toml:3:8: this is not TOML: key with no value, expected `=`
    fleet.toml:5:8: "pids" must be from 16 to 4194304, not -1
    fleet.toml:8:13: this is not TOML: a value here is neither a number nor text in quotes
    "#);
}

#[test]
fn a_domain_of_63_characters_is_accepted_and_one_of_64_is_not() {
    let with = |length: usize| {
        let domain = format!("{}.org", "d".repeat(length - "hub-1..org".len()));
        fleet(&format!("[defaults]\nproject_domain = \"{domain}\"\n{}", hub("hub", "10.0.0.1")))
    };
    assert_eq!(with(63).unwrap().hubs.len(), 1);
    let failure = with(64).unwrap_err().to_string();
    assert!(failure.starts_with("fleet.toml:4:8: "), "{failure}");
    assert!(failure.contains("64 characters") && failure.contains("Let's Encrypt"), "{failure}");
}

#[test]
fn addresses_are_compared_by_value() {
    let text = format!("{}{}", hub("a", "2001:db8::1"), hub("b", "2001:0DB8:0::0001"));
    insta::assert_snapshot!(problems(&text), @r#"
    fleet.toml:7:6: the hub on line 3 has the IP 2001:db8::1 already
    "#);
}

fn foreign(name: &str, more: &str) -> String {
    format!("[[foreign]]\nname = \"{name}\"\nreason = \"it has none\"\n{more}")
}

#[test]
fn foreign_clusters_are_read_in_the_files_order() {
    let text = format!(
        "{}{}{}",
        foreign(" theirs ", ""),
        hub("a", "10.0.0.1"),
        foreign("a", "project = \"beta\"\n")
    );
    let answers = fleet(&text).unwrap().orphans.foreign;
    let told: Vec<_> =
        answers.iter().map(|one| (one.name.as_str(), one.reason.as_str(), one.project.as_deref())).collect();
    assert_eq!(told, [("theirs", "it has none", None), ("a", "it has none", Some("beta"))]);
    assert_eq!(fleet("").unwrap().orphans.foreign, []);
}

#[test]
fn every_problem_of_a_foreign_cluster_is_told_with_its_line() {
    let text = format!(
        "{}{}{}{}{}{}[[foreign]]\nname = \"\"\nreason = 3\nprojects = \"alpha\"\n[[foreign]]\nproject = \"x\"\n",
        hub("ou23s", "10.0.0.1"),
        foreign("ou23s", ""),
        foreign("theirs", "project = \"alpha\"\n"),
        foreign("theirs", "project = \"beta\"\n"),
        foreign("theirs", "project = \"alpha\"\n"),
        foreign("theirs", ""),
    );
    insta::assert_snapshot!(problems(&text), @r#"
    fleet.toml:6:8: the hub on line 2 is named ou23s, and is not foreign; another cluster of that name needs a "project"
    fleet.toml:17:8: the [[foreign]] on line 9 answers for theirs already
    fleet.toml:21:8: the [[foreign]] on line 9 answers for theirs already
    fleet.toml:24:8: "name" is empty; give it a value or take the line out
    fleet.toml:25:10: "reason" must be a string, not a whole number
    fleet.toml:26:1: unknown key "projects" in [[foreign]]; did you mean "project"?
    fleet.toml:27:1: [[foreign]] needs "name": the cluster's name, as its servers or its volumes carry it
    fleet.toml:27:1: [[foreign]] needs "reason": why none of the volumes that do not carry its name are its
    "#);
    insta::assert_snapshot!(problems("foreign = \"theirs\"\n"), @r#"
    fleet.toml:1:11: "foreign" must be written [[foreign]], once for each, not a string
    "#);
}

#[test]
fn foreign_clusters_survive_hubs_that_are_added_and_taken_out() {
    let text = format!("# Mine.\n{}\n# Not mine.\n{}", hub("a", "10.0.0.1"), foreign("theirs", "# really\n"));
    let (_dir, path) = on_disk(&text);
    add_hub(&path, &new_hub("b", "10.0.0.2")).unwrap();
    let with_two = load(&path).unwrap();
    assert_eq!((with_two.hubs.len(), with_two.orphans.foreign.len()), (2, 1));
    remove_hub(&path, &name("b")).unwrap();
    assert_eq!(on_disk_now(&path), text);
    remove_hub(&path, &name("a")).unwrap();
    assert_eq!(on_disk_now(&path), format!("# Not mine.\n{}", foreign("theirs", "# really\n")));
    let refused = add_hub(&path, &new_hub("theirs", "10.0.0.3")).unwrap_err();
    assert!(refused.to_string().contains("is not foreign"), "{refused}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let failure = load(&dir.path().join("none.toml")).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.hint.unwrap().contains("--config"));
    assert!(load(dir.path()).is_err());
    let (_dir, path) = on_disk("");
    files::replace(&path, b"a = 1\n\xff", 0o644).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("line 2 is not UTF-8"));
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(text in "(\\PC|[\n\"'=\\[\\].#{},]){0,80}") {
        let _ = fleet(&text);
    }

    #[test]
    fn no_file_is_too_strange(lines in prop::collection::vec(line(), 0..16)) {
        if let Err(failure) = fleet(&lines.join("\n")) {
            prop_assert!(!failure.problems.is_empty());
            prop_assert!(failure.problems.iter().all(|problem| problem.starts_with("fleet.toml:")));
            prop_assert!(!failure.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_file_cut_short_anywhere_is_no_trouble(at in 0..EXAMPLE.len()) {
        let _ = fleet(&EXAMPLE[..EXAMPLE.floor_char_boundary(at)]);
    }
}

/// A line that looks like one of a `fleet.toml`, right or wrong.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "name",
        "hub",
        "hub.name",
        "sandbox",
        "sandbox.pids",
        "ip",
        "engine",
        "engines",
        "engines.x",
        "url",
        "context",
        "timeouts",
        "orphans",
        "nmae",
        "defaults",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "\"a\"",
        "\"10.0.0.1\"",
        "[]",
        "[{}]",
        "{ name = 1 }",
        "true",
        "1.5",
        "1979-05-27",
        "\"\"",
        "'''\n'''",
        "",
        "0xffffffffffffffffffff",
        "\"30s\"",
        "\"ssh://op@east\"",
        "nan",
    ]);
    prop_oneof![
        (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}")),
        key.clone().prop_map(|key| format!("[{key}]")),
        key.prop_map(|key| format!("[[{key}]]")),
        Just("some_key = \"hunter2\"".to_owned()),
        Just("[[hub".to_owned()),
        Just("# a comment".to_owned()),
    ]
}

#[test]
fn a_large_file_that_is_no_toml_at_all_is_told_soon() {
    let text = "Jul 24 10:00:00 vm1 kernel: nothing to see = here\n".repeat(15_000);
    let begin = std::time::Instant::now();
    assert_eq!(fleet(&text).unwrap_err().problems.len(), 100);
    // Seconds, because this may be a busy machine; without the limits it takes minutes.
    assert!(begin.elapsed() < Duration::from_secs(20));
}

// Its edits.

#[test]
fn hubs_are_resolved_once_each_in_the_order_given() {
    let fleet = fleet(&format!("{}{}", hub("ou23s", "10.0.0.1"), hub("ou24s", "10.0.0.2"))).unwrap();
    let resolve = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        resolve(&fleet, &names).map(|hubs| hubs.iter().map(|hub| hub.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(resolve(&[]).unwrap(), ["ou23s", "ou24s"]);
    assert_eq!(resolve(&["ou24s", "ou23s", "ou24s"]).unwrap(), ["ou24s", "ou23s"]);
    let failure = resolve(&["ou23", "ou24s", "elsewhere", "-x\n"]).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    insta::assert_snapshot!(failure.to_string(), @r#"
    no hub "ou23" in fleet.toml; did you mean "ou23s"?
    no hub "elsewhere" in fleet.toml
    no hub "-x\n" in fleet.toml
    "#);
}
