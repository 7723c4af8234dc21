//! Reads what comes out of a sandbox, and trusts nothing of it: see [`crate::plan::copy`].

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Copied, LeftOut};
use crate::exit::chain;
use crate::files;
use crate::plan::copy::{What, as_a_directory, as_a_file, what, within};

/// The longest name, and the most that may be said about an entry.
const NAME: u64 = 8 << 10;
const ABOUT: u64 = 64 << 10;

/// What came, and what it is.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Whether what was asked for is a directory.
    pub is_directory: bool,
    /// What is in it.
    pub copied: Copied,
}

/// Reads an archive of one file, called `sent`, or of one directory, into `stage`, where it is called `name`. Nothing else is in
/// `stage`, and nobody else may write there.
pub fn unpack(mut from: impl Read, stage: &Path, sent: &str, name: &OsStr) -> Result<Unpacked, String> {
    let root = stage.join(name);
    let mut unpacked = None;
    read(&mut from, &root, sent, &mut unpacked)?;
    // What fills the last record up: the sandbox's tar waits until it has been read.
    io::copy(&mut from, &mut io::sink()).map_err(|error| cut(&error))?;
    unpacked.ok_or_else(|| "nothing came out of the sandbox".to_owned())
}

fn read(from: impl Read, root: &Path, name: &str, unpacked: &mut Option<Unpacked>) -> Result<(), String> {
    let mut archive = tar::Archive::new(from);
    // Raw: what tar keeps of long names would fill the memory, if they are long enough.
    let entries = archive.entries().map_err(|error| cut(&error))?.raw(true);
    let mut long = Long::default();
    for entry in entries {
        let mut entry = entry.map_err(|error| cut(&error))?;
        let header = entry.header().clone();
        match what(header.entry_type().as_byte()) {
            What::Nothing => continue,
            What::LongName => {
                long.name = Some(short_name(&mut entry)?);
                continue;
            }
            What::LongLink => {
                long.link = Some(short_name(&mut entry)?);
                continue;
            }
            What::About => {
                long.read(&short(&mut entry, ABOUT)?)?;
                continue;
            }
            _ => {}
        }
        let Long { name: sent, link } = std::mem::take(&mut long);
        let sent = sent.unwrap_or_else(|| header.path_bytes().into_owned());
        take(&mut entry, &header, &within(&sent)?, link, root, name, unpacked)?;
    }
    Ok(())
}

/// One entry, `below` what was asked for.
fn take(
    entry: &mut impl Read,
    header: &tar::Header,
    below: &Path,
    link: Option<Vec<u8>>,
    root: &Path,
    name: &str,
    unpacked: &mut Option<Unpacked>,
) -> Result<(), String> {
    let is_whole = below.as_os_str().is_empty();
    let kind = what(header.entry_type().as_byte());
    let mode = header.mode().unwrap_or(0o600);
    let Some(so_far) = unpacked else {
        // The first one says what it is: the directory itself, or the file by its name.
        match kind {
            What::Directory if is_whole => {
                make_directory(root, mode)?;
                *unpacked = Some(Unpacked { is_directory: true, ..Default::default() });
            }
            What::File if below == Path::new(name) => {
                let bytes = make_file(entry, root, header)?;
                let copied = Copied { files: 1, bytes, left_out: LeftOut::default() };
                *unpacked = Some(Unpacked { is_directory: false, copied });
            }
            _ => return Err(unasked(below)),
        }
        return Ok(());
    };
    if !so_far.is_directory || is_whole {
        return Err(unasked(below));
    }
    let path = root.join(below);
    match kind {
        What::Directory => make_directory(&path, mode)?,
        What::File => {
            so_far.copied.bytes += make_file(entry, &path, header)?;
            so_far.copied.files += 1;
        }
        What::Again => {
            so_far.copied.bytes += make_again(header, link, root, &path)?;
            so_far.copied.files += 1;
        }
        What::Left(kind) => so_far.copied.left_out.add(&below.display().to_string(), kind),
        What::LongName | What::LongLink | What::About | What::Nothing | What::Refused => {
            return Err(format!(
                "the sandbox sent an archive with entries that fleet does not know: {}",
                shown(below)
            ));
        }
    }
    Ok(())
}

