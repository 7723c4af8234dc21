//! Connections of any kind, and how an API server is reached: by the tunnel's socket, or by a detour where that is on another machine.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket;

/// What bytes go through.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection of any kind.
pub struct Wire(Box<dyn Stream>);

impl Wire {
    /// One of this kind.
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Something that is being done.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

/// Another way than the socket.
pub trait Detour: Send + Sync {
    /// Opens a connection.
    fn open(&self) -> Opening;
}

/// How an API server is reached.
#[derive(Clone)]
pub struct Route {
    socket: PathBuf,
    detour: Option<Arc<dyn Detour>>,
}

impl Route {
    /// By way of a socket, and by the detour where nothing can be reached there.
    pub fn new(socket: &Path, detour: Option<Arc<dyn Detour>>) -> Self {
        Self { socket: socket.to_owned(), detour }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens a connection.
    pub async fn open(&self) -> io::Result<Wire> {
        match (socket::connect(&self.socket).await, &self.detour) {
            (Ok(stream), _) => Ok(Wire::new(stream)),
            (Err(error), None) => Err(error),
            (Err(_), Some(detour)) => detour.open().await,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Route {
    fn from(socket: &P) -> Self {
        Self::new(socket.as_ref(), None)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    struct Inside;

    impl Detour for Inside {
        fn open(&self) -> Opening {
            Box::pin(async {
                let (mut far, near) = tokio::io::duplex(64);
                far.write_all(b"by the detour").await?;
                Ok(Wire::new(near))
            })
        }
    }

    #[tokio::test]
    async fn the_detour_is_taken_only_where_the_socket_cannot_be_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let route = Route::new(&path, Some(Arc::new(Inside)));
        let read = async |route: &Route| {
            let mut text = String::new();
            route.open().await.unwrap().read_to_string(&mut text).await.unwrap();
            text
        };
        assert_eq!(read(&route).await, "by the detour");
        assert!(Route::from(&path).open().await.is_err());
        let listener = socket::listen(&path).unwrap();
        let answer = async { listener.accept().await.unwrap().0.write_all(b"by the socket").await.unwrap() };
        assert_eq!(tokio::join!(read(&route), answer).0, "by the socket");
    }
}
