//! `fleet proxy`: it is there when it is needed, and no use to anybody without the file.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::outside::{HUBS, Outside, mode};
use crate::common::world::{Undo, eventually, try_sh};
use crate::common::{Run, standing, using};
use crate::secrets::{secrets_of, watch_command_lines};

#[test]
fn a_client_that_stays_has_the_proxy_started_again() {
    let _using = using();
    let outside = Outside::with_file();
    // As k9s does, it asks again and again, for as long as it runs.
    let mut staying = outside
        .kubectl_command(&["--context", "pyaos", "proxy", "--port=0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("kubectl starts");
    let mut line = String::new();
    BufReader::new(staying.stdout.take().expect("piped")).read_line(&mut line).expect("it says where");
    let _over = Undo(|| {
        let _ = staying.kill();
        let _ = staying.wait();
    });
    let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
    let answers = || try_sh("curl", &["-sm5", &format!("http://{address}/readyz")]).stdout == b"ok";
    assert!(answers());
    outside.fleet(&["proxy", "--stop"]).exits(0).says(" closed");
    assert!(!answers());
    eventually("it answers again", Duration::from_secs(25), answers);
    assert_eq!(outside.proxies().len(), 1);
}

#[test]
fn the_proxy_starts_when_it_is_needed_in_a_session_of_its_own_and_ends_when_nobody_needs_it() {
    let _using = using();
    let outside = Outside::with_file();
    outside.ends_after("2s");
    assert!(!outside.runs());
    outside.kubectl(&["get", "nodes"]).exits(0);
    let status = outside.status();
    let id: u32 = status["pid"].as_u64().and_then(|id| id.try_into().ok()).expect("an id");
    assert_eq!(outside.proxies(), [id]);
    assert_eq!(status["address"], format!("127.0.0.1:{}", outside.kept().0));
    assert_eq!(status["idle_seconds"], 2);
    let session = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let session =
        session.rsplit_once(") ").expect("a name").1.split(' ').nth(3).expect("a session").to_owned();
    assert_eq!(session, id.to_string());
    // It holds nothing of whoever started it.
    for name in ["0", "1", "2"] {
        let open = std::fs::read_link(format!("/proc/{id}/fd/{name}")).expect("open");
        assert!(
            open == Path::new("/dev/null") || open == outside.path("jhubs/_fleet/proxy/log"),
            "{name} is {}",
            open.display()
        );
    }
    assert_eq!(std::fs::read_link(format!("/proc/{id}/cwd")).expect("a directory"), Path::new("/"));
    let begun = Instant::now();
    eventually("the proxy ends", Duration::from_secs(10), || outside.proxies().is_empty());
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(!outside.runs());
    assert!(!outside.path("jhubs/_fleet/proxy/control.sock").exists());
    outside.kubectl(&["get", "nodes"]).exits(0);
    assert_ne!(outside.proxies(), [id]);
}

#[test]
fn of_many_starts_at_once_comes_one_proxy() {
    let _using = using();
    let outside = Outside::with_file();
    let port = outside.kept().0.to_string();
    for _ in 0..3 {
        let asking = || {
            let args = ["--config", "fleet.toml", "proxy", "--credential", "ou23s", "--at", &port];
            Outside::start(outside.command(&args))
        };
        let asking: Vec<Child> = (0..12).map(|_| asking()).collect();
        for child in asking {
            let run = Run::of(&child.wait_with_output().expect("fleet ends")).exits(0);
            assert_eq!(run.stderr, "");
            assert!(
                run.json()["status"]["clientKeyData"].as_str().is_some_and(|key| key.contains("PRIVATE KEY"))
            );
        }
        assert_eq!(outside.proxies().len(), 1);
        outside.fleet(&["proxy", "--stop"]).exits(0).says("has ended");
        assert!(outside.proxies().is_empty());
    }
}

#[test]
fn who_does_not_have_the_file_gets_nothing() {
    let _using = using();
    let outside = Outside::with_file();
    outside.kubectl(&["get", "nodes"]).exits(0);
    let (port, secret) = outside.kept();
    assert_eq!(outside.curl("ou23s", None), 407);
    assert_eq!(outside.curl("ou23s", Some("fleet:wrong")), 407);
    assert_eq!(outside.curl("nobody", Some("fleet:wrong")), 407);
    assert_eq!(outside.curl("ou23s", Some(&format!("fleet:{secret}"))), 200);
    assert_eq!(outside.curl("nobody", Some(&format!("fleet:{secret}"))), 404);
    let page = try_sh(
        "curl",
        &["-sm10", "-o", "/dev/null", "-w", "%{http_code}", &format!("http://127.0.0.1:{port}/")],
    );
    assert_eq!(page.stdout, b"405");
    // Nobody else can read what is kept, nor speak with the proxy past its port.
    assert_eq!(mode(&outside.path(outside.file_name())), 0o600);
    assert_eq!(mode(&outside.path("jhubs/_fleet/proxy")), 0o700);
    for file in ["settings.json", "lock", "log"] {
        assert_eq!(mode(&outside.path("jhubs/_fleet/proxy").join(file)), 0o600, "{file}");
    }
    // It listens on loopback and nowhere else: `/proc/net` has addresses in hexadecimal.
    let listens = |table: &str| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        let local = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        table
            .lines()
            .filter_map(local)
            .filter(|local| local.ends_with(&format!(":{port:04X}")))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(listens("/proc/net/tcp"), BTreeSet::from([format!("0100007F:{port:04X}")]));
    assert_eq!(listens("/proc/net/tcp6"), BTreeSet::new());
    std::fs::set_permissions(outside.path("jhubs/_fleet/proxy"), std::fs::Permissions::from_mode(0o755))
        .expect("set");
    outside.kubectl(&["get", "nodes"]).exits(1).says("chmod 700");
    std::fs::set_permissions(outside.path("jhubs/_fleet/proxy"), std::fs::Permissions::from_mode(0o700))
        .expect("set");
}

#[test]
fn whoever_else_listens_at_the_port_is_sent_nothing() {
    let _using = using();
    let outside = Outside::with_file();
    let port = outside.kept().0;
    let (bytes, connections, over) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let squatter = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    squatter.set_nonblocking(true).expect("set");
    let thread = std::thread::spawn({
        let (bytes, connections, over) = (bytes.clone(), connections.clone(), over.clone());
        move || {
            let mut open = Vec::new();
            while !over.load(Ordering::SeqCst) {
                if let Ok((stream, _)) = squatter.accept() {
                    stream.set_nonblocking(true).expect("set");
                    connections.fetch_add(1, Ordering::SeqCst);
                    open.push(stream);
                }
                for stream in &mut open {
                    if let Ok(count) = stream.read(&mut [0; 4096]) {
                        bytes.fetch_add(count, Ordering::SeqCst);
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let run = outside.kubectl(&["get", "nodes"]).exits(1);
    let run = run.says(&format!("another program listens at 127.0.0.1:{port}")).says("--port");
    assert!(!run.stderr.contains(&outside.kept().1));
    outside.fleet(&["proxy"]).exits(1).says("another program listens");
    // Having one's own status page does not help: it is not asked at the port.
    assert!(!outside.runs());
    over.store(true, Ordering::SeqCst);
    thread.join().expect("it ends");
    assert_eq!((connections.load(Ordering::SeqCst), bytes.load(Ordering::SeqCst)), (0, 0));
    outside.kubectl(&["get", "nodes"]).exits(0);
    // One that has ended without a word, and whose place somebody has taken.
    let [id] = outside.proxies()[..] else { panic!("one proxy") };
    try_sh("kill", &["-KILL", &id.to_string()]);
    let begun = Instant::now();
    let squatter = loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(squatter) => break squatter,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(5), "{error}"),
        }
    };
    squatter.set_nonblocking(true).expect("set");
    outside.kubectl(&["get", "nodes"]).exits(1).says("another program listens");
    assert!(squatter.accept().is_err(), "somebody connected");
}

#[test]
fn another_port_is_taken_only_while_no_proxy_runs_and_older_files_are_good_no_more() {
    let _using = using();
    let outside = Outside::with_file();
    let old = outside.read(outside.file_name());
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port()
        .to_string();
    let change = ["kubeconfig", "--all", "--port", &free, "--output", outside.file_name()];
    outside.kubectl(&["get", "nodes"]).exits(0);
    outside.fleet(&change).exits(1).says("fleet proxy --stop");
    assert_eq!(outside.read(outside.file_name()), old);
    outside.fleet(&["proxy", "--stop"]).exits(0);
    outside.fleet(&change).exits(0);
    outside.kubectl(&["get", "nodes"]).exits(0);
    assert_eq!(outside.status()["address"], format!("127.0.0.1:{free}"));
    outside.write(outside.file_name(), &old);
    outside
        .kubectl(&["get", "nodes"])
        .exits(1)
        .says("this kubeconfig has the proxy at")
        .says("write the kubeconfig again");
}

#[test]
fn no_secret_is_in_a_command_line_and_no_key_of_a_cluster_in_the_file() {
    let _using = using();
    let outside = Outside::with_file();
    let mut secrets = secrets_of(standing(), &HUBS);
    for secret in &secrets {
        assert!(!outside.read(outside.file_name()).contains(&secret.text), "{} is in the file", secret.name);
    }
    secrets.push(crate::secrets::secret("the proxy's secret", outside.kept().1));
    let over = AtomicBool::new(false);
    let (rounds, seen) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_command_lines(&secrets, &over));
        for hub in HUBS {
            let run = outside.kubectl(&["--context", hub, "get", "nodes"]).exits(0);
            assert!(secrets.iter().all(|secret| !run.stderr.contains(&secret.text)));
        }
        outside.fleet(&["proxy", "--status"]).exits(0);
        outside.fleet(&["proxy", "--stop"]).exits(0);
        over.store(true, Ordering::SeqCst);
        watcher.join().expect("it watches")
    });
    assert!(rounds > 3, "{rounds}");
    assert_eq!(seen, Vec::<String>::new());
    let log = outside.read("jhubs/_fleet/proxy/log");
    assert!(secrets.iter().all(|secret| !log.contains(&secret.text)), "a secret is in the log");
    // Nothing about a secret, and nothing else, for whoever asks the plugin at a terminal.
    let pty = crate::common::pty::Pty::run(
        &format!("{} proxy --credential ou23s", env!("CARGO_BIN_EXE_fleet")),
        |command| {
            command.env("FLEET_CONFIG", outside.path("fleet.toml"));
        },
    );
    pty.shows("this is for kubectl");
    assert!(!pty.shown().contains("PRIVATE KEY"));
}

#[test]
fn by_hand_it_stays_in_the_foreground_and_none_that_does_not_answer_is_ended() {
    let _using = using();
    let outside = Outside::with_file();
    outside.fleet(&["proxy", "--stop"]).exits(0).says("no proxy runs");
    outside.fleet(&["proxy", "--status"]).exits(0).says("no proxy runs");
    let by_hand = Outside::start(outside.command(&["proxy"]));
    let id = by_hand.id();
    let signal = |name: &str| try_sh("kill", &[&format!("-{name}"), &id.to_string()]);
    eventually("it listens", Duration::from_secs(10), || outside.runs());
    assert_eq!(outside.status()["idle_seconds"], Value::Null);
    outside.fleet(&["proxy"]).exits(1).says("runs already").says(&id.to_string());
    outside.kubectl(&["get", "nodes"]).exits(0);
    assert!(outside.proxies().is_empty(), "kubectl goes by the one that runs");
    signal("INT");
    let run = Run::of(&by_hand.wait_with_output().expect("it ends")).exits(130);
    assert_eq!(run.stdout, "");
    let run = run.says(&format!("the proxy listens at 127.0.0.1:{}, until Ctrl-C", outside.kept().0));
    assert!(!run.stderr.contains(&outside.kept().1), "the secret is shown");
    let by_hand = Outside::start(outside.command(&["proxy", "--idle", "1s"]));
    Run::of(&by_hand.wait_with_output().expect("it ends")).exits(0).says("nobody was connected");
}

#[test]
fn one_that_does_not_answer_is_told_and_not_ended() {
    let _using = using();
    let outside = Outside::with_file();
    let hanging = Outside::start(outside.command(&["proxy"]));
    let id = hanging.id().to_string();
    let signal = |name: &str| try_sh("kill", &[&format!("-{name}"), &id]);
    eventually("it listens", Duration::from_secs(10), || outside.runs());
    signal("STOP");
    outside.kubectl(&["get", "nodes"]).exits(1).says("does not answer").says(&id);
    outside.fleet(&["proxy", "--status"]).exits(1).says("does not answer");
    outside.fleet(&["proxy", "--stop"]).exits(1).says("does not answer").says(&id);
    assert!(Path::new("/proc").join(&id).exists());
    signal("CONT");
    // It hears then what it was told meanwhile.
    Run::of(&hanging.wait_with_output().expect("it ends")).exits(0).says("it was told to");
}
