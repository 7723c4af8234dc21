//! Private files of lines that are added to and never rewritten. A line that a power cut, a full disk or a kill left half written
//! is ended by the next one, and told by whoever reads.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, parent, private_dir};

/// Opens one to add to it, and makes it, for its owner's eyes alone, where there is none. No link leads elsewhere.
pub fn open(path: &Path) -> Result<File, Error> {
    private_dir(parent(path))?;
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(|source| Error::new("write", path, source))
}

/// Adds whole lines, in one piece, so that lines of many who write at once stay lines. Whoever needs them to be on the disk has to
/// see to that.
pub fn append(mut file: &File, lines: &[u8]) -> io::Result<()> {
    if ends_in_the_middle(file)? { file.write_all(&[b"\n", lines].concat()) } else { file.write_all(lines) }
}

/// Whether the last line was not written to its end.
pub fn ends_in_the_middle(file: &File) -> io::Result<bool> {
    let Some(end) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut last = [0];
    file.read_exact_at(&mut last, end)?;
    Ok(last != *b"\n")
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its number, from 1.
    pub line: usize,
    /// It is the last one and has no end: a power cut, or a full disk. What it was going to say was not done yet.
    #[serde(rename = "half")]
    pub is_half: bool,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, is_half, reason } = self;
        if *is_half {
            write!(f, "line {line}, the last one, is half written and is skipped")
        } else {
            write!(f, "line {line} cannot be read and is skipped: {reason}")
        }
    }
}

/// What JSON lines say. One that cannot be read hides no other one; empty ones say nothing.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> impl Iterator<Item = Result<T, Problem>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    std::iter::from_fn(move || {
        let (number, text) = lines.next()?;
        // What follows the last line break is a line only if it is whole: a prefix of an object is none.
        Some((number + 1, text, lines.peek().is_none()))
    })
    .filter(|(_, text, _)| !text.iter().all(u8::is_ascii_whitespace))
    .map(|(line, text, is_half)| {
        serde_json::from_slice(text).map_err(|error| Problem { line, is_half, reason: error.to_string() })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_file_of_lines_is_its_owners_alone_and_no_link_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("_fleet/lines");
        append(&open(&path).unwrap(), b"one\n").unwrap();
        append(&open(&path).unwrap(), b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(parent(&path))), (0o600, 0o700));
        let link = path.with_file_name("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link).is_err());
    }

    #[test]
    fn half_a_line_is_ended_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let file = open(&path).unwrap();
        assert!(!ends_in_the_middle(&file).unwrap());
        append(&file, b"1\n2").unwrap();
        assert!(ends_in_the_middle(&file).unwrap());
        append(&file, b"3\n").unwrap();
        append(&file, b"4\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n3\n4\n");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_number_and_hides_nothing() {
        let said = |bytes: &[u8]| -> Vec<_> {
            read::<u32>(bytes).map(|line| line.map_err(|problem| problem.to_string())).collect()
        };
        let bad = "line 2 cannot be read and is skipped: expected value at line 1 column 1".to_owned();
        let half = "line 5, the last one, is half written and is skipped".to_owned();
        assert_eq!(said(b"1\nx\n\n 4 \n[5"), [Ok(1), Err(bad.clone()), Ok(4), Err(half)]);
        // One that lacks nothing but its end is whole.
        assert_eq!(said(b"1\nx\n\r\n4"), [Ok(1), Err(bad), Ok(4)]);
        assert!(said(b"").is_empty() && said(b"\n").is_empty());
    }
}
