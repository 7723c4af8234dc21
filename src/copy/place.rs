//! Giving what came out of a sandbox its place here: whole files, and over others only where that is wanted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::exit::chain;
use crate::files;

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The directory, which is there or may be made.
    pub directory: PathBuf,
    /// What it is called in it.
    pub name: std::ffi::OsString,
    /// Files that are there are replaced.
    pub replaces: bool,
}

/// Files that are there already, and that nobody wanted to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<String>);

/// So many of them are told.
const TOLD: usize = 10;

impl Target {
    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// What stands in the way whatever comes, as far as that can be told before it comes. A directory may be meant to be filled up.
    pub fn in_the_way(&self, recursive: bool) -> Option<String> {
        let path = self.path();
        let meta = std::fs::symlink_metadata(&path).ok()?;
        if meta.is_dir() {
            return (!recursive).then(|| format!("{} is a directory", path.display()));
        }
        (!self.replaces).then(|| format!("{} is there already", path.display()))
    }
}

/// Moves what is in `stage` under the target's name to its place. First it is looked whether all of it may go there.
pub(super) fn place(stage: &Path, target: &Target) -> Result<(), Conflicts> {
    let from = stage.join(&target.name);
    let mut conflicts = Vec::new();
    walk(&from, &target.path(), target.replaces, false, &mut conflicts);
    if conflicts.is_empty() {
        walk(&from, &target.path(), target.replaces, true, &mut conflicts);
    }
    if conflicts.is_empty() {
        // Without this the names themselves can be lost in a power cut; on some file systems it cannot be had.
        let _ = File::open(&target.directory).and_then(|directory| directory.sync_all());
        return Ok(());
    }
    let more = conflicts.len().saturating_sub(TOLD);
    conflicts.truncate(TOLD);
    if more > 0 {
        conflicts.push(format!("{more} more"));
    }
    Err(Conflicts(conflicts))
}

/// Directories that are on both sides become one. No link is followed that is in them.
fn walk(from: &Path, to: &Path, replaces: bool, moves: bool, conflicts: &mut Vec<String>) {
    let there = std::fs::symlink_metadata(to).ok();
    let (comes_directory, is_directory) =
        (from.is_dir(), there.as_ref().is_some_and(std::fs::Metadata::is_dir));
    match there {
        Some(_) if comes_directory && is_directory => {
            let entries = std::fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            match entries {
                Ok(entries) => {
                    for entry in entries {
                        walk(&entry.path(), &to.join(entry.file_name()), replaces, moves, conflicts);
                    }
                }
                Err(source) => conflicts.push(chain(&files::Error::new("read", from, source))),
            }
        }
        Some(_) if is_directory => conflicts.push(format!("{} is a directory", to.display())),
        Some(_) if comes_directory => conflicts.push(format!("{} is there, and no directory", to.display())),
        Some(_) if !replaces => conflicts.push(format!("{} is there already", to.display())),
        _ if !moves => {}
        _ => {
            if let Err(error) = put(from, to, replaces && !comes_directory) {
                conflicts.push(match error.kind() {
                    io::ErrorKind::AlreadyExists => format!("{} is there already", to.display()),
                    _ => chain(&files::Error::new("write", to, error)),
                });
            }
        }
    }
}

/// One rename. Also somebody who made a file of that name a moment ago keeps it.
fn put(from: &Path, to: &Path, replaces: bool) -> io::Result<()> {
    if replaces {
        return std::fs::rename(from, to);
    }
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that has no such rename.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if from.is_file() => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        // An empty directory is all that can be lost by this one.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::rename(from, to),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files::replace(path, text.as_bytes(), 0o600).unwrap();
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    /// A stage with a tree, and a target of the same name.
    fn setup(replaces: bool) -> (tempfile::TempDir, PathBuf, Target) {
        let dir = tempfile::tempdir().unwrap();
        let stage = dir.path().join("stage");
        write(&stage.join("tree/a"), "new");
        write(&stage.join("tree/sub/b"), "new");
        let target = Target { directory: dir.path().join("to"), name: "tree".into(), replaces };
        std::fs::create_dir(&target.directory).unwrap();
        (dir, stage, target)
    }

    #[test]
    fn what_is_there_stays_unless_it_is_to_be_replaced_and_then_nothing_is_moved_at_all() {
        let (_dir, stage, target) = setup(false);
        write(&target.path().join("sub/b"), "old");
        let Conflicts(told) = place(&stage, &target).unwrap_err();
        assert!(told[0].ends_with("to/tree/sub/b is there already"), "{told:?}");
        assert!(!target.path().join("a").exists());
        place(&stage, &Target { replaces: true, ..target.clone() }).unwrap();
        assert_eq!(read(&target.path().join("sub/b")) + &read(&target.path().join("a")), "newnew");
    }

    #[test]
    fn what_is_not_there_is_moved_at_once() {
        let (_dir, stage, target) = setup(false);
        assert_eq!(target.in_the_way(true), None);
        place(&stage, &target).unwrap();
        assert_eq!(read(&target.path().join("sub/b")), "new");
        assert_eq!(target.in_the_way(true), None);
        assert!(target.in_the_way(false).unwrap().contains("is a directory"));
    }

    #[test]
    fn no_link_in_the_place_is_followed() {
        let (dir, stage, target) = setup(true);
        let outside = dir.path().join("outside");
        write(&outside.join("kept"), "kept");
        std::fs::create_dir(target.path()).unwrap();
        symlink(&outside, target.path().join("sub")).unwrap();
        symlink(outside.join("kept"), target.path().join("a")).unwrap();
        let Conflicts(told) = place(&stage, &target).unwrap_err();
        assert!(told[0].contains("sub is there, and no directory"), "{told:?}");
        std::fs::remove_file(target.path().join("sub")).unwrap();
        place(&stage, &target).unwrap();
        assert_eq!(read(&outside.join("kept")), "kept");
        assert_eq!(read(&target.path().join("a")), "new");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn one_who_was_quicker_keeps_his_file() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        write(&from, "new");
        write(&to, "old");
        assert_eq!(put(&from, &to, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&to), "old");
        put(&from, &to, true).unwrap();
        assert_eq!(read(&to), "new");
    }
}
