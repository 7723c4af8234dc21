//! `fleet shell`: an interactive shell in a hub's sandbox, or one in each of many.

use std::io::IsTerminal as _;

use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use super::choose::Hubs;
use super::context::{Context, tell};
use crate::exec::{Caretaker, Watched, end, run_mark};
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observe::Sandboxes;
use crate::sandbox::paths;
use crate::systems::docker::{Chunk, Engine, ExecSpec, Running};
use crate::systems::tmux::{self, Pane};
use futures_util::StreamExt as _;

/// Open a shell in the sandbox of a hub, or side by side in those of several
///
/// The openrc is sourced, kubectl reaches the hub's cluster. Leave it with `exit` or Ctrl-D; Ctrl-C goes to what runs
/// inside. Where several hubs are chosen, each has a pane of tmux, in a new window of the session that fleet was called in, else in a
/// session of its own; what is typed goes to one of them, or, with tmux's `set synchronize-panes on`, to all.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet shell ou23s\n  fleet shell ou23s mvu23s\n  fleet shell --tag gpu --exclude 'test*'"
)]
pub struct Args {
    #[command(flatten)]
    hubs: Hubs,
}

/// bash where the image has it.
const SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";

/// Opens it and stays until it ends.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen(context, &fleet).await?;
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        let names: Vec<&str> = hubs.iter().map(|hub| hub.name.as_str()).collect();
        return Err(Failure::usage("fleet shell needs a terminal")
            .hint(format!("for scripts: fleet exec --hub {} COMMAND...", names.join(","))));
    }
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look_for(&engine, &fleet, &hubs).await?;
    let ids = running(&fleet, &hubs, &sandboxes)?;
    match (hubs.as_slice(), ids.as_slice()) {
        ([hub], [id]) => {
            context.begins(&fleet, [&hub.name]);
            one(context, &engine, id).await
        }
        _ => side_by_side(&fleet, &hubs).await,
    }
}

/// The sandboxes of the hubs. All that do not run are told at once.
fn running<'s>(fleet: &Fleet, hubs: &[&Hub], sandboxes: &'s Sandboxes) -> Result<Vec<&'s str>, Failure> {
    let mut failure = Failure { exit: Exit::Failed, problems: Vec::new(), hint: None };
    let mut ids = Vec::new();
    for hub in hubs {
        match sandboxes.running(fleet, hub) {
            Ok(sandbox) => ids.push(sandbox.id.as_str()),
            Err(unseen) => {
                failure.problems.push(format!("{}: {}", unseen.subject, unseen.reason));
                failure.hint = failure.hint.or(unseen.hint);
            }
        }
    }
    if failure.problems.is_empty() { Ok(ids) } else { Err(failure) }
}

/// A pane for each, in which another fleet opens the one shell.
async fn side_by_side(fleet: &Fleet, hubs: &[&Hub]) -> Result<Exit, Failure> {
    let fleet_itself = std::env::current_exe().map_err(|error| Failure::failed(&error))?;
    let pane = |hub: &&Hub| Pane {
        title: hub.name.to_string(),
        argv: [fleet_itself.as_os_str(), "--config".as_ref(), fleet.path.as_os_str(), "shell".as_ref()]
            .into_iter()
            .chain([hub.name.as_str().as_ref()])
            .map(ToOwned::to_owned)
            .collect(),
    };
    let panes: Vec<Pane> = hubs.iter().map(pane).collect();
    // tmux's server may have been started elsewhere.
    let env: Vec<_> =
        ["DOCKER_HOST"].iter().filter_map(|&name| Some((name, std::env::var_os(name)?))).collect();
    let window = tmux::open(&fleet.name, &panes, size(), &env).await?;
    tmux::show(&window).await?;
    Ok(Exit::Done)
}

impl From<tmux::Error> for Failure {
    fn from(error: tmux::Error) -> Self {
        Failure::failed(&error).maybe_hint(error.hint())
    }
}

/// The one shell, in this terminal.
async fn one(context: &Context, engine: &Engine, sandbox: &str) -> Result<Exit, Failure> {
    let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
    let mark = run_mark();
    let spec = ExecSpec {
        argv: [paths::RUN, "sh", "-c", SHELL].map(str::to_owned).to_vec(),
        env: vec![format!("TERM={term}"), mark.clone()],
        stdin: true,
        tty: Some(size()),
    };
    // Without one, a shell whose fleet is killed stays; that is no reason not to have it.
    let caretaker = Caretaker::start().ok();
    let watched = caretaker.as_ref().map(|caretaker| caretaker.begins(engine, sandbox, &mark, &[]));
    let running = engine.exec(sandbox, &spec).await?;
    let exec = running.id.clone();
    let ended = {
        let _raw = Raw::enter().map_err(|error| Failure::failed(&error))?;
        tokio::select! {
            ended = connect(engine, running) => ended,
            () = context.interrupt.asked() => Ok(false),
        }
    };
    if !matches!(ended, Ok(true)) {
        // The terminal has gone, or somebody stops fleet: the shell would stay in the sandbox for ever.
        match end(engine, sandbox, &mark, &exec, &context.interrupt).await {
            Ok(()) => watched.into_iter().for_each(Watched::ended),
            Err(reason) => tell(&format!("the shell may still be running in the sandbox: {reason}\n")),
        }
        ended?;
        return Ok(Exit::Interrupted);
    }
    watched.into_iter().for_each(Watched::ended);
    Ok(match engine.exit_status(&exec).await? {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

/// Rows and columns of this terminal.
fn size() -> (u16, u16) {
    termios::tcgetwinsize(std::io::stdout()).map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

/// The terminal in raw mode, and back to what it was, whatever happens.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> std::io::Result<Self> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Keys go in, output comes out, and the size follows the window, until the shell ends. `false` where the terminal went
/// first.
async fn connect(engine: &Engine, running: Running) -> Result<bool, Failure> {
    let Running { id, mut output, mut input } = running;
    let failed = |error: std::io::Error| Failure::failed(&error);
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    // Its thread waits for one more key when the shell has ended; `main` does not wait for the thread.
    let mut keys = tokio::io::stdin();
    let mut stdout = tokio::io::stdout();
    let mut typed = vec![0; 4096];
    loop {
        tokio::select! {
            piece = output.next() => match piece {
                None => return Ok(true),
                Some(Ok(Chunk::Stdout(bytes) | Chunk::Stderr(bytes))) => {
                    stdout.write_all(&bytes).await.map_err(failed)?;
                    stdout.flush().await.map_err(failed)?;
                }
                Some(Err(error)) => return Err(error.into()),
            },
            read = keys.read(&mut typed) => match read {
                Ok(0) | Err(_) => return Ok(false),
                Ok(count) => {
                    input.write_all(&typed[..count]).await.map_err(failed)?;
                    input.flush().await.map_err(failed)?;
                }
            },
            _ = resized.recv() => {
                let (rows, columns) = size();
                engine.resize(&id, rows, columns).await?;
            }
        }
    }
}
