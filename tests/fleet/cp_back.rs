//! `fleet cp` out of sandboxes: what they must not be able to do, and what must not be lost here.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::common::world::{docker, eventually};
use crate::common::{breaking, standing, using};
use crate::cp::{There, here, inside};

/// Names in a directory here.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn one_hub_gives_a_file_where_it_is_asked_to_and_many_each_in_its_own_directory() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "back-one");
    for hub in ["ou23s", "pyaos"] {
        inside(
            fleet,
            hub,
            &format!(
                "cd {} && echo {hub} >'a b' && chmod 4751 'a b' && touch -d @1000000000 'a b'",
                there.path
            ),
        );
    }
    let dir = here(&[]);
    let to = dir.path().to_str().expect("UTF-8");
    let from = |hubs: &str| format!("{hubs}:{}/a b", there.path);
    fleet.run(&["cp", &from("ou23s"), to]).exits(0).prints("ou23s: 1 file, 6 B\n");
    let meta = std::fs::metadata(dir.path().join("a b")).expect("it is there");
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o751, 1_000_000_000));
    fleet.run(&["cp", &from("ou23s"), &format!("{to}/named")]).exits(0);
    assert_eq!(text(&dir.path().join("named")), "ou23s\n");
    fleet.run(&["cp", &from("ou23s,pyaos"), &format!("{to}/all")]).exits(0);
    assert_eq!(
        text(&dir.path().join("all/ou23s/a b")) + &text(&dir.path().join("all/pyaos/a b")),
        "ou23s\npyaos\n"
    );
    // The others do not have it.
    let run = fleet.run(&["cp", "--all", &from(""), &format!("{to}/every/")]).exits(1);
    run.says("hub fsu-s23: there is no ").says("fleet: failed in 2 of 4 hubs: mvu23s, fsu-s23");
    assert_eq!(names(&dir.path().join("every")), ["ou23s", "pyaos"]);
    assert_eq!(names(dir.path()), ["a b", "all", "every", "named"]);
}

#[test]
fn what_is_here_is_replaced_only_if_it_is_named_or_that_is_wanted() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "back-over");
    inside(
        fleet,
        "ou23s",
        &format!(
            "mkdir {0}/tree && echo new >{0}/a && echo new >{0}/tree/a && echo b >{0}/tree/b",
            there.path
        ),
    );
    let dir = here(&[("a", "old", 0o600), ("tree/a", "old", 0o600), ("o/ou23s/a", "old", 0o600)]);
    let path = |name: &str| dir.path().join(name);
    let to = dir.path().to_str().expect("UTF-8");
    let from = |name: &str| format!("ou23s:{}/{name}", there.path);
    fleet.run(&["cp", &from("a"), to]).exits(2).says("a is there already").says("--force replaces");
    let many = format!("o*23s:{}/a", there.path);
    fleet.run(&["cp", &many, &format!("{to}/o")]).exits(2).says("o/ou23s/a is there already");
    fleet.run(&["cp", "-r", &from("tree"), to]).exits(1).says("tree/a is there already").says("--force");
    assert_eq!((text(&path("a")), text(&path("tree/a"))), ("old".into(), "old".into()));
    assert!(!path("tree/b").exists());
    assert_eq!(names(dir.path()), ["a", "o", "tree"]);
    fleet.run(&["cp", &from("a"), &format!("{to}/a")]).exits(0);
    fleet.run(&["cp", "-r", "--force", &from("tree"), to]).exits(0).prints("2 files");
    assert_eq!(
        (text(&path("a")), text(&path("tree/a")), text(&path("tree/b"))),
        ("new\n".into(), "new\n".into(), "b\n".into())
    );
    // A link in its place is replaced, and where it leads to is left alone.
    std::fs::remove_file(path("a")).expect("removed");
    symlink(path("o/ou23s/a"), path("a")).expect("made");
    fleet.run(&["cp", "--force", &from("a"), to]).exits(0);
    assert_eq!((text(&path("a")), text(&path("o/ou23s/a"))), ("new\n".into(), "old".into()));
    fleet.run(&["cp", &from("a"), &format!("{to}/none/x")]).exits(2).says("there is no directory");
    fleet
        .run(&["cp", &from("tree"), &format!("{to}/t")])
        .exits(1)
        .says("is a directory: --recursive copies it");
}

#[test]
fn a_tree_comes_without_its_links_and_pipes_which_are_told() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "back-tree");
    let make = format!(
        "cd {} && mkdir -p t/sub && echo x >t/sub/x && ln t/sub/x t/again && ln -s /etc/passwd t/link && ln -s .. t/up && mkfifo t/pipe \
         && ln -s t tt && printf 1 >\"t/$(printf 'l%0200d' 0)\"",
        there.path
    );
    inside(fleet, "ou23s", &make);
    let dir = here(&[]);
    let to = dir.path().to_str().expect("UTF-8");
    let run = fleet.run(&["cp", "-r", &format!("ou23s:{}/tt/", there.path), to]).exits(0);
    run.says("left out link (a symbolic link)")
        .says("left out up (a symbolic link)")
        .says("left out pipe (a pipe)");
    let tree = dir.path().join("tt");
    assert_eq!(names(&tree), ["again".to_owned(), format!("l{:0200}", 0), "sub".to_owned()]);
    assert_eq!(text(&tree.join("again")) + &text(&tree.join("sub/x")), "x\nx\n");
    // A link that is named is what it leads to.
    inside(fleet, "ou23s", &format!("ln -s t/sub/x {}/named", there.path));
    fleet.run(&["cp", &format!("ou23s:{}/named", there.path), to]).exits(0);
    assert!(std::fs::symlink_metadata(dir.path().join("named")).expect("there").is_file());
    fleet.run(&["cp", "ou23s:/dev/zero", to]).exits(1).says("neither a file nor a directory");
    assert_eq!(names(dir.path()), ["named", "tt"]);
}

