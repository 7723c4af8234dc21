//! A hub's image with a layer of fleet's on it: what is brought into each sandbox, once for all of them. An engine brings files into
//! a container by starting itself again and mounting the container, which is four fifths of the time that making one takes.
//!
//! The image is described here and loaded without what the engine has of it already, so its id, which is the hash of what it is, is
//! known before. An engine that has that id has that image, and one that does not take it gets each sandbox's files one by one.

use std::collections::HashMap;

use bollard::models::{ImageConfig, ImageInspect};
use bollard::query_parameters::{
    DownloadFromContainerOptions, ImportImageOptions, ListImagesOptions, RemoveImageOptions,
};
use futures_util::TryStreamExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::create::archive;
use super::{Connection, Error};
use crate::sandbox::{Owner, SandboxSpec, labels, paths, with_operator};
use crate::text::hex;

/// As much of an archive as has its first header for sure.
const BEGINNING: usize = 16 << 10;

/// What an engine is known to have, by the image's id and who sandboxes of it run as.
pub(super) type Layers = HashMap<(String, Owner), Layer>;

/// Whether sandboxes of an image can be made with fleet's layer.
#[derive(Debug, Clone)]
pub(super) enum Layer {
    /// One was made without, this container, in which the rest can be looked up.
    Unmade(String),
    /// From this image.
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
    /// The name of the image of that id with fleet's layer on it, which is loaded where the engine does not have it. `None` where
    /// it cannot be made.
    pub(super) async fn layered(
        &self,
        spec: &SandboxSpec,
        image: &str,
        container: &str,
    ) -> Result<Option<String>, Error> {
        let Some(passwd) = self.known_users(image) else { return Ok(None) };
        let base = self.ask(|| format!("look at image {image}"), self.docker.inspect_image(image)).await?;
        let mut parents = Vec::new();
        for path in ["/etc", parent(paths::HOME), parent(paths::PROGRAMS)] {
            let Some(header) = self.directory(container, path).await? else { return Ok(None) };
            parents.push((path, header));
        }
        let files = archive(spec, &with_operator(&passwd, spec.owner), &parents);
        let Some(layered) = files.ok().and_then(|files| layered(&base, &spec.image, &files)) else {
            return Ok(None);
        };
        if self.image_id(&layered.tag).await?.as_ref() != Some(&layered.id) {
            let options = ImportImageOptions { quiet: true, ..Default::default() };
            let body = bollard::body_full(layered.archive.into());
            let loading = self.docker.import_image(options, body, None).try_for_each(async |_| Ok(()));
            self.ask(|| format!("load image {}", layered.tag), loading).await?;
            if self.image_id(&layered.tag).await?.as_ref() != Some(&layered.id) {
                // Ids are something else on this engine.
                self.remove_image(&layered.tag).await?;
                return Ok(None);
            }
            self.clear_layers(Some(&layered.id)).await?;
        }
        Ok(Some(layered.tag))
    }

    /// Removes the images with fleet's layer that no container was made from.
    pub async fn clear_layers(&self, but: Option<&str>) -> Result<(), Error> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::IMAGE.to_owned()])]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let images = self.ask(|| "list images".to_owned(), self.docker.list_images(Some(options))).await?;
        for image in images.into_iter().filter(|image| Some(image.id.as_str()) != but) {
            // What somebody has built on one, or named, is theirs.
            if let [tag] = &image.repo_tags[..]
                && tag.rsplit(':').next() == Some(&tag_of(&image.id))
            {
                // The engine refuses where there is a container of it.
                let _ = self.remove_image(tag).await;
            }
        }
        Ok(())
    }

    /// Removes an image, and nothing that it is built on.
    async fn remove_image(&self, tag: &str) -> Result<(), Error> {
        let options = RemoveImageOptions { force: false, noprune: true, ..Default::default() };
        let removing = self.docker.remove_image(tag, Some(options), None);
        self.ask(|| format!("remove image {tag}"), removing).await.map(|_| ())
    }

    /// Whose a directory in a container is, and its mode. `None` where there is something else.
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
    // Without its time, which is when files were brought into this container.
    let header = directory_header(found.mode().ok()? & 0o7777, found.uid().ok()?, found.gid().ok()?);
    found.entry_type().is_dir().then_some(header)
}

fn directory_header(mode: u32, uid: u64, gid: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(0);
    header
}

/// The directory above one of fleet's, which is in the root.
fn parent(path: &'static str) -> &'static str {
    path.rsplit_once('/').map_or("/", |(above, _)| above)
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
    let mut description = json!({
        "architecture": base.architecture,
        "os": base.os,
        "created": base.created,
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": [{ "created": base.created, "created_by": "fleet", "comment": format!("on {base_id}") }],
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
        let header = directory_header(0o711, 0, 0);
        let parents =
            ["/etc", parent(paths::HOME), parent(paths::PROGRAMS)].map(|path| (path, header.clone()));
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
    fn what_is_no_directory_is_not_taken_for_one() {
        let entry = |kind: tar::EntryType| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = directory_header(0o755, 7, 8);
            header.set_mtime(1);
            header.set_entry_type(kind);
            archive.append_data(&mut header, "home", &[][..]).unwrap();
            archive.into_inner().unwrap()
        };
        let found = first_directory(&entry(tar::EntryType::Directory)).unwrap();
        assert_eq!((found.mode().unwrap(), found.uid().unwrap(), found.gid().unwrap()), (0o755, 7, 8));
        assert_eq!(found.mtime().unwrap(), 0);
        assert!(first_directory(&entry(tar::EntryType::Symlink)).is_none());
        assert!(first_directory(b"").is_none());
    }
}
