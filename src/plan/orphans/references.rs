//! Which PVs and claims refer to a volume.
//!
//! Whatever a PV and a volume have in common counts: a UUID in the PV's name or handle that is also in the volume's id
//! or name, or a name or handle that is the volume's whole name or id. So does a claim: by its own id, which the volume
//! that was made for it is named after, and by the PV that it asks for, also where that PV is gone. A volume that is taken
//! for used without need is kept; one that is taken for unused is gone.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::hub::HubName;
use crate::observed::{Claim, ClusterVolumes, PersistentVolume, Volume};
use crate::text::count;

use super::By;
use super::claim_name::{folded, uuids_in};

/// A PV's or a claim's place among the clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    cluster: u32,
    item: Item,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Pv(u32),
    Claim(u32),
}

/// How many of a UUID's bits lead straight to those that share them: a search among all of 180,000 would look at 18 places in
/// memory far from each other, for each volume twice.
const FIRST_BITS: u32 = 14;

fn first_bits(uuid: u128) -> usize {
    // No more than the bits that are left.
    usize::try_from(uuid >> (u128::BITS - FIRST_BITS)).unwrap_or(0)
}

/// Where to find the PVs and claims that mention a UUID, or that have a name or handle without one. Made once for a view: looking
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
    /// Reads every PV and every claim once.
    pub fn new(clusters: &[ClusterVolumes]) -> Self {
        let mut index = Self { uuids: Vec::new(), starts: Vec::new(), texts: HashMap::new() };
        for (cluster, seen) in (0u32..).zip(clusters) {
            for (number, pv) in (0u32..).zip(&seen.persistent_volumes) {
                let place = Place { cluster, item: Item::Pv(number) };
                index.add(pv.volume_ids.iter().chain([&pv.name]), place);
            }
            for (number, claim) in (0u32..).zip(&seen.claims) {
                let place = Place { cluster, item: Item::Claim(number) };
                index.add(claim.volume_name.iter().chain([&claim.uid]), place);
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

    fn add<'t>(&mut self, texts: impl Iterator<Item = &'t String>, place: Place) {
        for text in texts.filter(|text| !text.is_empty()) {
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

/// What refers to a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Referrer<'v> {
    Pv(&'v PersistentVolume, By),
    /// One whose PV does not refer to the volume, because it is gone, or not there yet.
    Claim(&'v Claim),
}

/// A PV or a claim that refers to a volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference<'v> {
    pub(super) hub: &'v HubName,
    /// When the hub was taken out of the fleet; then it is what its cluster had at that time.
    pub(super) removed_at: Option<Timestamp>,
    pub(super) referrer: Referrer<'v>,
}

impl<'v> Reference<'v> {
    /// The same for every order in which PVs and claims were listed.
    fn order(&self) -> impl Ord + use<'v> {
        match self.referrer {
            Referrer::Pv(pv, by) => {
                let of = pv.claim.as_ref().map(|claim| (claim.namespace.as_str(), claim.name.as_str()));
                (by as u8, self.hub, pv.name.as_str(), pv.phase.as_str(), of, pv.reclaim_policy.as_str())
            }
            // After all PVs.
            Referrer::Claim(claim) => {
                let of = Some((claim.namespace.as_str(), claim.name.as_str()));
                (u8::MAX, self.hub, claim.uid.as_str(), claim.phase.as_str(), of, "")
            }
        }
    }
}

/// All PVs and claims of a view, with their index.
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

    /// What was asked for references, in words.
    pub(super) fn looked_at(&self) -> String {
        let all = |removed: bool| {
            let of = |cluster: &&ClusterVolumes| cluster.removed_at.is_some() == removed;
            let clusters = self.clusters.iter().filter(of);
            let (pvs, claims) = clusters.fold((0, 0), |(pvs, claims), cluster| {
                (pvs + cluster.persistent_volumes.len(), claims + cluster.claims.len())
            });
            format!("{} and {}", count(pvs as u64, "PV"), count(claims as u64, "claim"))
        };
        let remembered = match self.clusters.len() - self.hubs() {
            0 => String::new(),
            hubs => format!(", nor any of {} that {} had", all(true), count(hubs as u64, "removed hub")),
        };
        format!("none of {} in {} refers to it{remembered}", all(false), count(self.hubs() as u64, "hub"))
    }

    /// The hub that was taken out of the fleet first, of those that are remembered.
    pub(super) fn first_removed(&self) -> Option<(&'v HubName, Timestamp)> {
        let removed = self.clusters.iter().filter_map(|cluster| Some((&cluster.hub, cluster.removed_at?)));
        removed.min_by_key(|(hub, at)| (*at, *hub))
    }

    /// Everything that refers to a volume: PVs that have its id first, claims last.
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
        without_bound_claims(references)
    }

    fn at(&self, by: By, place: Place) -> Option<Reference<'v>> {
        let cluster = self.clusters.get(usize::try_from(place.cluster).ok()?)?;
        let referrer = match place.item {
            Item::Pv(number) => {
                Referrer::Pv(cluster.persistent_volumes.get(usize::try_from(number).ok()?)?, by)
            }
            Item::Claim(number) => Referrer::Claim(cluster.claims.get(usize::try_from(number).ok()?)?),
        };
        Some(Reference { hub: &cluster.hub, removed_at: cluster.removed_at, referrer })
    }
}

/// A claim says nothing new where its own PV is among what refers to the volume.
fn without_bound_claims(mut references: Vec<Reference<'_>>) -> Vec<Reference<'_>> {
    let bound: Vec<_> = references
        .iter()
        .filter_map(|reference| match reference.referrer {
            Referrer::Pv(pv, _) => Some((reference.hub, reference.removed_at, pv.claim.as_ref()?)),
            Referrer::Claim(_) => None,
        })
        .collect();
    references.retain(|reference| match reference.referrer {
        Referrer::Pv(..) => true,
        Referrer::Claim(claim) => !bound.iter().any(|(hub, removed_at, of)| {
            *hub == reference.hub
                && *removed_at == reference.removed_at
                && (&of.namespace, &of.name) == (&claim.namespace, &claim.name)
        }),
    });
    references
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::orphans::samples::{claim, now, pv, view};

    #[test]
    fn a_uuids_first_bits_are_its_first_14() {
        assert_eq!(first_bits(0x0003_ffff_ffff_ffff_ffff_ffff_ffff_ffff), 0);
        assert_eq!(first_bits(0x0004_0000_0000_0000_0000_0000_0000_0000), 1);
        assert_eq!(first_bits(u128::MAX), (1 << 14) - 1);
    }

    #[test]
    fn what_was_looked_at_is_told_in_numbers() {
        let mut view = view(vec![], vec![vec![pv(1), pv(2)], vec![pv(3)], vec![pv(4), pv(5), pv(6), pv(7)]]);
        view.clusters[0].claims = vec![claim(1)];
        view.clusters[1].claims = vec![claim(2), claim(3)];
        view.clusters[2].claims = vec![claim(4)];
        let index = Index::new(&view.clusters);
        let all = References::new(&view.clusters, &index).looked_at();
        assert_eq!(all, "none of 7 PVs and 4 claims in 3 hubs refers to it");
        view.clusters[2].removed_at = Some(now());
        let some = References::new(&view.clusters, &index).looked_at();
        assert_eq!(
            some,
            "none of 3 PVs and 3 claims in 2 hubs refers to it, nor any of 4 PVs and 1 claim that 1 removed hub had"
        );
    }
}
