//! What is remembered of a hub that was taken out of the fleet: the volumes that its cluster used then.
//!
//! The directory is not hidden, so that whoever moves the states with `mv jhubs/*` takes it along, and it has a name that no
//! hub can have. Taking a hub out of `fleet.toml` does not end its cluster. Without the stone, all its users' volumes would look
//! orphaned from that moment on.

use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, HubName};
use crate::observed::{Claim, PersistentVolume, Tombstone};

fn directory(fleet: &Fleet) -> PathBuf {
    fleet.state_dir.join("_fleet/tombstones")
}

/// Where a hub's stone is.
pub fn path_of(fleet: &Fleet, hub: &HubName) -> PathBuf {
    directory(fleet).join(format!("{hub}.json"))
}

/// Sets one. What an earlier one of the name remembers stays remembered: that may have been another cluster.
pub fn set(fleet: &Fleet, mut stone: Tombstone) -> Result<(), Failure> {
    if let Some(earlier) = of(fleet, &stone.hub)? {
        stone.removed_at = stone.removed_at.min(earlier.removed_at);
        let (volumes, claims) = not_in(earlier, &stone.persistent_volumes, &stone.claims);
        stone.persistent_volumes.extend(volumes);
        stone.claims.extend(claims);
    }
    let failed = |error| Failure::failed(&error);
    files::private_dir(&directory(fleet)).map_err(failed)?;
    let text = serde_json::to_vec_pretty(&stone).map_err(|error| Failure::failed(&error))?;
    files::replace(&path_of(fleet, &stone.hub), &text, 0o600).map_err(failed)
}

/// What a stone remembers and a cluster does not have.
pub fn not_in(
    stone: Tombstone,
    volumes: &[PersistentVolume],
    claims: &[Claim],
) -> (Vec<PersistentVolume>, Vec<Claim>) {
    let Tombstone { hub: _, removed_at: _, persistent_volumes: mut old_volumes, claims: mut old_claims } =
        stone;
    let same = |a: &PersistentVolume, b: &PersistentVolume| a.name == b.name && a.volume_ids == b.volume_ids;
    old_volumes.retain(|old| !volumes.iter().any(|pv| same(pv, old)));
    old_claims.retain(|old| !claims.iter().any(|claim| claim.uid == old.uid));
    (old_volumes, old_claims)
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

/// The stone of a hub of that name, if there is one.
pub fn of(fleet: &Fleet, hub: &HubName) -> Result<Option<Tombstone>, Failure> {
    let path = path_of(fleet, hub);
    match std::fs::symlink_metadata(&path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => read(&path).map(Some),
    }
}

/// All stones of a fleet. One that cannot be read is an error: what it says must not be left out.
pub fn all(fleet: &Fleet) -> Result<Vec<Tombstone>, Failure> {
    let directory = directory(fleet);
    let unreadable = |source| unreadable(&directory, &source);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut stones = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            stones.push(read(&path)?);
        }
    }
    stones.sort_by(|a: &Tombstone, b| a.hub.cmp(&b.hub));
    Ok(stones)
}

fn read(path: &Path) -> Result<Tombstone, Failure> {
    let text = std::fs::read(path).map_err(|source| unreadable(path, &source))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(path, &error))
}

/// Whatever the reason: without it nobody can tell what is orphaned.
fn unreadable(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure {
        exit: Exit::CannotTell,
        problems: vec![format!("{} does not read: {error}", path.display())],
        hint: Some(
            "it keeps the volumes of a hub that was taken out of the fleet; mend it from a backup, or remove it if that cluster \
             is gone for good"
                .to_owned(),
        ),
    }
}
