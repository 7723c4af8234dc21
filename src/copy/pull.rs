//! Out of one sandbox.

use std::path::Path;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::place::{Conflicts, Target, place};
use super::stage::Stage;
use super::unpack::{Pieces, Unpacked, unpack};
use super::{Copied, Trouble, Way, trouble};
use crate::exec::{End, Input, Place, Stream, run_bare};
use crate::exit::chain;
use crate::files;
use crate::plan::copy::Told;

/// Pieces that wait for the disk; the engine's are of up to 64 KiB.
const WAITING: usize = 16;

/// What is kept of what the far end says.
const SAID: usize = 16 << 10;

/// The shell program of the far end.
const FETCH: &str = include_str!("fetch.sh");

/// Copies out of a sandbox: all of it is here, and on the disk, before any of it gets its place.
pub async fn pull(way: Way<'_>, path: &str, recursive: bool, target: &Target) -> Result<Copied, Trouble> {
    let is_new = !target.directory.exists();
    let pulled = pull_inner(way, path, recursive, target).await;
    if pulled.is_err() && is_new {
        // Empty, or it stays.
        let _ = std::fs::remove_dir(&target.directory);
    }
    pulled
}

async fn pull_inner(way: Way<'_>, path: &str, recursive: bool, target: &Target) -> Result<Copied, Trouble> {
    let trees = if recursive { "yes" } else { "no" };
    let argv = ["sh", "-c", FETCH, "sh", trees, path].map(str::to_owned).to_vec();
    let (send, pieces) = mpsc::channel(WAITING);
    let (over, is_over) = oneshot::channel::<()>();
    let (directory, name) = (target.directory.clone(), target.name.clone());
    let name_there = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        // Dropped when this is over, however it is over.
        let _over = over;
        let stage = staged(&directory)?;
        let unpacked = unpack(Pieces::new(pieces), stage.path(), &name_there, &name)?;
        Ok::<_, String>((stage, unpacked))
    });
    let mut said = Vec::new();
    let Way { engine, sandbox, limit, interrupt, caretaker, .. } = way;
    // It reads on until the sandbox is done, unless something is wrong with what it reads.
    let stop = async {
        tokio::select! {
            () = interrupt.asked() => {}
            _ = is_over => {}
        }
    };
    let run = run_bare(
        Place { engine, sandbox, limit: Some(limit), interrupt, caretaker, leaves: &[] },
        argv,
        Input::None,
        stop,
        async |stream, bytes| match stream {
            Stream::Stdout => {
                way.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                // A reader that has gone stops all of it.
                let _ = send.send(bytes).await;
            }
            Stream::Stderr => said.extend_from_slice(&bytes[..bytes.len().min(SAID - said.len().min(SAID))]),
        },
    );
    let end = run.await;
    drop(send);
    let unpacked = unpacking.await.map_err(Trouble::new)?;
    let (stage, unpacked) = match (end, unpacked) {
        _ if interrupt.is_asked() => return Err(Trouble::Interrupted),
        (End::Exited(0), Ok(unpacked)) => unpacked,
        // What went wrong with reading is why it was stopped.
        (End::Exited(0) | End::Interrupted, Err(why)) => return Err(Trouble::new(why)),
        (end, _) => return Err(trouble(&way.hub.name, path, end, &said)),
    };
    let target = target.clone();
    let placing = tokio::task::spawn_blocking(move || {
        let placed = place(stage.path(), &target);
        drop(stage);
        placed
    });
    let Unpacked { copied, .. } = unpacked;
    match placing.await.map_err(Trouble::new)? {
        Ok(()) => Ok(copied),
        Err(Conflicts(told)) => Err(Trouble::Failed(Told {
            reason: told.join("; "),
            hint: Some("nothing that is there is written over without --force".to_owned()),
        })),
    }
}

/// A stage beside the place, whose directory is made where there is none yet.
fn staged(directory: &Path) -> Result<Stage, String> {
    std::fs::create_dir_all(directory)
        .map_err(|source| chain(&files::Error::new("make the directory", directory, source)))?;
    Stage::new(directory).map_err(|source| chain(&files::Error::new("write into", directory, source)))
}
