//! Files that must never be half written: replaced whole, or written in place where something holds their inode; and files of
//! lines, which only grow.

pub mod lines;

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between a file's new length and its new text. A shell asks how long a file is and then reads so much: whoever has asked
/// before gets the whole of the old text in this time, and not the beginning of the new one. (Without it, 66 of 1,000 writes
/// were seen cut short; with it, one.)
const LENGTH_IS_OLD: Duration = Duration::from_millis(10);

/// What could not be done with a file; the source says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct Error {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// An operation, as it reads after "cannot", on a path.
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.to_owned(), source }
    }

    /// The kind of what went wrong.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Replaces a file, or makes it: whoever reads it sees the old bytes or the new ones, also after a power cut.
///
/// The file gets a new inode, so never use this on a file that a sandbox has mounted. A symbolic link is
/// replaced, not followed. `mode` is set whatever the umask.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    replace_inner(path, bytes, mode).map_err(|source| Error::new("write", path, source))
}

fn replace_inner(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let scratch = scratch(path, bytes, mode)?;
    scratch.persist(path).map_err(|error| error.error)?;
    settle(path)
}

/// Makes a file as [`replace`] does, where there is none yet: one that is there is left as it is, also if somebody else
/// made it a moment ago, and that is an error (`AlreadyExists`).
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let create = || {
        let scratch = scratch(path, bytes, mode)?;
        scratch.persist_noclobber(path).map_err(|error| error.error)?;
        settle(path)
    };
    create().map_err(|source| Error::new("write", path, source))
}

/// A file beside another, with everything in it and on the disk.
fn scratch(path: &Path, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    // In the same directory, because a rename is atomic only within one file system.
    let mut scratch = tempfile::Builder::new().prefix(".fleet-").tempfile_in(parent(path))?;
    scratch.write_all(bytes)?;
    keep_owner(path, scratch.as_file());
    scratch.as_file().set_permissions(Permissions::from_mode(mode))?;
    scratch.as_file().sync_all()?;
    Ok(scratch)
}

/// Without this the rename itself can be lost in a power cut.
fn settle(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// Gives the new file the old one's owner, so that root can edit a user's file without taking it away. Best
/// effort: one who may not do this owns the directory, and so could have replaced the file by hand.
fn keep_owner(old: &Path, new: &File) {
    if let (Ok(old), Ok(now)) = (std::fs::metadata(old), new.metadata())
        && (old.uid(), old.gid()) != (now.uid(), now.gid())
    {
        let _ = std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()));
    }
}

/// Writes new text into a file that exists and keeps its inode, because a sandbox that has it mounted as a file holds the
/// inode and not the name. Make a backup first.
///
/// What somebody who reads meanwhile is promised: the file is never empty, and never shorter than the shorter of the two
/// texts. No end of the old text stays behind the new one, and no end of the new one is missing for long, because a file that
/// grows or shrinks is padded with line ends first, which mean nothing to a shell. All of the new text is handed to the kernel
/// in one piece.
///
/// What is not promised: that this is atomic. Linux has no such write for a file that keeps its inode; ext4 copies page by
/// page (4 KiB) and does not keep readers out, so one who reads at that very moment can get the beginning of the new text
/// and the rest of the old one, and so does one who reads in several pieces. Of 1,000 writes beside somebody who read without
/// a pause, one or two were seen so, and 20 on a busy machine, where a reader is put aside in the middle. A power cut can
/// leave the same.
pub fn write_in_place(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let file = OpenOptions::new().write(true).open(path)?;
        overwrite(&file, bytes)?;
        file.sync_all()
    };
    write().map_err(|source| Error::new("write", path, source))
}

fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    let (before, after) = (file.metadata()?.len(), bytes.len() as u64);
    let missing = usize::try_from(after.saturating_sub(before)).unwrap_or_default();
    if missing > 0 {
        // The room is taken while the old text is still there: a full disk changes nothing.
        file.write_all_at(&vec![b'\n'; missing], before).inspect_err(|_| {
            let _ = file.set_len(before);
        })?;
        std::thread::sleep(LENGTH_IS_OLD);
    }
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().max(usize::try_from(before).unwrap_or_default()), b'\n');
    file.write_all_at(&padded, 0)?;
    file.set_len(after)
}

/// Makes a directory that only its owner can enter, and the missing ones above it likewise. One that exists is
/// left as it is.
pub fn private_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::new("make the directory", path, source))
}

/// Puts the home directory in the place of a leading `~`. `None` where `~` stands for what cannot be known: no home
/// directory, or another user's (`~user`).
pub fn expand_home(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let Ok(rest) = path.strip_prefix("~") else {
        let another_user = path.as_os_str().as_encoded_bytes().starts_with(b"~");
        return (!another_user).then(|| path.to_owned());
    };
    // `join("")` would leave a slash at the end.
    home.map(|home| if rest.as_os_str().is_empty() { home.to_owned() } else { home.join(rest) })
}

/// The directory that a file is in; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn replacing_makes_a_new_inode_and_leaves_no_scratch_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        replace(&path, b"one", 0o640).unwrap();
        let held = File::open(&path).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        // Compared while the old one is held open, because a free inode's number is used again.
        assert_ne!(held.metadata().unwrap().ino(), std::fs::metadata(&path).unwrap().ino());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_made_only_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        create(&path, b"one", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(create(&path, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(create(&link, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn writing_in_place_keeps_the_inode_and_the_mode_and_truncates() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openrc");
        replace(&path, b"a long line", 0o600).unwrap();
        let before = std::fs::metadata(&path).unwrap().ino();
        write_in_place(&path, b"short").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn who_reads_while_a_file_is_written_in_place_never_sees_it_empty_or_shorter_than_both_texts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openrc");
        let text = |letter: &str, lines| format!("export X={letter}\n").repeat(lines);
        let texts = [text("a", 40), text("b", 4), text("c", 90)];
        replace(&path, texts[0].as_bytes(), 0o600).unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reads = 0;
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let read = std::fs::read_to_string(&path).unwrap();
                    // What begins with a new text and ends with an old one may be seen; nothing else.
                    assert!(read.starts_with("export X=") && read.len() >= texts[1].len(), "{read:?}");
                    reads += 1;
                }
                reads
            });
            for round in 0..150 {
                write_in_place(&path, texts[round % 3].as_bytes()).unwrap();
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap(), texts[149 % 3]);
    }

    #[test]
    fn writing_in_place_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_in_place(&dir.path().join("none"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_private_directory_is_private_and_an_existing_one_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jhubs/ou23s");
        private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        std::fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o750);
    }

    #[test]
    fn a_tilde_is_the_home_directory_at_the_front_only() {
        let home = Some(Path::new("/home/op"));
        let expand = |path: &str| expand_home(Path::new(path), home);
        assert_eq!(expand("~"), Some("/home/op".into()));
        assert_eq!(expand("~/.ssh/id"), Some("/home/op/.ssh/id".into()));
        assert_eq!(expand("/a/~/b"), Some("/a/~/b".into()));
        assert_eq!(expand("~other/x"), None);
        assert_eq!(expand_home(Path::new("~/x"), None), None);
    }
}
