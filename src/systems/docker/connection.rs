//! One Docker engine that answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, ExecConfig};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, ListContainersOptions, LogsOptions,
    RemoveContainerOptions, RenameContainerOptions, ResizeExecOptions, StartContainerOptions,
    StopContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};

use super::layer::Layers;
use super::{Chunk, Error, ExecSpec, Running, dial};
use crate::hub::{ASIDE, DeclaredEngine, Endpoint, EngineName, HubName};
use crate::observed::{Sandbox, SandboxState};
use crate::sandbox::labels;

/// Bytes of output that are decoded at once. The engine sends frames of up to 32 KiB.
const FRAME: usize = 64 * 1024;

/// Idle polls of an exec whose output has ended and whose exit status the engine has not written down yet.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// A Docker engine that answers.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) docker: bollard::Docker,
    limit: Duration,
    /// What it is called.
    name: EngineName,
    at: Endpoint,
    /// Whether the fleet has others: then what goes wrong says on which.
    one_of_several: bool,
    /// The users that an image has, by its id: to read a file of a container costs as much as to make one.
    pub(super) users: Arc<Mutex<HashMap<String, String>>>,
    /// The images with fleet's layer.
    pub(super) layers: Arc<Layers>,
}

impl Connection {
    /// Connects to an engine and agrees on a version of the API with it.
    pub(super) async fn connect(
        engine: &DeclaredEngine,
        limit: Duration,
        one_of_several: bool,
    ) -> Result<Self, Error> {
        let DeclaredEngine { name, endpoint: at, .. } = engine;
        let no_engine = |source| Error::NoEngine { at: Box::new(at.clone()), source: Box::new(source) };
        // In whole seconds, and later than `ask` below, which holds every request to the exact limit and says so.
        let seconds = limit.as_secs() + 2;
        let docker = match at {
            Endpoint::Unix(socket) => bollard::Docker::connect_with_unix(
                &socket.to_string_lossy(),
                seconds,
                bollard::API_DEFAULT_VERSION,
            )
            .map_err(no_engine)?,
            Endpoint::Tcp { .. } | Endpoint::Ssh { .. } => dial::connect(at, limit, seconds)?,
        };
        let docker = tokio::time::timeout(limit, docker.negotiate_version())
            .await
            .map_err(|_| Error::TimedOut { what: format!("reach the engine at {at}"), limit })?
            .map_err(no_engine)?;
        let (users, layers) = Default::default();
        Ok(Self { docker, limit, name: name.clone(), at: at.clone(), one_of_several, users, layers })
    }

    /// What it is called.
    pub fn name(&self) -> &EngineName {
        &self.name
    }

