//! `fleet cp` into the sandboxes of real hubs.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::time::Duration;

use crate::common::world::{docker, eventually, try_sh};
use crate::common::{Fleet, breaking, standing, using, world};

/// All hubs of the world.
fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// Runs a shell in a hub's sandbox.
pub fn inside(fleet: &Fleet, hub: &str, script: &str) -> String {
    docker(&["exec", &fleet.container(hub), "sh", "-c", script])
}

/// A directory in all sandboxes of a fleet that is gone again with this.
pub struct There<'f> {
    fleet: &'f Fleet,
    pub path: String,
}

impl<'f> There<'f> {
    pub fn new(fleet: &'f Fleet, name: &str) -> Self {
        let there = Self { fleet, path: format!("/home/openstack/{name}") };
        there.everywhere(&format!("rm -rf {0}; mkdir {0}", there.path));
        there
    }

    fn everywhere(&self, script: &str) {
        for hub in hubs() {
            inside(self.fleet, hub, script);
        }
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        for hub in hubs() {
            let rest = format!("chmod -R u+w {0}; rm -rf {0}", self.path);
            try_sh("docker", &["exec", &self.fleet.container(hub), "sh", "-c", &rest]);
        }
    }
}

/// A directory here, with files in it.
pub fn here(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text, mode) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("made");
        #[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).expect("set");
    }
    dir
}

/// What is in a directory of a sandbox: names, kinds and modes.
pub fn listed(fleet: &Fleet, hub: &str, path: &str) -> String {
    inside(fleet, hub, &format!("cd {path} && find . -mindepth 1 -printf '%P %y %m\n' | sort"))
}

#[test]
fn files_come_to_all_chosen_hubs_with_their_modes_and_replace_what_was_there() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-all");
    let dir = here(&[("a b\nc", "one", 0o750), ("-x", "two", 0o604), ("setuid", "", 0o4755)]);
    there.everywhere(&format!("echo old >'{}/-x'; chmod 600 '{0}/-x'", there.path));
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let to = format!(":{}", there.path);
    let run = fleet.run(&["cp", "--all", &path("a b\nc"), &path("-x"), &path("setuid"), &to]).exits(0);
    for hub in hubs() {
        assert!(run.stdout.contains(&format!("{hub}: 3 files, 6 B\n")), "{}", run.stdout);
        assert_eq!(listed(fleet, hub, &there.path), "-x f 604\na b\nc f 750\nsetuid f 755");
        assert_eq!(inside(fleet, hub, &format!("cat '{}/-x'", there.path)), "two");
    }
    // One hub by its name, one file by another name, from the directory that it is in.
    let mut command = fleet.command(&["cp", "--", "-x", &format!("ou23s:{}/new name", there.path)]);
    assert!(command.current_dir(dir.path()).status().expect("it runs").success());
    assert_eq!(inside(fleet, "ou23s", &format!("cat '{}/new name'", there.path)), "two");
    assert!(!listed(fleet, "pyaos", &there.path).contains("new name"));
}

#[test]
fn a_directory_becomes_one_with_what_is_there_and_its_links_are_left_out_and_told() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-tree");
    let dir = here(&[
        ("tree/a", "new", 0o640),
        ("tree/.hidden", "h", 0o600),
        ("tree/sub/b", "b", 0o644),
        ("tree/deep/er/c", "c", 0o600),
    ]);
    symlink("/etc/passwd", dir.path().join("tree/link")).expect("made");
    inside(
        fleet,
        "pyaos",
        &format!("cd {} && mkdir -p tree/sub && echo old >tree/a && echo kept >tree/sub/other", there.path),
    );
    let tree = dir.path().join("tree");
    let tree = tree.to_str().expect("UTF-8");
    let to = format!("pyaos,ou23s:{}/", there.path);
    fleet.run(&["cp", tree, &to]).exits(2).says("is a directory: --recursive copies it");
    let run = fleet.run(&["cp", "-r", "--format", "json", tree, &to]).exits(0);
    let json = run.json();
    assert_eq!(json.as_array().expect("an array").len(), 2);
    assert_eq!(json[0]["files"], 4);
    assert_eq!(json[0]["left_out"][0], "tree/link (a symbolic link)");
    let new = "tree d 755\ntree/.hidden f 600\ntree/a f 640\ntree/deep d 755\ntree/deep/er d 755\ntree/deep/er/c f 600\ntree/sub d 755\ntree/sub/b f 644";
    assert_eq!(listed(fleet, "ou23s", &there.path), new);
    assert_eq!(listed(fleet, "pyaos", &there.path), format!("{new}\ntree/sub/other f 644"));
    assert_eq!(inside(fleet, "pyaos", &format!("cat {}/tree/a", there.path)), "new");
    // Under a name of its own, where there is none yet.
    fleet.run(&["cp", "-r", tree, &format!("ou23s:{}/copy", there.path)]).exits(0);
    assert!(listed(fleet, "ou23s", &there.path).contains("copy/deep/er/c f 600"));
}

