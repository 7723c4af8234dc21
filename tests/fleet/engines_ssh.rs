//! Engines that are reached over SSH and over TCP, and by the names of Docker contexts.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::common::engines::{Machine, TwoEngines, context, over_ssh, second};
use crate::common::world::{eventually, sh};
use crate::common::{Run, using, world};

const HUB: &str = "ou23s";

/// A fleet whose engine `far` is reached over SSH.
fn far(machine: &Machine) -> TwoEngines {
    let two = TwoEngines::new("");
    two.settings(&format!("[engines.far]\nurl = \"{}\"\nnetwork = \"bridge\"\n", machine.url()));
    two
}

/// Runs fleet where ssh knows the machine.
fn run(two: &TwoEngines, machine: &Machine, args: &[&str]) -> Run {
    Run::of(&two.fleet.command(args).env("PATH", machine.path()).output().expect("fleet starts"))
}

fn add(two: &TwoEngines, machine: &Machine, more: &[&str]) -> Run {
    let hub = world().hub(HUB);
    let openrc = two.fleet.openrc(&hub.project);
    let mut args = vec!["new", "--name", HUB, "--ip", &hub.ip, "--openrc", openrc.to_str().expect("UTF-8")];
    args.extend(["--engine", "far"]);
    args.extend(more);
    run(two, machine, &args)
}

