//! What a command in a sandbox prints, as it comes, and how it ends.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::exit::chain;
use crate::systems::docker::{Chunk, Engine, Error, Running};

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

/// Hands a command's output on as it comes, until it ends.
pub(super) async fn follow(
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
