//! Which PVs refer to a volume.
//!
//! Whatever a PV and a volume have in common counts: a UUID in the PV's name or handle that is also in the volume's id
//! or name, or a name or handle that is the volume's whole name or id. A volume that is taken for used without need is
//! kept; one that is taken for unused is gone.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::hub::HubName;
use crate::observed::{ClusterVolumes, PersistentVolume, Volume};

use super::By;
use super::claim_name::{folded, uuids_in};

/// A PV's place among the clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    cluster: u32,
    pv: u32,
}

/// How many of a UUID's bits lead straight to those that share them: a search among all of 180,000 would look at 18 places in
/// memory far from each other, for each volume twice.
const FIRST_BITS: u32 = 14;

fn first_bits(uuid: u128) -> usize {
    // No more than the bits that are left.
    usize::try_from(uuid >> (u128::BITS - FIRST_BITS)).unwrap_or(0)
}

/// Where to find the PVs that mention a UUID, or that have a name or handle without one. Made once for a view: looking
/// at every PV for every volume would take 9,000,000,000 comparisons for 100,000 volumes.
#[derive(Debug)]
pub struct Index {
    /// Sorted.
    uuids: Vec<(u128, Place)>,
    /// Where in them the UUIDs begin that have the same first bits, by those bits; one more at the end.
    starts: Vec<usize>,
    texts: HashMap<String, Vec<Place>>,
}

impl Index {
    /// Reads every PV once.
    pub fn new(clusters: &[ClusterVolumes]) -> Self {
        let mut index = Self { uuids: Vec::new(), starts: Vec::new(), texts: HashMap::new() };
        for (cluster, pvs) in (0u32..).zip(clusters) {
            for (pv, found) in (0u32..).zip(&pvs.persistent_volumes) {
                index.add(found, Place { cluster, pv });
            }
        }
        index.uuids.sort_unstable();
        index.uuids.dedup();
        let mut starts = vec![0; (1 << FIRST_BITS) + 1];
        for (uuid, _) in &index.uuids {
            starts[first_bits(*uuid) + 1] += 1;
        }
        for bits in 0..1 << FIRST_BITS {
            starts[bits + 1] += starts[bits];
        }
        index.starts = starts;
        index
    }

    fn add(&mut self, pv: &PersistentVolume, place: Place) {
        for text in pv.volume_ids.iter().chain([&pv.name]).filter(|text| !text.is_empty()) {
            let before = self.uuids.len();
            self.uuids.extend(uuids_in(text).map(|uuid| (uuid, place)));
            if self.uuids.len() == before {
                self.texts.entry(folded(text).into_owned()).or_default().push(place);
            }
        }
    }

    fn find(&self, text: &str) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        let mut has_uuid = false;
        for uuid in uuids_in(text) {
            has_uuid = true;
            let bits = first_bits(uuid);
            let near = &self.uuids[self.starts[bits]..self.starts[bits + 1]];
            let from = near.partition_point(|(known, _)| *known < uuid);
            places
                .extend(near[from..].iter().take_while(|(known, _)| *known == uuid).map(|(_, place)| *place));
        }
        if !has_uuid {
            places.extend(self.texts.get(folded(text).as_ref()).into_iter().flatten());
        }
        places
    }
}

/// A PV that refers to a volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference<'v> {
    pub(super) hub: &'v HubName,
    /// When the hub was taken out of the fleet; then the PV is one that its cluster had at that time.
    pub(super) removed_at: Option<Timestamp>,
    pub(super) pv: &'v PersistentVolume,
    pub(super) by: By,
}

impl<'v> Reference<'v> {
    /// The same for every order in which the PVs were listed.
    fn order(&self) -> impl Ord + use<'v> {
        (self.by, self.hub, &self.pv.name, &self.pv.phase, &self.pv.claim, &self.pv.reclaim_policy)
    }
}

/// All PVs of a view, with their index.
#[derive(Debug, Clone, Copy)]
pub(super) struct References<'v, 'i> {
    clusters: &'v [ClusterVolumes],
    index: &'i Index,
}

impl<'v, 'i> References<'v, 'i> {
    /// The index has to be of these clusters.
    pub(super) fn new(clusters: &'v [ClusterVolumes], index: &'i Index) -> Self {
        Self { clusters, index }
    }

    /// How many hubs were asked.
    pub(super) fn hubs(&self) -> usize {
        self.clusters.iter().filter(|cluster| cluster.removed_at.is_none()).count()
    }

    /// The hub that was taken out of the fleet first, of those that are remembered.
    pub(super) fn first_removed(&self) -> Option<(&'v HubName, Timestamp)> {
        let removed = self.clusters.iter().filter_map(|cluster| Some((&cluster.hub, cluster.removed_at?)));
        removed.min_by_key(|(hub, at)| (*at, *hub))
    }

    /// Every PV that refers to a volume, those that have its id first.
    pub(super) fn to(&self, volume: &Volume) -> Vec<Reference<'v>> {
        let mut places: Vec<(By, Place)> =
            self.index.find(&volume.id).into_iter().map(|place| (By::Id, place)).collect();
        for place in self.index.find(&volume.name) {
            if !places.iter().any(|(_, known)| *known == place) {
                places.push((By::Name, place));
            }
        }
        let mut references: Vec<Reference<'v>> =
            places.into_iter().filter_map(|(by, place)| self.at(by, place)).collect();
        references.sort_by(|a, b| a.order().cmp(&b.order()));
        references
    }

    fn at(&self, by: By, place: Place) -> Option<Reference<'v>> {
        let cluster = self.clusters.get(usize::try_from(place.cluster).ok()?)?;
        let pv = cluster.persistent_volumes.get(usize::try_from(place.pv).ok()?)?;
        Some(Reference { hub: &cluster.hub, removed_at: cluster.removed_at, pv, by })
    }
}
