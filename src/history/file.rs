//! The file: one write a line, and never larger than twice its bound.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Line, Past};
use crate::exit::{Failure, chain};
use crate::files::{self, lines};
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
        let mut text = serde_json::to_vec(line).map_err(|source| error(source.into()))?;
        text.push(b'\n');
        let mut file = lines::open(path)?;
        if file.metadata().map_err(error)?.len() > BOUND && turn_over(path, &file).map_err(error)? {
            file = lines::open(path)?;
        }
        lines::append(&file, &text).map_err(error)
    };
    written().map_err(|error| chain(&error))
}

/// The full one becomes the older one, once, however many see that it is full. Whether there is room for a new one now.
fn turn_over(path: &Path, full: &File) -> io::Result<bool> {
    if full.try_lock().is_err() {
        // Somebody else is at it; a line more in the full one is no harm.
        return Ok(false);
    }
    let (now, held) = (std::fs::metadata(path)?, full.metadata()?);
    if (now.dev(), now.ino()) == (held.dev(), held.ino()) {
        std::fs::rename(path, path.with_file_name(OLDER))?;
    }
    Ok(true)
}
