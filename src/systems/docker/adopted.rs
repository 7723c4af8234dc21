//! Containers of the old scripts that are hubs' sandboxes as they are. fleet brings its programs into them, and starts the
//! tunnel in them; everything else stays as it is.

use bollard::exec::StartExecOptions;
use std::path::Path;

use bollard::models::{ContainerStateStatusEnum, ExecConfig};
use bollard::query_parameters::{InspectContainerOptions, UploadToContainerOptions};

use super::{Connection, Error};
use crate::hub::Hub;
use crate::observed::{Sandbox, SandboxState};
use crate::sandbox::{Payload, labels, paths};

impl Connection {
    /// The container of that name, as a hub's sandbox; `None` where there is none that has this hub's kubeconfig mounted: the old
    /// scripts may have made another of the name.
    pub async fn adopted(&self, container: &str, hub: &Hub) -> Result<Option<Sandbox>, Error> {
        let asked = self
            .ask(
                || format!("inspect container {container}"),
                self.docker.inspect_container(container, None::<InspectContainerOptions>),
            )
            .await;
        let found = match asked {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let labelled = found.config.and_then(|config| config.labels).unwrap_or_default();
        // The engine finds a container by the beginning of its id, too.
        let is_called_so =
            found.name.as_deref().is_some_and(|name| name.trim_start_matches('/') == container);
        let kube = format!("{}/.kube", paths::HOME);
        let has_its_state = found.mounts.iter().flatten().any(|mount| {
            let is_there =
                mount.destination.as_deref().is_some_and(|target| target.trim_end_matches('/') == kube);
            is_there
                && mount
                    .source
                    .as_deref()
                    .is_some_and(|source| is_same(Path::new(source), &hub.state.join("kube")))
        });
        if labelled.contains_key(labels::FLEET) || !is_called_so || !has_its_state {
            return Ok(None);
        }
        let status = found.state.and_then(|state| state.status);
        Ok(found.id.map(|id| Sandbox {
            id,
            hub: hub.name.clone(),
            state: status.map_or(SandboxState::Created, as_state),
            image: found.image.unwrap_or_default(),
            fingerprint: String::new(),
            adopted: true,
            engine: self.name().clone(),
            aside: false,
        }))
    }

    /// Brings fleet's programs into a container that fleet did not make.
    pub async fn bring_along(&self, container: &str, programs: &[Payload]) -> Result<(), Error> {
        let archive = archive(programs)
            .map_err(|error| Error::Passwd { container: container.to_owned(), why: error.to_string() })?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        self.ask(
            || format!("bring fleet's programs into {container}"),
            self.docker.upload_to_container(container, Some(options), bollard::body_full(archive.into())),
        )
        .await
    }

    /// Starts a command that goes on by itself. Its environment is never a secret.
    pub async fn start_detached(
        &self,
        container: &str,
        argv: &[&str],
        env: Vec<String>,
    ) -> Result<(), Error> {
        let what = || format!("start {} in {container}", argv.first().unwrap_or(&""));
        let config = ExecConfig {
            env: Some(env),
            cmd: Some(argv.iter().map(|&word| word.to_owned()).collect()),
            ..Default::default()
        };
        let id = self.ask(what, self.docker.create_exec(container, config)).await?.id;
        let options = StartExecOptions { detach: true, ..Default::default() };
        self.ask(what, self.docker.start_exec(&id, Some(options))).await.map(drop)
    }
}

/// Whether two paths are one directory, as far as this machine can tell.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

fn as_state(status: ContainerStateStatusEnum) -> SandboxState {
    match status {
        ContainerStateStatusEnum::RUNNING => SandboxState::Running,
        ContainerStateStatusEnum::PAUSED => SandboxState::Paused,
        ContainerStateStatusEnum::RESTARTING => SandboxState::Restarting,
        ContainerStateStatusEnum::EXITED => SandboxState::Exited,
        ContainerStateStatusEnum::REMOVING => SandboxState::Removing,
        ContainerStateStatusEnum::DEAD => SandboxState::Dead,
        _ => SandboxState::Created,
    }
}

/// The archive that is unpacked at the container's root.
fn archive(programs: &[Payload]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |path: &str, kind: tar::EntryType, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, path.trim_start_matches('/'), text.as_bytes())
    };
    entry(paths::PROGRAMS, tar::EntryType::Directory, "")?;
    for program in programs {
        entry(&format!("{}/{}", paths::PROGRAMS, program.name), tar::EntryType::Regular, program.text)?;
    }
    archive.into_inner()
}
