//! `fleet shell` with several hubs: a pane of tmux for each.

use std::process::Output;
use std::time::Duration;

use crate::common::pty::Pty;
use crate::common::world::{eventually, try_sh};
use crate::common::{Fleet, standing, using, world};

/// A tmux of this test's own, whose server ends with it.
struct Tmux(tempfile::TempDir);

impl Tmux {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn run(&self, words: &[&str]) -> Output {
        let at = format!("TMUX_TMPDIR={}", self.0.path().display());
        try_sh("env", &[&["-u", "TMUX", &at, "tmux"], words].concat())
    }

    fn says(&self, words: &[&str]) -> String {
        String::from_utf8_lossy(&self.run(words).stdout).into_owned()
    }

    /// A terminal of that many lines and 120 columns, in which a script runs that is not in this tmux, and starts it.
    fn terminal(&self, rows: u16, script: &str) -> Pty {
        Pty::run(&format!("stty rows {rows} cols 120; {script}"), |command| {
            command
                .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
                .env("FLEET_CONFIG", standing().path("fleet.toml"))
                .env("TERM", "xterm-256color")
                .env("TMUX_TMPDIR", self.0.path())
                .env_remove("TMUX");
        })
    }

    /// Title, what stands above it, and id of each pane of all windows of that name.
    fn panes(&self, window: &str) -> Vec<(String, String, String)> {
        let format = "#{window_name} #{pane_title} #{@fleet_title} #{pane_id}";
        let rows = self.says(&["list-panes", "-a", "-F", format]);
        let pane = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0] == window && words.len() == 4)
                .then(|| (words[1].to_owned(), words[2].to_owned(), words[3].to_owned()))
        };
        rows.lines().filter_map(pane).collect()
    }

    /// Types a line into each pane once its shell is there, and waits until each has shown what it is for.
    fn each_is_its_hubs(&self, panes: &[(String, String, String)]) {
        for (_, hub, pane) in panes {
            let shows = |text: &str| self.says(&["capture-pane", "-p", "-J", "-t", pane]).contains(text);
            eventually("a prompt", Duration::from_secs(20), || shows(":~"));
            self.run(&["send-keys", "-t", pane, "echo hub:$CLUSTER", "Enter"]);
            eventually("the hub's shell answers", Duration::from_secs(20), || shows(&format!("hub:{hub}")));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// Shells that are left in sandboxes.
fn shells(hubs: &[&str]) -> usize {
    hubs.iter().map(|hub| standing().processes(hub).iter().filter(|line| line.trim() == "bash").count()).sum()
}

#[test]
fn each_hub_has_a_pane_with_its_name_in_a_session_of_its_own() {
    let _using = using();
    let tmux = Tmux::new();
    let mut pty = tmux.terminal(40, "$FLEET shell ou23s mvu23s; echo left with $?");
    let window = &standing().name;
    eventually("two panes", Duration::from_secs(20), || tmux.panes(window).len() == 2);
    // A pane is there a moment before it has its name.
    eventually("their names", Duration::from_secs(10), || {
        let panes = tmux.panes(window);
        let names = panes.iter().map(|(title, above, _)| [title.as_str(), above.as_str()]);
        names.eq([["ou23s"; 2], ["mvu23s"; 2]])
    });
    let panes = tmux.panes(window);
    tmux.each_is_its_hubs(&panes);
    // Both are seen in the terminal, with their names above them.
    let shown = pty.shows("hub:mvu23s");
    assert!(shown.contains(" ou23s ") && shown.contains(" mvu23s "), "{shown}");
    // The shell of one ends, and the other's stays.
    tmux.run(&["send-keys", "-t", &panes[0].2, "exit", "Enter"]);
    eventually("one pane", Duration::from_secs(10), || tmux.panes(window).len() == 1);
    pty.types("exit\n");
    pty.shows("left with 0");
    eventually("no shell is left", Duration::from_secs(10), || shells(&["ou23s", "mvu23s"]) == 0);
}

#[test]
fn in_a_tmux_that_is_there_it_is_a_new_window_of_panes_as_large_as_each_other() {
    let _using = using();
    let tmux = Tmux::new();
    tmux.run(&["new-session", "-d", "-x", "160", "-y", "50", "-n", "before", "sh"]);
    let config = standing().path("fleet.toml");
    let line = format!(
        "{} --config {} shell --all --exclude fsu-s23",
        env!("CARGO_BIN_EXE_fleet"),
        config.display()
    );
    tmux.run(&["send-keys", "-t", "before", &line, "Enter"]);
    let window = &standing().name;
    eventually("three panes", Duration::from_secs(20), || tmux.panes(window).len() == 3);
    // It comes to the front when all of it is there.
    eventually("it is in front", Duration::from_secs(10), || {
        tmux.says(&["display-message", "-p", "#{window_name}"]).trim() == window
    });
    assert_eq!(tmux.says(&["list-sessions"]).lines().count(), 1);
    let panes = tmux.panes(window);
    tmux.each_is_its_hubs(&panes);
    let hubs: Vec<&str> = panes.iter().map(|(_, hub, _)| hub.as_str()).collect();
    let all: Vec<&str> =
        world().hubs.iter().map(|hub| hub.name.as_str()).filter(|hub| *hub != "fsu-s23").collect();
    assert_eq!(hubs, all);
    let sizes = tmux.says(&["list-panes", "-t", window, "-F", "#{pane_height}"]);
    let heights: Vec<i32> = sizes.lines().map(|line| line.parse().expect("a number")).collect();
    let (least, most) = (heights.iter().min(), heights.iter().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 2), "{heights:?}");
    // Whoever closes the window ends the shells.
    tmux.run(&["kill-window", "-t", window]);
    eventually("no shell is left", Duration::from_secs(10), || shells(&all) == 0);
}

#[test]
fn where_no_panes_can_be_had_that_is_said_and_nothing_is_left() {
    let _using = using();
    let tmux = Tmux::new();
    let pty = tmux.terminal(24, "PATH=/nowhere $FLEET shell --all; echo left with $?");
    let shown = pty.shows("left with 1");
    assert!(
        shown.contains("there is no tmux on this machine") && shown.contains("apt install tmux"),
        "{shown}"
    );
    let pty = tmux.terminal(3, "stty cols 8; $FLEET shell --all; echo left with $?");
    let shown = pty.shows("left with 1");
    assert!(shown.contains("the terminal has no room for 4 panes"), "{shown}");
    assert!(tmux.panes(&standing().name).is_empty());
    // A hub whose sandbox is not there is told before anything is opened; one without a terminal, too.
    let config = standing().variant(
        "with-a-ghost-in-a-shell.toml",
        "[[hub]]\nname = \"ghost\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-alpha.sh\"",
    );
    let pty = tmux.terminal(24, &format!("$FLEET --config {config} shell ou23s ghost; echo left with $?"));
    let shown = pty.shows("left with 1");
    assert!(shown.contains("hub ghost: it has no sandbox"), "{shown}");
    assert!(tmux.panes(&standing().name).is_empty());
    let fleet: &Fleet = standing();
    fleet.run(&["shell", "--all"]).exits(2).says("needs a terminal").says("fleet exec --hub ou23s,mvu23s,");
    fleet.run(&["shell"]).exits(2).says("no hubs are chosen");
}
