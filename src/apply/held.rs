//! A tunnel that is held back until fleet lets it go.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

/// A tunnel that is held back: it reads a pipe, whose end comes when this is dropped, or fleet is killed.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _end: OwnedFd,
}

impl Held {
    /// Makes the pipe, at a path in the tunnel's directory.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        // One that a killed fleet left.
        let _ = std::fs::remove_file(&path);
        // Its directory is for its owner only, who need not be who fleet runs as.
        mknodat(CWD, &path, FileType::Fifo, Mode::from(0o644), 0)?;
        // With both of its ends: one alone would wait for the other. Whoever is in the sandbox can put something else there.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let end = open(&path, flags, Mode::empty())?;
        Ok(Self { path, _end: end })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A tunnel that finds it with nobody there waits some seconds, and removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}
