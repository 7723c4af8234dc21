//! The forms in which `fleet exec` shows output.

use std::process::{Command, Stdio};

use crate::common::pty::Pty;
use crate::common::world::kubectl;
use crate::common::{Fleet, standing, using, world};

fn hubs() -> Vec<&'static str> {
    world().hubs.iter().map(|hub| hub.name.as_str()).collect()
}

/// A file for the same hubs with one more, which has no sandbox.
fn with_a_ghost(fleet: &Fleet, name: &str) -> String {
    fleet.variant(name, "[[hub]]\nname = \"ghost\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-alpha.sh\"")
}

#[test]
fn equal_output_is_shown_once_and_others_as_their_difference() {
    let _using = using();
    let fleet = standing();
    let script = "echo same; test $CLUSTER != pyaos || echo other; echo end";
    let all = hubs();
    let rest: Vec<&str> = all.iter().copied().filter(|hub| *hub != "pyaos").collect();
    let rest = format!("{} (3 of 4 hubs)", rest.join(", "));
    let run = fleet.run(&["exec", "--all", "--format", "gather", "sh", "-c", script]).exits(0);
    let groups = [format!("== {rest}\nsame\nend\n"), "== pyaos\nsame\nother\nend\n".to_owned()];
    assert!(
        run.stdout == groups.concat() || run.stdout == format!("{}{}", groups[1], groups[0]),
        "{}",
        run.stdout
    );
    let run = fleet.run(&["exec", "--all", "--diff", "sh", "-c", script]).exits(0);
    assert!(run.stdout.starts_with(&format!("== {rest}\nsame\nend\n== pyaos\n--- ")), "{}", run.stdout);
    assert!(run.stdout.ends_with("+++ pyaos\n@@ -1,2 +1,3 @@\n same\n+other\n end\n"), "{}", run.stdout);
    // A failing one is told, and the status is its.
    let script = "test $CLUSTER != pyaos || { echo no >&2; exit 3; }; echo same";
    let run = fleet.run(&["exec", "--all", "--format", "gather", "sh", "-c", script]).exits(1);
    assert_eq!(run.stdout, format!("== {rest}\nsame\n"));
    run.says("== pyaos\nno\nfleet: exit status 3\n").says("failed in 1 of 4 hubs: pyaos");
}

#[test]
fn bytes_that_are_no_text_survive_in_json() {
    let _using = using();
    let printf = r"printf 'a\377\200'; printf 'text' >&2";
    for format in ["json", "ndjson"] {
        let run =
            standing().run(&["exec", "--hub", "ou23s", "--format", format, "sh", "-c", printf]).exits(0);
        let json = if format == "json" { run.json()[0].clone() } else { run.json() };
        assert_eq!(json["stdout"], "a\u{fffd}\u{fffd}");
        assert_eq!(json["stdout_base64"], "Yf+A");
        assert_eq!(json["stderr"], "text");
        assert!(json.get("stderr_base64").is_none(), "{json}");
    }
}

#[test]
fn ndjson_has_a_line_for_every_hub_in_the_files_order_the_failed_ones_too() {
    let _using = using();
    let fleet = standing();
    let config = with_a_ghost(fleet, "with-a-ghost-of-lines.toml");
    let script = "test $CLUSTER != ou23s || sleep 1; echo $CLUSTER; test $CLUSTER != pyaos || exit 9";
    let run =
        fleet.run(&["--config", &config, "exec", "--all", "--format", "ndjson", "sh", "-c", script]).exits(1);
    let lines: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<&str> = lines.iter().map(|one| one["hub"].as_str().expect("a name")).collect();
    assert_eq!(names, [hubs(), vec!["ghost"]].concat());
    for one in &lines {
        match one["hub"].as_str() {
            Some("ghost") => {
                assert!(one["error"].as_str().is_some_and(|why| why.contains("it has no sandbox")))
            }
            Some("pyaos") => assert_eq!(one["exit_status"], 9),
            hub => assert_eq!(
                (&one["exit_status"], one["stdout"].as_str()),
                (&0.into(), hub.map(|hub| format!("{hub}\n")).as_deref())
            ),
        }
    }
}

