//! `fleet openrc`: new credentials for hubs, in place, proved from inside; and what is wrong with openrc files.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::openstack::new_openrc;
use crate::common::world::{docker, eventually, try_sh};
use crate::common::{Fleet, Run, using, world};

/// Puts a new openrc into the fleet's directory, where the operator would have downloaded it to.
fn download(fleet: &Fleet, name: &str, text: &str) -> String {
    fleet.write(name, text);
    fleet.path(name).to_str().expect("UTF-8").to_owned()
}

fn inode(fleet: &Fleet, name: &str) -> u64 {
    std::fs::metadata(fleet.path(name)).expect("it is there").ino()
}

fn mode(fleet: &Fleet, name: &str) -> u32 {
    std::fs::metadata(fleet.path(name)).expect("it is there").mode() & 0o777
}

/// The application credential that every sandbox has, by its id.
fn ids(fleet: &Fleet, hubs: &[&str]) -> Vec<String> {
    let run = fleet.run(&["exec", "--all", "printenv", "OS_APPLICATION_CREDENTIAL_ID"]).exits(0);
    hubs.iter().map(|hub| run.lines_of(hub).join("")).collect()
}

fn id_in(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("export OS_APPLICATION_CREDENTIAL_ID="));
    line.expect("it has one").trim_matches('"').to_owned()
}

/// All files but what tunnels come and go with.
fn files(fleet: &Fleet) -> Vec<String> {
    fleet.files().into_iter().filter(|file| !file.contains("tunnel/api.sock")).collect()
}

/// The row of a file, from JSON.
#[track_caller]
fn row(run: &Run, file: &str) -> Value {
    let all = run.json();
    let found = all
        .as_array()
        .expect("an array")
        .iter()
        .find(|one| one["file"].as_str().is_some_and(|path| path.ends_with(file)));
    found.unwrap_or_else(|| panic!("no {file} in {all}")).clone()
}

/// The hubs of a fleet whose second hub has an openrc file of its own for the same project.
fn with_two_files() -> Fleet {
    let fleet = Fleet::with(&["ou23s"]);
    std::fs::copy(fleet.openrc("alpha"), fleet.path("openrc-own.sh")).expect("copied");
    let hub = world().hub("mvu23s");
    let openrc = fleet.path("openrc-own.sh").display().to_string();
    fleet.run(&["new", "--name", "mvu23s", "--ip", &hub.ip, "--openrc", &openrc]).exits(0);
    fleet
}

#[test]
fn new_credentials_are_in_every_sandbox_that_shares_the_file_and_the_old_ones_beside_it() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let (old, new) = (fleet.read("openrc-alpha.sh"), new_openrc("alpha", None));
    let before = inode(&fleet, "openrc-alpha.sh");
    let path = download(&fleet, "new.sh", &new);
    let run = fleet.run(&["openrc", "set", "ou23s", &path]).exits(0);
    run.says("ou23s, mvu23s: ").says("(project alpha, without end), and they work in the sandboxes");
    assert_eq!(fleet.read("openrc-alpha.sh"), new);
    assert_eq!((inode(&fleet, "openrc-alpha.sh"), mode(&fleet, "openrc-alpha.sh")), (before, 0o600));
    assert_eq!(fleet.read("openrc-alpha.sh.fleet-backup"), old);
    assert_eq!(mode(&fleet, "openrc-alpha.sh.fleet-backup"), 0o600);
    assert_eq!(ids(&fleet, &["ou23s", "mvu23s"]), [id_in(&new), id_in(&new)]);
    fleet.run(&["exec", "--all", "openstack", "token", "issue", "-f", "value", "-c", "project_id"]).exits(0);
    fleet.run(&["status"]).exits(0);
    // Once more: there is nothing to do, and the backup is still worth something.
    fleet.run(&["openrc", "set", "mvu23s", &path]).exits(0).says("has this content already");
    assert_eq!(fleet.read("openrc-alpha.sh.fleet-backup"), old);
}

