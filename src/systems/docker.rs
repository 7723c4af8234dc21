//! Docker engines: sandboxes, and commands in them. The only importer of `bollard`.

mod adopted;
mod images;
mod old;
mod processes;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, ExecConfig, HostConfig,
    HostConfigLogConfig, Mount as BindMount, MountType, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions, KillContainerOptions,
    ListContainersOptions, LogsOptions, RemoveContainerOptions, RenameContainerOptions, ResizeExecOptions,
    StartContainerOptions, StopContainerOptions, UploadToContainerOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncWrite;

use crate::hub::{ASIDE, HubName};
use crate::observed::{Sandbox, SandboxState};
use crate::sandbox::{SandboxSpec, labels, paths, with_operator};

/// Bytes of output that are decoded at once. The engine sends frames of up to 32 KiB.
const FRAME: usize = 64 * 1024;

/// Idle polls of an exec whose output has ended and whose exit status the engine has not written down yet.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// What could not be done with an engine. `source` says why.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum Error {
    /// Nothing answers at the socket.
    #[error("no Docker engine answers at {socket}")]
    NoEngine { socket: PathBuf, source: Box<bollard::errors::Error> },
    /// A request failed.
    #[error("cannot {what}")]
    Request { what: String, source: Box<bollard::errors::Error> },
    /// The engine did not answer in time.
    #[error("cannot {what}: no answer within {}", crate::report::duration(*limit))]
    TimedOut { what: String, limit: Duration },
    /// The image is not on the engine.
    #[error("the engine has no image {image}")]
    NoImage { image: String },
    /// A container of that name is there and is not this fleet's.
    #[error("container {name} is there and is not a sandbox of this fleet")]
    NotOurs { name: String },
    /// The registry does not give the image.
    #[error("cannot pull image {image}: {why}")]
    Pull { image: String, why: String },
    /// The container's `/etc/passwd` could not be read or written.
    #[error("cannot prepare the users of {container}: {why}")]
    Passwd { container: String, why: String },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NoEngine { socket, source } => Some(match io_kind(source) {
                Some(std::io::ErrorKind::PermissionDenied) => format!(
                    "{} is there, and you may not use it: join the group that owns it (usually `docker`)",
                    socket.display()
                ),
                _ => "start it (`systemctl start docker`), or name its socket in fleet.toml (`engine = \"unix:///...\"`)"
                    .to_owned(),
            }),
            Error::NoImage { image } => Some(format!(
                "pull it (`docker pull {image}`), or build fleet's own: `docker build -t {image} images/sandbox`"
            )),
            Error::Pull { image, .. } => Some(format!(
                "fleet asks the registry as nobody in particular: where it wants a login, `docker pull {image}` and then `fleet up`"
            )),
            Error::NotOurs { name } => {
                Some(format!("remove it (`docker rm {name}`), or give the fleet another `name` in fleet.toml"))
            }
            _ => None,
        }
    }

    /// Whether the engine itself said no: then nothing was begun.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Request { source, .. } if status_of(source).is_some())
    }

    /// Whether the connection was closed while something that was sent had not been read.
    pub fn is_reset(&self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        let Error::Request { source, .. } = self else { return false };
        matches!(io_kind(source), Some(ConnectionReset | BrokenPipe))
    }

    /// Whether the engine said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Request { source, .. } if status_of(source) == Some(404))
    }

    /// Whether the engine said that something of that name is there already.
    fn is_conflict(&self) -> bool {
        matches!(self, Error::Request { source, .. } if status_of(source) == Some(409))
    }
}

fn status_of(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

/// What to run in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecSpec {
    /// Program and arguments, no shell in between.
    pub argv: Vec<String>,
    /// Environment on top of the container's: `NAME=value`. Never a secret.
    pub env: Vec<String>,
    /// Whether standard input is wanted.
    pub stdin: bool,
    /// Whether a terminal is wanted, of that many rows and columns.
    pub tty: Option<(u16, u16)>,
}

/// A piece of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Standard output; with a terminal, everything.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
}

