//! A hub's image with a layer of fleet's on it: what is brought into each sandbox, once for all of them. An engine brings files into
//! a container by starting itself again and mounting the container, which is four fifths of the time that making one takes.
//!
//! The image is described here and loaded without what the engine has of it already, so its id, which is the hash of what it is, is
//! known before. An engine that has that id has that image, and one that does not take it gets each sandbox's files one by one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use bollard::models::{ImageConfig, ImageInspect};
use bollard::query_parameters::{
    DownloadFromContainerOptions, ImportImageOptions, ListContainersOptions, ListImagesOptions,
    RemoveContainerOptions, RemoveImageOptions,
};
use futures_util::TryStreamExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::create::archive;
use super::{Connection, Error, Probe};
use crate::sandbox::{Owner, SandboxSpec, labels, with_operator};
use crate::text::hex;

/// Directories in the root that have something of fleet's below them. A layer without them would make them its own way.
const ABOVE: [&str; 3] = ["/etc", "/home", "/opt"];

/// As much of an archive as has its first header for sure.
const BEGINNING: usize = 16 << 10;

/// What is known of each image on an engine, by its id and who sandboxes of it run as. Whoever finds out more has the lock.
pub(super) type Layers = std::sync::Mutex<HashMap<(String, Owner), Arc<tokio::sync::Mutex<Layer>>>>;

/// Whether sandboxes of an image can be made with fleet's layer.
#[derive(Debug, Clone, Default)]
pub(super) enum Layer {
    /// None has been made yet. For one alone it would not be worth while.
    #[default]
    Unknown,
    /// One has been made without.
    Unmade,
    /// From the image of this name.
    Made(String),
    /// The engine or the image is one with which that does not work.
    Unusable,
}

/// An image to be loaded.
struct Layered {
    id: String,
    tag: String,
    archive: Vec<u8>,
}

impl Connection {
    /// What is known of an image.
    pub(super) fn layer_of(&self, image: String, owner: Owner) -> Arc<tokio::sync::Mutex<Layer>> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.entry((image, owner)).or_default().clone()
    }

    /// The name of the image of that id with fleet's layer on it, which is loaded where the engine does not have it. `None` where
    /// it cannot be made.
    pub(super) async fn layered(&self, spec: &SandboxSpec, image: &str) -> Result<Option<String>, Error> {
        let base = self.ask(|| format!("look at image {image}"), self.docker.inspect_image(image)).await?;
        // Only the containerd image store has one, which takes no image without what it has already.
        if base.descriptor.is_some() {
            return Ok(None);
        }
        let Some((passwd, parents)) = self.look_into(spec, image).await? else { return Ok(None) };
        let above: Vec<(&str, tar::Header)> = ABOVE.into_iter().zip(parents).collect();
        let files = archive(spec, &with_operator(&passwd, spec.owner), &above);
        let Some(layered) = files.ok().and_then(|files| layered(&base, &spec.image, &files)) else {
            return Ok(None);
        };
        if self.image_id(&layered.tag).await?.as_ref() == Some(&layered.id) {
            return Ok(Some(layered.tag));
        }
        let options = ImportImageOptions { quiet: true, ..Default::default() };
        let body = bollard::body_full(layered.archive.into());
        let loading = self.docker.import_image(options, body, None).try_for_each(async |_| Ok(()));
        self.ask(|| format!("load image {}", layered.tag), loading).await?;
        match self.image_id(&layered.tag).await? {
            Some(id) if id == layered.id => Ok(Some(layered.tag)),
            // Ids are something else on this engine.
            Some(_) => self.remove_image(&layered.tag).await.map(|()| None),
            None => Ok(None),
        }
    }

    /// The users of an image, and the directories above what fleet puts into it. Looked up in a container that is never started and
    /// has no mounts: the engine sends what is below as well, until it is told to stop.
    async fn look_into(
        &self,
        spec: &SandboxSpec,
        image: &str,
    ) -> Result<Option<(String, Vec<tar::Header>)>, Error> {
        let (fleet, hub) = (spec.fleet.clone(), spec.hub.clone());
        let probe = Probe { name: format!("{}.layer", spec.container), fleet, hub };
        // The hub is this process's alone: what there is was left by one that was killed. On an engine that others may have, too, it may
        // be theirs, and stays.
        if !self.endpoint().may_be_elsewhere()
            && self.probes(&probe.fleet, &probe.hub).await?.contains(&probe.name)
        {
            self.remove(&probe.name).await?;
        }
        let made = self.make_probe(image, &probe, Vec::new(), "look into the hub's image").await?;
        let look = async {
            let passwd = self.read_file(&made, "/etc/passwd", &probe.name).await?;
            let mut parents = Vec::new();
            for path in ABOVE {
                let Some(header) = self.directory(&made, path).await? else { return Ok(None) };
                parents.push(header);
            }
            Ok(Some((passwd, parents)))
        };
        let looked = look.await;
        // With the volumes that an image may ask for, which are empty.
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let removing = self.docker.remove_container(&made, Some(options));
        self.ask(|| format!("remove container {}", probe.name), removing).await?;
        looked
    }

    /// Removes the images with fleet's layer that no container was made from.
    pub async fn clear_layers(&self) -> Result<(), Error> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::IMAGE.to_owned()])]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let images = self.ask(|| "list images".to_owned(), self.docker.list_images(Some(options))).await?;
        for image in images {
            // What somebody has built on one, or named, is theirs.
            let is_ours = |tag: &String| tag.rsplit(':').next() == Some(&tag_of(&image.id));
            if image.repo_tags.iter().all(is_ours) && !self.is_used(&image.id).await? {
                for tag in &image.repo_tags {
                    // The engine may know better what is used.
                    let _ = self.remove_image(tag).await;
                }
            }
        }
        Ok(())
    }

    /// Whether there is a container of an image.
    async fn is_used(&self, image: &str) -> Result<bool, Error> {
        let filters = HashMap::from([("ancestor".to_owned(), vec![image.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let what = || "list containers".to_owned();
        Ok(!self.ask(what, self.docker.list_containers(Some(options))).await?.is_empty())
    }

    /// Removes an image, and nothing that it is built on.
    async fn remove_image(&self, tag: &str) -> Result<(), Error> {
        let options = RemoveImageOptions { force: false, noprune: true, ..Default::default() };
        let removing = self.docker.remove_image(tag, Some(options), None);
        self.ask(|| format!("remove image {tag}"), removing).await.map(|_| ())
    }

    /// Whose a directory in a container is, and its mode. `None` where there is something else, or it is not root's.
    async fn directory(&self, container: &str, path: &str) -> Result<Option<tar::Header>, Error> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut download = std::pin::pin!(self.docker.download_from_container(container, Some(options)));
        let mut bytes = Vec::new();
        let first = async {
            while let Some(piece) = download.try_next().await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() >= BEGINNING {
                    break;
                }
            }
            Ok(())
        };
        self.ask(|| format!("look at {path} in {container}"), first).await?;
        Ok(first_directory(&bytes))
    }
}

fn first_directory(archive: &[u8]) -> Option<tar::Header> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    let found = entry.header();
    // Where the engine maps users, root is somebody else here, and would be mapped again.
    let is_roots = found.uid().ok()? == 0 && found.gid().ok()? == 0;
    (found.entry_type().is_dir() && is_roots).then_some(directory_header(found.mode().ok()? & 0o7777))
}

