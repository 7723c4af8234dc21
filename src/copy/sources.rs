//! What is copied from here: looked at before anything is moved, and every problem told at once.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::exit::chain;
use crate::files;
use crate::plan::copy::{as_a_directory, as_a_file};

use super::LeftOut;

/// All that is copied from here.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// In the order of the archive: directories before what is in them.
    pub all: Vec<Source>,
    /// What was named, each with whether it is a directory.
    pub named: Vec<(String, bool)>,
    /// What is not copied.
    pub left_out: LeftOut,
}

/// A file or a directory.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called at the far end, below its place.
    pub name: PathBuf,
    /// What it was when it was looked at; the same for all hubs, or it is not copied.
    pub seen: Seen,
}

/// What a file is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Directories have no content of their own.
    pub is_directory: bool,
    /// Who may read, write and run it.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// When it was changed: seconds, and the rest of them.
    pub changed: (i64, i64),
}

impl Seen {
    /// As the system tells it.
    pub fn of(meta: &Metadata) -> Self {
        let is_directory = meta.is_dir();
        Self {
            is_directory,
            mode: if is_directory { as_a_directory(meta.mode()) } else { as_a_file(meta.mode()) },
            size: if is_directory { 0 } else { meta.size() },
            changed: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

impl Sources {
    /// How many files.
    pub fn files(&self) -> u64 {
        self.all.iter().filter(|source| !source.seen.is_directory).count() as u64
    }

    /// Bytes in them.
    pub fn bytes(&self) -> u64 {
        self.all.iter().map(|source| source.seen.size).sum()
    }
}

/// Looks at what was named, and at all that is in it.
pub fn look(paths: &[PathBuf], recursive: bool) -> Result<Sources, Vec<String>> {
    let (mut sources, mut problems) = (Sources::default(), Vec::new());
    let mut names: Vec<OsString> = Vec::new();
    for path in paths {
        match name_of(path) {
            Ok(name) if names.contains(&name) => {
                problems.push(format!(
                    "two of them are called {:?}, and would be one file there",
                    name.to_string_lossy()
                ));
            }
            Ok(name) => {
                // What is named is meant, also where it is a link to it.
                take(&mut sources, path, Path::new(&name), recursive, &mut problems);
                names.push(name);
            }
            Err(why) => problems.push(why),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn name_of(path: &Path) -> Result<OsString, String> {
    let named = |path: &Path| path.file_name().map(OsStr::to_owned);
    if let Some(name) = named(path) {
        return Ok(name);
    }
    let whole = path.canonicalize().map_err(|source| told("look at", path, source))?;
    named(&whole).ok_or_else(|| format!("{} has no name that it could have there", path.display()))
}

/// What was named.
fn take(sources: &mut Sources, path: &Path, name: &Path, recursive: bool, problems: &mut Vec<String>) {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(source) => return problems.push(told("look at", path, source)),
    };
    let Some(text) = name.to_str() else {
        return problems
            .push(format!("{} has a name that is no UTF-8, which cannot be copied by it", path.display()));
    };
    if meta.is_dir() && !recursive {
        return problems.push(format!("{} is a directory: --recursive copies it", path.display()));
    }
    if !meta.is_dir() && !meta.is_file() {
        return problems.push(format!("{} is neither a file nor a directory", path.display()));
    }
    sources.named.push((text.to_owned(), meta.is_dir()));
    add(sources, path, name, &meta, problems);
}

/// One that is a file or a directory, and all that is in it.
fn add(sources: &mut Sources, path: &Path, name: &Path, meta: &Metadata, problems: &mut Vec<String>) {
    let source = Source { path: path.to_owned(), name: name.to_owned(), seen: Seen::of(meta) };
    sources.all.push(source);
    if meta.is_file() {
        if let Err(source) = open(path) {
            problems.push(told("read", path, source));
        }
        return;
    }
    let entries = match std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(source) => return problems.push(told("read", path, source)),
    };
    for entry in entries {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() || meta.is_file() => add(sources, &path, &name, &meta, problems),
            Ok(meta) => {
                let what = if meta.is_symlink() { "a symbolic link" } else { "no file" };
                sources.left_out.add(&name.display().to_string(), what);
            }
            Err(source) => problems.push(told("look at", &path, source)),
        }
    }
}

/// Opens a file for reading. What has become a pipe meanwhile does not wait for somebody who writes.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

fn told(doing: &'static str, path: &Path, source: io::Error) -> String {
    chain(&files::Error::new(doing, path, source))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        files::replace(path, text.as_bytes(), mode).unwrap();
    }

    #[test]
    fn a_tree_is_looked_at_without_following_its_links() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("sub")).unwrap();
        write(&tree.join("sub/a"), "text", 0o4750);
        symlink("/etc", tree.join("out")).unwrap();
        symlink(&tree, dir.path().join("link")).unwrap();
        let sources = look(&[dir.path().join("link")], true).unwrap();
        let mut names: Vec<_> = sources.all.iter().map(|source| source.name.to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["link", "link/sub", "link/sub/a"]);
        assert_eq!((sources.files(), sources.bytes()), (1, 4));
        assert_eq!(sources.all.last().unwrap().seen.mode, 0o750);
        assert_eq!(sources.left_out.told, ["link/out (a symbolic link)"]);
        assert_eq!(sources.named, [("link".to_owned(), true)]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("dir")).unwrap();
        std::fs::create_dir(path("other")).unwrap();
        write(&path("a"), "", 0o600);
        write(&path("other/a"), "", 0o600);
        let all = ["none", "dir", "a", "other/a"].map(path);
        let problems = look(&all, false).unwrap_err().join("\n");
        for why in ["none: No such file", "dir is a directory: --recursive", "two of them are called \"a\""] {
            assert!(problems.contains(why), "{problems}");
        }
        assert!(
            look(&["/dev/null".into()], false).unwrap_err()[0].contains("neither a file nor a directory")
        );
    }

    #[test]
    fn the_directory_that_one_is_in_has_its_own_name() {
        assert_eq!(name_of(Path::new("/usr/.")).unwrap(), "usr");
        let here = std::env::current_dir().unwrap();
        assert_eq!(name_of(Path::new(".")).unwrap(), here.file_name().unwrap());
        assert!(name_of(Path::new("/")).is_err());
    }
}