#[test]
fn new_credentials_can_be_piped_in() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let new = new_openrc("alpha", None);
    let set = |text: &[u8]| {
        let mut child = fleet
            .command(&["openrc", "set", "ou23s", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("fleet starts");
        let _ = child.stdin.take().expect("piped").write_all(text);
        Run::of(&child.wait_with_output().expect("fleet ends"))
    };
    set(b"").exits(2).says("(standard input): it is empty");
    set(&vec![b'#'; 2 << 20]).exits(2).says("larger than 1 MiB");
    set(new.as_bytes()).exits(0);
    assert_eq!(fleet.read("openrc-alpha.sh"), new);
}

#[test]
fn what_is_plainly_wrong_is_told_at_once_and_nothing_is_changed() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let bad = download(
        &fleet,
        "bad.sh",
        "export OS_USERNAME=u OS_PROJECT_NAME=p\r\nread -sr OS_PASSWORD\r\nexport OS_PASSWORD\r\n",
    );
    let before = files(&fleet);
    let run = fleet.run(&["openrc", "set", "ou23s", &bad]).exits(2);
    run.says("Windows line ends")
        .says("asks for a password")
        .says("OS_AUTH_URL")
        .says("application credential");
    fleet.run(&["openrc", "set", "ou23s", "nowhere.sh"]).exits(2).says("there is no such file");
    fleet.run(&["openrc", "set", "ou23", &bad]).exits(2).says("did you mean");
    fleet.run(&["openrc", "set", &bad]).exits(2);
    fleet.run(&["openrc", "set", "ou23s", "--project", "alpha", &bad]).exits(2);
    assert_eq!(files(&fleet), before);
}

#[test]
fn credentials_that_do_not_work_are_tried_in_the_sandbox_and_leave_nothing_there() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let config = fleet.variant("impatient.toml", "[timeouts]\nopenrc = \"2s\"");
    let good = fleet.read("openrc-alpha.sh");
    let secret = good.lines().find(|line| line.contains("_SECRET=")).expect("a secret").to_owned();
    let texts = [
        (good.replace(&secret, "export OS_APPLICATION_CREDENTIAL_SECRET=wrong-4952"), "Keystone refused"),
        (format!("{good}\nsleep 4952\n"), "sourcing the new openrc took longer than 2s"),
        (format!("{good}\nexit 7\n"), "sourcing the new openrc ended with status 7"),
        // One that asks gets nothing, and above all not the rest of itself.
        (format!("f() {{ read -r \"$1\"; }}\n{good}\nf OS_PASSWORD || exit 8\n"), "ended with status 8"),
    ];
    let paths: Vec<String> =
        texts.iter().enumerate().map(|(n, (text, _))| download(&fleet, &format!("n{n}.sh"), text)).collect();
    let before = files(&fleet);
    let inside = || {
        docker(&[
            "exec",
            &fleet.container("ou23s"),
            "sh",
            "-c",
            "find /tmp /dev/shm /home -xdev -type f | sort",
        ])
    };
    let there = inside();
    for (path, (_, says)) in paths.iter().zip(&texts) {
        let began = Instant::now();
        let run = fleet.run(&["--config", &config, "openrc", "set", "ou23s", path]).exits(1);
        run.says(says).says("nothing was changed");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    let left: Vec<_> = fleet
        .processes("ou23s")
        .into_iter()
        .filter(|line| line.contains("4952") || line.contains("cat"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!((files(&fleet), inside()), (before, there));
    // A return at the end is what a script that is sourced may do.
    let path = download(&fleet, "returns.sh", &format!("{}\nreturn 0\n", new_openrc("alpha", None)));
    fleet.run(&["openrc", "set", "ou23s", &path]).exits(0);
}

#[test]
fn a_fleet_that_is_killed_in_the_middle_of_a_try_leaves_nothing_running_for_long() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let config = fleet.variant("impatient.toml", "[timeouts]\nopenrc = \"3s\"");
    let text = format!("{}\nsleep 4953\n", fleet.read("openrc-alpha.sh"));
    let path = download(&fleet, "hangs.sh", &text);
    let sleeps = || fleet.processes("ou23s").iter().any(|line| line.contains("sleep 4953"));
    let running = fleet.start(&["--config", &config, "openrc", "set", "ou23s", &path]);
    eventually("it is tried", Duration::from_secs(10), sleeps);
    // Another operator is told, and does not wait.
    fleet.run(&["openrc", "set", "ou23s", &path]).exits(1).says("is being worked on by process");
    running.signal("KILL");
    running.end();
    eventually("it has ended by itself", Duration::from_secs(15), || !sleeps());
    assert!(!fleet.path("openrc-alpha.sh.fleet-backup").exists());
    fleet.run(&["openrc", "set", "ou23s", &download(&fleet, "new.sh", &new_openrc("alpha", None))]).exits(0);
}

#[test]
fn another_project_is_refused_unless_it_is_meant() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let before = files(&fleet);
    let beta = fleet.openrc("beta").display().to_string();
    let run = fleet.run(&["openrc", "set", "ou23s", &beta]).exits(1);
    run.says("lead to project beta").says("to project alpha").says("--move-project");
    assert_eq!(files(&fleet), before);
    fleet.run(&["openrc", "set", "ou23s", &beta, "--move-project"]).exits(0).says("project beta");

    // Those that have expired do not say where they led.
    fleet.write_in_place("openrc-alpha.sh", &fleet.read("openrc-expired.sh"));
    let run = fleet.run(&["openrc", "set", "ou23s", &beta]).exits(1);
    run.says("cannot tell which project").says("--move-project");
    fleet.run(&["openrc", "set", "ou23s", &beta, "--move-project"]).exits(0);
}

