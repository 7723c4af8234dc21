//! No secret of any openrc, no private key and no key of a kubeconfig gets anywhere but where it belongs.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::world::{docker, try_sh};
use crate::common::{Fleet, using, world};

/// A secret, and what it is called when it is found where it should not be.
pub struct Secret {
    pub name: String,
    pub text: String,
}

pub fn secret(name: impl Into<String>, text: impl Into<String>) -> Secret {
    let (name, text) = (name.into(), text.into());
    assert!(text.len() >= 12, "{name} is too short to be searched for");
    Secret { name, text }
}

/// What is after the first of these words in a text, up to the end of the line, without quotes.
fn after(text: &str, word: &str) -> String {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word}"));
    rest.lines().next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

/// All secrets that a fleet's files hold.
pub fn secrets_of(fleet: &Fleet, hubs: &[&str]) -> Vec<Secret> {
    let mut found = Vec::new();
    for project in ["alpha", "beta", "expired"] {
        let text = fleet.read(&format!("openrc-{project}.sh"));
        found.push(secret(
            format!("the secret of {project}"),
            after(&text, "OS_APPLICATION_CREDENTIAL_SECRET="),
        ));
    }
    for (n, line) in fleet.read("id_ed25519").lines().filter(|line| !line.starts_with("-----")).enumerate() {
        found.extend((line.len() >= 60).then(|| secret(format!("line {n} of the private key"), line)));
    }
    for hub in hubs {
        let key = after(&fleet.read(&format!("jhubs/{hub}/kube/config")), "client-key-data:");
        // A part that does not look alike in every key, as its beginning does.
        found.push(secret(format!("the kubeconfig's key of {hub}"), &key[200..260]));
        found.push(secret(format!("the kubeconfig's key of {hub}, its end"), &key[key.len() - 60..]));
    }
    found
}

/// Fails if a secret is in a text.
#[track_caller]
fn clean(secrets: &[Secret], text: &[u8], place: &str) {
    for Secret { name, text: secret } in secrets {
        let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{name} is in {place}");
    }
}

/// Everything below a directory but what is exempted.
#[track_caller]
fn clean_files(secrets: &[Secret], dir: &Path, belongs: &dyn Fn(&Path) -> bool) {
    for entry in std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            clean_files(secrets, &path, belongs);
        } else if kind.is_file() && !belongs(&path) {
            clean(secrets, &std::fs::read(&path).expect("it reads"), &path.display().to_string());
        }
    }
}

/// Looks at the command lines of all processes of this machine, those in sandboxes too, again and again until told to
/// stop. Returns which secrets were seen in one.
pub fn watch_command_lines(secrets: &[Secret], stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut rounds, mut seen) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
            let line = String::from_utf8_lossy(&line);
            for Secret { name, .. } in secrets.iter().filter(|secret| line.contains(&secret.text)) {
                seen.push(format!(
                    "{name} in the command line of {}",
                    line.split('\0').next().unwrap_or_default()
                ));
            }
        }
        rounds += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    (rounds, seen)
}

