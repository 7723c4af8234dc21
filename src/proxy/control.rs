//! How a proxy is asked whether it is there, and told to end: one word over a Unix socket in its own directory, and one line
//! of JSON back. Only who can enter the directory can ask or answer, so that the answer is the proxy's own, and it holds the
//! port that it names.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::systems::socket;

/// Asked and answered on one machine.
const LIMIT: Duration = Duration::from_secs(2);

/// The longest word and the longest answer. A path has up to 4 KiB.
const MOST_BYTES: u64 = 16 << 10;

/// What a proxy can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// How are you?
    Status,
    /// Somebody is about to connect: stay.
    Stay,
    /// End.
    Stop,
}

impl Word {
    const ALL: [Word; 3] = [Word::Status, Word::Stay, Word::Stop];

    fn text(self) -> &'static str {
        match self {
            Word::Status => "status",
            Word::Stay => "stay",
            Word::Stop => "stop",
        }
    }
}

/// How a proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its version of fleet.
    pub version: String,
    /// The fleet's file that it goes by.
    pub config: PathBuf,
    /// Where it listens.
    pub port: u16,
    /// Since when.
    pub since: Timestamp,
    /// How many connections pass through it now.
    pub connections: usize,
    /// After how many seconds without a connection it ends; never, if there is none.
    pub idle_seconds: Option<u64>,
}

/// Tells a proxy a word. An error means that none is there, or none that goes on.
pub async fn tell(socket: &Path, word: Word) -> io::Result<Status> {
    let asking = async {
        let mut stream = socket::connect(socket).await?;
        stream.write_all(word.text().as_bytes()).await?;
        stream.write_all(b"\n").await?;
        let answer = line(&mut stream).await?;
        serde_json::from_str(&answer).map_err(io::Error::from)
    };
    timeout(LIMIT, asking).await?
}

/// The word that somebody sends.
pub(super) async fn hear(stream: &mut UnixStream) -> Option<Word> {
    let text = timeout(LIMIT, line(stream)).await.ok()?.ok()?;
    Word::ALL.into_iter().find(|word| word.text() == text.trim_end())
}

/// Answers.
pub(super) async fn say(stream: &mut UnixStream, status: &Status) -> io::Result<()> {
    let mut answer = serde_json::to_vec(status)?;
    answer.push(b'\n');
    timeout(LIMIT, stream.write_all(&answer)).await?
}

async fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut text = String::new();
    BufReader::new(stream.take(MOST_BYTES)).read_line(&mut text).await?;
    Ok(text)
}