#[test]
fn where_expired_credentials_led_is_remembered_from_a_kept_token() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    // Keystone takes whole seconds.
    fleet.write_in_place("openrc-alpha.sh", &new_openrc("alpha", Some(Duration::from_secs(12))));
    // It keeps no token that ends so soon from being written down.
    fleet.run(&["orphans"]);
    eventually("they have expired", Duration::from_secs(40), || {
        let run = fleet.run(&["openrc", "check", "--format", "json"]);
        row(&run, "openrc-alpha.sh")["state"] == serde_json::json!(["refused"])
    });
    let run = fleet.run(&["openrc", "check"]).exits(1);
    assert!(run.stdout.contains("expired or refused") && run.stdout.contains(" alpha "), "{}", run.stdout);
    let beta = fleet.openrc("beta").display().to_string();
    fleet.run(&["openrc", "set", "ou23s", &beta]).exits(1).says("to project alpha");
    let new = download(&fleet, "new.sh", &new_openrc("alpha", None));
    fleet.run(&["openrc", "set", "--project", "alpha", &new]).exits(0);
    fleet.run(&["openrc", "check"]).exits(0);
}

#[test]
fn all_files_of_a_project_get_the_new_credentials_or_none() {
    let _using = using();
    let fleet = with_two_files();
    let new = new_openrc("alpha", None);
    let path = download(&fleet, "new.sh", &new);
    fleet
        .run(&["openrc", "set", "--project", "gamma", &path])
        .exits(2)
        .says("no hub's credentials lead to")
        .says("alpha");
    let id = &world().cloud.projects["alpha"];
    let run = fleet.run(&["openrc", "set", "--project", id, &path]).exits(0);
    run.says("ou23s: ").says("mvu23s: ");
    assert_eq!(ids(&fleet, &["ou23s", "mvu23s"]), [id_in(&new), id_in(&new)]);
    // Works where it is tried and not where it is mounted, in one of the two: both get their old content back.
    let text = format!(
        "{new}\n[ \"${{BASH_SOURCE[0]}}\" != \"$OPENRC\" ] || [ \"$CLUSTER\" != mvu23s ] || exit 9\n"
    );
    let bad = download(&fleet, "bad.sh", &text);
    let before = [fleet.read("openrc-alpha.sh"), fleet.read("openrc-own.sh")];
    let run = fleet.run(&["openrc", "set", "--project", "alpha", &bad]).exits(1);
    let run = run.says("hub mvu23s: sourcing its openrc ended with status 9");
    assert_eq!(run.stderr.matches("the old content is back in").count(), 2, "{}", run.stderr);
    assert_eq!([fleet.read("openrc-alpha.sh"), fleet.read("openrc-own.sh")], before);
    fleet.run(&["openrc", "check"]).exits(0);
}

