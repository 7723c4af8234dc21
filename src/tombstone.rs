//! What is remembered of a hub that was taken out of the fleet: the volumes that its cluster used then.
//!
//! Taking a hub out of `fleet.toml` does not end its cluster. Without the stone, all its users' volumes would look
//! orphaned from that moment on.

use std::path::PathBuf;

use crate::exit::Failure;
use crate::files;
use crate::hub::{Fleet, HubName};
use crate::observed::Tombstone;

fn directory(fleet: &Fleet) -> PathBuf {
    fleet.state_dir.join(".tombstones")
}

/// Where a hub's stone is.
pub fn path_of(fleet: &Fleet, hub: &HubName) -> PathBuf {
    directory(fleet).join(format!("{hub}.json"))
}

/// Sets one.
pub fn set(fleet: &Fleet, stone: &Tombstone) -> Result<(), Failure> {
    let failed = |error| Failure::failed(&error);
    files::private_dir(&directory(fleet)).map_err(failed)?;
    let text = serde_json::to_vec_pretty(stone).map_err(|error| Failure::failed(&error))?;
    files::replace(&path_of(fleet, &stone.hub), &text, 0o600).map_err(failed)
}

/// Takes one away, if there is one.
pub fn remove(fleet: &Fleet, hub: &HubName) -> Result<(), Failure> {
    let path = path_of(fleet, hub);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::failed(&files::Error::new("remove", &path, source)))
        }
        _ => Ok(()),
    }
}

/// All stones of a fleet. One that cannot be read is an error: what it says must not be left out.
pub fn all(fleet: &Fleet) -> Result<Vec<Tombstone>, Failure> {
    let directory = directory(fleet);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Failure::failed(&files::Error::new("read", &directory, source))),
    };
    let mut stones = Vec::new();
    for entry in entries {
        let path =
            entry.map_err(|source| Failure::failed(&files::Error::new("read", &directory, source)))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read(&path)
            .map_err(|source| Failure::failed(&files::Error::new("read", &path, source)))?;
        let stone = serde_json::from_slice(&text).map_err(|error| {
            Failure { exit: crate::exit::Exit::CannotTell, problems: vec![format!("{} does not read: {error}", path.display())], hint: None }
                .hint("it keeps the volumes of a hub that was taken out of the fleet; mend it from a backup, or remove it if that cluster is gone for good")
        })?;
        stones.push(stone);
    }
    stones.sort_by(|a: &Tombstone, b| a.hub.cmp(&b.hub));
    Ok(stones)
}