fn unasked(below: &Path) -> String {
    format!("the sandbox sent what nobody asked for: {}", shown(below))
}

/// A name that the sandbox chose.
fn shown(name: &Path) -> String {
    format!("{:?}", name.to_string_lossy())
}

fn cut(error: &io::Error) -> String {
    format!("what came out of the sandbox is no whole archive: {error}")
}

/// All of an entry that may not be long.
fn short(entry: &mut impl Read, longest: u64) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    entry.take(longest + 1).read_to_end(&mut all).map_err(|error| cut(&error))?;
    if all.len() as u64 > longest {
        return Err("the sandbox sent a name that is too long".to_owned());
    }
    Ok(all)
}

/// What an entry is called, where its header has no room for it.
#[derive(Default)]
struct Long {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Long {
    fn read(&mut self, text: &[u8]) -> Result<(), String> {
        for told in tar::PaxExtensions::new(text) {
            let told = told.map_err(|error| cut(&error))?;
            match told.key_bytes() {
                b"path" => self.name = Some(told.value_bytes().to_owned()),
                b"linkpath" => self.link = Some(told.value_bytes().to_owned()),
                // It is only told for what is larger than the header can say, and reading on would go wrong.
                b"size" => return Err("the sandbox's tar writes sizes that fleet does not read".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A name with a zero byte at its end.
fn short_name(entry: &mut impl Read) -> Result<Vec<u8>, String> {
    let mut name = short(entry, NAME)?;
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    Ok(name)
}

fn make_directory(path: &Path, sent: u32) -> Result<(), String> {
    let result = match DirBuilder::new().mode(0o700).create(path) {
        // Twice the same: a tree that was changed while it was read.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    };
    result
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(as_a_directory(sent))))
        .map_err(|source| chain(&files::Error::new("make the directory", path, source)))
}

/// A new file, with all that the entry has. It is on the disk before it gets its place.
fn make_file(entry: &mut impl Read, path: &Path, header: &tar::Header) -> Result<u64, String> {
    let mut write = |path: &Path| -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let bytes = io::copy(entry, &mut file)?;
        settle(&file, header)?;
        Ok(bytes)
    };
    let bytes = write(path).map_err(|source| chain(&files::Error::new("write", path, source)))?;
    let promised = header.entry_size().unwrap_or(u64::MAX);
    if bytes == promised { Ok(bytes) } else { Err(cut(&io::ErrorKind::UnexpectedEof.into())) }
}

fn settle(file: &File, header: &tar::Header) -> io::Result<()> {
    let changed = header
        .mtime()
        .ok()
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    if let Some(changed) = changed {
        // A time that the file system does not know is none.
        let _ = file.set_modified(changed);
    }
    file.set_permissions(Permissions::from_mode(as_a_file(header.mode().unwrap_or(0o600))))?;
    file.sync_all()
}

/// What has two names there has two copies here.
fn make_again(header: &tar::Header, link: Option<Vec<u8>>, root: &Path, path: &Path) -> Result<u64, String> {
    let first =
        link.or_else(|| header.link_name_bytes().map(Cow::into_owned)).ok_or_else(|| unasked(path))?;
    let first: PathBuf = root.join(within(&first)?);
    let is_file = std::fs::symlink_metadata(&first).is_ok_and(|meta| meta.is_file());
    if !is_file {
        return Err(format!(
            "the sandbox sent a second name of what it did not send: {:?}",
            first.file_name()
        ));
    }
    let copy = || -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let bytes = io::copy(&mut File::open(&first)?, &mut file)?;
        settle(&file, header)?;
        Ok(bytes)
    };
    copy().map_err(|source| chain(&files::Error::new("write", path, source)))
}

/// Pieces as they come, read as one.
pub struct Pieces {
    from: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Pieces {
    /// Reads these.
    pub fn new(from: mpsc::Receiver<Bytes>) -> Self {
        Self { from, piece: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(piece) = self.from.blocking_recv() else { return Ok(0) };
            self.piece = piece;
        }
        let read = buffer.len().min(self.piece.len());
        buffer[..read].copy_from_slice(&self.piece.split_to(read));
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