    /// How long one request to it may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Where it is.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.at
    }

    fn told(&self, what: String) -> String {
        if self.one_of_several { format!("{what} on engine {}", self.name) } else { what }
    }

    pub(super) async fn ask<T>(
        &self,
        what: impl FnOnce() -> String,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.limit, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(Error::Request { what: self.told(what()), source: Box::new(source) }),
            Err(_) => Err(Error::TimedOut { what: self.told(what()), limit: self.limit }),
        }
    }

    /// All sandboxes of a fleet, stopped ones included.
    pub async fn sandboxes(&self, fleet: &str, hub: Option<&str>) -> Result<Vec<Sandbox>, Error> {
        let mut wanted = vec![format!("{}={fleet}", labels::FLEET)];
        wanted.extend(hub.map(|hub| format!("{}={hub}", labels::HUB)));
        let filters = HashMap::from([("label".to_owned(), wanted)]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let found =
            self.ask(|| "list containers".to_owned(), self.docker.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(|summary| as_sandbox(summary, &self.name)).collect())
    }

    /// Whether a container of that name is there, and if so whether it is a sandbox of this fleet.
    pub async fn container_is_ours(&self, name: &str, fleet: &str) -> Result<Option<bool>, Error> {
        let asked = self
            .ask(
                || format!("inspect container {name}"),
                self.docker.inspect_container(name, None::<InspectContainerOptions>),
            )
            .await;
        match asked {
            Ok(found) => {
                let labelled = found.config.and_then(|config| config.labels).unwrap_or_default();
                Ok(Some(labelled.get(labels::FLEET).is_some_and(|name| name == fleet)))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts a container.
    pub async fn start(&self, id: &str) -> Result<(), Error> {
        self.ask(
            || format!("start container {id}"),
            self.docker.start_container(id, None::<StartContainerOptions>),
        )
        .await
    }

    /// Gives a container another name.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), Error> {
        let options = RenameContainerOptions { name: name.to_owned() };
        self.ask(|| format!("rename container {id} to {name}"), self.docker.rename_container(id, options))
            .await
    }

    /// Stops a container. An orderly end first: the tunnel's supervisor closes the connection. It has an init, so this takes
    /// 0.1 s.
    pub async fn stop(&self, id: &str) -> Result<(), Error> {
        let options = StopContainerOptions { t: Some(5), ..Default::default() };
        self.ask(|| format!("stop container {id}"), self.docker.stop_container(id, Some(options))).await
    }

    /// Lets a container go on that was paused.
    pub async fn unpause(&self, id: &str) -> Result<(), Error> {
        self.ask(|| format!("unpause container {id}"), self.docker.unpause_container(id)).await
    }

    /// Sends a signal to a container's first process; its init hands it on.
    pub async fn signal(&self, id: &str, signal: &str) -> Result<(), Error> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        let what = || format!("send {signal} to container {id}");
        self.ask(what, self.docker.kill_container(id, Some(options))).await
    }

    /// Stops a container and removes it. One that is not there any more is as good as removed.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        // One that cannot be stopped, because it is paused say, is removed all the same.
        let _ = self.stop(id).await;
        let options = RemoveContainerOptions { force: true, ..Default::default() };
        match self
            .ask(|| format!("remove container {id}"), self.docker.remove_container(id, Some(options)))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The last lines that a container's first process wrote.
    pub async fn last_words(&self, id: &str, lines: usize) -> Result<String, Error> {
        let options =
            LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..Default::default() };
        let read =
            self.docker.logs(id, Some(options)).try_fold(String::new(), |mut text, piece| async move {
                text.push_str(&String::from_utf8_lossy(piece.as_ref()));
                Ok(text)
            });
        self.ask(|| format!("read the log of container {id}"), read).await
    }

    /// What a container's first process writes: its last lines, and with `follow` all that comes. There is no time limit.
    pub fn log(
        &self,
        id: &str,
        lines: usize,
        follow: bool,
    ) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
        let options =
            LogsOptions { stdout: true, stderr: true, follow, tail: lines.to_string(), ..Default::default() };
        let what = format!("read the log of container {id}");
        self.docker.logs(id, Some(options)).map(move |piece| match piece {
            Ok(piece) => Ok(piece.into_bytes()),
            Err(source) => Err(Error::Request { what: what.clone(), source: Box::new(source) }),
        })
    }

    /// Starts a command in a container.
    pub async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<Running, Error> {
        let what = || format!("run {} in {container}", spec.argv.first().map_or("", String::as_str));
        let config = ExecConfig {
            attach_stdin: Some(spec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.tty.is_some()),
            env: Some(spec.env.clone()),
            cmd: Some(spec.argv.clone()),
            ..Default::default()
        };
        let id = self.ask(what, self.docker.create_exec(container, config)).await?.id;
        let options =
            StartExecOptions { detach: false, tty: spec.tty.is_some(), output_capacity: Some(FRAME) };
        let started = self.ask(what, self.docker.start_exec(&id, Some(options))).await?;
        let StartExecResults::Attached { output, input } = started else {
            // Only asked for with `detach: true`.
            return Err(Error::TimedOut { what: what(), limit: self.limit });
        };
        if let Some((rows, columns)) = spec.tty {
            self.resize(&id, rows, columns).await?;
        }
        let told = what();
        let output = output.map(move |piece| match piece {
            Ok(LogOutput::StdErr { message }) => Ok(Chunk::Stderr(message)),
            Ok(
                LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message },
            ) => Ok(Chunk::Stdout(message)),
            Err(source) => Err(Error::Request { what: told.clone(), source: Box::new(source) }),
        });
        Ok(Running { id, output: Box::pin(output), input })
    }

    /// The exit status of a command whose output has ended.
    pub async fn exit_status(&self, exec: &str) -> Result<i64, Error> {
        let what = || "learn a command's exit status".to_owned();
        let asked = async {
            loop {
                let found = self.docker.inspect_exec(exec).await?;
                // The output can end a moment before the engine has written the status down.
                if let (Some(false), Some(status)) = (found.running, found.exit_code) {
                    return Ok(status);
                }
                tokio::time::sleep(EXIT_POLL).await;
            }
        };
        self.ask(what, asked).await
    }

    /// Tells a command's terminal its new size.
    pub async fn resize(&self, exec: &str, rows: u16, columns: u16) -> Result<(), Error> {
        let options = ResizeExecOptions { h: i32::from(rows), w: i32::from(columns) };
        self.ask(|| "resize a terminal".to_owned(), self.docker.resize_exec(exec, options)).await
    }
}

fn as_sandbox(summary: ContainerSummary, engine: &EngineName) -> Option<Sandbox> {
    let found = summary.labels?;
    Some(Sandbox {
        adopted: false,
        engine: engine.clone(),
        aside: summary.names.iter().flatten().any(|name| name.ends_with(ASIDE)),
        id: summary.id?,
        hub: HubName::new(found.get(labels::HUB)?).ok()?,
        // The hub's image, and not the one with fleet's layer.
        image: found
            .get(labels::IMAGE)
            .filter(|id| !id.is_empty())
            .cloned()
            .or(summary.image_id)
            .unwrap_or_default(),
        fingerprint: found.get(labels::SPEC).cloned().unwrap_or_default(),
        state: match summary.state? {
            ContainerSummaryStateEnum::RUNNING => SandboxState::Running,
            ContainerSummaryStateEnum::PAUSED => SandboxState::Paused,
            ContainerSummaryStateEnum::RESTARTING => SandboxState::Restarting,
            ContainerSummaryStateEnum::EXITED => SandboxState::Exited,
            ContainerSummaryStateEnum::REMOVING => SandboxState::Removing,
            ContainerSummaryStateEnum::DEAD => SandboxState::Dead,
            _ => SandboxState::Created,
        },
    })
}
