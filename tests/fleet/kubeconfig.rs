//! `fleet kubeconfig` and `fleet proxy`: the machine's own kubectl reaches every hub by way of a proxy that starts when it is
//! needed, and that is no use to anybody without the file.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::world::{Undo, docker, eventually, try_sh};
use crate::common::{Fleet, Run, breaking, standing, using, world};
use crate::secrets::{secrets_of, watch_command_lines};

const HUBS: [&str; 4] = ["ou23s", "mvu23s", "fsu-s23", "pyaos"];

/// The standing fleet's hubs under a file of their own, with a proxy of their own: their states are links.
struct Outside {
    dir: TempDir,
}

impl Outside {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-outside-").tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("jhubs")).expect("made");
        std::fs::create_dir(dir.path().join("home")).expect("made");
        for hub in HUBS {
            symlink(standing().state(hub), dir.path().join("jhubs").join(hub)).expect("linked");
        }
        let outside = Self { dir };
        outside.write("fleet.toml", &standing().toml());
        outside
    }

    /// With the file for all hubs.
    fn with_file() -> Self {
        let outside = Self::new();
        outside.fleet(&["kubeconfig", "--all", "--output", outside.file_name()]).exits(0);
        outside
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file_name(&self) -> &'static str {
        "hubs.yaml"
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it reads")
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("FLEET_CONFIG", self.path("fleet.toml"))
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null());
        command
    }

    fn fleet(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().expect("fleet starts"))
    }

    /// The machine's kubectl with the file. `FLEET_TEST_KUBECTL` names another one.
    fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("FLEET_TEST_KUBECTL").unwrap_or("kubectl".into()));
        command
            .args(args)
            .current_dir(self.path("home"))
            .env("HOME", self.path("home"))
            .env("KUBECONFIG", self.path(self.file_name()))
            .env_remove("FLEET_CONFIG")
            .stdin(Stdio::null());
        command
    }

    fn kubectl(&self, args: &[&str]) -> Run {
        Run::of(&self.kubectl_command(args).output().expect("kubectl starts"))
    }

    fn start(mut command: Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    fn status(&self) -> Value {
        self.fleet(&["proxy", "--status", "--format", "json"]).exits(0).json()
    }

    fn runs(&self) -> bool {
        self.status()["running"] == true
    }

    /// The proxy's port and secret.
    fn kept(&self) -> (u16, String) {
        let kept: Value = serde_json::from_str(&self.read("jhubs/_fleet/proxy/settings.json")).expect("JSON");
        let port = kept["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        (port, kept["secret"].as_str().expect("a secret").to_owned())
    }

    /// Has a proxy that is started on demand end sooner.
    fn ends_after(&self, idle: &str) {
        let text = self.read(self.file_name());
        let changed: String = text
            .lines()
            .map(|line| match line.trim() {
                "- '--at'" => {
                    format!("{}\n{}\n{line}\n", line.replace("--at", "--idle"), line.replace("--at", idle))
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(changed.matches("--idle").count(), HUBS.len(), "the file is not as it was thought to be");
        self.write(self.file_name(), &changed);
    }

    /// Ids of all proxies of this file.
    fn proxies(&self) -> Vec<u32> {
        let config = self.path("fleet.toml").display().to_string();
        let ids = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            let is_one =
                words.iter().any(|word| *word == config) && words.iter().any(|word| word == "--detached");
            is_one.then_some(id)
        });
        ids.collect()
    }

    /// What a request for a hub's `/readyz` by way of the proxy is answered.
    fn curl(&self, hub: &str, user: Option<&str>) -> u16 {
        let proxy = format!("http://127.0.0.1:{}", self.kept().0);
        let url = format!("https://{hub}.fleet.internal:6443/readyz");
        let mut config = format!("proxy = \"{proxy}\"\nurl = \"{url}\"\n");
        if let Some(user) = user {
            config.push_str(&format!("proxy-user = \"{user}\"\n"));
        }
        let mut curl = Command::new("curl")
            .args(["-skm10", "-o", "/dev/null", "-w", "%{http_connect}", "-K", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl starts");
        curl.stdin.take().expect("piped").write_all(config.as_bytes()).expect("curl reads");
        let output = curl.wait_with_output().expect("curl ends");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a status")
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let stopped = self.command(&["proxy", "--stop"]).output();
        if !std::thread::panicking() {
            assert!(stopped.expect("fleet starts").status.success());
            eventually("no proxy is left", Duration::from_secs(10), || self.proxies().is_empty());
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn kubectl_reaches_every_hub_by_its_name_and_all_of_them_at_once() {
    let _using = using();
    let outside = Outside::with_file();
    let contexts = outside.kubectl(&["config", "get-contexts", "-o", "name"]).exits(0).stdout;
    assert_eq!(sorted(&contexts), sorted(&HUBS.join("\n")));
    assert_eq!(outside.kubectl(&["config", "current-context"]).exits(0).stdout.trim(), HUBS[0]);
    // From nothing: eight kubectls, and no proxy before.
    let running: Vec<(&str, [Child; 2])> = HUBS
        .into_iter()
        .map(|hub| {
            let start = |kind| {
                Outside::start(outside.kubectl_command(&["--context", hub, "get", kind, "-A", "-o", "name"]))
            };
            (hub, [start("nodes"), start("pvc")])
        })
        .collect();
    for (hub, children) in running {
        for (child, kind) in children.into_iter().zip(["nodes", "pvc"]) {
            let run = Run::of(&child.wait_with_output().expect("kubectl ends")).exits(0);
            let own = world::kubectl(world().hub(hub), &["get", kind, "-A", "-o", "name"]);
            assert_eq!(sorted(&run.stdout), sorted(&own), "{hub}");
            assert_eq!(run.stderr, "", "{hub}");
        }
    }
    assert_eq!(outside.proxies().len(), 1);
}

#[test]
fn what_is_seen_of_a_watch_comes_when_it_happens() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let hub = world().hub("ou23s");
    let watch = ["--context", "ou23s", "get", "pvc", "-n", "default", "-w", "-o", "name"];
    let mut watching = Outside::start(outside.kubectl_command(&watch));
    let mut output = watching.stdout.take().expect("piped");
    let (tell, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if tell.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    let _over = Undo(|| {
        let _ = watching.kill();
        let _ = watching.wait();
        try_sh(
            "docker",
            &[
                "exec",
                &hub.container,
                "kubectl",
                "--kubeconfig",
                "/etc/kubernetes/admin.conf",
                "delete",
                "pvc",
                "-n",
                "default",
                "--wait=false",
                "outside-watch",
            ],
        );
    });
    eventually("the watch is on", Duration::from_secs(20), || {
        outside.status()["connections"].as_u64() > Some(0)
    });
    // Longer than a credential is good for: the connection goes on.
    std::thread::sleep(Duration::from_secs(17));
    let begun = Instant::now();
    world::apply(
        hub,
        &json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "outside-watch", "namespace": "default" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "nobodys",
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }),
    );
    let line = seen.recv_timeout(Duration::from_secs(10)).expect("the watch tells");
    assert!(line.contains("outside-watch"), "{line}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_upgraded_connection_goes_by_way_of_the_proxy_too() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let hub = world().hub("ou23s");
    // On the master, where there is no kubelet: that nobody listens is what the API server says in answer to the upgrade.
    world::apply(
        hub,
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "outside", "namespace": "jhub" },
            "spec": {
                "nodeName": "ou23s-1", "automountServiceAccountToken": false,
                "containers": [{ "name": "c", "image": "none" }],
            },
        }),
    );
    let _gone = Undo(|| {
        let delete = ["delete", "pod", "outside", "-n", "jhub", "--grace-period=0", "--force"];
        outside.kubectl(&[&["--context", "ou23s"][..], &delete].concat());
    });
    let mut pod = outside
        .kubectl(&["--context", "ou23s", "get", "pod", "outside", "-n", "jhub", "-o", "json"])
        .exits(0)
        .json();
    pod["status"]["phase"] = "Running".into();
    outside.write("pod.json", &pod.to_string());
    let (status, file) =
        ("/api/v1/namespaces/jhub/pods/outside/status", outside.path("pod.json").display().to_string());
    outside.kubectl(&["--context", "ou23s", "replace", "--raw", status, "-f", &file]).exits(0);
    let nobody = format!("dial tcp {}:10250: connect: connection refused", hub.ip);
    for args in [
        &["exec", "outside", "--", "true"][..],
        &["port-forward", "outside", ":80"],
        &["logs", "-f", "outside"],
    ] {
        let run = outside.kubectl(&[&["--context", "ou23s", "-n", "jhub"], args].concat());
        assert_ne!(run.status, Some(0));
        run.says(&nobody);
    }
}

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
fn a_hub_without_a_tunnel_and_one_that_is_gone_are_told_through_kubectl() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let container = standing().container("pyaos");
    let answers = || outside.kubectl(&["--context", "pyaos", "get", "nodes"]).status == Some(0);
    {
        let _start = Undo(|| {
            try_sh("docker", &["start", &container]);
        });
        docker(&["stop", "-t", "3", &container]);
        let run = outside.kubectl(&["--context", "pyaos", "get", "nodes"]).exits(1);
        run.says("hub pyaos has no tunnel now: fleet status pyaos shows why");
        outside.kubectl(&["--context", "ou23s", "get", "nodes"]).exits(0);
    }
    eventually("the tunnel is back", Duration::from_secs(30), answers);
    let toml = outside.read("fleet.toml");
    outside.write("fleet.toml", &toml.replace("\"pyaos\"", "\"pyaos2\""));
    outside.kubectl(&["--context", "pyaos", "get", "nodes"]).exits(1).says("no hub \"pyaos\" in fleet.toml");
    let user = format!("fleet:{}", outside.kept().1);
    assert_eq!(outside.curl("pyaos", Some(&user)), 404);
    // The proxy, which has been running all the time, knows the hub that came.
    symlink(standing().state("pyaos"), outside.path("jhubs/pyaos2")).expect("linked");
    assert_eq!(outside.curl("pyaos2", Some(&user)), 200);
    outside.fleet(&["kubeconfig", "--all", "--output", outside.file_name()]).exits(0);
    outside.kubectl(&["--context", "pyaos2", "get", "nodes"]).exits(0);
    outside.write("fleet.toml", &toml);
}

#[test]
fn a_master_that_hangs_costs_its_own_time_and_no_other_hub() {
    let _breaking = breaking();
    let outside = Outside::with_file();
    let _paused = world::pause(world().hub("mvu23s"));
    let mut hanging = Outside::start(outside.kubectl_command(&[
        "--context",
        "mvu23s",
        "--request-timeout=5s",
        "get",
        "nodes",
    ]));
    let begun = Instant::now();
    outside.kubectl(&["--context", "ou23s", "get", "nodes"]).exits(0);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let _ = hanging.kill();
    let _ = hanging.wait();
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
fn a_file_is_written_over_only_where_nothing_of_anybody_else_is_lost() {
    let _using = using();
    let outside = Outside::new();
    let (file, theirs) =
        (outside.file_name(), "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user: {token: mine}\n");
    let write = ["kubeconfig", "--all", "--output", file];
    outside.write(file, theirs);
    outside.fleet(&write).exits(2).says("is not a file of `fleet kubeconfig`").says("--force");
    assert_eq!(outside.read(file), theirs);
    let mut forced = write.to_vec();
    forced.push("--force");
    outside.fleet(&forced).exits(0).says("4 contexts");
    assert_eq!(mode(&outside.path(file)), 0o600);
    // What kubectl itself makes of it is fleet's own still, and what was chosen stays.
    outside.kubectl(&["config", "use-context", "pyaos"]).exits(0);
    outside.kubectl(&["config", "set-context", "ou23s", "--namespace", "jhub"]).exits(0);
    outside.fleet(&write).exits(0);
    assert_eq!(outside.kubectl(&["config", "current-context"]).stdout.trim(), "pyaos");
    let pods =
        |context| outside.kubectl(&["--context", context, "get", "pods", "-o", "name"]).exits(0).stdout;
    assert!(pods("ou23s").contains("pod/"));
    // A link stays one.
    std::fs::rename(outside.path(file), outside.path("real.yaml")).expect("moved");
    symlink("real.yaml", outside.path(file)).expect("linked");
    outside.fleet(&write).exits(0);
    assert!(std::fs::symlink_metadata(outside.path(file)).expect("it is there").is_symlink());
    outside.fleet(&["kubeconfig", "pyaos", "--output", "new/dir/one.yaml"]).exits(0);
    assert_eq!((mode(&outside.path("new/dir/one.yaml")), mode(&outside.path("new/dir"))), (0o600, 0o700));
    let other = Outside::new();
    let path = outside.path(file).display().to_string();
    other.fleet(&["kubeconfig", "--all", "--output", &path]).exits(2);
    // One user more is somebody else's.
    let more = outside.read(file).replace("users:\n", "users:\n- name: 'me'\n  user:\n    token: 'mine'\n");
    outside.write(file, &more);
    outside.fleet(&write).exits(2);
    assert_eq!(outside.read(file), more);
}

#[test]
fn a_hub_whose_kubeconfig_is_missing_or_of_no_use_is_named_and_the_others_are_written() {
    let _using = using();
    let outside = Outside::new();
    for (hub, text) in [("pyaos", None), ("mvu23s", Some("hunter2: [")), ("fsu-s23", Some(PASSWORD))] {
        std::fs::remove_file(outside.path("jhubs").join(hub)).expect("a link");
        std::fs::create_dir_all(outside.path("jhubs").join(hub).join("kube")).expect("made");
        if let Some(text) = text {
            outside.write(&format!("jhubs/{hub}/kube/config"), text);
        }
    }
    let run = outside.fleet(&["kubeconfig", "--all", "--output", outside.file_name()]).exits(1);
    let run = run.says("hub pyaos: cannot read its kubeconfig").says("hub mvu23s: its kubeconfig ");
    let run = run.says("hub fsu-s23: its kubeconfig ").says("a name and a password").says("1 context:");
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    outside.kubectl(&["get", "nodes"]).exits(0);
    outside.fleet(&["kubeconfig", "pyaos", "--output", "none.yaml"]).exits(1).says("nothing was written");
    assert!(!outside.path("none.yaml").exists());
    outside.fleet(&["kubeconfig", "ou32s"]).exits(2).says("did you mean \"ou23s\"?");
}

const PASSWORD: &str = "current-context: c\n\
    contexts: [{name: c, context: {cluster: c, user: u}}]\n\
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: Y2E=}}]\n\
    users: [{name: u, user: {username: u, password: hunter2}}]\n";

#[test]
fn a_file_that_the_shell_made_for_everybody_to_read_is_warned_of() {
    let _using = using();
    let outside = Outside::new();
    let into = |mode: u32| {
        let file = std::fs::File::create(outside.path(outside.file_name())).expect("made");
        file.set_permissions(std::fs::Permissions::from_mode(mode)).expect("set");
        Run::of(&outside.command(&["kubeconfig", "--all"]).stdout(file).output().expect("fleet starts"))
            .exits(0)
    };
    into(0o644).says("warning: ").says("0644");
    assert_eq!(into(0o600).stderr, "");
    assert_eq!(outside.fleet(&["kubeconfig", "--all"]).exits(0).stderr, "");
    outside.kubectl(&["--context", "mvu23s", "get", "nodes"]).exits(0);
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

#[test]
fn it_works_for_a_fleet_that_lies_deep() {
    let _using = using();
    let outside = Outside::new();
    let deep = outside.path("d").join("e".repeat(120)).join("f".repeat(120));
    std::fs::create_dir_all(deep.join("jhubs")).expect("made");
    for hub in HUBS {
        symlink(standing().state(hub), deep.join("jhubs").join(hub)).expect("linked");
    }
    let fleet: Fleet = Fleet::empty();
    let config = deep.join("fleet.toml").display().to_string();
    std::fs::copy(outside.path("fleet.toml"), &config).expect("copied");
    let file = outside.path(outside.file_name()).display().to_string();
    fleet.run(&["--config", &config, "kubeconfig", "--all", "--output", &file]).exits(0);
    let _stop = Undo(|| {
        fleet.run(&["--config", &config, "proxy", "--stop"]).exits(0);
    });
    outside.kubectl(&["get", "nodes"]).exits(0);
    assert_eq!(
        std::fs::metadata(deep.join("jhubs/_fleet/proxy/control.sock")).expect("there").mode() & 0o170_000,
        0o140_000
    );
}
