//! A connection to a hub's API server by way of its sandbox, for engines on other machines: their tunnels' sockets cannot be reached
//! from here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Chunk, Engine, Error, ExecSpec, Running};
use crate::systems::wire::{Detour, Opening, Wire};
use crate::text::excerpt;

/// Joins its input and output with the end of the tunnel in the sandbox, and says so with a line when it has. Where the tunnel's socket is
/// gone, somebody has closed the way, and the port is none either. bash, because nothing else that every image has opens a connection.
const JOIN: &str = r#"command -v bash >/dev/null || { echo "the image has no bash" >&2; exit 1; }
exec bash -c '[ -S "$1" ] || { echo "there is no tunnel" >&2; exit 1; }
exec 3<>/dev/tcp/127.0.0.1/6443 || exit 1
exec 4<&0
echo joined >&2
cat <&4 >&3 & one=$!
cat <&3 & two=$!
wait -n
kill "$one" "$two" 2>/dev/null' bash "$1""#;

/// What it says.
const JOINED: &[u8] = b"joined\n";

/// More than a shell says before it.
const SAID: usize = 16 << 10;

/// The way through one sandbox.
#[derive(Debug)]
pub struct Inside {
    engine: Engine,
    sandbox: String,
    socket: String,
}

impl Inside {
    /// Through that container, where the tunnel's socket is at that path.
    pub fn new(engine: &Engine, sandbox: &str, socket: &str) -> Self {
        Self { engine: engine.clone(), sandbox: sandbox.to_owned(), socket: socket.to_owned() }
    }
}

impl Detour for Inside {
    fn open(&self) -> Opening {
        let Self { engine, sandbox, socket } = self;
        let argv = ["sh", "-c", JOIN, "sh", socket].map(str::to_owned).to_vec();
        let spec = ExecSpec { argv, stdin: true, ..Default::default() };
        let (engine, sandbox) = (engine.clone(), sandbox.clone());
        Box::pin(async move {
            let (_, limit) = engine.address(&sandbox).map_err(|error| error.as_io())?;
            let running = engine.exec(&sandbox, &spec).await.map_err(|error| error.as_io())?;
            tokio::time::timeout(limit, joined(running)).await.unwrap_or_else(|_| {
                let what = "open a way through the sandbox".to_owned();
                Err(Error::TimedOut { what, limit }.as_io())
            })
        })
    }
}

/// Waits until the command has said that it leads to the tunnel. What then goes through it has no time limit.
async fn joined(mut running: Running) -> io::Result<Wire> {
    let mut said = Vec::new();
    while let Some(chunk) = running.output.next().await {
        match chunk.map_err(|error| error.as_io())? {
            Chunk::Stderr(_) if said.len() > SAID => break,
            Chunk::Stderr(bytes) => said.extend_from_slice(&bytes),
            Chunk::Stdout(_) => break,
        }
        // A shell may have said something before it.
        if said.ends_with(JOINED) {
            let (output, input) = (running.output, running.input);
            return Ok(Wire::new(Pipe { output, input, rest: Bytes::new() }));
        }
    }
    let said = String::from_utf8_lossy(&said);
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, excerpt(said.trim())))
}

/// The input and output of a command as one.
struct Pipe {
    output: Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What was too much for the last reader.
    rest: Bytes,
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.output.poll_next_unpin(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Chunk::Stdout(bytes))) => self.rest = bytes,
                // What the shell says when it is over.
                Some(Ok(Chunk::Stderr(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(error.as_io())),
            }
        }
        let fits = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..fits]);
        self.rest.advance(fits);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(context)
    }
}
