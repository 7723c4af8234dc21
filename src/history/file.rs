//! The file: one write a line, and never larger than twice its bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Line, Past};
use crate::exit::{Failure, chain};
use crate::files;
use crate::hub::Fleet;
use crate::journal::DIRECTORY;

/// Its name, and that of the older one.
const FILE: &str = "history.jsonl";
const OLDER: &str = "history.1.jsonl";

/// From here on a new one is begun.
const BOUND: u64 = 8 << 20;

/// Where a fleet's history is.
pub fn path_of(fleet: &Fleet) -> PathBuf {
    fleet.state_dir.join(DIRECTORY).join(FILE)
}

/// All that it says, the oldest first; nothing where there is none yet.
pub fn read(fleet: &Fleet) -> Result<Past, Failure> {
    let path = path_of(fleet);
    let mut past = Past::default();
    for path in [path.with_file_name(OLDER), path] {
        match std::fs::read(&path) {
            Ok(bytes) => past.take(&path, &bytes),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Failure::failed(&files::Error::new("read", &path, source))),
        }
    }
    Ok(past)
}

/// Adds a line.
pub(super) fn append(path: &Path, line: &Line) -> Result<(), String> {
    let written = || -> Result<(), files::Error> {
        let error = |source| files::Error::new("write", path, source);
        files::private_dir(files::parent(path))?;
        let text = serde_json::to_vec(line).map_err(|source| error(source.into()))?;
        let mut file = open(path).map_err(error)?;
        if file.metadata().map_err(error)?.len() > BOUND {
            file = turn_over(path, file).map_err(error)?;
        }
        // In one piece, so that lines of many who write at once stay lines. What a full disk cut off is ended by the next one.
        let mut bytes = if ends_in_the_middle(&file).map_err(error)? { vec![b'\n'] } else { Vec::new() };
        bytes.extend_from_slice(&text);
        bytes.push(b'\n');
        file.write_all(&bytes).map_err(error)
    };
    written().map_err(|error| chain(&error))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// The full one becomes the older one, once, however many see that it is full.
fn turn_over(path: &Path, full: File) -> io::Result<File> {
    if full.try_lock().is_err() {
        // Somebody else is at it; a line more in the full one is no harm.
        return Ok(full);
    }
    let now = std::fs::metadata(path)?;
    let held = full.metadata()?;
    if (now.dev(), now.ino()) == (held.dev(), held.ino()) {
        std::fs::rename(path, path.with_file_name(OLDER))?;
    }
    open(path)
}

fn ends_in_the_middle(mut file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