#[test]
fn no_secret_gets_into_outputs_logs_labels_process_lists_or_files() {
    let _using = using();
    let fleet = Fleet::with_settings("[timeouts]\nopenrc = \"5s\"\ntunnel = \"5s\"");
    // Anything that fleet, or a library of it, would keep for itself goes here.
    for dir in ["home", "tmp"] {
        std::fs::create_dir(fleet.path(dir)).expect("made");
    }
    let outputs = std::cell::RefCell::new(Vec::new());
    let run = |args: &[&str]| {
        let mut command = fleet.command(args);
        let output = command
            .env("HOME", fleet.path("home"))
            .env("TMPDIR", fleet.path("tmp"))
            .output()
            .expect("fleet starts");
        outputs.borrow_mut().push((args.join(" "), [output.stdout, output.stderr].concat()));
        output.status.code().expect("an exit status")
    };
    let new = |name: &str, project: &str| {
        let openrc = fleet.openrc(project).display().to_string();
        run(&["new", "--name", name, "--ip", &world().hub(name).ip, "--openrc", &openrc])
    };
    let since = docker(&["info", "--format", "{{.SystemTime}}"]);
    assert_eq!((new("ou23s", "alpha"), new("pyaos", "beta")), (0, 0));
    let mut secrets = secrets_of(&fleet, &["ou23s", "pyaos"]);
    let wrong = "wrong-secret-5d41402abc4b2a76b9719d911017c592";
    secrets.push(secret("the wrong secret", wrong));
    secrets.push(secret("the password in the URL", "url-password-9c1185a5c5e9fc54612808977ee8f548"));

    let stop = AtomicBool::new(false);
    let (rounds, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch_command_lines(&secrets, &stop));
        // Whatever happens in here, the watching has to end.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let looks = || {
                for command in ["status", "doctor", "pvc", "orphans", "list"] {
                    run(&[command]);
                    run(&[command, "--format", "json"]);
                }
                run(&["orphans", "--delete"]);
                for format in ["table", "json"] {
                    run(&["openrc", "check", "--format", format]);
                }
                for file in ["openrc-alpha.sh", "openrc-beta.sh", "openrc-wrong.sh", "openrc-expired.sh"] {
                    run(&["openrc", "set", "ou23s", &fleet.path(file).display().to_string()]);
                }
                run(&["exec", "--all", "openstack", "token", "issue", "-f", "value", "-c", "project_id"]);
                run(&["exec", "--all", "--format", "json", "kubectl", "get", "nodes"]);
                run(&["shell", "ou23s"]);
                run(&["rm", "ou23s", "--purge"]);
            };
            let good = fleet.read("openrc-alpha.sh");
            let real = after(&good, "OS_APPLICATION_CREDENTIAL_SECRET=");
            fleet.write("openrc-wrong.sh", &good.replace(&real, wrong));
            fleet.write("openrc-again.sh", &format!("{good}\n# another line\n"));
            looks();
            let again = fleet.path("openrc-again.sh").display().to_string();
            assert_eq!(run(&["openrc", "set", "ou23s", &again]), 0);
            // Wrong in every way.
            fleet.write_in_place("openrc-alpha.sh", &good.replace(&real, wrong));
            looks();
            assert_eq!(new("mvu23s", "alpha"), 1);
            let url = after(&good, "OS_AUTH_URL=");
            let with_password = "http://user:url-password-9c1185a5c5e9fc54612808977ee8f548@127.0.0.1:1/v3";
            fleet.write_in_place("openrc-alpha.sh", &good.replace(&url, with_password));
            run(&["status"]);
            run(&["orphans"]);
            fleet.write_in_place("openrc-alpha.sh", &fleet.read("openrc-expired.sh"));
            run(&["status"]);
            assert_eq!(new("mvu23s", "expired"), 1);
            fleet.write_in_place("openrc-alpha.sh", &good);
            // A kubeconfig that is broken right where its key is, in several ways.
            let kubeconfig = fleet.read("jhubs/ou23s/kube/config");
            for (old, new) in [
                ("client-key-data: ", "client-key-data: @"),
                ("client-key-data:", "client-key-data"),
                ("client-key-data: ", "client-key-data: [\n"),
                ("client-key-data: ", "client-key-dat: "),
            ] {
                fleet.write_in_place("jhubs/ou23s/kube/config", &kubeconfig.replace(old, new));
                assert_ne!(run(&["status"]), 0);
                run(&["pvc"]);
            }
            fleet.write_in_place("jhubs/ou23s/kube/config", &kubeconfig);
            // A private key that is broken.
            let key = fleet.read("id_ed25519");
            fleet.write("broken", &key.replace("-----BEGIN OPENSSH", "-----BEGIN"));
            try_sh("chmod", &["600", fleet.path("broken").to_str().expect("UTF-8")]);
            let (broken, openrc) =
                (fleet.path("broken").display().to_string(), fleet.openrc("alpha").display().to_string());
            let ip = &world().hub("mvu23s").ip;
            assert_ne!(
                run(&["new", "--name", "mvu23s", "--ip", ip, "--openrc", &openrc, "--ssh-key", &broken]),
                0
            );
            std::fs::remove_file(fleet.path("broken")).expect("removed");
        }));
        stop.store(true, Ordering::SeqCst);
        let watched = watching.join().expect("it watches");
        result.expect("the commands above");
        watched
    });
    assert!(rounds > 20, "only {rounds} looks at the process list");
    assert!(seen.is_empty(), "{seen:?}");

    for hub in ["ou23s", "pyaos"] {
        let container = fleet.container(hub);
        clean(&secrets, docker(&["inspect", &container]).as_bytes(), "docker inspect");
        let logs = try_sh("docker", &["logs", &container]);
        clean(&secrets, &[logs.stdout, logs.stderr].concat(), "docker logs");
        let until = docker(&["info", "--format", "{{.SystemTime}}"]);
        let events =
            ["events", "--since", &since, "--until", &until, "--filter", &format!("container={container}")];
        let events = docker(&events);
        assert!(events.contains("exec_create"), "the engine tells of every command");
        clean(&secrets, events.as_bytes(), "docker events");
    }
    assert_eq!(run(&["rm", "pyaos"]), 0);
    for (command, output) in outputs.borrow().iter() {
        clean(&secrets, output, &format!("the output of fleet {command}"));
    }
    clean_files(&secrets, fleet.dir.path(), &|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("openrc-") || name == "id_ed25519" || path.ends_with("kube/config")
    });
    for dir in ["home", "tmp"] {
        let left = std::fs::read_dir(fleet.path(dir)).expect("a directory").count();
        assert_eq!(left, 0, "something is left in {dir}");
    }
}
