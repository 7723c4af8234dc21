//! `fleet shell`: an interactive shell in a hub's sandbox.

use std::io::IsTerminal as _;

use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use super::context::{Context, tell};
use crate::config;
use crate::exec::{end, run_mark};
use crate::exit::{Exit, Failure};
use crate::observe::Sandboxes;
use crate::sandbox::paths;
use crate::systems::docker::{Chunk, Engine, ExecSpec, Running};
use futures_util::StreamExt as _;

/// Open a shell in a hub's sandbox
///
/// The openrc is sourced, kubectl reaches the hub's cluster. Leave it with `exit` or Ctrl-D; Ctrl-C goes to what runs
/// inside.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  fleet shell ou23s")]
pub struct Args {
    /// The hub
    hub: String,
}

/// bash where the image has it.
const SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";

/// Opens it and stays until it ends.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let names = [args.hub.clone()];
    let hubs = config::resolve(&fleet, &names)?;
    let hub = hubs.first().ok_or_else(|| Failure::usage("no hub"))?;
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("fleet shell needs a terminal")
            .hint(format!("for scripts: fleet exec --hub {} COMMAND...", hub.name)));
    }
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let sandbox = sandboxes.running(&fleet, hub).map_err(|unseen| {
        let failure = Failure {
            exit: Exit::Failed,
            problems: vec![format!("{}: {}", unseen.subject, unseen.reason)],
            hint: None,
        };
        match unseen.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    context.begins(&fleet, [&hub.name]);
    let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
    let mark = run_mark();
    let spec = ExecSpec {
        argv: [paths::RUN, "sh", "-c", SHELL].map(str::to_owned).to_vec(),
        env: vec![format!("TERM={term}"), mark.clone()],
        stdin: true,
        tty: Some(size()),
    };
    let running = engine.exec(&sandbox.id, &spec).await?;
    let exec = running.id.clone();
    let ended = {
        let _raw = Raw::enter().map_err(|error| Failure::failed(&error))?;
        tokio::select! {
            ended = connect(&engine, running) => ended,
            () = context.interrupt.asked() => Ok(false),
        }
    };
    if !matches!(ended, Ok(true)) {
        // The terminal has gone, or somebody stops fleet: the shell would stay in the sandbox for ever.
        if let Err(reason) = end(&engine, &sandbox.id, &mark, &exec, &context.interrupt).await {
            tell(&format!("the shell may still be running in the sandbox: {reason}\n"));
        }
        ended?;
        return Ok(Exit::Interrupted);
    }
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
