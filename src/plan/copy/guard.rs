//! What an archive that comes out of a sandbox may put where. A sandbox is a place where others work too: it must not be able to
//! write anywhere but where it was asked to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The longest path that Linux takes.
const LONGEST: usize = 4096;

/// What an entry of an archive is, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// The same file as one before.
    Again,
    /// The name of the next entry, which is a long one.
    LongName,
    /// Where the next entry leads, if that is long.
    LongLink,
    /// More about the next entry.
    About,
    /// About all entries, or what nobody needs.
    Nothing,
    /// Left out, and told: a link may lead anywhere, and a device is none of a copy's business.
    Left(&'static str),
    /// Nothing that tar writes where it is asked as fleet asks it.
    Refused,
}

/// By the type in its header.
pub fn what(kind: u8) -> What {
    match kind {
        b'0' | b'\0' | b'7' => What::File,
        b'1' => What::Again,
        b'2' => What::Left("a symbolic link"),
        b'3' | b'4' => What::Left("a device"),
        b'5' => What::Directory,
        b'6' => What::Left("a pipe"),
        b'L' => What::LongName,
        b'K' => What::LongLink,
        b'g' => What::Nothing,
        b'x' => What::About,
        _ => What::Refused,
    }
}

/// Where an entry goes, below the directory that it is meant for: `./a//b/` is `a/b`, and `.` is that directory itself, the empty
/// path. Whatever leads out of it is refused.
pub fn within(name: &[u8]) -> Result<PathBuf, String> {
    let refused = |why: &str| {
        let shown = String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned();
        Err(format!("the sandbox sent a name that {why}: {shown:?}"))
    };
    if name.is_empty() {
        return refused("is empty");
    }
    if name.len() > LONGEST {
        return refused("is too long");
    }
    if name.contains(&0) {
        return refused("has a zero byte in it");
    }
    if name[0] == b'/' {
        return refused("begins with '/'");
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return refused("leads out of its directory"),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

/// The mode that a file gets: who may read, write and run it, and never as whom it runs.
pub fn as_a_file(mode: u32) -> u32 {
    mode & 0o777
}

/// The same for a directory, which its owner can always use: whoever copies into it has to.
pub fn as_a_directory(mode: u32) -> u32 {
    mode & 0o777 | 0o700
}
