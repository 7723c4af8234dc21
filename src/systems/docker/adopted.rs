//! Containers of the old scripts that are hubs' sandboxes as they are. fleet brings its programs into them, and starts the
//! tunnel in them; everything else stays as it is.

use bollard::exec::StartExecOptions;
use bollard::models::{ContainerStateStatusEnum, ExecConfig};
use bollard::query_parameters::{InspectContainerOptions, UploadToContainerOptions};

use super::{Engine, Error};
use crate::hub::HubName;
use crate::observed::{Sandbox, SandboxState};
use crate::sandbox::{Payload, labels, paths};

impl Engine {
    /// The container of that name, as a hub's sandbox; `None` where there is none, or where it is a sandbox that fleet made.
    pub async fn adopted(&self, container: &str, hub: &HubName) -> Result<Option<Sandbox>, Error> {
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
        if labelled.contains_key(labels::FLEET) {
            return Ok(None);
        }
        let status = found.state.and_then(|state| state.status);
        Ok(found.id.map(|id| Sandbox {
            id,
            hub: hub.clone(),
            state: status.map_or(SandboxState::Created, as_state),
            image: found.image.unwrap_or_default(),
            fingerprint: String::new(),
            adopted: true,
            aside: false,
        }))
    }

    /// Brings fleet's programs and a master's pinned host key into a container that fleet did not make.
    pub async fn bring_along(
        &self,
        container: &str,
        programs: &[Payload],
        known_hosts: &str,
    ) -> Result<(), Error> {
        let archive = archive(programs, known_hosts)
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

/// The archive that is unpacked at the container's root. The key is public: whoever the container runs as may read it.
fn archive(programs: &[Payload], known_hosts: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |path: &str, kind: tar::EntryType, mode: u32, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, path.trim_start_matches('/'), text.as_bytes())
    };
    entry(paths::PROGRAMS, tar::EntryType::Directory, 0o755, "")?;
    for program in programs {
        entry(
            &format!("{}/{}", paths::PROGRAMS, program.name),
            tar::EntryType::Regular,
            0o755,
            program.text,
        )?;
    }
    entry(paths::TUNNEL, tar::EntryType::Directory, 0o755, "")?;
    entry(paths::KNOWN_HOSTS, tar::EntryType::Regular, 0o644, known_hosts)?;
    archive.into_inner()
}
