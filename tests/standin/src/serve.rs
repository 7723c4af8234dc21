//! The servers: HTTP over TCP for `OpenStack`, over TLS on Unix sockets for the clusters, and on one for the engine.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::docker;
use crate::request::{Answer, Asked, Manner, Service};
use crate::state::State;

/// How long the first part of an answer has to be on its way before the connection ends.
const BEFORE_THE_CUT: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The state, shared by all servers.
pub(crate) type Shared = Arc<Mutex<State>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    // A panic in one answer is no reason to give no other.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose server it is.
#[derive(Debug, Clone)]
enum To {
    Cloud,
    Cluster(Arc<str>),
    Engine,
}

/// Serves Keystone, Cinder and Nova.
pub(crate) async fn cloud(listener: TcpListener, shared: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        // Small answers are not held back to be sent with the next.
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(stream, To::Cloud, Arc::clone(&shared)));
    }
}

/// Serves a hub's cluster.
pub(crate) async fn cluster(listener: UnixListener, tls: TlsAcceptor, hub: String, shared: Shared) {
    let hub: Arc<str> = hub.into();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared, to) = (tls.clone(), Arc::clone(&shared), To::Cluster(Arc::clone(&hub)));
        tokio::spawn(async move {
            if let Ok(stream) = tls.accept(stream).await {
                connection(stream, to, shared).await;
            }
        });
    }
}

/// Serves the engine.
pub(crate) async fn engine(listener: UnixListener, shared: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, To::Engine, Arc::clone(&shared)));
    }
}

async fn connection<S>(stream: S, to: To, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| respond(request, to.clone(), Arc::clone(&shared)));
    // Whatever ends a connection is the client's to notice.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn respond(mut request: Request<Incoming>, to: To, shared: Shared) -> io::Result<Response<Body>> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let asked = asked(&to, &head, body);
    let started = docker::started(&asked).filter(|_| matches!(to, To::Engine));
    let latency = lock(&shared).latency;
    if !matches!(to, To::Engine) && !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (answer, manner) = lock(&shared).answer(asked);
    if let (Some(id), 101, Manner::Whole) = (started, answer.status, manner) {
        tokio::spawn(async move {
            let Some(command) = docker::command(&lock(&shared), &id) else { return };
            let Ok(stream) = upgrade.await else { return };
            let mut stream = TokioIo::new(stream);
            let status = docker::run(command, &mut stream).await;
            docker::ended(&mut lock(&shared), &id, status);
            let _ = stream.shutdown().await;
        });
    }
    response(answer, manner).await
}

async fn response(answer: Answer, manner: Manner) -> io::Result<Response<Body>> {
    match manner {
        Manner::Hang => return std::future::pending().await,
        Manner::Silent => return Err(io::Error::other("no answer")),
        _ => {}
    }
    let mut response = Response::builder().status(answer.status);
    if answer.status != 101 {
        response = response.header("content-length", answer.body.len());
    }
    if !answer.kind.is_empty() {
        response = response.header("content-type", HeaderValue::from_static(answer.kind));
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(arriving(Bytes::from(answer.body), manner)).map_err(io::Error::other)
}

/// A body, in the manner in which it is to arrive.
fn arriving(body: Bytes, manner: Manner) -> Body {
    let first = match manner {
        Manner::CutBody => body.slice(..body.len() / 2),
        Manner::CutAfterHeaders => Bytes::new(),
        Manner::HangAfterHeaders => {
            return StreamBody::new(stream::pending::<io::Result<Frame<Bytes>>>()).boxed_unsync();
        }
        _ => return Full::new(body).map_err(|never| match never {}).boxed_unsync(),
    };
    let cut = stream::once(async {
        tokio::time::sleep(BEFORE_THE_CUT).await;
        Err(io::Error::other("cut"))
    });
    let pieces = stream::iter((!first.is_empty()).then(|| Ok(Frame::data(first))));
    StreamBody::new(pieces.chain(cut)).boxed_unsync()
}

fn asked(to: &To, head: &http::request::Parts, body: Bytes) -> Asked {
    let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let (service, of, target) = match to {
        To::Engine => (Service::Docker, String::new(), target),
        To::Cluster(hub) => (Service::Kubernetes, hub.to_string(), target),
        To::Cloud => {
            let services = [
                ("/volume/", Service::Cinder),
                ("/compute/", Service::Nova),
                ("/identity/", Service::Keystone),
            ];
            let found = services.into_iter().find(|(prefix, _)| target.starts_with(prefix));
            let (prefix, service) = found.unwrap_or(("/", Service::Keystone));
            (service, String::new(), &target[prefix.len() - 1..])
        }
    };
    let token = head.headers.get("x-auth-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Asked {
        service,
        of,
        method: head.method.to_string(),
        target: target.to_owned(),
        token: token.to_owned(),
        body,
    }
}