/// A command that runs in a container.
pub struct Running {
    /// The engine's id of it.
    pub id: String,
    /// Its output.
    pub output: Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>,
    /// Its standard input, if it was asked for.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A Docker engine that answers.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: bollard::Docker,
    socket: PathBuf,
    limit: Duration,
}

impl Engine {
    /// Connects to the engine at a Unix socket and agrees on a version of the API with it.
    pub async fn connect(socket: &Path, limit: Duration) -> Result<Self, Error> {
        let no_engine = |source| Error::NoEngine { socket: socket.to_owned(), source: Box::new(source) };
        // In whole seconds, and later than `ask` below, which holds every request to the exact limit and says so.
        let seconds = limit.as_secs() + 2;
        let docker = bollard::Docker::connect_with_unix(
            &socket.to_string_lossy(),
            seconds,
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(no_engine)?;
        let docker = tokio::time::timeout(limit, docker.negotiate_version())
            .await
            .map_err(|_| Error::TimedOut {
                what: format!("reach the engine at {}", socket.display()),
                limit,
            })?
            .map_err(no_engine)?;
        Ok(Self { docker, socket: socket.to_owned(), limit })
    }

    /// What another process connects to it with.
    pub fn address(&self) -> (&Path, Duration) {
        (&self.socket, self.limit)
    }

    async fn ask<T>(
        &self,
        what: impl FnOnce() -> String,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.limit, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(Error::Request { what: what(), source: Box::new(source) }),
            Err(_) => Err(Error::TimedOut { what: what(), limit: self.limit }),
        }
    }

    /// All sandboxes of a fleet, stopped ones included.
    pub async fn sandboxes(&self, fleet: &str) -> Result<Vec<Sandbox>, Error> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{}={fleet}", labels::FLEET)])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let found =
            self.ask(|| "list containers".to_owned(), self.docker.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(as_sandbox).collect())
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

    /// Makes a sandbox and brings fleet's own programs into it. It is not started yet. If it cannot be finished, it is
    /// taken away again.
    pub async fn create(&self, spec: &SandboxSpec) -> Result<String, Error> {
        let mut created = self.ask_to_create(spec).await;
        if created.as_ref().is_err_and(Error::is_conflict)
            && let Some(leftover) = self.leftover(spec).await?
        {
            self.remove(&leftover).await?;
            created = self.ask_to_create(spec).await;
        }
        let id = match created {
            Ok(id) => id,
            Err(error) if error.is_not_found() => {
                return Err(Error::NoImage { image: spec.image.clone() });
            }
            Err(error) => {
                // No answer in time is no proof that none was made.
                if let Error::TimedOut { .. } = error
                    && let Ok(Some(true)) = self.container_is_ours(&spec.container, &spec.fleet).await
                {
                    let _ = self.remove(&spec.container).await;
                }
                return Err(error);
            }
        };
        match self.bring_in(&id, spec).await {
            Ok(()) => Ok(id),
            Err(error) => {
                // What is told is why it failed; that it could not be removed either would only hide that.
                let _ = self.remove(&id).await;
                Err(error)
            }
        }
    }

    async fn ask_to_create(&self, spec: &SandboxSpec) -> Result<String, Error> {
        let options = CreateContainerOptions { name: Some(spec.container.clone()), ..Default::default() };
        let what = || format!("create container {}", spec.container);
        Ok(self.ask(what, self.docker.create_container(Some(options), create_body(spec))).await?.id)
    }

    /// A sandbox of the same hub that was never started: whoever asked for it was killed while the engine was still at it,
    /// and only then did it appear. The hub's lock is held here, so nobody else is making it now.
    async fn leftover(&self, spec: &SandboxSpec) -> Result<Option<String>, Error> {
        let sandboxes = self.sandboxes(&spec.fleet).await?.into_iter();
        let mut unstarted = sandboxes
            .filter(|sandbox| sandbox.hub.as_str() == spec.hub && sandbox.state == SandboxState::Created);
        Ok(unstarted.next().map(|sandbox| sandbox.id))
    }

