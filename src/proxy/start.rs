//! Seeing to it that a fleet's proxy runs: of however many ask at once, one proxy comes of it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, sleep};

use super::address;
use super::control::{self, Status, Word};
use super::kept::{Lock, Place, Settings};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::report::duration;
use crate::systems::socket;

/// After so long without a connection, a proxy that was started on demand ends.
pub const IDLE: Duration = Duration::from_mins(30);

/// Until one is there: it listens within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until an old one has ended, or one that is starting listens.
const PAUSE: Duration = Duration::from_millis(20);

/// The most that is heard of one that cannot start.
const MOST_BYTES: u64 = 16 << 10;

/// The variable in which kubectl tells its plugin what it wants.
pub const QUESTION: &str = "KUBERNETES_EXEC_INFO";

/// The proxy that runs, started if none does. It stays for its idle time at least.
pub async fn ensure(place: &Place, config: &Path, idle: Duration) -> Result<Status, Failure> {
    let begun = Instant::now();
    loop {
        if let Ok(status) = control::tell(&place.socket(), Word::Stay).await {
            return Ok(status);
        }
        if begun.elapsed() > PATIENCE {
            return Err(silent(place));
        }
        let config = config.to_owned();
        let said = tokio::task::spawn_blocking(move || start(&config, idle)).await;
        match said {
            // This one listens now, or another one does.
            Ok(Ok(said)) if said.is_empty() => {}
            Ok(Ok(said)) => return Err(relayed(&said)),
            Ok(Err(error)) => {
                return Err(Failure::failed(&files::Error::new("start", Path::new("fleet"), error)));
            }
            Err(error) => return Err(Failure::failed(&error)),
        }
        if let Ok(status) = control::tell(&place.socket(), Word::Stay).await {
            return Ok(status);
        }
        sleep(PAUSE).await;
    }
}

/// Starts one in a session of its own, and waits until it listens or has said why not. Once it listens, it lets go of its
/// standard error.
fn start(config: &Path, idle: Duration) -> std::io::Result<String> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--config")
        .arg(config)
        .args(["proxy", "--detached", "--idle", &duration(idle)])
        .env_remove(QUESTION)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MOST_BYTES).read_to_string(&mut said)?;
    }
    Ok(said)
}

/// What the other process said, as this one's own.
fn relayed(said: &str) -> Failure {
    let part = |line: &str, head: &str| line.strip_prefix(head).map(str::to_owned);
    let problems: Vec<String> = said.lines().filter_map(|line| part(line, "error: ")).collect();
    let hint = said.lines().find_map(|line| part(line, "hint: "));
    if problems.is_empty() {
        return Failure { exit: Exit::Failed, problems: vec![crate::text::excerpt(said)], hint };
    }
    Failure { exit: Exit::Failed, problems, hint }
}

/// Says that the process that is this fleet's proxy does not answer.
pub fn silent(place: &Place) -> Failure {
    let who = place.holder().map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
    Failure {
        exit: Exit::Failed,
        problems: vec![format!(
            "{who} is this fleet's proxy, and does not answer at {}",
            place.socket().display()
        )],
        hint: None,
    }
    .hint("look at that process; fleet ends none that does not answer to it")
}

/// Who is this fleet's proxy.
#[derive(Debug)]
pub enum Claim {
    /// Nobody was, and this process is now.
    Ours(Lock),
    /// Another process.
    Taken(Status),
}

/// Becomes this fleet's proxy, unless one answers. The lock alone tells neither: one that is ending has it for a moment still,
/// and so has whoever looks whether anybody has it.
pub async fn claim(place: &Place) -> Result<Claim, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(lock) = place.lock()? {
            return Ok(Claim::Ours(lock));
        }
        if let Ok(status) = control::tell(&place.socket(), Word::Status).await {
            return Ok(Claim::Taken(status));
        }
        if begun.elapsed() > PATIENCE / 2 {
            return Err(silent(place));
        }
        sleep(PAUSE).await;
    }
}

/// What a proxy listens at.
#[derive(Debug)]
pub struct Ends {
    /// For kubectl.
    pub listener: TcpListener,
    /// For fleet itself.
    pub control: UnixListener,
}

/// Listens, for kubectl first: who is told that the proxy is there may connect at once.
pub async fn listen(place: &Place, settings: &Settings, _lock: &Lock) -> Result<Ends, Failure> {
    let address = address(settings.port);
    let listener = TcpListener::bind(address).await.map_err(|error| not_listening(settings.port, &error))?;
    let path = place.socket();
    // It is of a proxy that has ended: there is one lock.
    let _ = std::fs::remove_file(&path);
    let control = socket::listen(&path)
        .map_err(|source| Failure::failed(&files::Error::new("listen at", &path, source)))?;
    Ok(Ends { listener, control })
}

fn not_listening(port: u16, error: &std::io::Error) -> Failure {
    let address = address(port);
    let failed = |problem| Failure { exit: Exit::Failed, problems: vec![problem], hint: None };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        return failed(format!("cannot listen at {address}: {error}"));
    }
    failed(format!("another program listens at {address}, where this fleet's proxy has its place")).hint(format!(
        "find out which (as root: ss -ltnp 'sport = :{port}') and end it, or choose another port for the proxy: fleet kubeconfig --all \
         --port N --output FILE"
    ))
}

/// Becomes nobody's child that could be ended with a terminal: called in the process that [`ensure`] starts.
pub fn leave_the_session() {
    // It fails where the process leads a group already, and then a shell has put it there on purpose.
    let _ = rustix::process::setsid();
}

/// Lets go of standard error: what is said from now on goes into the log.
pub fn speak_into(log: &File) -> Result<(), Failure> {
    rustix::stdio::dup2_stderr(log).map_err(|error| Failure::failed(&std::io::Error::from(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_process_said_is_told_as_it_would_have_told_it() {
        let failure = relayed("error: one\nerror: two\nhint: do this\n");
        assert_eq!(
            (failure.problems, failure.hint),
            (vec!["one".to_owned(), "two".to_owned()], Some("do this".to_owned()))
        );
        let failure = relayed("thread 'main' panicked\nat the disco\n");
        assert_eq!(failure.problems, ["thread 'main' panicked at the disco"]);
    }
}