#[test]
fn an_interrupt_during_the_proof_puts_the_old_content_back() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let old = fleet.read("openrc-alpha.sh");
    let text = format!("{old}\n[ \"${{BASH_SOURCE[0]}}\" != \"$OPENRC\" ] || sleep 4954\n");
    let path = download(&fleet, "hangs.sh", &text);
    let running = fleet.start(&["openrc", "set", "ou23s", &path]);
    eventually("it is proved", Duration::from_secs(20), || {
        fleet.processes("ou23s").iter().any(|line| line.contains("sleep 4954"))
    });
    running.signal("INT");
    running.end().exits(130).says("the old content is back in");
    assert_eq!(fleet.read("openrc-alpha.sh"), old);
    assert!(!fleet.processes("ou23s").iter().any(|line| line.contains("sleep 4954")));
}

#[test]
fn a_sandbox_that_does_not_run_gets_the_new_credentials_when_it_is_started() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let new = new_openrc("alpha", None);
    let path = download(&fleet, "new.sh", &new);
    fleet.run(&["down", "mvu23s"]).exits(0);
    fleet.run(&["openrc", "set", "mvu23s", &path]).exits(0).says("hub mvu23s: its sandbox does not run");
    fleet.run(&["down", "ou23s"]).exits(0);
    let run = fleet.run(&["openrc", "set", "ou23s", &path]).exits(1);
    run.says("is not running (exited)").says("fleet up ou23s");
    fleet.run(&["openrc", "check"]).exits(1).says("fleet up ou23s");
    fleet.run(&["up"]).exits(0);
    assert_eq!(ids(&fleet, &["ou23s", "mvu23s"]), [id_in(&new), id_in(&new)]);
}

#[test]
fn check_shows_each_file_once_with_where_it_leads_and_until_when() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s", "pyaos"]);
    let run = fleet.run(&["openrc", "check"]).exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
    assert!(run.stdout.contains("ou23s, mvu23s"), "{}", run.stdout);
    let run = fleet.run(&["openrc", "check", "mvu23s", "--format", "json"]).exits(0);
    let alpha = row(&run, "openrc-alpha.sh");
    assert_eq!(alpha["kind"], "application_credential");
    assert_eq!(alpha["project"]["id"], world().cloud.projects["alpha"].as_str());
    assert_eq!(
        (&alpha["login"]["seen"]["valid"], &alpha["state"]),
        (&"no_end".into(), &serde_json::json!([]))
    );
    assert_eq!(run.json().as_array().map(Vec::len), Some(1), "only what is asked for");

    // In twenty days: not within two weeks, and within thirty days.
    fleet.write_in_place("openrc-alpha.sh", &new_openrc("alpha", Some(Duration::from_secs(20 * 86_400))));
    fleet.run(&["openrc", "check"]).exits(0);
    let run = fleet.run(&["openrc", "check", "--within", "30d"]).exits(1);
    run.says("its credentials expire in 19 days").says("fleet openrc set ou23s NEW.sh");
    fleet.run(&["openrc", "check", "pyaos", "--within", "30d"]).exits(0);

    let password = format!(
        "export OS_AUTH_URL={} OS_REGION_NAME=RegionOne OS_USERNAME=alpha-operator OS_PASSWORD=alpha-operator \
         OS_PROJECT_NAME=alpha OS_USER_DOMAIN_ID=default OS_PROJECT_DOMAIN_ID=default\n",
        world().cloud.auth_url
    );
    fleet.write_in_place("openrc-alpha.sh", &password);
    let run = fleet.run(&["openrc", "check", "--format", "json"]).exits(0);
    assert_eq!(row(&run, "openrc-alpha.sh")["kind"], "password");

    std::fs::rename(fleet.path("openrc-beta.sh"), fleet.path("elsewhere")).expect("renamed");
    let run = fleet.run(&["openrc", "check", "--format", "json"]).exits(1);
    assert_eq!(row(&run, "openrc-beta.sh")["state"], serde_json::json!(["gone"]));
}

