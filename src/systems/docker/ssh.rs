//! Engines on machines that are reached over SSH, as Docker's own client reaches them: OpenSSH's client runs `docker system
//! dial-stdio` there, which joins its input and output with the engine's socket. What OpenSSH's configuration says of the host
//! holds: keys, jump hosts, known hosts.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::text::excerpt;

/// How many connections may be at their beginning at once: from ten on, sshd drops some of them (`MaxStartups` of
/// `sshd_config(5)`), and others want to log in too.
const BEGINNING: usize = 5;

/// The most that is kept of what ssh says.
const MOST_WORDS: u64 = 4096;

/// What runs on the engine's machine.
const COMMAND: [&str; 3] = ["docker", "system", "dial-stdio"];

pub(super) struct Ssh {
    argv: Vec<OsString>,
    beginning: Arc<Semaphore>,
}

impl Ssh {
    pub(super) fn new(user: Option<String>, host: String, port: Option<u16>, limit: Duration) -> Self {
        Self { argv: argv(user, host, port, limit), beginning: Arc::new(Semaphore::new(BEGINNING)) }
    }

    /// Starts one connection. Whether it came to be is known when something is read from it.
    pub(super) async fn open(&self) -> io::Result<SshStream> {
        let turn = Arc::clone(&self.beginning).acquire_owned().await.map_err(io::Error::other)?;
        let mut child = Command::new("ssh")
            .args(&self.argv)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C is for fleet, which still has to end things by way of this connection.
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("ssh cannot be run: {error}")))?;
        let (input, output, words) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(words)) = (input, output, words) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let said = Arc::new(Mutex::new(String::new()));
        let listening = tokio::spawn(listen(words, Arc::clone(&said)));
        Ok(SshStream { _child: child, input: Some(input), output, said, listening, turn: Some(turn) })
    }
}

fn argv(user: Option<String>, host: String, port: Option<u16>, limit: Duration) -> Vec<OsString> {
    let seconds = limit.as_secs().max(1);
    let mut argv: Vec<String> = vec!["-T".to_owned()];
    // BatchMode: never wait for an answer that nobody gives. ServerAlive: a machine that hangs is noticed.
    let options = [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={seconds}"),
        "ServerAliveInterval=10".to_owned(),
        "ServerAliveCountMax=3".to_owned(),
        "ForwardX11=no".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
    ];
    for option in options {
        argv.extend(["-o".to_owned(), option]);
    }
    if let Some(user) = user {
        argv.extend(["-l".to_owned(), user]);
    }
    if let Some(port) = port {
        argv.extend(["-p".to_owned(), port.to_string()]);
    }
    argv.extend(["--".to_owned(), host]);
    argv.extend(COMMAND.map(str::to_owned));
    argv.into_iter().map(OsString::from).collect()
}

/// Keeps what ssh says, and goes on reading where that is too much, so that ssh never waits.
async fn listen(mut words: ChildStderr, said: Arc<Mutex<String>>) {
    let mut kept = Vec::new();
    let _ = (&mut words).take(MOST_WORDS).read_to_end(&mut kept).await;
    *said.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(&kept).into_owned();
    let _ = tokio::io::copy(&mut words, &mut tokio::io::sink()).await;
}

/// A connection by way of an ssh process, which ends with it.
pub(super) struct SshStream {
    _child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    said: Arc<Mutex<String>>,
    listening: JoinHandle<()>,
    /// Held until something was read: until then nobody knows whether ssh has logged in.
    turn: Option<OwnedSemaphorePermit>,
}

impl SshStream {
    /// Why a connection ended that never came to be: what ssh said, once it has said all.
    fn poll_why(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.listening.is_finished() {
            let _ = ready!(Pin::new(&mut self.listening).poll(context));
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let words = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('@'));
        let words: Vec<&str> = words.collect();
        let last = words[words.len().saturating_sub(3)..].join(" ");
        Poll::Ready(io::Error::other(match last.as_str() {
            "" => "ssh ended before the engine answered, and said nothing".to_owned(),
            last => format!("ssh says: {}", excerpt(last)),
        }))
    }
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.turn = None;
        } else if self.turn.is_some() && buffer.remaining() > 0 {
            return Poll::Ready(Err(ready!(self.poll_why(context))));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(input) = self.input.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        match ready!(Pin::new(input).poll_write(context, bytes)) {
            // ssh has ended, and says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.turn.is_some() => {
                Poll::Ready(Err(ready!(self.poll_why(context))))
            }
            other => Poll::Ready(other),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.input.as_mut() {
            Some(input) => Pin::new(input).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// The other side sees the end of what is sent; what it still sends is read.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(input) = self.input.as_mut() {
            ready!(Pin::new(input).poll_flush(context))?;
        }
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(user: Option<&str>, port: Option<u16>) -> Vec<String> {
        let argv = argv(user.map(str::to_owned), "east".to_owned(), port, Duration::from_millis(300));
        argv.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn ssh_asks_nothing_and_what_the_file_says_is_never_an_option() {
        let all = words(Some("op"), Some(2222));
        assert!(all.contains(&"BatchMode=yes".to_owned()) && all.contains(&"ConnectTimeout=1".to_owned()));
        assert_eq!(all[all.len() - 5..], ["--", "east", "docker", "system", "dial-stdio"]);
        assert!(
            all.windows(2).any(|two| two == ["-l", "op"]) && all.windows(2).any(|two| two == ["-p", "2222"])
        );
        let few = words(None, None);
        assert!(!few.contains(&"-l".to_owned()) && !few.contains(&"-p".to_owned()));
    }
}
