//! Completions, as a real bash, zsh and fish ask for them, and man pages, as a real groff reads them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::pty::Pty;
use crate::common::world::try_sh;
use crate::common::{Fleet, Run};

/// A fleet's file without a fleet: completions ask nobody.
fn declared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let hub = |name: &str, tags: &str| {
        format!("[[hub]]\nname = \"{name}\"\nip = \"10.0.0.1\"\nopenrc = \"none.sh\"\ntags = [{tags}]\n")
    };
    let text = "engine = \"unix:///nonexistent.sock\"\n".to_owned()
        + &hub("ou23s", "\"gpu\", \"fall\"")
        + &hub("ou24s", "")
        + &hub("pyaos", "\"gpu\"");
    write(&dir, "fleet.toml", &text);
    dir
}

#[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
fn write(dir: &tempfile::TempDir, name: &str, text: &str) {
    std::fs::write(dir.path().join(name), text).expect("written");
}

/// What bash offers for a command line whose last word is being typed, one a line. Nothing may be said beside it.
fn offered(dir: &tempfile::TempDir, words: &[&str]) -> Vec<String> {
    let script = "source <(\"$FLEET\" completions bash) || exit 9; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9\n\
                  _clap_complete_fleet fleet \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
                  [ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash"])
        .args(words)
        .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
        .env_remove("FLEET_CONFIG")
        .current_dir(dir.path())
        .output()
        .expect("bash starts");
    let run = Run::of(&output).exits(0);
    // compopt complains where nobody is typing.
    let said: Vec<&str> = run.stderr.lines().filter(|line| !line.contains("compopt")).collect();
    assert_eq!(said, [""; 0]);
    run.stdout.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_hubs_and_tags_from_the_fleets_file() {
    let dir = declared();
    assert_eq!(offered(&dir, &["fleet", "exec", "--hub", "ou"]), ["ou23s", "ou24s"]);
    assert_eq!(offered(&dir, &["fleet", "exec", "--hub", "ou23s,p"]), ["ou23s,pyaos"]);
    assert_eq!(offered(&dir, &["fleet", "exec", "--tag", ""]), ["fall", "gpu"]);
    assert_eq!(offered(&dir, &["fleet", "status", "py"]), ["pyaos"]);
    assert_eq!(offered(&dir, &["fleet", "tunnel", "restart", "py"]), ["pyaos"]);
    assert_eq!(offered(&dir, &["fleet", "history", "--hub", "py"]), ["pyaos"]);
    assert!(offered(&dir, &["fleet", "orp"]).contains(&"orphans".to_owned()));
    assert!(offered(&dir, &["fleet", "exec", "--time"]).contains(&"--timeout".to_owned()));
    // Another file.
    write(&dir, "other.toml", "[[hub]]\nname = \"elsewhere\"\n");
    assert_eq!(offered(&dir, &["fleet", "--config", "other.toml", "shell", "e"]), ["elsewhere"]);
    // One that somebody is just writing, and none.
    write(&dir, "fleet.toml", "[[hub");
    assert_eq!(offered(&dir, &["fleet", "exec", "--hub", "ou"]), [""; 0]);
    assert_eq!(offered(&dir, &["fleet", "--config", "none.toml", "exec", "--hub", "ou"]), [""; 0]);
}

#[test]
fn zsh_completes_what_is_typed() {
    let dir = declared();
    let setting_up =
        "PS1='%% '; autoload -Uz compinit; compinit -D; source <($FLEET completions zsh); echo set up";
    let mut zsh = Pty::run("stty cols 120; zsh -f", |command| {
        command.env("FLEET", env!("CARGO_BIN_EXE_fleet")).env("TERM", "dumb").env_remove("FLEET_CONFIG");
        command.env("HOME", dir.path()).current_dir(dir.path());
    });
    zsh.types(&format!("{setting_up} >&2\n"));
    zsh.shows("\nset up");
    // ^U takes the line away again.
    for (typed, shown) in
        [("fleet exec --hub py\t", "pyaos"), ("fleet tunnel rest\t", "restart"), ("fleet orph\t", "orphans")]
    {
        zsh.types(typed);
        zsh.shows(shown);
        zsh.types("\x15");
    }
}

#[test]
fn fish_completes_what_is_typed() {
    let dir = declared();
    let offered = |line: &str| {
        let script = "$FLEET completions fish | source; complete -C \"$LINE\"";
        let output = Command::new("fish")
            .args(["--no-config", "-c", script])
            .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
            .env("LINE", line)
            .env("HOME", dir.path())
            .env_remove("FLEET_CONFIG")
            .current_dir(dir.path())
            .output()
            .expect("fish starts");
        let run = Run::of(&output).exits(0);
        assert_eq!(run.stderr, "");
        // After a tab, what it is for.
        run.stdout
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(offered("fleet exec --hub ou"), ["ou23s", "ou24s"]);
    assert_eq!(offered("fleet exec --tag g"), ["gpu"]);
    assert_eq!(offered("fleet tunnel restart py"), ["pyaos"]);
    assert_eq!(offered("fleet orp"), ["orphans"]);
}

#[test]
fn a_completion_is_there_before_anybody_waits_for_it() {
    let dir = declared();
    let ask = || {
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
            .args(["--", "fleet", "exec", "--hub", "ou"])
            .envs([("FLEET_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "3"), ("_CLAP_IFS", "\n")])
            .env_remove("FLEET_CONFIG")
            .current_dir(dir.path())
            .output()
            .expect("fleet starts");
        assert_eq!(Run::of(&output).exits(0).stdout.trim(), "ou23s\nou24s");
        began.elapsed()
    };
    // The quickest of some: others use this machine too.
    let quickest = (0..20).map(|_| ask()).min().expect("some");
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
}

#[test]
fn every_shell_gets_what_it_asks_fleet_with() {
    let fleet = Fleet::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = fleet.run(&["completions", shell]).exits(0);
        assert!(run.stdout.contains("FLEET_COMPLETE"), "{shell}:\n{}", run.stdout);
        assert!(run.stdout.contains(env!("CARGO_BIN_EXE_fleet")), "{shell}:\n{}", run.stdout);
    }
    fleet.run(&["completions", "csh"]).exits(2);
}

#[test]
fn man_pages_are_what_groff_reads_without_a_warning() {
    let dir = tempfile::tempdir().expect("a directory");
    let man = dir.path().join("man1");
    let output =
        Command::new(env!("CARGO_BIN_EXE_fleet")).arg("man").arg(&man).output().expect("fleet starts");
    Run::of(&output).exits(0).says("pages in ");
    let pages: Vec<_> =
        std::fs::read_dir(&man).expect("made").map(|entry| entry.expect("an entry").path()).collect();
    assert!(pages.len() > 25, "{pages:?}");
    for page in pages {
        let path = page.to_str().expect("UTF-8");
        let text = std::fs::read_to_string(&page).expect("it reads");
        assert!(text.contains(".TH fleet") && text.contains(".SH NAME"), "{path}:\n{text}");
        // No request but those that the pages are made of.
        for line in text.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split([' ', '\\']).next().unwrap_or_default();
            let known = [
                ".TH", ".SH", ".PP", ".TP", ".IP", ".RS", ".RE", ".nf", ".fi", ".br", ".ie", ".el", ".ds",
                ".if",
            ];
            assert!(known.contains(&request), "{path}: {line}");
        }
        let read = try_sh("groff", &["-man", "-Tutf8", "-ww", "-z", path]);
        assert!(
            read.status.success() && read.stderr.is_empty(),
            "{path}: {}",
            String::from_utf8_lossy(&read.stderr)
        );
    }
}
