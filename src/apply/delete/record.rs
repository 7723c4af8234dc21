//! Writing down what is done: before it is done, and once it is known how it went.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hub::HubName;
use crate::observed::Volume;
use crate::plan::orphans::{Planned, SecondLook};

use super::Outcome;

/// Where it is written down. The real one is a file; tests have others. An entry counts once the future is ready: then no
/// crash and no power cut loses it.
pub trait Record: Sync {
    /// That a deletion is sent now. If this fails, it is not sent. The error says why, in one line.
    fn deleting(&self, about: &Deleting<'_>) -> impl Future<Output = Result<(), String>> + Send;

    /// What became of a volume. If this fails, nothing more is sent.
    fn over(&self, planned: &Planned, outcome: &Outcome) -> impl Future<Output = Result<(), String>> + Send;
}

/// What is written down before a deletion is sent.
#[derive(Debug)]
pub struct Deleting<'a> {
    /// The volume as it was when that was decided.
    pub planned: &'a Planned,
    /// The same as the second look saw it.
    pub volume: &'a Volume,
    /// What the second look rests on.
    pub evidence: Evidence,
}

/// What a second look rests on: that none of these PVs refers to the volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Every hub of the fleet.
    pub hubs: Vec<Asked>,
    /// When they were asked.
    pub hubs_asked_at: Timestamp,
    /// When the project was asked for its snapshots.
    pub snapshots_asked_at: Timestamp,
    /// When the project was asked for the volume.
    pub volume_asked_at: Timestamp,
}

/// A hub that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The hub.
    pub hub: HubName,
    /// How many PVs its cluster has.
    pub persistent_volumes: usize,
    /// How many claims.
    pub claims: usize,
}

impl Asked {
    pub(super) fn all(look: &SecondLook) -> Vec<Self> {
        let asked = look.asked().map(|cluster| Self {
            hub: cluster.hub.clone(),
            persistent_volumes: cluster.persistent_volumes.len(),
            claims: cluster.claims.len(),
        });
        asked.collect()
    }
}
