//! Makes sandboxes: containers of a specification, with fleet's own programs brought into them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as BindMount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions, UploadToContainerOptions,
};
use futures_util::TryStreamExt as _;
use tokio::time::timeout;

use super::layer::Layer;
use super::{Connection, Error};
use crate::observed::SandboxState;
use crate::sandbox::{SandboxSpec, labels, paths, with_operator};

/// What Docker says of a bind mount whose source is missing, before it says which.
const NO_SOURCE: &str = "bind source path does not exist";

/// How long a sandbox waits for the first one of its image, and for the layer: either may hang until its own time limit.
const FIRST: Duration = Duration::from_secs(5);

impl Connection {
    /// Makes a sandbox, with fleet's own programs in it. It is not started yet. If it cannot be finished, it is taken away again.
    pub async fn create(&self, spec: &SandboxSpec) -> Result<String, Error> {
        let Some(image) = self.image_id(&spec.image).await? else {
            return Err(Error::NoImage { image: spec.image.clone() });
        };
        let layer = self.layer_of(image.clone(), spec.owner);
        let Ok(mut layer) = timeout(FIRST, layer.lock()).await else {
            return self.create_without(spec).await;
        };
        match &*layer {
            Layer::Unknown => {
                let id = self.create_without(spec).await?;
                *layer = Layer::Unmade;
                return Ok(id);
            }
            Layer::Unmade => {
                let made = self.layered(spec, &image).await.ok().flatten();
                *layer = made.map_or(Layer::Unusable, Layer::Made);
            }
            Layer::Made(_) | Layer::Unusable => {}
        }
        let known = layer.clone();
        drop(layer);
        match known {
            Layer::Made(image) => match self.make(spec, &image).await {
                // Somebody may have cleared it away, and what is wrong with it is not wrong with the hub's.
                Err(Error::NoImage { .. } | Error::Request { .. }) => self.create_without(spec).await,
                made => made,
            },
            Layer::Unknown | Layer::Unmade | Layer::Unusable => self.create_without(spec).await,
        }
    }

    /// Makes a sandbox of the image as it is, and brings in what it needs.
    async fn create_without(&self, spec: &SandboxSpec) -> Result<String, Error> {
        let id = self.make(spec, &spec.image).await?;
        match self.bring_in(&id, spec).await {
            Ok(()) => Ok(id),
            Err(error) => {
                // What is told is why it failed; that it could not be removed either would only hide that.
                let _ = self.remove(&id).await;
                Err(error)
            }
        }
    }

    async fn make(&self, spec: &SandboxSpec, image: &str) -> Result<String, Error> {
        let mut created = self.ask_to_create(spec, image).await;
        if created.as_ref().is_err_and(Error::is_conflict)
            && let Some(leftover) = self.leftover(spec).await?
        {
            self.remove(&leftover).await?;
            created = self.ask_to_create(spec, image).await;
        }
        match created {
            Ok(id) => Ok(id),
            Err(error) if error.is_not_found() => Err(Error::NoImage { image: spec.image.clone() }),
            Err(error) => {
                // No answer in time is no proof that none was made.
                if let Error::TimedOut { .. } = error
                    && let Ok(Some(true)) = self.container_is_ours(&spec.container, &spec.fleet).await
                {
                    let _ = self.remove(&spec.container).await;
                }
                Err(self.not_there(error))
            }
        }
    }

    /// What an engine says of a mount whose source is not there, where it may be on another machine.
    pub(super) fn not_there(&self, error: Error) -> Error {
        let at = self.endpoint();
        match error.refusal().and_then(|message| message.split_once(NO_SOURCE)) {
            Some((_, path)) if at.may_be_elsewhere() => Error::NotThere {
                engine: self.name().clone(),
                at: Box::new(at.clone()),
                why: format!("there is no {}", path.trim_start_matches([':', ' ']).trim()),
            },
            _ => error,
        }
    }