#[test]
fn a_stale_sandbox_gets_the_file_back_while_somebody_works_in_it() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let old = fleet.read("openrc-alpha.sh");
    let (new, held) = (new_openrc("alpha", None), inode(&fleet, "openrc-alpha.sh"));
    // As emacs does it, and `sed -i.bak`.
    std::fs::rename(fleet.path("openrc-alpha.sh"), fleet.path("openrc-alpha.sh~")).expect("renamed");
    let path = download(&fleet, "openrc-alpha.sh", &new);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("set");
    let started = || docker(&["inspect", "-f", "{{.State.StartedAt}}", &fleet.container("ou23s")]);
    docker(&["exec", "-d", &fleet.container("ou23s"), "sleep", "4955"]);
    let before = started();
    let run = fleet.run(&["openrc", "check"]).exits(1);
    let run = run.says("the sandboxes of ou23s, mvu23s hold another file");
    assert!(run.stdout.contains("stale"), "{}", run.stdout);
    let other = download(&fleet, "other.sh", &new_openrc("alpha", None));
    let run = fleet.run(&["openrc", "set", "ou23s", &other]).exits(1);
    run.says("the sandbox of ou23s is stale").says("--fix");
    assert_eq!(fleet.read("openrc-alpha.sh"), new);
    fleet.run(&["openrc", "check", "--fix"]).exits(0).says("nobody who works in one was disturbed");
    assert_eq!((inode(&fleet, "openrc-alpha.sh"), mode(&fleet, "openrc-alpha.sh")), (held, 0o600));
    assert_eq!(fleet.read("openrc-alpha.sh"), new);
    assert_eq!(fleet.read("openrc-alpha.sh.fleet-backup"), old);
    assert!(!fleet.path("openrc-alpha.sh~").exists());
    assert_eq!(ids(&fleet, &["ou23s", "mvu23s"]), [id_in(&new), id_in(&new)]);
    assert_eq!(started(), before);
    assert!(fleet.processes("ou23s").iter().any(|line| line.contains("sleep 4955")));
    fleet.run(&["openrc", "set", "ou23s", &other]).exits(0);
}

#[test]
fn a_stale_sandbox_is_started_again_only_when_nobody_works_in_it() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s", "mvu23s"]);
    let new = new_openrc("alpha", None);
    fleet.write_by_rename("openrc-alpha.sh", &new);
    let container = fleet.container("ou23s");
    docker(&["exec", "-d", &container, "sleep", "4956"]);
    let run = fleet.run(&["openrc", "check", "--fix"]).exits(1);
    let run = run.says("hub ou23s: not mended: somebody works in its sandbox (sleep)").says("docker restart");
    run.says("hub mvu23s: its sandbox was started again");
    assert!(fleet.processes("ou23s").iter().any(|line| line.contains("sleep 4956")));
    // The file has one sandbox that holds it: new credentials can be set, and the other one is told.
    let other = new_openrc("alpha", None);
    let run = fleet.run(&["openrc", "set", "mvu23s", &download(&fleet, "other.sh", &other)]).exits(1);
    run.says("mvu23s: ")
        .says("hub ou23s: its sandbox holds another file")
        .says("fleet openrc check ou23s --fix");
    docker(&["exec", &container, "pkill", "-f", "sleep 4956"]);
    eventually("nobody works in it", Duration::from_secs(10), || {
        !fleet.processes("ou23s").iter().any(|line| line.contains("sleep 4956"))
    });
    fleet.run(&["openrc", "check", "--fix"]).exits(0).says("hub ou23s: its sandbox was started again");
    assert_eq!(ids(&fleet, &["ou23s", "mvu23s"]), [id_in(&other), id_in(&other)]);
    fleet.run(&["status"]).exits(0);
}

