//! What a command printed, kept until its turn comes: a little in memory, more in a scratch file that has no name, so that it
//! is gone with fleet however fleet ends.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::SpooledTempFile;

use super::utf8::Utf8;

/// Bytes that all spools of a run may keep in memory together.
const IN_MEMORY: usize = 32 << 20;

/// The most that one may; and the least, so that hundreds of hubs that print a line each need no file.
const ONE_IN_MEMORY: usize = 256 << 10;
const LEAST: usize = 4 << 10;

/// Bytes that are read again at once.
const PIECE: usize = 48 << 10;

/// By what two outputs are told to be equal, without holding either.
pub type Fingerprint = [u8; 32];

/// What was printed to one output, byte by byte.
pub struct Spool {
    file: RefCell<SpooledTempFile>,
    /// Why it could not be read again, for those who read it where only a `fmt::Error` can be told.
    error: Cell<Option<io::Error>>,
    hash: Sha256,
    utf8: Utf8,
    bytes: u64,
    last: u8,
}

/// Makes spools for a run.
#[derive(Debug, Clone)]
pub struct Spools {
    directory: PathBuf,
    in_memory: usize,
}

impl Spools {
    /// For that many outputs.
    pub fn new(outputs: usize) -> Self {
        Self { directory: directory(), in_memory: (IN_MEMORY / outputs.max(1)).clamp(LEAST, ONE_IN_MEMORY) }
    }

    /// An empty one.
    pub fn spool(&self) -> Spool {
        Spool {
            file: RefCell::new(SpooledTempFile::new_in(self.in_memory, &self.directory)),
            error: Cell::new(None),
            hash: Sha256::new(),
            utf8: Utf8::default(),
            bytes: 0,
            last: b'\n',
        }
    }
}

/// A scratch file without a name.
pub fn scratch() -> io::Result<File> {
    tempfile::tempfile_in(directory())
}

/// `$TMPDIR`, else `/var/tmp`: `/tmp` is memory on many systems.
fn directory() -> PathBuf {
    match std::env::var_os("TMPDIR").filter(|value| !value.is_empty()) {
        Some(named) => named.into(),
        None if Path::new("/var/tmp").is_dir() => "/var/tmp".into(),
        None => std::env::temp_dir(),
    }
}

impl Spool {
    /// More of it.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.utf8.push(bytes);
        self.bytes += bytes.len() as u64;
        self.last = bytes.last().copied().unwrap_or(self.last);
        let kept = self.file.get_mut().write_all(bytes);
        kept.map_err(|error| {
            let why =
                format!("cannot keep what commands print in {} ($TMPDIR): {error}", directory().display());
            io::Error::other(why)
        })
    }

    /// How much it is.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing was printed.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether what is written after it begins a line.
    pub fn ends_a_line(&self) -> bool {
        self.last == b'\n'
    }

    /// Whether all of it is UTF-8.
    pub fn is_text(&self) -> bool {
        self.utf8.is_text()
    }

    /// The same for equal outputs alone.
    pub fn fingerprint(&self) -> Fingerprint {
        self.hash.clone().finalize().into()
    }

    /// Shows it from its beginning, in pieces whose length is a multiple of 3 up to the last.
    pub fn each(&self, mut show: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut file = self.file.borrow_mut();
        file.rewind()?;
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            piece.clear();
            (&mut *file).take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Ok(());
            }
            show(&piece)?;
        }
    }

    /// All of it, where it is not longer than that.
    pub fn whole(&self, most: u64) -> io::Result<Option<Vec<u8>>> {
        if self.bytes > most {
            return Ok(None);
        }
        let mut whole = Vec::new();
        self.each(|piece| {
            whole.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(whole))
    }

    /// As [`each`](Self::each) for formatting: [`error`](Self::error) tells what went wrong with the reading.
    pub fn format(&self, mut show: impl FnMut(&[u8]) -> std::fmt::Result) -> std::fmt::Result {
        let mut result = Ok(());
        let read = self.each(|piece| {
            result = show(piece);
            result.map_err(io::Error::other)
        });
        if result.is_ok()
            && let Err(error) = read
        {
            // serde_json takes an error of formatting for one of its own writer's, so this one is kept for later.
            self.error.set(Some(error));
        }
        result
    }

    /// What went wrong while it was read to be formatted.
    pub fn error(&self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spool(pieces: &[Vec<u8>]) -> Spool {
        let mut spool = Spools { directory: std::env::temp_dir(), in_memory: 64 }.spool();
        for piece in pieces {
            spool.add(piece).unwrap();
        }
        spool
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out_however_it_was_cut_and_equal_outputs_are_found_equal(
            one in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
            other in prop::collection::vec(prop::collection::vec(0_u8..2, 0..2), 0..4),
        ) {
            let whole = one.concat();
            let spool = self::spool(&one);
            prop_assert_eq!(spool.whole(whole.len() as u64).unwrap(), Some(whole.clone()));
            prop_assert_eq!(spool.len(), whole.len() as u64);
            prop_assert_eq!(spool.is_text(), std::str::from_utf8(&whole).is_ok());
            prop_assert_eq!(spool.fingerprint(), self::spool(std::slice::from_ref(&whole)).fingerprint());
            let second = self::spool(&other);
            prop_assert_eq!(spool.fingerprint() == second.fingerprint(), whole == other.concat());
        }
    }

    #[test]
    fn much_is_in_a_file_without_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spools { directory: directory.path().to_owned(), in_memory: 1024 }.spool();
        spool.add(&[b'x'; 5000]).unwrap();
        assert!(spool.file.get_mut().is_rolled());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(spool.whole(5000).unwrap().map(|whole| whole.len()), Some(5000));
        assert_eq!(spool.whole(4999).unwrap(), None);
    }

    #[test]
    fn many_spools_together_keep_little_in_memory() {
        for hubs in [1, 50, 500] {
            assert!(Spools::new(2 * hubs).in_memory * 2 * hubs <= IN_MEMORY, "{hubs}");
        }
    }
}
