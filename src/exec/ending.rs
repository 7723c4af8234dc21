//! Ends commands in sandboxes, all of their processes: closing the stream of an exec does not end its process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::output::{End, follow};
use crate::exit::chain;
use crate::interrupt::Interrupt;
use crate::sandbox::paths;
use crate::systems::docker::{Engine, ExecSpec};

/// How long ending a run may take: `end` gives it 2 s to end in good order, then forces it.
const END_LIMIT: Duration = Duration::from_secs(8);

/// The same once it is to be forced, answer or not.
const FORCE_LIMIT: Duration = Duration::from_secs(3);

/// How long the engine takes to notice that a process has ended; ten times what it usually needs.
const SETTLE: Duration = Duration::from_millis(300);

/// The variable by which all processes of a run are known, with a mark that no other run on the engine has: this process,
/// and a count.
pub fn run_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Nanoseconds tell apart two processes of one id in the life of a sandbox.
    let nanos = crate::clock::now().as_nanosecond();
    format!("FLEET_RUN={}-{nanos}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
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

/// Waits no longer than ending may take.
pub(super) async fn within_limit(
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

/// Removes what a run that was ended by force has not.
pub(super) async fn clear(engine: &Engine, sandbox: &str, leaves: &[String]) -> Result<(), String> {
    if leaves.is_empty() {
        return Ok(());
    }
    let argv =
        ["rm", "-rf", "--"].iter().map(|&word| word.to_owned()).chain(leaves.iter().cloned()).collect();
    run_to_end(engine, sandbox, argv).await
}

async fn run_to_end(engine: &Engine, sandbox: &str, argv: Vec<String>) -> Result<(), String> {
    let spec = ExecSpec { argv, ..Default::default() };
    let running = engine.exec(sandbox, &spec).await.map_err(|error| chain(&error))?;
    match follow(engine, running, false, async |_, _| {}).await {
        Ok(End::Exited(0)) => Ok(()),
        Ok(end) => Err(format!("{end:?}")),
        Err(error) => Err(chain(&error)),
    }
}

/// Ends every process of a run. `exec` is the engine's id of the first one, where it is known.
pub(super) async fn end_run(
    engine: &Engine,
    sandbox: &str,
    mark: &str,
    exec: Option<&str>,
    interrupt: &Interrupt,
) -> Result<(), String> {
    let end = async |more: &[&str]| {
        let argv = [paths::END, mark].iter().chain(more).map(|&word| word.to_owned()).collect();
        run_to_end(engine, sandbox, argv).await
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
