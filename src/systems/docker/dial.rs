//! Connections to engines that are not behind a Unix socket of this machine: over TCP, with TLS or without, and over SSH.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::ssh::Ssh;
use super::{Error, tls};
use crate::hub::Endpoint;
use crate::systems::socket;
use crate::systems::wire::Wire;

/// How long a connection that nobody needs now is kept for the next request: making one over SSH takes half a second.
const IDLE: Duration = Duration::from_secs(20);

/// A client for an engine. Nothing is asked yet.
pub(super) fn connect(at: &Endpoint, limit: Duration, seconds: u64) -> Result<bollard::Docker, Error> {
    let way = match at {
        Endpoint::Tcp { host, port, tls: None } => Way::Tcp { host: host.clone(), port: *port, tls: None },
        Endpoint::Tcp { host, port, tls: Some(files) } => {
            let tls = tls::Tls::new(at, host, files)?;
            Way::Tcp { host: host.clone(), port: *port, tls: Some(tls) }
        }
        Endpoint::Ssh { user, host, port } => Way::Ssh(Ssh::new(user.clone(), host.clone(), *port, limit)),
        Endpoint::Unix(path) => Way::Unix(path.clone()),
    };
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(Dial(Arc::new(way)));
    let send = move |request: bollard::BollardRequest| {
        let answer = client.request(request);
        async move { answer.await.map_err(told) }
    };
    // Nobody resolves this name: `Dial` knows where to go.
    bollard::Docker::connect_with_custom_transport(
        send,
        Some("http://docker"),
        seconds,
        bollard::API_DEFAULT_VERSION,
    )
    .map_err(|source| Error::NoEngine { at: Box::new(at.clone()), source: Box::new(source) })
}

/// What this machine says of a connection that could not be made, instead of what the HTTP client makes of it.
fn told(error: hyper_util::client::legacy::Error) -> bollard::errors::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<io::Error>() {
            return bollard::errors::Error::IOError { err: io::Error::new(io.kind(), io.to_string()) };
        }
        cause = one.source();
    }
    error.into()
}

enum Way {
    Unix(std::path::PathBuf),
    Tcp { host: String, port: u16, tls: Option<tls::Tls> },
    Ssh(Ssh),
}

impl Way {
    async fn open(&self) -> io::Result<Wire> {
        match self {
            Self::Unix(path) => Ok(Wire::new(socket::connect(path).await?)),
            Self::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // Keys that are typed in a shell must not wait for each other.
                let _ = stream.set_nodelay(true);
                Ok(match tls {
                    None => Wire::new(stream),
                    Some(tls) => Wire::new(tls.over(stream).await?),
                })
            }
            Self::Ssh(ssh) => Ok(Wire::new(ssh.open().await?)),
        }
    }
}

/// Opens connections to one engine, whatever the URL says.
#[derive(Clone)]
struct Dial(Arc<Way>);

impl tower::Service<http::Uri> for Dial {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let way = Arc::clone(&self.0);
        Box::pin(async move { way.open().await.map(TokioIo::new) })
    }
}
