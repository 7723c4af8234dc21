//! One command in one sandbox, under a time limit, with nothing of it left running when it is stopped.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::caretaker::{Caretaker, Watched};
use crate::exit::chain;
use crate::interrupt::Interrupt;
use crate::sandbox::paths;
use crate::systems::docker::{Chunk, Engine, Error, ExecSpec, Running};

/// How long ending a run may take: `end` gives it 2 s to end in good order, then forces it.
const END_LIMIT: Duration = Duration::from_secs(8);

/// Bytes of a file that are handed to a command at once.
const FEED: usize = 64 << 10;

/// The same once it is to be forced, answer or not.
const FORCE_LIMIT: Duration = Duration::from_secs(3);

/// How long the engine takes to notice that a process has ended; ten times what it usually needs.
const SETTLE: Duration = Duration::from_millis(300);

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command in a sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// By itself, with that status; 128 + n for signal n, as shells have it.
    Exited(i64),
    /// It was stopped when its time was up.
    TimedOut(Duration),
    /// It was stopped because the user asked fleet to stop.
    Interrupted,
    /// It could not be run, or its end could not be learnt.
    Failed {
        /// Why, in one line.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl End {
    /// Whether all went well.
    pub fn is_success(&self) -> bool {
        *self == End::Exited(0)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        End::Failed { reason: chain(&error), hint: error.hint() }
    }
}

/// The variable by which all processes of a run are known, with a mark that no other run on the engine has: this process,
/// and a count.
pub fn run_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Nanoseconds tell apart two processes of one id in the life of a sandbox.
    let nanos = crate::clock::now().as_nanosecond();
    format!("FLEET_RUN={}-{nanos}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

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
    let Place { engine, sandbox, limit, interrupt, caretaker } = place;
    let mark = run_mark();
    let watched = caretaker.map(|caretaker| caretaker.begins(engine, sandbox, &mark));
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
            is_over();
            stopped
        }
        Err(reason) => End::Failed {
            reason: format!("the command was stopped, and may still be running in the sandbox: {reason}"),
            hint: None,
        },
    }
}

/// Ends every process that has a mark of [`run_mark`] in its environment. `exec` is the engine's id of the first one.
pub async fn end(
    engine: &Engine,
    sandbox: &str,
    mark: &str,
    exec: &str,
    interrupt: &Interrupt,
) -> Result<(), String> {
    within_limit(interrupt, end_run(engine, sandbox, mark, Some(exec), interrupt)).await
}

/// The same where nobody knows the first one.
pub(super) async fn end_marked(
    engine: &Engine,
    sandbox: &str,
    mark: &str,
    interrupt: &Interrupt,
) -> Result<(), String> {
    within_limit(interrupt, end_run(engine, sandbox, mark, None, interrupt)).await
}

async fn within_limit(
    interrupt: &Interrupt,
    ending: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let forced = async {
        interrupt.pressed().await;
        tokio::time::sleep(FORCE_LIMIT).await;
    };
    let no_answer = || Err("the sandbox did not answer".to_owned());
    tokio::select! {
        ended = tokio::time::timeout(END_LIMIT, ending) => ended.unwrap_or_else(|_| no_answer()),
        () = forced => no_answer(),
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

async fn follow(
    engine: &Engine,
    mut running: Running,
    is_fed: bool,
    mut output: impl AsyncFnMut(Stream, Bytes),
) -> Result<End, Error> {
    while let Some(chunk) = running.output.next().await {
        match chunk {
            Ok(Chunk::Stdout(bytes)) => output(Stream::Stdout, bytes).await,
            Ok(Chunk::Stderr(bytes)) => output(Stream::Stderr, bytes).await,
            // So a Unix socket ends, after all output, where the command left some of its input unread.
            Err(error) if is_fed && error.is_reset() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(End::Exited(engine.exit_status(&running.id).await?))
}

/// Ends every process of a run. Closing the stream of an exec does not end its process. `exec` is the engine's id of the
/// first one, where it is known.
async fn end_run(
    engine: &Engine,
    sandbox: &str,
    mark: &str,
    exec: Option<&str>,
    interrupt: &Interrupt,
) -> Result<(), String> {
    let end = async |more: &[&str]| {
        let argv = [paths::END, mark].iter().chain(more).map(|&word| word.to_owned()).collect();
        let spec = ExecSpec { argv, ..Default::default() };
        let ending = engine.exec(sandbox, &spec).await.map_err(|error| chain(&error))?;
        match follow(engine, ending, false, async |_, _| {}).await {
            Ok(End::Exited(0)) => Ok(()),
            Ok(end) => Err(format!("{end:?}")),
            Err(error) => Err(chain(&error)),
        }
    };
    loop {
        tokio::select! {
            biased;
            () = interrupt.pressed() => end(&["now"]).await?,
            ended = end(&[]) => ended?,
        }
        // The engine answers before it has started the process: what was not there yet to be found is ended in the next
        // round.
        let Some(exec) = exec else { return Ok(()) };
        if tokio::time::timeout(SETTLE, engine.exit_status(exec)).await.is_ok() {
            return Ok(());
        }
    }
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
    let place = Place { engine, sandbox, limit: Some(limit), interrupt, caretaker: None };
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
    let place = Place { engine, sandbox, limit: Some(limit), interrupt, caretaker: None };
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