#[test]
fn a_file_that_others_can_open_is_warned_of_and_closed() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let path = fleet.openrc("alpha");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("set");
    fleet.run(&["openrc", "check"]).exits(0).says("mode 0644").says("chmod 600");
    let new = download(&fleet, "new.sh", &new_openrc("alpha", None));
    fleet.run(&["openrc", "set", "ou23s", &new]).exits(0).says("mode 0644");
    assert_eq!(
        (mode(&fleet, "openrc-alpha.sh"), mode(&fleet, "openrc-alpha.sh.fleet-backup")),
        (0o644, 0o600)
    );
    fleet.run(&["openrc", "check", "--fix"]).exits(0).says("nobody but its owner can open it now");
    assert_eq!(mode(&fleet, "openrc-alpha.sh"), 0o600);
    fleet.run(&["openrc", "check"]).exits(0);
}

/// Reads the openrc again and again until a file says that it is over; prints how often, how often it was empty, and how often
/// it was neither text, line ends at its end left out.
const READER: &str = r#"
import os, time
path = os.environ["OPENRC"]
whole = {text * 12 for text in ("export OS_X=%s\n" % (letter * 40) for letter in "ab")}
whole |= {text.rstrip("\n") for text in whole} | {text * 30 for text in ("export OS_X=%s\n" % (letter * 40) for letter in "cd")}
whole = {text.rstrip("\n") for text in whole}
reads = empty = torn = 0
open("/run/fleet/reading", "w").close()
while not os.path.exists("/run/fleet/over"):
    with open(path) as file:
        text = file.read()
    reads += 1
    empty += not text
    torn += text.rstrip("\n") not in whole
print(reads, empty, torn)
"#;

#[test]
fn who_reads_inside_while_the_file_is_written_a_thousand_times_never_sees_it_empty() {
    let _using = using();
    let fleet = Fleet::with(&["ou23s"]);
    let path = fleet.openrc("alpha");
    let text = |letter: &str, lines: usize| format!("export OS_X={}\n", letter.repeat(40)).repeat(lines);
    let texts = [text("a", 12), text("c", 30), text("b", 12), text("d", 30)];
    fleet::files::write_in_place(&path, texts[0].as_bytes()).expect("written");
    let tunnel = fleet.state("ou23s").join("tunnel");
    let (read, ()) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut command = std::process::Command::new("docker");
            command.args(["exec", &fleet.container("ou23s"), "python3", "-c", READER]);
            Run::of(&command.output().expect("docker starts"))
        });
        eventually("it reads", Duration::from_secs(20), || tunnel.join("reading").exists());
        for round in 0..1000 {
            fleet::files::write_in_place(&path, texts[round % 4].as_bytes()).expect("written");
        }
        try_sh("touch", &[tunnel.join("over").to_str().expect("UTF-8")]);
        (reader.join().expect("it reads"), ())
    });
    let read = read.exits(0);
    let counts: Vec<u64> =
        read.stdout.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [reads, empty, torn] = counts[..] else { panic!("{}", read.stdout) };
    println!("{reads} reads, {empty} empty, {torn} of neither text");
    assert!(reads > 100, "{reads}");
    assert_eq!(empty, 0, "of {reads}");
}