#[test]
fn what_is_wrong_here_is_told_all_at_once_and_nothing_is_moved() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-bad");
    let dir = here(&[("a", "", 0o600)]);
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let to = format!(":{}", there.path);
    fleet
        .run(&["cp", "--all", &path("a"), &path("none"), &path(""), "/dev/null", &to])
        .exits(2)
        .says("none: No such file")
        .says("is a directory: --recursive")
        .says("/dev/null is neither a file nor a directory");
    fleet.run(&["cp", "--all", &path("a"), &format!("ou23s:{}", there.path)]).exits(2).says("by options too");
    fleet.run(&["cp", &path("a"), &to]).exits(2).says("no hubs are chosen");
    fleet.run(&["cp", &path("a"), "ou2s:/tmp"]).exits(2).says("did you mean \"ou23s\"");
    fleet.run(&["cp", &path("a"), "ou23s:tmp"]).exits(2).says("begins with '/'");
    fleet.run(&["cp", &path("a")]).exits(2);
    let dry = fleet.run(&["cp", "--all", "--dry-run", &path("a"), &to]).exits(0);
    assert_eq!(dry.stdout.lines().count(), 1 + hubs().len());
    dry.prints(&format!("pyaos:{}", there.path));
    for hub in hubs() {
        assert_eq!(listed(fleet, hub, &there.path), "");
    }
}

#[test]
fn a_place_that_cannot_be_written_to_is_told_by_its_hub_and_the_others_get_theirs() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-places");
    let dir = here(&[("a", "text", 0o600), ("openrc.sh", "", 0o600)]);
    let path = dir.path().join("a");
    let path = path.to_str().expect("UTF-8");
    inside(fleet, "fsu-s23", &format!("rmdir {}; echo file >{0}", there.path));
    inside(fleet, "pyaos", &format!("mkdir {0}/a; chmod 555 {0}", there.path));
    let run = fleet.run(&["cp", "--all", "--format", "json", path, &format!(":{}/", there.path)]).exits(1);
    let json = run.json();
    let of =
        |hub: &str| json.as_array().expect("all").iter().find(|one| one["hub"] == hub).expect("it").clone();
    assert_eq!((&of("ou23s")["copied"], &of("mvu23s")["copied"]), (&true.into(), &true.into()));
    assert!(of("fsu-s23")["error"].as_str().expect("why").contains("there is no directory"), "{json:#}");
    assert!(of("pyaos")["error"].as_str().expect("why").contains("cp-places/a is a directory"), "{json:#}");
    inside(fleet, "pyaos", &format!("chmod 755 {0}; rmdir {0}/a; chmod 555 {0}", there.path));
    let run = fleet.run(&["cp", "--all", path, &format!(":{}/", there.path)]).exits(1);
    run.says("hub pyaos: nothing can be written into").says("fleet: failed in 2 of 4 hubs: fsu-s23, pyaos");
    assert_eq!(listed(fleet, "pyaos", &there.path), "");
    inside(fleet, "fsu-s23", &format!("rm {0}; mkdir {0}", there.path));
    fleet.run(&["cp", path, "ou23s:/dev/null"]).exits(1).says("/dev/null is a device");
    // What is mounted by itself.
    let openrc = dir.path().join("openrc.sh");
    let openrc = openrc.to_str().expect("UTF-8");
    for to in ["ou23s:/home/openstack/bin", "ou23s:/home/openstack/bin/openrc.sh"] {
        fleet
            .run(&["cp", openrc, to])
            .exits(1)
            .says("is mounted into the sandbox")
            .says("fleet openrc set ou23s FILE");
    }
    assert!(!listed(fleet, "ou23s", "/home/openstack/bin").contains(".fleet-cp-"));
}

#[test]
fn a_disk_that_is_full_keeps_the_old_file() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-full");
    // The engine's own small disk: /dev/shm has 64 MiB.
    let old = "mkdir -p /dev/shm/cp && echo old >/dev/shm/cp/big && chmod 600 /dev/shm/cp/big";
    inside(fleet, "mvu23s", old);
    let dir = here(&[]);
    let big = dir.path().join("big");
    std::fs::File::create(&big).expect("made").set_len(80 << 20).expect("sparse");
    let big = big.to_str().expect("UTF-8");
    let run = fleet.run(&["cp", big, "mvu23s:/dev/shm/cp"]).exits(1);
    run.says("hub mvu23s: tar: ").says("nothing was changed there; make room");
    assert_eq!(listed(fleet, "mvu23s", "/dev/shm/cp"), "big f 600");
    assert_eq!(inside(fleet, "mvu23s", "cat /dev/shm/cp/big; rm -r /dev/shm/cp"), "old");
    drop(there);
}