fn directory_header(mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

/// The tag of an image with fleet's layer.
fn tag_of(id: &str) -> String {
    let hash = id.trim_start_matches("sha256:");
    format!("fleet-{}", hash.get(..12).unwrap_or(hash))
}

/// An image's name without tag and digest; one that is an id has none.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    if name == "sha256" || name.bytes().all(|byte| byte.is_ascii_hexdigit()) { "fleet/image" } else { name }
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The image with these files on it, in the form of `docker save`, with the one layer that is new.
fn layered(base: &ImageInspect, image: &str, files: &[u8]) -> Option<Layered> {
    let base_id = base.id.as_deref()?;
    let mut layers = base.root_fs.as_ref()?.layers.clone()?;
    layers.push(format!("sha256:{}", digest(files)));
    let mut config: ImageConfig = base.config.clone().unwrap_or_default();
    config.labels.get_or_insert_default().insert(labels::IMAGE.to_owned(), base_id.to_owned());
    let mut history = vec![
        json!({ "created": base.created, "comment": format!("a layer of {base_id}") });
        layers.len() - 1
    ];
    history.push(json!({ "created": base.created, "created_by": "fleet" }));
    let mut description = json!({
        "architecture": base.architecture,
        "os": base.os,
        "created": base.created,
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": history,
    });
    if let Some(variant) = &base.variant {
        description["variant"] = json!(variant);
    }
    // The same bytes each time, whatever order the labels come in.
    description.sort_all_objects();
    let description = description.to_string().into_bytes();
    let id = digest(&description);
    let tag = format!("{}:{}", repository(image), tag_of(&id));
    let names: Vec<String> = (0..layers.len()).map(|layer| format!("{layer}/layer.tar")).collect();
    let of_it = format!("{id}.json");
    let manifest = json!([{ "Config": of_it, "RepoTags": [tag], "Layers": names }]).to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let entries = [("manifest.json", manifest.as_bytes()), (&of_it, &description), (names.last()?, files)];
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).ok()?;
    }
    Some(Layered { id: format!("sha256:{id}"), tag, archive: archive.into_inner().ok()? })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use bollard::models::ImageInspectRootFs;

    use super::*;

    fn base() -> ImageInspect {
        let labels = (0..9).map(|n| (format!("label{n}"), "x".to_owned())).collect();
        ImageInspect {
            id: Some("sha256:ba5e".to_owned()),
            architecture: Some("amd64".to_owned()),
            os: Some("linux".to_owned()),
            created: Some("2026-01-01T00:00:00Z".to_owned()),
            config: Some(ImageConfig {
                env: Some(vec!["PATH=/bin".to_owned()]),
                volumes: Some((0..9).map(|n| format!("/v{n}")).collect()),
                labels: Some(labels),
                ..Default::default()
            }),
            root_fs: Some(ImageInspectRootFs {
                typ: "layers".to_owned(),
                layers: Some(vec!["sha256:01".to_owned(), "sha256:02".to_owned()]),
            }),
            ..Default::default()
        }
    }

    fn read(archive: &[u8]) -> HashMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (name, bytes)
            })
            .collect()
    }

    #[test]
    fn an_image_has_what_the_hubs_image_has_and_one_layer_more() {
        let layered = layered(&base(), "fleet/sandbox:v2", b"files").unwrap();
        let files = read(&layered.archive);
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let description = &files[manifest[0]["Config"].as_str().unwrap()];
        assert_eq!(layered.id, format!("sha256:{}", digest(description)));
        assert_eq!(manifest[0]["RepoTags"], json!([layered.tag]));
        assert_eq!(manifest[0]["Layers"], json!(["0/layer.tar", "1/layer.tar", "2/layer.tar"]));
        assert_eq!(files["2/layer.tar"], b"files");
        let said: serde_json::Value = serde_json::from_slice(description).unwrap();
        let layer = format!("sha256:{}", digest(b"files"));
        assert_eq!(said["rootfs"]["diff_ids"], json!(["sha256:01", "sha256:02", layer]));
        assert_eq!(said["config"]["Env"], json!(["PATH=/bin"]));
        assert_eq!(said["config"]["Volumes"]["/v3"], json!({}));
        assert_eq!(said["config"]["Labels"]["label3"], "x");
        assert_eq!(said["config"]["Labels"][labels::IMAGE], "sha256:ba5e");
    }

    #[test]
    fn the_same_image_and_files_have_one_id_and_others_have_another() {
        let id = |base: &ImageInspect, files: &[u8]| layered(base, "x", files).unwrap().id;
        let mut other = base();
        other.id = Some("sha256:07e4".to_owned());
        for _ in 0..20 {
            assert_eq!(id(&base(), b"files"), id(&base(), b"files"));
        }
        assert_ne!(id(&base(), b"files"), id(&base(), b"others"));
        assert_ne!(id(&base(), b"files"), id(&other, b"files"));
    }

    #[test]
    fn it_is_called_as_the_hubs_image_is_with_a_tag_of_fleets() {
        for (image, name) in [
            ("fleet/sandbox", "fleet/sandbox"),
            ("unidata/science-gateway:v2", "unidata/science-gateway"),
            ("localhost:5000/sandbox", "localhost:5000/sandbox"),
            ("localhost:5000/sandbox:v1@sha256:12", "localhost:5000/sandbox"),
            ("sha256:4957ddb89890", "fleet/image"),
            ("4957ddb89890", "fleet/image"),
        ] {
            assert_eq!(repository(image), name, "{image}");
        }
        assert_eq!(tag_of("sha256:0123456789abcdef"), "fleet-0123456789ab");
    }

    #[test]
    fn every_directory_that_something_is_put_into_is_in_the_layer_before_it() {
        let hub = crate::hub::samples::hub("ou23s");
        let spec = SandboxSpec::of("f", &hub, Owner { uid: 7, gid: 8 }, 1 << 30, 512, None);
        let parents = ABOVE.map(|path| (path, directory_header(0o711)));
        let bytes = archive(&spec, "root:x:0:0:::\n", &parents).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = vec![std::path::PathBuf::new()];
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            assert!(seen.contains(&path.parent().unwrap().to_owned()), "{} in {seen:?}", path.display());
            if path.components().count() == 1 {
                assert_eq!(entry.header().mode().unwrap(), 0o711);
            }
            seen.push(path);
        }
        assert!(seen.len() > 10, "{seen:?}");
    }

    #[test]
    fn only_a_directory_of_roots_is_taken_for_one() {
        let entry = |kind: tar::EntryType, uid: u64| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = directory_header(0o751);
            header.set_uid(uid);
            header.set_mtime(1);
            header.set_entry_type(kind);
            archive.append_data(&mut header, "home", &[][..]).unwrap();
            archive.into_inner().unwrap()
        };
        let found = first_directory(&entry(tar::EntryType::Directory, 0)).unwrap();
        assert_eq!((found.mode().unwrap(), found.uid().unwrap(), found.gid().unwrap()), (0o751, 0, 0));
        // Its time is another one on each engine, and the layer is to be the same.
        assert_eq!(found.mtime().unwrap(), 0);
        assert!(first_directory(&entry(tar::EntryType::Symlink, 0)).is_none());
        assert!(first_directory(&entry(tar::EntryType::Directory, 100_000)).is_none());
        assert!(first_directory(b"").is_none());
    }
}