#[test]
fn kubectls_tables_become_one_table_with_a_column_that_says_whose_each_row_is() {
    let _using = using();
    let run = standing().run(&["exec", "--all", "--format", "table", "kubectl", "get", "pvc", "-A"]).exits(0);
    let mut lines = run.stdout.lines();
    let headings = lines.next().expect("headings");
    assert!(headings.starts_with("HUB ") && headings.contains("  ACCESS MODES  "), "{headings}");
    // Ages and the width of columns differ from one moment to the next; what is claimed does not.
    let words =
        |line: &str, count| line.split_whitespace().take(count).map(str::to_owned).collect::<Vec<_>>();
    let mut seen: Vec<_> = lines.map(|line| words(line, 6)).collect();
    let mut expected: Vec<Vec<String>> = Vec::new();
    for hub in &world().hubs {
        let rows = kubectl(hub, &["get", "pvc", "-A", "--no-headers"]);
        expected.extend(rows.lines().map(|line| [vec![hub.name.clone()], words(line, 5)].concat()));
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    assert!(!run.stdout.contains(" | "), "{}", run.stdout);
    // What is no table is not lost.
    let run =
        standing().run(&["exec", "--all", "--format", "table", "sh", "-c", "echo $CLUSTER it is"]).exits(0);
    for hub in hubs() {
        assert_eq!(run.lines_of(hub), [format!("{hub} it is")]);
    }
}

#[test]
fn a_directory_gets_three_files_a_hub() {
    let _using = using();
    let fleet = standing();
    let config = with_a_ghost(fleet, "with-a-ghost-of-files.toml");
    let dir = fleet.path("output-of-exec");
    let dir_text = dir.to_str().expect("UTF-8");
    let script = r"printf 'out \377'; echo err >&2; test $CLUSTER != ou23s || kill -TERM $$";
    let args = ["--config", &config, "exec", "--all", "--output-dir", dir_text, "sh", "-c", script];
    let run = fleet.run(&args).exits(1);
    assert_eq!(run.stdout, "");
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for hub in hubs() {
        assert_eq!(read(&format!("{hub}.stdout")), b"out \xff");
        assert_eq!(read(&format!("{hub}.stderr")), b"err\n");
        assert_eq!(read(&format!("{hub}.status")), if hub == "ou23s" { &b"143\n"[..] } else { b"0\n" });
    }
    assert!(String::from_utf8_lossy(&read("ghost.status")).contains("it has no sandbox"));
    assert_eq!(std::fs::read_dir(&dir).expect("it reads").count(), 3 * (hubs().len() + 1));
    // What is there already is not mixed with another run's.
    fleet.run(&args).exits(2).says("there is something in").says("hint: name another directory");
}

#[test]
fn at_a_terminal_what_is_over_soon_is_gathered_and_what_goes_on_is_shown_as_it_comes() {
    let _using = using();
    let terminal = |script: &str| {
        Pty::run(&format!("$FLEET exec --all sh -c '{script}'; echo left with $?"), |command| {
            command
                .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
                .env("FLEET_CONFIG", standing().path("fleet.toml"))
                .env("NO_COLOR", "1");
        })
    };
    let pty = terminal("echo soon");
    let shown = pty.shows("left with 0");
    assert!(shown.contains("(all 4 hubs)\r\nsoon\r\n") && !shown.contains(" | "), "{shown}");
    let pty = terminal("echo began; sleep 4; echo done");
    let before = pty.shows("| began");
    assert!(!before.contains("done"), "{before}");
    let shown = pty.shows("left with 0");
    assert_eq!(shown.matches("| done").count(), 4, "{shown}");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let fleet = standing();
    for (args, word) in [
        (&["--diff", "--format", "json"][..], "--diff cannot be used with"),
        (&["--output-dir", "x", "--format", "json"], "cannot be used with"),
        (&["--output-dir", "x", "--diff"], "cannot be used with"),
        (&["--format", "yaml"], "yaml"),
        (&["--deadline", "soon"], "is not a length of time"),
    ] {
        fleet.run(&[&["exec", "--all"], args, &["true"]].concat()).exits(2).says(word);
    }
}

#[test]
fn a_spool_is_on_the_disk_without_a_name_and_gone_however_fleet_ends() {
    let _using = using();
    let scratch = tempfile::tempdir().expect("a directory");
    let mut child = standing()
        .command(&[
            "exec",
            "--hub",
            "ou23s",
            "--format",
            "json",
            "sh",
            "-c",
            "head -c 5000000 /dev/zero; sleep 4761",
        ])
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("fleet starts");
    let open = || {
        let list = Command::new("ls").args(["-l", &format!("/proc/{}/fd", child.id())]).output().expect("ls");
        String::from_utf8_lossy(&list.stdout).into_owned()
    };
    let name = scratch.path().to_str().expect("UTF-8");
    crate::common::world::eventually("it spools", std::time::Duration::from_secs(20), || {
        open().contains(name)
    });
    assert!(
        open().lines().filter(|line| line.contains(name)).all(|line| line.ends_with("(deleted)")),
        "{}",
        open()
    );
    assert_eq!(std::fs::read_dir(scratch.path()).expect("it reads").count(), 0);
    child.kill().expect("killed");
    child.wait().expect("it ends");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("it reads").count(), 0);
    // Nobody is there to end it any more.
    let end = [
        "exec",
        &standing().container("ou23s"),
        "sh",
        "-c",
        "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep -q '^sleep 4761' && kill ${p#/proc/}; done 2>/dev/null; true",
    ];
    crate::common::world::docker(&end);
}
