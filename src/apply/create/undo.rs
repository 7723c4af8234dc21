//! What has been made of a hub, to be taken away again.

use std::path::{Path, PathBuf};

use futures_util::future::OptionFuture;
use tokio::task::JoinHandle;

use crate::exit::{Failure, chain};
use crate::files;
use crate::interrupt::Interrupt;
use crate::sandbox::{Owner, SandboxSpec};
use crate::systems::docker::{self, Engine};

/// What has been made so far, to be taken away again if the rest fails.
#[derive(Debug, Default)]
pub(super) struct Undo {
    creating: Option<JoinHandle<Result<String, docker::Error>>>,
    pub(super) container: Option<String>,
    made: Vec<PathBuf>,
    /// Directories that other hubs may have begun to use meanwhile.
    shared: Vec<PathBuf>,
}

impl Undo {
    /// Makes a container. In a task of its own, which an interrupt does not cut off: the engine would go on and make it all
    /// the same, and nobody would know its id.
    pub(super) async fn make_container(
        &mut self,
        engine: &Engine,
        spec: SandboxSpec,
        interrupt: &Interrupt,
    ) -> Result<String, Failure> {
        // Whoever takes it away again has to know that it is there.
        let _hold = interrupt.hold();
        let engine = engine.clone();
        let creating = self.creating.insert(tokio::spawn(async move { engine.create(&spec).await }));
        let made = creating.await;
        self.creating = None;
        let id = made.map_err(|error| Failure::failed(&error))??;
        self.container = Some(id.clone());
        Ok(id)
    }

    /// Makes the directory of all states, and what is missing above it.
    pub(super) fn make_shared_dir(&mut self, dir: &Path) -> Result<(), Failure> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|above| !above.is_dir()).collect();
        for dir in missing.into_iter().rev() {
            files::private_dir(dir).map_err(|error| Failure::failed(&error))?;
            self.shared.push(dir.to_owned());
        }
        Ok(())
    }

    /// Makes a directory that only its owner reads, unless it is there.
    pub(super) fn make_dir(&mut self, dir: &Path) -> Result<(), Failure> {
        if dir.is_dir() {
            return Ok(());
        }
        files::private_dir(dir).map_err(|error| Failure::failed(&error))?;
        self.made.push(dir.to_owned());
        Ok(())
    }

    /// Makes a file; one that is there is replaced by the same content only.
    pub(super) fn make_file(
        &mut self,
        path: &Path,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
    ) -> Result<(), Failure> {
        let was_there = path.exists();
        files::replace(path, bytes, mode).map_err(|error| Failure::failed(&error))?;
        if !was_there {
            self.made.push(path.to_owned());
        }
        self.give(path, owner)
    }

    /// Gives what was just made to the one who owns the state: root may run fleet for somebody else.
    pub(super) fn give(&self, path: &Path, owner: Owner) -> Result<(), Failure> {
        if self.made.iter().any(|made| made == path) && owner_of(path)? != owner {
            std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))
                .map_err(|source| Failure::failed(&files::Error::new("give to its owner", path, source)))?;
        }
        Ok(())
    }

    /// Takes everything away, the last first. Returns what could not be.
    pub(super) async fn all(mut self, engine: &Engine) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(Ok(Ok(id))) = OptionFuture::from(self.creating.take()).await {
            self.container = Some(id);
        }
        if let Some(id) = self.container.take()
            && let Err(error) = engine.remove(&id).await
        {
            left.push(format!("and its container is still there: {}", chain(&error)));
        }
        for path in self.made.iter().rev() {
            // Directories were made empty by this run: what is in them came from the sandbox that has just gone.
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                left.push(format!("and {} is still there: {error}", path.display()));
            }
        }
        for dir in self.shared.iter().rev() {
            // One that is in use stays, and so do those above it.
            let _ = std::fs::remove_dir(dir);
        }
        left
    }
}

/// Whose a directory is.
pub(super) fn owner_of(path: &Path) -> Result<Owner, Failure> {
    Owner::of(path).map_err(|source| Failure::failed(&files::Error::new("look at", path, source)))
}
