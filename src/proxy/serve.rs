//! The running proxy.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::control::{self, Status, Word};
use super::kept::Settings;
use super::request::{Refusal, judge};
use crate::config;
use crate::hub::{Fleet, Hub, HubName};
use crate::interrupt::Interrupt;
use crate::observe::Sandboxes;
use crate::report::duration;
use crate::systems::docker::Engine;
use crate::systems::socket;
use crate::systems::wire::Wire;

#[cfg(test)]
mod tests;

/// From the beginning of a connection until all of its request is there. How long it may take then to be joined to a hub's tunnel depends
/// on where that is.
const GREETING: Duration = Duration::from_secs(10);

/// Until the tunnel's socket takes a connection, where it is on this machine.
const TUNNEL: Duration = Duration::from_secs(5);

/// The largest request: kubectl's has less than 1 KiB.
const MOST_HEADER: usize = 8 << 10;

/// How many connections may be in their greeting at once; others wait until they are accepted.
const GREETINGS: usize = 64;

/// How many connections may pass through at once. k9s has a few for each hub that it shows.
const CONNECTIONS: usize = 512;

/// Where nothing can be accepted (too many open files, say), it is tried again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a proxy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nobody was connected for so long.
    Idle,
    /// It was told to.
    Stopped,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

/// What goes through a proxy.
#[derive(Debug, Clone, Copy, Default)]
struct Activity {
    open: usize,
    /// Everything that has kept it from being idle.
    signs: u64,
    /// Nobody is let in any more.
    ending: bool,
    stopped: bool,
}

/// A proxy.
#[derive(Debug)]
pub struct Proxy {
    settings: Settings,
    config: PathBuf,
    /// The fleet as its file last was in order.
    fleet: Mutex<Fleet>,
    idle: Option<Duration>,
    since: Timestamp,
    activity: watch::Sender<Activity>,
}

/// One connection that passes through.
struct Passage {
    activity: watch::Sender<Activity>,
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.activity.send_modify(|activity| {
            activity.open -= 1;
            activity.signs += 1;
        });
    }
}

impl Proxy {
    /// One for a fleet, which ends after so long without a connection.
    pub fn new(fleet: Fleet, settings: Settings, idle: Option<Duration>, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            settings,
            config: fleet.path.clone(),
            fleet: Mutex::new(fleet),
            idle,
            since: now,
            activity: watch::Sender::default(),
        })
    }

    /// Serves until it ends. What is still open then is closed with fleet.
    pub async fn serve(
        self: &Arc<Self>,
        listener: TcpListener,
        control: UnixListener,
        interrupt: &Interrupt,
    ) -> Ended {
        tokio::select! {
            () = Arc::clone(self).accept(listener) => Ended::Stopped,
            () = Arc::clone(self).obey(control) => Ended::Stopped,
            () = self.stopped() => Ended::Stopped,
            () = self.idle() => Ended::Idle,
            () = interrupt.asked() => Ended::Interrupted,
        }
    }

    /// How many connections pass through now.
    pub fn connections(&self) -> usize {
        self.activity.borrow().open
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let greetings = Arc::new(Semaphore::new(GREETINGS));
        // It is never closed.
        while let Ok(turn) = Arc::clone(&greetings).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let _turn = turn;
                proxy.greet(stream).await;
            });
        }
    }

    async fn greet(self: Arc<Self>, stream: TcpStream) {
        // Keys that are typed in a shell must not wait for each other.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let proxy = Arc::clone(&self);
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        let connection = http1::Builder::new()
            // One that says nothing, or not all, is closed without a word.
            .timer(TokioTimer::new())
            .header_read_timeout(GREETING)
            .max_header_size(MOST_HEADER)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // Whoever sends something else than HTTP has been answered by hyper.
        let _ = connection.await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        match self.admit(&request).await {
            Ok((tunnel, passage)) => {
                tokio::spawn(join(request, tunnel, passage));
                Response::new(String::new())
            }
            Err(refusal) => refuse(&refusal),
        }
    }

    async fn admit(&self, request: &Request<Incoming>) -> Result<(Wire, Passage), Refusal> {
        let name = judge(request.method(), request.uri(), request.headers(), &self.settings.secret)?;
        let hub = self.hub(&name).await.ok_or_else(|| {
            Refusal::new(
                StatusCode::NOT_FOUND,
                format!("no hub {name} in fleet.toml: fleet list shows which there are"),
            )
        })?;
        let passage = self.let_in().ok_or_else(|| {
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the proxy is ending, or {CONNECTIONS} connections pass through it already"),
            )
        })?;
        let fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unopened = |status, why: &dyn Display| {
            let by = if fleet.may_be_elsewhere(&hub) {
                format!(" by way of its sandbox on engine {}", hub.engine)
            } else {
                String::new()
            };
            Refusal::new(
                status,
                format!(
                    "the tunnel of hub {name} cannot be opened{by} ({why}): fleet status {name} shows more"
                ),
            )
        };
        match open(&fleet, &hub).await {
            Ok(tunnel) => Ok((tunnel, passage)),
            Err(error) if is_missing(&error) => Err(Refusal::new(
                StatusCode::BAD_GATEWAY,
                format!(
                    "hub {name} has no tunnel now: fleet status {name} shows why, fleet up {name} starts its sandbox"
                ),
            )),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(unopened(StatusCode::GATEWAY_TIMEOUT, &error))
            }
            Err(error) => Err(unopened(StatusCode::BAD_GATEWAY, &error)),
        }
    }

    /// A hub as the fleet's file has it now. A file that is being edited, and is not in order, takes no hub away.
    async fn hub(&self, name: &HubName) -> Option<Hub> {
        let path = self.config.clone();
        let now = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let mut fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Ok(now)) = now {
            *fleet = now;
        }
        fleet.hub(name).cloned()
    }

    fn let_in(&self) -> Option<Passage> {
        let is_in = self.activity.send_if_modified(|activity| {
            let may = !activity.ending && activity.open < CONNECTIONS;
            if may {
                activity.open += 1;
                activity.signs += 1;
            }
            may
        });
        is_in.then(|| Passage { activity: self.activity.clone() })
    }

    async fn obey(self: Arc<Self>, control: UnixListener) {
        loop {
            match control.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(Arc::clone(&self).heed(stream));
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn heed(self: Arc<Self>, mut stream: UnixStream) {
        let Some(word) = control::hear(&mut stream).await else { return };
        let goes_on = match word {
            Word::Status | Word::Stop => !self.activity.borrow().ending,
            Word::Stay => self.activity.send_if_modified(|activity| {
                activity.signs += u64::from(!activity.ending);
                !activity.ending
            }),
        };
        // One that is ending says nothing: whoever asks has to wait for the next.
        if goes_on {
            let _ = control::say(&mut stream, &self.status()).await;
        }
        if word == Word::Stop {
            self.activity.send_modify(|activity| {
                activity.ending = true;
                activity.stopped = true;
            });
        }
    }

    fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.config.clone(),
            port: self.settings.port,
            since: self.since,
            connections: self.connections(),
            idle_seconds: self.idle.map(|idle| idle.as_secs()),
        }
    }

    async fn stopped(&self) {
        // The sender is in `self`.
        let _ = self.activity.subscribe().wait_for(|activity| activity.stopped).await;
    }

    /// Until nobody has been connected, nor was about to, for the whole of the time.
    async fn idle(&self) {
        let Some(idle) = self.idle else { return std::future::pending().await };
        let mut watched = self.activity.subscribe();
        loop {
            let Ok(seen) =
                watched.wait_for(|activity| activity.open == 0).await.map(|activity| activity.signs)
            else {
                return std::future::pending().await;
            };
            if timeout(idle, watched.wait_for(|activity| activity.signs != seen)).await.is_ok() {
                continue;
            }
            // Whoever came in the last moment has been let in, or is told that this one is ending.
            let ends = self.activity.send_if_modified(|activity| {
                activity.ending = activity.ending || (activity.open == 0 && activity.signs == seen);
                activity.ending
            });
            if ends {
                return;
            }
        }
    }
}