#[test]
fn one_sandbox_that_is_stopped_hides_no_other_one() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["ou23s", "mvu23s", "pyaos"]);
    docker(&["stop", "-t", "1", &fleet.container("mvu23s")]);
    let dir = here(&[("a", "text", 0o600)]);
    let path = dir.path().join("a");
    let run = fleet.run(&["cp", "--all", path.to_str().expect("UTF-8"), ":/home/openstack/"]).exits(1);
    assert_eq!(run.stdout, "ou23s: 1 file, 4 B\npyaos: 1 file, 4 B\n");
    run.says("hub mvu23s: its sandbox is not running (exited)").says("fleet up mvu23s");
    let run = fleet
        .run(&["cp", "--all", ":/home/openstack/a", fleet.path("back").to_str().expect("UTF-8")])
        .exits(1);
    run.says("fleet: failed in 1 of 3 hubs: mvu23s");
    assert_eq!(fleet.read("back/ou23s/a") + &fleet.read("back/pyaos/a"), "texttext");
    assert!(!fleet.path("back/mvu23s").exists());
}

/// What is in the place while a large file is on its way, and how it is stopped.
fn stopped(signals: &[&str], name: &str, before: impl FnOnce(&Fleet, &str)) {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, name);
    inside(fleet, "ou23s", &format!("echo old >{}/big", there.path));
    let dir = here(&[]);
    // More than can be copied before it is stopped.
    let big = dir.path().join("big");
    std::fs::File::create(&big).expect("made").set_len(6 << 30).expect("sparse");
    let args = ["cp", big.to_str().expect("UTF-8"), &format!("ou23s:{}", there.path)];
    let mut child =
        fleet.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("fleet starts");
    eventually("it is under way", Duration::from_secs(20), || {
        listed(fleet, "ou23s", &there.path).contains("/in/big f")
    });
    assert_eq!(inside(fleet, "ou23s", &format!("cat {}/big", there.path)), "old");
    // Other tests copy into the same sandbox.
    let seen = listed(fleet, "ou23s", &there.path);
    let own =
        seen.split_whitespace().find_map(|path| path.strip_suffix("/in/big")).expect("its own directory");
    before(fleet, own);
    for signal in signals {
        try_sh("kill", &[&format!("-{signal}"), &child.id().to_string()]);
    }
    child.wait().expect("it ends");
    eventually("nothing is left", Duration::from_secs(20), || {
        !listed(fleet, "ou23s", &there.path).contains(".fleet-cp-")
    });
    assert_eq!(inside(fleet, "ou23s", &format!("cat {}/big", there.path)), "old");
    eventually("nobody is at it", Duration::from_secs(5), || {
        !fleet.processes("ou23s").iter().any(|line| line.contains(own))
    });
}

#[test]
fn a_killed_fleet_leaves_the_old_file_and_nothing_else() {
    stopped(&["KILL"], "cp-killed", |_, _| {});
}

#[test]
fn a_far_end_that_is_too_slow_to_clear_up_behind_itself_leaves_nothing_either() {
    // What stands still does not see that it is to end, until it is ended by force.
    let stand_still = |fleet: &Fleet, own: &str| {
        let of_it = own.replacen('.', "[.]", 1);
        inside(fleet, "ou23s", &format!("pkill -STOP -f '{of_it}'"));
    };
    stopped(&["KILL"], "cp-killed-slow", stand_still);
    stopped(&["INT"], "cp-interrupted-slow", stand_still);
}

#[test]
fn ctrl_c_leaves_the_old_file_and_nothing_else() {
    stopped(&["INT"], "cp-interrupted", |_, _| {});
    stopped(&["INT", "INT"], "cp-pressed", |_, _| {});
}

#[test]
fn a_time_limit_leaves_the_old_file_and_nothing_else() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-late");
    inside(fleet, "ou23s", &format!("echo old >{}/big", there.path));
    let dir = here(&[]);
    let big = dir.path().join("big");
    std::fs::File::create(&big).expect("made").set_len(6 << 30).expect("sparse");
    let args = ["cp", "--timeout", "1s", big.to_str().expect("UTF-8"), &format!("ou23s:{}", there.path)];
    fleet.run(&args).exits(1).says("hub ou23s: stopped after 1s").says("--timeout gives it more time");
    assert_eq!(listed(fleet, "ou23s", &there.path), "big f 644");
    assert_eq!(inside(fleet, "ou23s", &format!("cat {}/big", there.path)), "old");
}

#[test]
fn a_large_file_does_not_come_to_be_in_memory() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "cp-large");
    let dir = here(&[]);
    let big = dir.path().join("big");
    std::fs::File::create(&big).expect("made").set_len(400 << 20).expect("sparse");
    let args = ["cp", big.to_str().expect("UTF-8"), &format!("ou23s,pyaos:{}", there.path)];
    let mut child = fleet.command(&args).stdout(Stdio::null()).spawn().expect("fleet starts");
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(kib.unwrap_or_default());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success());
    assert!(most > 0 && most < 120 << 10, "{most} KiB");
    assert_eq!(
        inside(fleet, "pyaos", &format!("stat -c %s {}/big", there.path)),
        (400_u64 << 20).to_string()
    );
}