    async fn ask_to_create(&self, spec: &SandboxSpec, image: &str) -> Result<String, Error> {
        let options = CreateContainerOptions { name: Some(spec.container.clone()), ..Default::default() };
        let what = || format!("create container {}", spec.container);
        Ok(self.ask(what, self.docker.create_container(Some(options), create_body(spec, image))).await?.id)
    }

    /// A sandbox of the same hub that was never started: whoever asked for it was killed while the engine was still at it,
    /// and only then did it appear. The hub's lock is held here, so nobody else is making it now.
    async fn leftover(&self, spec: &SandboxSpec) -> Result<Option<String>, Error> {
        let sandboxes = self.sandboxes(&spec.fleet, Some(&spec.hub)).await?.into_iter();
        let mut unstarted = sandboxes.filter(|sandbox| sandbox.state == SandboxState::Created);
        Ok(unstarted.next().map(|sandbox| sandbox.id))
    }

    /// Puts fleet's programs and the operator's user into a container that was just made.
    async fn bring_in(&self, id: &str, spec: &SandboxSpec) -> Result<(), Error> {
        let passwd = self.users_in(id, spec).await?;
        let archive = archive(spec, &with_operator(&passwd, spec.owner), &[])
            .map_err(|error| Error::Passwd { container: spec.container.clone(), why: error.to_string() })?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
        self.ask(
            || format!("bring fleet's programs into {}", spec.container),
            self.docker.upload_to_container(id, Some(options), bollard::body_full(archive.into())),
        )
        .await
    }

    /// The image's own `/etc/passwd`.
    async fn users_in(&self, id: &str, spec: &SandboxSpec) -> Result<String, Error> {
        let what = || format!("inspect container {}", spec.container);
        let image =
            self.ask(what, self.docker.inspect_container(id, None::<InspectContainerOptions>)).await?.image;
        let known = || self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passwd) = image.as_ref().and_then(|image| known().get(image).cloned()) {
            return Ok(passwd);
        }
        let passwd = self.read_file(id, "/etc/passwd", &spec.container).await?;
        known().extend(image.map(|image| (image, passwd.clone())));
        Ok(passwd)
    }

    pub(super) async fn read_file(&self, id: &str, path: &str, container: &str) -> Result<String, Error> {
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
}

pub(super) fn bind(source: &Path, target: String, read_only: bool) -> BindMount {
    BindMount {
        // `Mounts` and not the old `Binds`: a source that is missing is an error, and not an empty directory.
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target),
        read_only: Some(read_only),
        ..Default::default()
    }
}

fn create_body(spec: &SandboxSpec, image: &str) -> ContainerCreateBody {
    let mounts =
        spec.mounts.iter().map(|mount| bind(&mount.source, mount.target.clone(), mount.read_only)).collect();
    let bytes = i64::try_from(spec.memory).unwrap_or(i64::MAX);
    let mut labelled: HashMap<String, String> =
        spec.labels().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if image == spec.image {
        // Whatever an image says of itself: this one is the hub's.
        labelled.insert(labels::IMAGE.to_owned(), String::new());
    }
    ContainerCreateBody {
        hostname: Some(spec.hub.clone()),
        user: Some(format!("{}:{}", spec.owner.uid, spec.owner.gid)),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(paths::HOME.to_owned()),
        image: Some(image.to_owned()),
        entrypoint: Some(vec![paths::HOLD_TUNNEL.to_owned()]),
        cmd: Some(Vec::new()),
        labels: Some(labelled),
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

/// The archive that is unpacked at the container's root: fleet's programs, the users, and a home that the operator owns. Before
/// them, where it is to be a layer of an image, the directories above.
pub(super) fn archive(
    spec: &SandboxSpec,
    passwd: &str,
    above: &[(&str, tar::Header)],
) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, header) in above {
        archive.append_data(&mut header.clone(), path.trim_start_matches('/'), std::io::empty())?;
    }
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
