//! One command in one sandbox, under a time limit, with nothing of it left running when it is stopped.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::caretaker::{Caretaker, Watched};
use super::ending::{clear, end_run, run_mark, within_limit};
use super::output::{End, Stream, follow};
use crate::interrupt::Interrupt;
use crate::sandbox::paths;
use crate::systems::docker::{Engine, ExecSpec};

/// Bytes of a file that are handed to a command at once.
const FEED: usize = 64 << 10;

/// What a command has to read.
#[derive(Debug)]
pub enum Input<'a> {
    /// Its standard input is closed.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// All of a file, which others may read at the same time.
    File(&'a File),
    /// What comes, until nobody is left who could send any.
    Pieces(mpsc::Receiver<Bytes>),
}

/// Where a command runs, for how long, and who may stop it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The container.
    pub sandbox: &'a str,
    /// Its time limit.
    pub limit: Option<Duration>,
    /// Pressed, an orderly end is not waited for.
    pub interrupt: &'a Interrupt,
    /// Who ends it where fleet is killed.
    pub caretaker: Option<&'a Caretaker>,
    /// Paths in the sandbox that it removes itself, unless it is ended by force: then they are removed for it.
    pub leaves: &'a [String],
}

/// Runs a command in a sandbox with the openrc sourced and hands on its output as it comes, until it ends, its time is
/// up, or it is told to stop.
pub async fn run(
    place: Place<'_>,
    argv: Vec<String>,
    input: Input<'_>,
    stop: impl Future<Output = ()>,
    output: impl AsyncFnMut(Stream, Bytes),
) -> End {
    let argv = std::iter::once(paths::RUN.to_owned()).chain(argv).collect();
    run_bare(place, argv, input, stop, output).await
}

/// The same with nothing sourced.
pub async fn run_bare(
    place: Place<'_>,
    argv: Vec<String>,
    input: Input<'_>,
    stop: impl Future<Output = ()>,
    output: impl AsyncFnMut(Stream, Bytes),
) -> End {
    let Place { engine, sandbox, limit, interrupt, caretaker, leaves } = place;
    let mark = run_mark();
    let watched = caretaker.map(|caretaker| caretaker.begins(engine, sandbox, &mark, leaves));
    let is_over = || watched.into_iter().for_each(Watched::ended);
    let stdin = !matches!(input, Input::None);
    let spec = ExecSpec { argv, env: vec![mark.clone()], stdin, ..Default::default() };
    let starting = engine.exec(sandbox, &spec);
    tokio::pin!(starting);
    let (mut exec, mut over) = (None, false);
    let following = async {
        let mut running = starting.as_mut().await?;
        exec = Some(running.id.clone());
        let to = std::mem::replace(&mut running.input, Box::pin(tokio::io::sink()));
        tokio::join!(follow(engine, running, stdin, output), feed(to, input)).0
    };
    let stopped = tokio::select! {
        end = following => match end {
            Ok(end) => {
                is_over();
                return end;
            }
            // What the engine refused has not begun.
            Err(error) if error.is_refusal() => {
                is_over();
                return error.into();
            }
            // An answer that was lost says nothing of the command.
            Err(error) => {
                over = true;
                error.into()
            }
        },
        () = deadline(limit) => End::TimedOut(limit.unwrap_or_default()),
        () = stop => End::Interrupted,
    };
    let ended = within_limit(interrupt, async {
        let exec = match exec {
            Some(exec) => Some(exec),
            None if over => None,
            // What has been asked for may start whether or not anybody waits for it, so it is waited for.
            None => match starting.await {
                Ok(running) => Some(running.id),
                Err(error) if error.is_refusal() => return Ok(()),
                Err(_) => None,
            },
        };
        end_run(engine, sandbox, &mark, exec.as_deref(), interrupt).await
    });
    match ended.await {
        Ok(()) => {
            // What is told is why it was stopped. What cannot be removed is the caretaker's.
            if within_limit(interrupt, clear(engine, sandbox, leaves)).await.is_ok() {
                is_over();
            }
            stopped
        }
        Err(reason) => End::Failed {
            reason: format!("the command was stopped, and may still be running in the sandbox: {reason}"),
            hint: None,
        },
    }
}

async fn deadline(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Writes a command's input and ends it. A command that does not read all of it says so by its own end.
async fn feed(mut to: Pin<Box<dyn AsyncWrite + Send>>, input: Input<'_>) -> Pin<Box<dyn AsyncWrite + Send>> {
    let fed = match input {
        Input::None => return to,
        Input::Bytes(bytes) => to.write_all(bytes).await,
        Input::File(file) => feed_file(&mut to, file).await,
        Input::Pieces(pieces) => feed_pieces(&mut to, pieces).await,
    };
    if fed.is_ok() {
        let _ = to.shutdown().await;
    }
    to
}

/// Reads at places of its own, because others read the same file. It is a scratch file that was just written: the system has
/// what is read in memory, or near it.
async fn feed_file(to: &mut Pin<Box<dyn AsyncWrite + Send>>, file: &File) -> std::io::Result<()> {
    let (mut buffer, mut at) = (vec![0; FEED], 0);
    loop {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        at += read as u64;
    }
}

async fn feed_pieces(
    to: &mut Pin<Box<dyn AsyncWrite + Send>>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    while let Some(piece) = pieces.recv().await {
        to.write_all(&piece).await?;
    }
    Ok(())
}

/// What a command that fleet runs for itself printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

/// Most bytes that are kept of what a command of fleet's own prints.
const CAPTURE: usize = 1024 * 1024;

/// Runs a command of fleet's own and keeps what it prints, up to 1 MiB of each output.
pub async fn capture(
    engine: &Engine,
    sandbox: &str,
    argv: &[&str],
    limit: Duration,
    interrupt: &Interrupt,
) -> Captured {
    let argv = std::iter::once(paths::RUN).chain(argv.iter().copied()).map(str::to_owned).collect();
    let place = Place { engine, sandbox, limit: Some(limit), interrupt, caretaker: None, leaves: &[] };
    keep(place, argv, Input::None).await
}

/// The same with nothing sourced, and with something to read for the command, which nobody else gets to see.
pub async fn capture_fed(
    engine: &Engine,
    sandbox: &str,
    argv: &[&str],
    input: &[u8],
    limit: Duration,
    interrupt: &Interrupt,
) -> Captured {
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    let place = Place { engine, sandbox, limit: Some(limit), interrupt, caretaker: None, leaves: &[] };
    keep(place, argv, Input::Bytes(input)).await
}

async fn keep(place: Place<'_>, argv: Vec<String>, input: Input<'_>) -> Captured {
    let interrupt = place.interrupt;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let _hold = interrupt.hold();
    let end = run_bare(place, argv, input, interrupt.asked(), async |stream, bytes| {
        let kept = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        let room = CAPTURE - kept.len().min(CAPTURE);
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    })
    .await;
    Captured { end, stdout, stderr, took: began.elapsed() }
}
