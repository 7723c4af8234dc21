//! Unix sockets, also where they lie deeper than a socket's address is long, as state directories may: then by way of the
//! directory, which is held open for the while.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

/// The longest path that fits into a socket's address (`sun_path` of unix(7), with its closing zero).
const PATH_LIMIT: usize = 107;

/// Connects to one.
pub async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (path, _held) = short(socket)?;
    UnixStream::connect(path).await
}

/// Listens at a new one.
pub fn listen(socket: &Path) -> io::Result<UnixListener> {
    let (path, _held) = short(socket)?;
    UnixListener::bind(path)
}

/// A path that fits, and what it goes by, which has to be held as long as the path is used.
pub fn short(socket: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if socket.as_os_str().len() <= PATH_LIMIT {
        return Ok((socket.to_owned(), None));
    }
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((path, Some(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_whose_path_is_too_long_for_an_address_is_reached_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        for socket in [dir.path().join("s"), deep.join("s")] {
            let listener = listen(&socket).unwrap();
            let (client, server) = tokio::join!(connect(&socket), listener.accept());
            assert!(client.is_ok() && server.is_ok());
            assert!(socket.exists());
        }
    }
}