    /// Puts fleet's programs and the operator's user into a container that was just made.
    async fn bring_in(&self, id: &str, spec: &SandboxSpec) -> Result<(), Error> {
        let passwd = self.read_file(id, "/etc/passwd", &spec.container).await?;
        let archive = archive(spec, &with_operator(&passwd, spec.owner))
            .map_err(|error| Error::Passwd { container: spec.container.clone(), why: error.to_string() })?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        self.ask(
            || format!("bring fleet's programs into {}", spec.container),
            self.docker.upload_to_container(id, Some(options), bollard::body_full(archive.into())),
        )
        .await
    }

    async fn read_file(&self, id: &str, path: &str, container: &str) -> Result<String, Error> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let download = self.docker.download_from_container(id, Some(options)).try_fold(
            Vec::new(),
            |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            },
        );
        let bytes = self.ask(|| format!("read {path} in {container}"), download).await?;
        first_file(&bytes).map_err(|why| Error::Passwd { container: container.to_owned(), why })
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

fn as_sandbox(summary: ContainerSummary) -> Option<Sandbox> {
    let found = summary.labels?;
    Some(Sandbox {
        adopted: false,
        aside: summary.names.iter().flatten().any(|name| name.ends_with(ASIDE)),
        id: summary.id?,
        hub: HubName::new(found.get(labels::HUB)?).ok()?,
        image: summary.image_id.unwrap_or_default(),
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

fn create_body(spec: &SandboxSpec) -> ContainerCreateBody {
    let mounts = spec
        .mounts
        .iter()
        .map(|mount| BindMount {
            // `Mounts` and not the old `Binds`: a source that is missing is an error, and not an empty directory.
            typ: Some(MountType::BIND),
            source: Some(mount.source.to_string_lossy().into_owned()),
            target: Some(mount.target.clone()),
            read_only: Some(mount.read_only),
            ..Default::default()
        })
        .collect();
    let bytes = i64::try_from(spec.memory).unwrap_or(i64::MAX);
    ContainerCreateBody {
        hostname: Some(spec.hub.clone()),
        user: Some(format!("{}:{}", spec.owner.uid, spec.owner.gid)),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(paths::HOME.to_owned()),
        image: Some(spec.image.clone()),
        entrypoint: Some(vec![paths::HOLD_TUNNEL.to_owned()]),
        cmd: Some(Vec::new()),
        labels: Some(spec.labels().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: spec.network.clone(),
            // Reaps what execs leave, and lets the container end at once.
            init: Some(true),
            memory: Some(bytes),
            memory_swap: Some(bytes),
            pids_limit: Some(i64::from(spec.pids)),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            // Back after a reboot of the control VM, unless somebody stopped it.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            // A master that is away for months must not fill the control VM's disk.
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), "1m".to_owned()),
                    ("max-file".to_owned(), "2".to_owned()),
                ])),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The archive that is unpacked at the container's root: fleet's programs, the users, and a home that the operator owns.
fn archive(spec: &SandboxSpec, passwd: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |path: &str, kind: tar::EntryType, mode: u32, owned: bool, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(if owned { spec.owner.uid.into() } else { 0 });
        header.set_gid(if owned { spec.owner.gid.into() } else { 0 });
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, path.trim_start_matches('/'), text.as_bytes())
    };
    entry("etc/passwd", tar::EntryType::Regular, 0o644, false, passwd)?;
    entry(paths::HOME, tar::EntryType::Directory, 0o755, true, "")?;
    entry(&format!("{}/.ssh", paths::HOME), tar::EntryType::Directory, 0o700, true, "")?;
    entry(paths::PROGRAMS, tar::EntryType::Directory, 0o755, false, "")?;
    for program in &spec.programs {
        let path = format!("{}/{}", paths::PROGRAMS, program.name);
        entry(&path, tar::EntryType::Regular, 0o755, false, program.text)?;
    }
    archive.into_inner()
}

/// The text of the first regular file in an archive.
fn first_file(archive: &[u8]) -> Result<String, String> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        if entry.header().entry_type().is_file() {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(|error| error.to_string())?;
            return Ok(text);
        }
    }
    Err("the image has no such file".to_owned())
}
