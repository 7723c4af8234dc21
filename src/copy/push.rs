//! Into one sandbox.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::sources::Sources;
use super::{Copied, Trouble, Way, pack, trouble};
use crate::exec::{End, Input, Place, Stream, run_bare};
use crate::text::hex;

/// Pieces that wait for the sandbox, of 64 KiB.
const WAITING: usize = 4;

/// What is kept of what the far end says.
const SAID: usize = 16 << 10;

/// The shell program of the far end.
const PLACE: &str = include_str!("place.sh");

/// Where it goes in sandboxes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// A directory, or what one file or directory is to be called.
    pub path: String,
    /// It has to be a directory.
    pub is_directory: bool,
}

impl Destination {
    /// As it was written: a slash at the end says that it is a directory.
    pub fn new(text: &str, several: bool) -> Self {
        let bare = text.trim_end_matches('/');
        let path = if bare.is_empty() { "/".to_owned() } else { bare.to_owned() };
        Self { is_directory: several || text.ends_with('/'), path }
    }
}

/// Copies into a sandbox: all of it, or nothing that anybody could take for it.
pub async fn push(way: Way<'_>, sources: &Arc<Sources>, to: &Destination) -> Result<Copied, Trouble> {
    let own = own_name().map_err(Trouble::new)?;
    let mut argv = ["sh", "-c", PLACE, "sh", &own, &to.path].map(str::to_owned).to_vec();
    argv.push(if to.is_directory { "dir" } else { "any" }.to_owned());
    for (name, is_directory) in &sources.named {
        argv.extend([if *is_directory { "d" } else { "f" }.to_owned(), name.clone()]);
    }
    let (send, pieces) = mpsc::channel(WAITING);
    let (packing, moved) = (Arc::clone(sources), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&moved);
    let packed = tokio::task::spawn_blocking(move || pack::pack(&packing, send, &counted));
    let mut said = Vec::new();
    let Way { engine, sandbox, limit, interrupt, caretaker, .. } = way;
    let leaves = leaves(to, &own);
    let place = Place { engine, sandbox, limit: Some(limit), interrupt, caretaker, leaves: &leaves };
    let running =
        Box::pin(run_bare(place, argv, Input::Pieces(pieces), interrupt.asked(), async |stream, bytes| {
            if stream == Stream::Stderr {
                said.extend_from_slice(&bytes[..bytes.len().min(SAID - said.len().min(SAID))]);
            }
        }));
    let end = counting(running, &moved, way.moved).await;
    // The pieces have no reader any more, so this ends too.
    let packed = packed.await.map_err(Trouble::new)?;
    match (end, packed) {
        (End::Exited(0), Ok(())) => {
            Ok(Copied { files: sources.files(), bytes: sources.bytes(), left_out: sources.left_out.clone() })
        }
        // A far end that reads no more has said why; one that got less than all was told so by what is wrong here.
        (End::Exited(_), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Trouble::new(format_args!("{error}; nothing was changed in the sandbox")))
        }
        (end, _) => Err(trouble(&way.hub.name, &to.path, end, &said)),
    }
}

/// Tells of what is moved while something runs.
async fn counting<T>(running: impl Future<Output = T>, own: &AtomicU64, all: &AtomicU64) -> T {
    let mut told = 0;
    let mut tell = || {
        let now = own.load(Ordering::Relaxed);
        all.fetch_add(now - told, Ordering::Relaxed);
        told = now;
    };
    tokio::pin!(running);
    loop {
        tokio::select! {
            value = &mut running => {
                tell();
                return value;
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => tell(),
        }
    }
}

/// Where the far end's own directory can be: in what is a directory there, or beside what is to have that name.
fn leaves(to: &Destination, own: &str) -> [String; 2] {
    let above = to.path.rsplit_once('/').map_or("", |(above, _)| above);
    [format!("{}/{own}", to.path.trim_end_matches('/')), format!("{above}/{own}")]
}

/// A name that nobody else has.
fn own_name() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(format!(".fleet-cp-{}", hex(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_says_directory_and_so_do_several() {
        for (text, several, path, is_directory) in [
            ("/srv/x", false, "/srv/x", false),
            ("/srv/x/", false, "/srv/x", true),
            ("/srv/x", true, "/srv/x", true),
            ("/", false, "/", true),
        ] {
            let into = Destination::new(text, several);
            assert_eq!((into.path.as_str(), into.is_directory), (path, is_directory), "{text}");
        }
    }
}
