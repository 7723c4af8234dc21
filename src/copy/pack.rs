//! The archive that goes to a sandbox, piece by piece: nothing of it is ever whole in memory.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::sources::{Seen, Source, Sources, open};

/// Bytes that are handed on at once.
const PIECE: usize = 64 << 10;

/// The last file of a whole archive. What is copied is in the directory `in`.
const END: &str = "end";

/// Writes the archive into a channel. Only a whole one has its end. The reader that has gone is an error, and so is a file that is not
/// what it was when it was looked at: all hubs get the same.
pub(super) fn pack(sources: &Sources, to: mpsc::Sender<Bytes>, moved: &AtomicU64) -> io::Result<()> {
    let mut archive = tar::Builder::new(Pieces { to, piece: Vec::with_capacity(PIECE), moved });
    for source in &sources.all {
        let name = Path::new("in").join(&source.name);
        let mut header = header(&source.seen);
        if source.seen.is_directory {
            archive.append_data(&mut header, name, io::empty())?;
        } else {
            append_file(&mut archive, &mut header, &name, source)?;
        }
    }
    let end = Seen { is_directory: false, mode: 0o600, size: 0, changed: (0, 0) };
    archive.append_data(&mut header(&end), END, io::empty())?;
    archive.into_inner()?.flush()
}

fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    header: &mut tar::Header,
    name: &Path,
    source: &Source,
) -> io::Result<()> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", source.path.display()));
    let file = open(&source.path).map_err(told)?;
    let same = || {
        let now = Seen::of(&file.metadata()?);
        if now == source.seen {
            return Ok(());
        }
        Err(io::Error::other("it was changed while it was copied"))
    };
    same().map_err(told)?;
    archive.append_data(header, name, Whole { from: &file, left: source.seen.size }).map_err(told)?;
    same().map_err(told)
}

fn header(seen: &Seen) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(if seen.is_directory {
        tar::EntryType::Directory
    } else {
        tar::EntryType::Regular
    });
    header.set_mode(seen.mode);
    header.set_size(seen.size);
    header.set_mtime(u64::try_from(seen.changed.0).unwrap_or_default());
    header
}

/// As many bytes as were promised: a file that is longer by now ends there, one that is shorter is an error.
struct Whole<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut buffer[..room])?;
        if read == 0 && room > 0 {
            return Err(io::Error::other("it was cut short while it was copied"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// What is written, in pieces of a good size.
struct Pieces<'m> {
    to: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    moved: &'m AtomicU64,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = bytes.len().min(room);
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)));
        let length = piece.len() as u64;
        self.to.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.moved.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::look;
    use crate::files;

    /// What is packed, and whether it was whole.
    fn packed(sources: &Sources) -> (Vec<u8>, io::Result<()>) {
        let (to, mut from) = mpsc::channel::<Bytes>(4);
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            while let Some(piece) = from.blocking_recv() {
                assert!(piece.len() <= PIECE);
                all.extend_from_slice(&piece);
            }
            all
        });
        let moved = AtomicU64::new(0);
        let result = pack(sources, to, &moved);
        let all = reading.join().unwrap();
        assert_eq!(moved.load(Ordering::Relaxed), all.len() as u64);
        (all, result)
    }

    fn names(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map_while(Result::ok);
        entries.map(|entry| entry.path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn a_whole_archive_has_its_end_and_long_names_stay() {
        let dir = tempfile::tempdir().unwrap();
        let long = "n".repeat(240);
        let path = dir.path().join(&long);
        files::replace(&path, &vec![7; 200_000], 0o640).unwrap();
        let (archive, result) = packed(&look(&[path], false).unwrap());
        result.unwrap();
        assert_eq!(names(&archive), [format!("in/{long}"), "end".to_owned()]);
    }

    #[test]
    fn what_is_changed_meanwhile_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        files::replace(&path, b"longer", 0o640).unwrap();
        let mut sources = look(std::slice::from_ref(&path), false).unwrap();
        files::replace(&path, b"short", 0o640).unwrap();
        let (archive, result) = packed(&sources);
        assert!(result.unwrap_err().to_string().contains("was changed while it was copied"));
        assert!(!names(&archive).contains(&"end".to_owned()));
        // Of the same size and age, and cut short by somebody in between.
        sources.all[0].seen = Seen::of(&std::fs::metadata(&path).unwrap());
        let mut whole = Whole { from: &b"ab"[..], left: 3 };
        assert!(io::copy(&mut whole, &mut io::sink()).unwrap_err().to_string().contains("cut short"));
        assert!(packed(&sources).1.is_ok());
    }
}
