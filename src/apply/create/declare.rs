//! Writes a hub into fleet.toml, and forgets what is remembered of one of its name as far as its cluster says all of that itself.

use super::Event;
use crate::config::{self, NewHub};
use crate::exit::Failure;
use crate::hub::{Fleet, Hub};
use crate::observe::Sandboxes;
use crate::systems::docker::Engine;
use crate::systems::kube::{self, Cluster};
use crate::tombstone;

pub(in crate::apply) async fn declare(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    new: &NewHub,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let stone = stone_of(engine, fleet, hub).await?;
    config::add_hub(&fleet.path, new)?;
    match stone {
        // One that cannot be removed keeps more than it has to, and that is all.
        Stone::Superseded if tombstone::remove(fleet, &hub.name).is_ok() => {}
        Stone::Superseded | Stone::StillNeeded => {
            tell(Event::StoneKept(&tombstone::path_of(fleet, &hub.name)));
        }
        Stone::None => {}
    }
    Ok(())
}

/// What is remembered of a hub of this name that was taken out of the fleet.
enum Stone {
    None,
    /// The cluster has all of it, so it says it by itself from now on.
    Superseded,
    /// The cluster does not have all of it: it may be another cluster, and the first may still be there.
    StillNeeded,
}

async fn stone_of(engine: &Engine, fleet: &Fleet, hub: &Hub) -> Result<Stone, Failure> {
    let Some(stone) = tombstone::of(fleet, &hub.name)? else { return Ok(Stone::None) };
    let way = Sandboxes::look(engine, fleet).await?.route(fleet, hub);
    let asked = async {
        let limit = fleet.timeouts.kubernetes;
        let cluster = Cluster::connect(&hub.kubeconfig(), way, limit).await?;
        Ok::<_, kube::Error>((cluster.persistent_volumes().await?, cluster.claims().await?))
    };
    let (volumes, claims) = asked.await.map_err(|error| Failure::failed(&error))?;
    // One that remembers nothing says nothing of which cluster it was.
    let says_nothing = stone.persistent_volumes.is_empty();
    let (more_volumes, more_claims) = tombstone::not_in(stone, &volumes, &claims);
    let superseded = !says_nothing && more_volumes.is_empty() && more_claims.is_empty();
    Ok(if superseded { Stone::Superseded } else { Stone::StillNeeded })
}
