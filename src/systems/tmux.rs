//! tmux: many programs side by side in one terminal. The only place that runs it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// One word to tmux: its server answers within milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// What stands above each pane. Programs may give themselves other titles, so it is kept where they cannot.
const TITLE: &str = " #{@fleet_title} ";

/// What could not be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum Error {
    /// It is not installed.
    #[error("there is no tmux on this machine")]
    Missing,
    /// There is no room for so many.
    #[error("the terminal has no room for {panes} panes")]
    NoRoom { panes: usize },
    /// It said no.
    #[error("tmux {word}: {said}")]
    Refused { word: String, said: String },
    /// It could not be run.
    #[error("cannot run tmux")]
    Run { source: io::Error },
    /// It did not answer.
    #[error("tmux {word}: no answer within {}", crate::report::duration(LIMIT))]
    TimedOut { word: String },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Missing => {
                Some("install it (the package is called tmux: apt install tmux), or name one hub")
            }
            Error::NoRoom { .. } => Some("choose fewer hubs, or make the terminal larger"),
            _ => None,
        }
    }
}

/// A program in a pane of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    /// What stands above it.
    pub title: String,
    /// The program and its arguments.
    pub argv: Vec<OsString>,
}

/// A window with all its panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    window: String,
    /// Its own session, where this process is not in one.
    session: Option<String>,
}

/// Opens a window with these panes, as large as each other: in the session that this process is in, else in a new one. What
/// cannot be opened whole is closed again. `env`: variables that they need and tmux's server may not have.
pub async fn open(
    name: &str,
    panes: &[Pane],
    (rows, columns): (u16, u16),
    env: &[(&str, OsString)],
) -> Result<Window, Error> {
    let is_inside = std::env::var_os("TMUX").is_some_and(|at| !at.is_empty());
    let Some((first, others)) = panes.split_first() else { return Err(Error::NoRoom { panes: 0 }) };
    let (rows, columns) = (rows.to_string(), columns.to_string());
    let mut words: Vec<&str> = if is_inside {
        vec!["new-window", "-d"]
    } else {
        vec!["new-session", "-d", "-x", &columns, "-y", &rows]
    };
    words.extend(["-n", name, "-P", "-F", "#{window_id} #{pane_id} #{session_id}"]);
    let made = tmux(&words, env, &first.argv).await?;
    let mut ids = made.split_whitespace().map(str::to_owned);
    let mut id = || ids.next().unwrap_or_default();
    let (window, pane, session) = (id(), id(), id());
    match fill(&window, &pane, first, others, env).await {
        Ok(()) => Ok(Window { window, session: (!is_inside).then_some(session) }),
        Err(error) => {
            // What is told is why it could not be filled.
            let _ = tmux(&["kill-window", "-t", &window], &[], &[]).await;
            Err(match error {
                Error::Refused { said, .. } if said.contains("no space") => {
                    Error::NoRoom { panes: panes.len() }
                }
                error => error,
            })
        }
    }
}

async fn fill(
    window: &str,
    first_pane: &str,
    first: &Pane,
    others: &[Pane],
    env: &[(&str, OsString)],
) -> Result<(), Error> {
    tmux(&["set-option", "-w", "-t", window, "pane-border-status", "top"], &[], &[]).await?;
    tmux(&["set-option", "-w", "-t", window, "pane-border-format", TITLE], &[], &[]).await?;
    entitle(first_pane, first).await?;
    let mut last = first_pane.to_owned();
    for other in others {
        let words = ["split-window", "-d", "-t", &last, "-P", "-F", "#{pane_id}"];
        tmux(&words, env, &other.argv).await?.trim().clone_into(&mut last);
        entitle(&last, other).await?;
        // Each split halves a pane: without this, the last ones would find no room.
        tmux(&["select-layout", "-t", window, "tiled"], &[], &[]).await?;
    }
    Ok(())
}

async fn entitle(pane: &str, of: &Pane) -> Result<(), Error> {
    tmux(&["set-option", "-p", "-t", pane, "@fleet_title", &of.title], &[], &[]).await?;
    tmux(&["select-pane", "-t", pane, "-T", &of.title], &[], &[]).await.map(drop)
}

/// Shows the window: in the session that this process is in at once, else this process becomes tmux in this terminal.
pub async fn show(window: &Window) -> Result<(), Error> {
    let Some(session) = &window.session else {
        return tmux(&["select-window", "-t", &window.window], &[], &[]).await.map(drop);
    };
    let source = std::process::Command::new("tmux").args(["attach-session", "-t", session]).exec();
    Err(Error::Run { source })
}

/// Says one thing to tmux, and returns what it prints.
async fn tmux(words: &[&str], env: &[(&str, OsString)], argv: &[OsString]) -> Result<String, Error> {
    let word = || words.first().copied().unwrap_or_default().to_owned();
    let mut command = Command::new("tmux");
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    for (name, value) in env {
        let mut pair = OsString::from(format!("{name}="));
        pair.push(value);
        command.args([OsStr::new("-e"), &pair]);
    }
    if !argv.is_empty() {
        command.arg("--").args(argv);
    }
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| Error::TimedOut { word: word() })?
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing,
            _ => Error::Run { source },
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = crate::text::excerpt(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Refused { word: word(), said })
}
