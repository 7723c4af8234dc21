//! `fleet shell`: an interactive shell in a hub's sandbox.

use std::time::Duration;

use crate::common::pty::Pty;
use crate::common::world::{eventually, try_sh};
use crate::common::{standing, using};

/// A part of the prompt that does not depend on who the operator is.
const PROMPT: &str = ":~";

/// A terminal of 33 lines and 101 columns in which a script runs. `$FLEET` is the program.
fn terminal(script: &str) -> Pty {
    Pty::run(&format!("stty rows 33 cols 101; {script}"), |command| {
        command
            .env("FLEET", env!("CARGO_BIN_EXE_fleet"))
            .env("FLEET_CONFIG", standing().path("fleet.toml"))
            .env("TERM", "xterm-256color");
    })
}

/// Processes in a sandbox that a shell left there.
fn shells(hub: &str) -> Vec<String> {
    standing()
        .processes(hub)
        .into_iter()
        .filter(|line| line.trim() == "bash" || line.contains("sleep 49"))
        .collect()
}

#[test]
fn the_shell_has_what_an_operator_has_and_the_size_of_the_window_also_after_it_changed() {
    let _using = using();
    let mut pty = terminal("tty; $FLEET shell ou23s; echo left with $?");
    let tty = pty.shows("\r\n").trim().to_owned();
    pty.shows(PROMPT);
    // What is typed is shown too, so what is waited for is not typed as it is.
    pty.types("echo size: $(stty size); echo hub: $CLUSTER $TERM; echo auth: ${OS_AUTH_URL:0:4}\n");
    pty.shows("size: 33 101");
    pty.shows("hub: ou23s xterm-256color");
    pty.shows("auth: http");
    pty.types("kubectl get nodes -o name\n");
    pty.shows("node/ou23s-1");
    try_sh("stty", &["-F", &tty, "rows", "44", "cols", "122"]);
    eventually("the new size is passed on", Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(200));
        // A second pair of hands on the keyboard is not needed: the shell looks when it is asked.
        standing_size() == "44 122"
    });
    pty.types("echo size: $(stty size)\n");
    pty.shows("size: 44 122");
    pty.types("exit\n");
    pty.shows("left with 0");
}

/// Rows and columns of the terminal of the shell in the sandbox, as another process sees it.
fn standing_size() -> String {
    let script = "for pid in /proc/[0-9]*; do [ \"$(cat $pid/comm)\" = bash ] && stty size < $pid/fd/0; done 2>/dev/null";
    let output = try_sh("docker", &["exec", &standing().container("ou23s"), "sh", "-c", script]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn ctrl_c_stops_what_runs_inside_and_not_the_shell_and_ctrl_d_leaves_it() {
    let _using = using();
    let mut pty = terminal("$FLEET shell pyaos; echo left with $?");
    pty.shows(PROMPT);
    pty.types("echo ready-$((1+1)); sleep 4901\n");
    pty.shows("ready-2");
    eventually("it sleeps", Duration::from_secs(10), || {
        shells("pyaos").iter().any(|line| line.contains("sleep 4901"))
    });
    pty.types("\x03");
    pty.types("echo after-$((2+2)) status-$?\n");
    pty.shows("after-4 status-130");
    pty.types("\x04");
    // The shell's own status was that of its last command, echo.
    pty.shows("left with 0");
    assert_eq!(pty.end(), Some(0));
    assert_eq!(shells("pyaos"), [""; 0]);
}

#[test]
fn a_shell_that_ends_with_a_failure_is_one_and_the_terminal_is_as_it_was() {
    let _using = using();
    let mut pty = terminal("stty -g; $FLEET shell mvu23s; echo left with $?; stty -g");
    let before = pty.shows("\r\n").trim().to_owned();
    pty.shows(PROMPT);
    pty.types("exit 3\n");
    pty.shows("left with 1");
    pty.end();
    let shown = pty.shown();
    assert_eq!(shown.trim_end().lines().last().map(str::trim), Some(before.as_str()), "{shown}");
}

#[test]
fn closing_the_terminal_leaves_no_shell_behind() {
    let _using = using();
    for signal in ["-KILL", "-TERM"] {
        let mut pty = terminal("exec $FLEET shell fsu-s23");
        pty.shows(PROMPT);
        pty.types("echo ready-$((1+1)); sleep 4902\n");
        pty.shows("ready-2");
        eventually("it sleeps", Duration::from_secs(10), || shells("fsu-s23").len() == 2);
        // The terminal goes away, as it does when an SSH connection breaks; or somebody stops fleet itself.
        let id = match signal {
            "-KILL" => pty.id().to_string(),
            _ => String::from_utf8_lossy(&try_sh("pgrep", &["-P", &pty.id().to_string()]).stdout)
                .trim()
                .to_owned(),
        };
        try_sh("kill", &[signal, &id]);
        eventually("nothing is left", Duration::from_secs(10), || shells("fsu-s23").is_empty());
        pty.end();
    }
}

#[test]
fn a_shell_without_a_terminal_is_refused_with_what_to_do_instead() {
    let _using = using();
    let run = standing().run(&["shell", "ou23s"]).exits(2);
    assert_eq!(run.stdout, "");
    run.says("fleet shell needs a terminal").says("hint: for scripts: fleet exec --hub ou23s COMMAND...");
    assert_eq!(shells("ou23s").iter().filter(|line| line.contains("sleep")).count(), 0);
}