/// A tar of a sandbox that somebody has put in the place of the real one.
#[test]
fn a_sandbox_that_lies_gets_nothing_out_of_its_directory() {
    // Nobody else uses this sandbox's tar meanwhile.
    let _breaking = breaking();
    let fleet = standing();
    let there = There::new(fleet, "back-evil");
    let outer = here(&[("to/.keep", "", 0o600)]);
    let to = outer.path().join("to");
    // A program called tar that is found before the real one.
    let evil = |python: &str| {
        let program = format!(
            "#!/usr/bin/python3\nimport io, sys, tarfile\nif '--version' in sys.argv: sys.exit(0)\nout = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.GNU_FORMAT)\n\
def add(name, kind=tarfile.REGTYPE, to='', text=b''):\n    one = tarfile.TarInfo(name)\n    one.type, one.linkname, one.size, one.mode = kind, to, len(text), 0o6777\n    out.addfile(one, io.BytesIO(text))\n{python}\nout.close()\n"
        );
        let program = here(&[("tar", &program, 0o755)]);
        let path = program.path().join("tar");
        let to = format!("{}:/usr/local/bin/tar", fleet.container("mvu23s"));
        docker(&["cp", path.to_str().expect("UTF-8"), &to]);
    };
    let attacks = [
        ("add('./', tarfile.DIRTYPE); add('../evil', text=b'x')", "leads out of its directory"),
        ("add('./', tarfile.DIRTYPE); add('/tmp/evil', text=b'x')", "begins with '/'"),
        (
            "add('./', tarfile.DIRTYPE); add('./l', tarfile.SYMTYPE, '..'); add('./l/evil', text=b'x')",
            "No such file",
        ),
        ("add('./', tarfile.DIRTYPE); add('./evil', tarfile.LNKTYPE, '/etc/passwd')", "begins with '/'"),
        ("add('other', text=b'x')", "nobody asked for"),
        (
            "add('./', tarfile.DIRTYPE); add('../' * 60 + 'evil' * 20, text=b'x')",
            "leads out of its directory",
        ),
        ("sys.stdout.buffer.write(b'x' * 100000)", "no whole archive"),
    ];
    inside(fleet, "mvu23s", &format!("mkdir {}/t", there.path));
    for (python, why) in attacks {
        evil(python);
        let run = fleet.run(&["cp", "-r", &format!("mvu23s:{}/t", there.path), to.to_str().expect("UTF-8")]);
        docker(&["exec", "--user", "0", &fleet.container("mvu23s"), "rm", "/usr/local/bin/tar"]);
        run.exits(1).says(why);
        assert_eq!(names(outer.path()), ["to"]);
        assert_eq!(names(&to), [".keep"]);
    }
    assert!(!Path::new("/tmp/evil").exists());
}

#[test]
fn nothing_is_left_here_of_what_is_stopped() {
    let _using = using();
    let fleet = standing();
    let there = There::new(fleet, "back-stopped");
    inside(fleet, "ou23s", &format!("truncate -s 6G {}/big", there.path));
    let dir = here(&[("to/big", "old", 0o600)]);
    let to = dir.path().join("to");
    let staged = || names(&to).iter().any(|name| name.starts_with(".fleet-cp-"));
    let start = || {
        let from = format!("ou23s:{}/big", there.path);
        let child = fleet
            .command(&["cp", "--force", &from, to.to_str().expect("UTF-8")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("fleet starts");
        eventually("it is under way", Duration::from_secs(20), staged);
        child
    };
    let mut child = start();
    crate::common::world::try_sh("kill", &["-INT", &child.id().to_string()]);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(names(&to), ["big"]);
    // One that is killed leaves a directory, and the next one takes it away once it is a minute old.
    let mut child = start();
    child.kill().expect("killed");
    child.wait().expect("it ends");
    eventually("nothing of it runs in the sandbox", Duration::from_secs(10), || {
        !fleet.processes("ou23s").iter().any(|line| line.contains("tar --format"))
    });
    let left = names(&to).into_iter().find(|name| name.starts_with(".fleet-cp-")).expect("left");
    let left = to.join(left);
    assert_eq!(std::fs::metadata(&left).expect("there").permissions().mode() & 0o777, 0o700);
    let then = std::time::SystemTime::now() - Duration::from_secs(120);
    std::fs::File::open(&left).expect("opened").set_modified(then).expect("set");
    inside(fleet, "ou23s", &format!("echo new >{}/small", there.path));
    fleet.run(&["cp", &format!("ou23s:{}/small", there.path), to.to_str().expect("UTF-8")]).exits(0);
    assert_eq!(names(&to), ["big", "small"]);
    assert_eq!(text(&to.join("big")), "old");
}