/// Passes bytes both ways until both ends are through, or one breaks.
async fn join(request: Request<Incoming>, mut tunnel: Wire, _passage: Passage) {
    if let Ok(client) = hyper::upgrade::on(request).await {
        let _ = copy_bidirectional(&mut TokioIo::new(client), &mut tunnel).await;
    }
}

/// Opens a hub's tunnel. Where its socket cannot be reached because the engine is on another machine, its sandbox is asked for.
async fn open(fleet: &Fleet, hub: &Hub) -> io::Result<Wire> {
    match within(TUNNEL, socket::connect(&hub.api_socket())).await {
        Ok(stream) => return Ok(Wire::new(stream)),
        Err(error) if !fleet.may_be_elsewhere(hub) => return Err(error),
        Err(_) => {}
    }
    let (fleet, hub) = (fleet.clone(), hub.clone());
    let runtime = tokio::runtime::Handle::current();
    let ask = move || {
        let its: Vec<_> = fleet.engines.iter().filter(|engine| engine.name == hub.engine).cloned().collect();
        let asking = async {
            let engine = Engine::connect(&its, fleet.timeouts.engine).await.map_err(|error| error.as_io())?;
            let sandboxes = Sandboxes::look(&engine, &fleet).await.map_err(|error| error.as_io())?;
            sandboxes.route(&fleet, &hub).open().await
        };
        // Each of these has that limit, and all together have no more.
        runtime.block_on(within(fleet.timeouts.engine, asking))
    };
    // On a thread of its own: what asks engines is not made for being handed from one to another.
    tokio::task::spawn_blocking(ask).await.map_err(io::Error::other)?
}

/// What something comes to, unless it takes longer.
async fn within<T>(limit: Duration, something: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let too_late =
        || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {}", duration(limit)));
    timeout(limit, something).await.unwrap_or_else(|_| Err(too_late()))
}

/// Whether a socket is not there, or was left behind by somebody who listened at it.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn refuse(refusal: &Refusal) -> Response<String> {
    let mut response = Response::new(format!("{}\n", refusal.reason));
    *response.status_mut() = refusal.status;
    if let Ok(phrase) = ReasonPhrase::try_from(refusal.reason.as_bytes()) {
        response.extensions_mut().insert(phrase);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    match refusal.status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            headers.insert(header::PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"fleet\""));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("CONNECT"));
        }
        _ => {}
    }
    response
}
