//! Every claim of every hub, with the Cinder volume that it leads to.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::sync::SetOnce;

use super::clusters::{through_tunnel, unseen, used};
use super::sandboxes::Sandboxes;
use crate::hub::{Fleet, Hub, HubName};
use crate::observed::{Claim, Unseen};
use crate::systems::wire::Route;

/// A claim with the Cinder volume that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ClaimRow {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// The id of the volume behind its PV.
    pub volume_id: Option<String>,
}

/// All claims of the chosen hubs, with the volume id of each PV, in the order of the hubs.
///
/// The clusters are asked while the engine is still looking for its sandboxes: where all is well, nobody waits for it.
/// A hub that does not answer, or has not yet, is held against what the engine found, which knows the cause.
pub async fn look_at_claims(
    fleet: &Fleet,
    sandboxes: &SetOnce<Sandboxes>,
    hubs: &[&Hub],
) -> (Vec<(HubName, Vec<ClaimRow>)>, Vec<Unseen>) {
    let asked = join_all(hubs.iter().map(|hub| async {
        let answer = tokio::select! {
            biased;
            answer = claims_of(fleet, sandboxes, hub) => answer,
            cause = not_running(fleet, sandboxes, hub) => Err(cause),
        };
        match answer {
            Ok(rows) => Ok((hub.name.clone(), rows)),
            Err(missing) => Err(sandboxes.wait().await.running(fleet, hub).err().unwrap_or(missing)),
        }
    }))
    .await;
    let (mut seen, mut missing) = (Vec::new(), Vec::new());
    for answer in asked {
        match answer {
            Ok(answer) => seen.push(answer),
            Err(one) => missing.push(one),
        }
    }
    (seen, missing)
}

/// Why a hub cannot answer, once the engine has said so; for ever where its sandbox runs.
async fn not_running(fleet: &Fleet, sandboxes: &SetOnce<Sandboxes>, hub: &Hub) -> Unseen {
    match sandboxes.wait().await.running(fleet, hub) {
        Err(cause) => cause,
        Ok(_) => std::future::pending().await,
    }
}

async fn claims_of(
    fleet: &Fleet,
    sandboxes: &SetOnce<Sandboxes>,
    hub: &Hub,
) -> Result<Vec<ClaimRow>, Unseen> {
    // The way to one on another machine may be through its sandbox.
    let route = if fleet.may_be_elsewhere(hub) {
        sandboxes.wait().await.route(fleet, hub)
    } else {
        Route::from(&hub.api_socket())
    };
    let cluster = through_tunnel(fleet, hub, route).await?;
    let (volumes, claims) = used(&cluster).await.map_err(|error| unseen(&hub.name, &error))?;
    let mut ids: BTreeMap<String, Vec<String>> =
        volumes.into_iter().map(|volume| (volume.name, volume.volume_ids)).collect();
    let rows = claims.into_iter().map(|claim| {
        let ids = claim.volume_name.as_ref().and_then(|name| ids.remove(name)).unwrap_or_default();
        ClaimRow { claim, volume_id: ids.into_iter().next() }
    });
    Ok(rows.collect())
}