#[test]
fn everything_works_on_an_engine_over_ssh() {
    let _using = using();
    let machine = over_ssh();
    let two = far(machine);
    add(&two, machine, &[]).exits(0);
    assert_eq!(second().containers(&two.fleet).len(), 1);
    run(&two, machine, &["status"]).exits(0);
    let exec =
        run(&two, machine, &["exec", "--engine", "far", "sh", "-c", "kubectl get nodes -o name; exit 7"])
            .exits(1);
    assert_eq!(exec.lines_of(HUB)[0], "node/ou23s-1", "{}", exec.stdout);

    // Its input has an end, its output comes whole, and nothing of it is left when it is stopped.
    let mut child = two
        .fleet
        .command(&["exec", "--hub", HUB, "--stdin", "sha256sum"])
        .env("PATH", machine.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("fleet starts");
    let input = vec![b'x'; 3 << 20];
    child.stdin.take().expect("piped").write_all(&input).expect("fleet reads");
    let output = Run::of(&child.wait_with_output().expect("fleet ends"));
    let digest = sh("sh", &["-c", "head -c 3145728 /dev/zero | tr '\\0' x | sha256sum"]);
    assert_eq!(output.lines_of(HUB), [digest.as_str()]);
    let big =
        run(&two, machine, &["exec", "--hub", HUB, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' 'y'"])
            .exits(0);
    assert_eq!(big.lines_of(HUB).iter().map(|line| line.len()).sum::<usize>(), 3_000_000);
    run(&two, machine, &["exec", "--hub", HUB, "--timeout", "2s", "sleep", "4711"]).exits(1);
    let left = second().docker(&["top", &format!("{}-{HUB}", two.fleet.name), "-eo", "pid,args"]);
    assert!(!left.contains("4711"), "{left}");

    two.fleet.answer_for(&["mvu23s", "fsu-s23"]);
    run(&two, machine, &["orphans"]).exits(0);
    run(&two, machine, &["down", HUB]).exits(0);
    run(&two, machine, &["up"]).exits(0).says("started, and its API answers");
    run(&two, machine, &["rm", HUB]).exits(0);
    assert_eq!(second().containers(&two.fleet).len(), 0);
}

#[test]
fn what_ssh_says_is_told_when_it_does_not_get_in() {
    let _using = using();
    let machine = over_ssh();
    let two = far(machine);
    two.settings(&format!("[engines.far]\nurl = \"{}\"\n", machine.url().replace("root@", "nobody@")));
    run(&two, machine, &["doctor"])
        .exits(1)
        .prints("ssh says: nobody@")
        .prints("Permission denied")
        .prints("ssh -o BatchMode=yes nobody@");
}

#[test]
fn where_the_engines_machine_lacks_the_files_nothing_is_made() {
    let _using = using();
    let machine = over_ssh();
    let two = far(machine);
    let before = two.fleet.everything();
    let hub = world().hub(HUB);
    // What is here is not there: a file system that only this run of fleet sees.
    let script = "mount -t tmpfs none \"$1\" && cp openrc-alpha.sh \"$1\"/ && shift && exec \"$@\"";
    let hidden = two.fleet.path("hidden");
    std::fs::create_dir(&hidden).expect("made");
    let openrc = hidden.join("openrc-alpha.sh");
    let fleet = two.fleet.command(&["new", "--name", HUB, "--ip", &hub.ip, "--engine", "far", "--openrc"]);
    let mut unshared = std::process::Command::new("unshare");
    unshared
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&hidden)
        .arg(fleet.get_program())
        .args(fleet.get_args())
        .arg(&openrc)
        .current_dir(two.fleet.dir.path())
        .env("FLEET_CONFIG", two.fleet.path("fleet.toml"))
        .env_remove("DOCKER_HOST")
        .env("PATH", machine.path())
        .stdin(Stdio::null());
    let run = Run::of(&unshared.output().expect("unshare starts"));
    run.exits(1)
        .says("hub ou23s")
        .says("engine far (ssh://")
        .says(&format!("there is no {}", openrc.display()));
    std::fs::remove_dir(&hidden).expect("empty");
    assert_eq!(two.fleet.everything(), before);
    assert_eq!(second().containers(&two.fleet).len(), 0);
}

#[test]
fn a_probe_that_a_killed_fleet_has_left_goes_with_the_next_run_and_no_other_ones() {
    let _using = using();
    let two = TwoEngines::new("");
    let far = |what| {
        let port = TwoEngines::over_tcp_hangs_at(what);
        two.settings(&format!("[engines.far]\nurl = \"tcp://127.0.0.1:{port}\"\nnetwork = \"bridge\"\n"));
    };
    let hub = world().hub(HUB);
    let openrc = two.fleet.openrc(&hub.project);
    let openrc = openrc.to_str().expect("UTF-8");
    let new = ["new", "--name", HUB, "--ip", &hub.ip, "--openrc", openrc, "--engine", "far"];
    let name = format!("{}-{HUB}.probe-", two.fleet.name);
    let left = || second().containers(&two.fleet).into_iter().find(|container| container.starts_with(&name));
    far("DELETE ");
    let mut killed = two.fleet.command(&new).stderr(Stdio::null()).spawn().expect("fleet starts");
    eventually("a probe is there", Duration::from_secs(10), || left().is_some());
    killed.kill().expect("it runs");
    killed.wait().expect("it was killed");
    // Another fleet of the name has left one, too.
    let theirs = format!("{name}0");
    let (fleet, of) = (format!("fleet.name={}", two.fleet.name), format!("fleet.probe={HUB}"));
    second().docker(&[
        "create",
        "--name",
        &theirs,
        "--label",
        &fleet,
        "--label",
        &of,
        "fleet/sandbox:latest",
    ]);

    // Nobody takes them for a hub's, or for the old scripts'.
    far("nothing");
    two.fleet.run(&["doctor"]).exits(0);
    two.fleet.run(&["adopt", "--dry-run"]).exits(0).says("no container of the old scripts");
    two.fleet.run(&new).exits(0);
    assert_eq!(second().containers(&two.fleet).len(), 2);
    assert_eq!(left(), Some(theirs));
}

#[test]
fn an_engine_can_be_named_by_its_docker_context() {
    let _using = using();
    let two = TwoEngines::new("");
    let config = two.fleet.path("docker");
    context(&config, "vm", &second().url());
    two.settings("[engines.second]\ncontext = \"vm\"\nnetwork = \"bridge\"\n");
    let fleet = |args: &[&str]| {
        Run::of(&two.fleet.command(args).env("DOCKER_CONFIG", &config).output().expect("fleet starts"))
    };
    let hub = world().hub(HUB);
    let openrc = two.fleet.openrc(&hub.project);
    fleet(&[
        "new",
        "--name",
        HUB,
        "--ip",
        &hub.ip,
        "--openrc",
        openrc.to_str().expect("UTF-8"),
        "--engine",
        "second",
    ])
    .exits(0);
    assert_eq!(second().containers(&two.fleet).len(), 1);
    assert_eq!(fleet(&["exec", "--all", "hostname"]).exits(0).lines_of(HUB), [HUB]);
    sh("rm", &["-r", &config.display().to_string()]);
    fleet(&["status"]).exits(2).says("there is no Docker context \"vm\"");
}

/// `[engines.second]` over TCP, with these files.
fn over_tcp(ca: &str, client: &str) -> String {
    let engine = second();
    let mut text = format!(
        "[engines.second]\nurl = \"{}\"\nnetwork = \"bridge\"\ntls_ca = \"{}\"\n",
        engine.tcp(),
        engine.tls(ca).display()
    );
    if !client.is_empty() {
        let key = format!("{client}-key");
        text += &format!(
            "tls_cert = \"{}\"\ntls_key = \"{}\"\n",
            engine.tls(client).display(),
            engine.tls(&key).display()
        );
    }
    text
}

#[test]
fn an_engine_is_reached_over_tcp_with_certificates_that_both_sides_show() {
    let _using = using();
    let two = TwoEngines::new("");
    two.settings(&over_tcp("ca", "client"));
    two.add(HUB, "second");
    assert_eq!(second().containers(&two.fleet).len(), 1);
    two.fleet.run(&["status"]).exits(0);
    let big = two
        .fleet
        .run(&["exec", "--hub", HUB, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' 'y'"])
        .exits(0);
    assert_eq!(big.lines_of(HUB).iter().map(|line| line.len()).sum::<usize>(), 3_000_000);
    let hub = two.fleet.toml();
    let hub = &hub[hub.find("[[hub]]").expect("a hub")..];
    for (ca, client, why) in [
        ("other", "client", "UnknownIssuer"),
        ("ca", "", "ertificate"),
        ("client-key", "client", "there is no certificate in it"),
    ] {
        two.settings(&format!("{}\n{hub}", over_tcp(ca, client)));
        let run = two.fleet.run(&["status"]).exits(1);
        assert!(
            run.stderr.contains("engine second does not answer") && run.stderr.contains(why),
            "{why}: {}",
            run.stderr
        );
    }
}

#[test]
fn where_the_tunnels_socket_is_on_another_machine_the_api_is_spoken_with_through_the_sandbox() {
    let _using = using();
    let machine = over_ssh();
    let two = far(machine);
    add(&two, machine, &[]).exits(0);
    // This run of fleet sees everything but the socket, as it would be on a file system that two machines share.
    let script = "cp \"$1\"/known_hosts . && mount -t tmpfs none \"$1\" && cp known_hosts \"$1\"/ && shift && exec \"$@\"";
    let apart = |args: &[&str]| {
        let fleet = two.fleet.command(args);
        let mut unshared = std::process::Command::new("unshare");
        unshared
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(two.fleet.state(HUB).join("tunnel"))
            .arg(fleet.get_program())
            .args(fleet.get_args())
            .current_dir(two.fleet.dir.path())
            .env("FLEET_CONFIG", two.fleet.path("fleet.toml"))
            .env_remove("DOCKER_HOST")
            .env("PATH", machine.path())
            .stdin(Stdio::null());
        Run::of(&unshared.output().expect("unshare starts"))
    };
    let status = apart(&["status"]).exits(0);
    assert!(status.stdout.contains("ready"), "{}", status.stdout);
    let claims = |run: Run| run.json()["claims"].as_array().map(Vec::len);
    assert_eq!(
        claims(apart(&["pvc", "--format", "json"]).exits(0)),
        claims(run(&two, machine, &["pvc", "--format", "json"]).exits(0))
    );
    two.fleet.answer_for(&["mvu23s", "fsu-s23"]);
    apart(&["orphans"]).exits(0);
    // Where somebody has closed the way, the sandbox leads nowhere.
    second().docker(&["exec", &format!("{}-{HUB}", two.fleet.name), "rm", "/run/fleet/api.sock"]);
    apart(&["status"]).exits(1).says("there is no tunnel");
    // Nothing of what was asked through the sandbox is left in it.
    let left = second().docker(&["top", &format!("{}-{HUB}", two.fleet.name), "-eo", "pid,args"]);
    assert!(!left.contains("/dev/tcp"), "{left}");
}
