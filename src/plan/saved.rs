//! Saved plans: what could be deleted at some time, kept for review, and whether it may still be applied.
//!
//! A saved plan decides nothing alone. What is deleted is what is in it **and** in a plan made from a fresh scan
//! ([`Deletions::only`](crate::plan::orphans::Deletions::only)), so nothing that is written into a plan by hand can make
//! fleet delete what is no orphan.
//!
//! Still, every volume in it has a seal: a digest of the volume as it was seen and of what the plan says of itself. A
//! digest of the whole would hinder: reviewers are invited to take volumes out, in an editor or with `jq`. A digest of
//! each does not, and it tells the slips from the changes: a volume that was copied over from another plan (and so was
//! never reviewed in this one, or expired in the other), a time that was put off, a value that was overwritten. It is
//! no signature. Whoever can write the file and run fleet may delete orphans anyway.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hub::HubName;
use crate::observed::{ProjectKey, Volume, VolumeView};
use crate::text::hex;

use super::orphans::{Decided, OrphanPlan};

/// The version of the format that this fleet writes and reads. Every field of it is in the seals, so that a field that
/// is added makes another version.
pub const VERSION: u64 = 1;

/// What a plan says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// The fleet's name.
    pub fleet: String,
    /// When the view was complete that the plan was made from, in whole seconds.
    pub made_at: Timestamp,
    /// From when on it is not applied any more.
    pub expires_at: Timestamp,
    /// The hubs that were asked.
    pub hubs: Vec<AskedHub>,
}

/// A hub that was asked for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedHub {
    /// The hub.
    pub hub: HubName,
    /// How many PVs its cluster had.
    pub persistent_volumes: u64,
}

/// A plan that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPlan {
    /// What it says of itself.
    pub terms: Terms,
    /// The volumes that are left in it.
    pub volumes: Vec<Decided>,
}

impl Terms {
    /// The terms of a plan that is made from a view.
    pub fn new(fleet: &str, view: &VolumeView, lifetime: Duration) -> Self {
        // People read and compare these; nobody needs the nanoseconds.
        let made_at = Timestamp::from_second(view.seen_at.as_second()).unwrap_or(view.seen_at);
        let mut hubs: Vec<AskedHub> = view
            .clusters
            .iter()
            .filter(|cluster| cluster.removed_at.is_none())
            .map(|cluster| AskedHub {
                hub: cluster.hub.clone(),
                persistent_volumes: cluster.persistent_volumes.len() as u64,
            })
            .collect();
        hubs.sort_by(|a, b| a.hub.cmp(&b.hub));
        Self { fleet: fleet.to_owned(), made_at, expires_at: after(made_at, lifetime), hubs }
    }

    /// The digest of a volume in a plan of these terms, in hexadecimal. The project's name is not in it: projects are
    /// known by their keys.
    pub fn seal(&self, decided: &Decided) -> String {
        #[derive(Serialize)]
        struct Sealed<'a> {
            fleet_plan: u64,
            terms: &'a Terms,
            project: &'a ProjectKey,
            volume: &'a Volume,
        }
        let Decided { project, volume } = decided;
        let sealed = Sealed { fleet_plan: VERSION, terms: self, project: &project.key, volume };
        // The fields in their order, and maps by key: the same bytes for the same values, whatever the file looks like.
        // Values like these are always written.
        let bytes = serde_json::to_vec(&sealed).unwrap_or_default();
        hex(&Sha256::digest(&bytes))
    }

    /// Why a plan of these terms may not be applied by a fleet of this name, in which plans live so long. Empty where
    /// nothing speaks against it.
    pub fn refusals(&self, fleet: &str, lifetime: Duration, now: Timestamp) -> Vec<String> {
        let mut refusals = Vec::new();
        if self.fleet != fleet {
            refusals.push(format!("it is a plan of the fleet {:?}, and this one is {fleet:?}", self.fleet));
        }
        // What was allowed when it was saved, and what is allowed now: whichever is less.
        let expires_at = self.expires_at.min(after(self.made_at, lifetime));
        if self.made_at > now {
            refusals.push(format!("it was made in the future, at {}: a clock is wrong", self.made_at));
        } else if expires_at <= now {
            refusals.push(format!("it expired at {expires_at}, {} ago", ago(expires_at, now)));
        }
        refusals
    }

    /// The hubs that were asked for this plan, and are not among those that were asked now. Their users' volumes were
    /// kept by what they said, and now nobody says it.
    pub fn not_asked_again(&self, fresh: &OrphanPlan<'_>) -> Vec<HubName> {
        let asked: BTreeSet<&HubName> = fresh.hubs().collect();
        self.hubs.iter().map(|asked| &asked.hub).filter(|hub| !asked.contains(hub)).cloned().collect()
    }
}

fn after(made_at: Timestamp, lifetime: Duration) -> Timestamp {
    SignedDuration::try_from(lifetime)
        .ok()
        .and_then(|lifetime| made_at.checked_add(lifetime).ok())
        .unwrap_or(Timestamp::MAX)
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    let hours = now.duration_since(then).as_hours();
    match hours {
        0 => "less than an hour".to_owned(),
        1 => "1 hour".to_owned(),
        2..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Metadata;
    use crate::plan::orphans::plan;
    use crate::plan::orphans::samples::{hub, now, project, pv, rules, view, volume};

    const DAY: Duration = Duration::from_hours(24);

    fn terms() -> Terms {
        Terms::new("science", &view(vec![volume(1)], vec![vec![pv(2), pv(3)], vec![]]), DAY)
    }

    fn later(seconds: i64) -> Timestamp {
        now() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_plan_says_whom_it_is_of_and_who_was_asked() {
        let asked = |name: &str, persistent_volumes| AskedHub { hub: hub(name), persistent_volumes };
        let Terms { fleet, made_at, expires_at, hubs } = terms();
        assert_eq!(fleet, "science");
        assert_eq!((made_at, expires_at), (now(), later(86_400)));
        assert_eq!(hubs, [asked("hub-0", 2), asked("hub-1", 0)]);
    }

    #[test]
    fn what_a_removed_hub_used_is_no_answer_of_it() {
        let mut view = view(vec![], vec![vec![pv(2)], vec![pv(3)]]);
        view.clusters[0].removed_at = Some(now());
        assert_eq!(Terms::new("science", &view, DAY).hubs.len(), 1);
    }

    #[test]
    fn a_plan_is_applied_from_when_it_was_made_until_it_expires() {
        let refused = |now| terms().refusals("science", DAY, now);
        assert_eq!(refused(now()), [""; 0]);
        assert_eq!(refused(later(86_399)), [""; 0]);
        assert_eq!(refused(later(86_400)), ["it expired at 2026-03-02T12:00:00Z, less than an hour ago"]);
        assert_eq!(refused(later(86_400 + 3_700)), ["it expired at 2026-03-02T12:00:00Z, 1 hour ago"]);
        assert_eq!(refused(later(30 * 86_400)), ["it expired at 2026-03-02T12:00:00Z, 29 days ago"]);
        assert_eq!(refused(later(86_400 + 47 * 3_600)), ["it expired at 2026-03-02T12:00:00Z, 47 hours ago"]);
        assert_eq!(refused(later(3 * 86_400)), ["it expired at 2026-03-02T12:00:00Z, 2 days ago"]);
        assert_eq!(
            refused(later(-1)),
            ["it was made in the future, at 2026-03-01T12:00:00Z: a clock is wrong"]
        );
    }

    #[test]
    fn a_shorter_life_holds_for_plans_that_were_saved_before_and_a_longer_one_does_not() {
        let refused = |lifetime, now| !terms().refusals("science", lifetime, now).is_empty();
        assert!(refused(DAY / 2, later(43_200)));
        assert!(!refused(DAY / 2, later(43_199)));
        assert!(refused(DAY * 2, later(86_400)));
    }

    #[test]
    fn a_life_without_an_end_is_no_trouble() {
        let terms = Terms::new("science", &view(vec![], vec![vec![]]), Duration::MAX);
        assert_eq!(terms.refusals("science", Duration::MAX, later(1)), [""; 0]);
    }

    #[test]
    fn everything_that_is_wrong_with_a_plan_is_told_at_once() {
        let wrong = terms().refusals("other", DAY, later(-1));
        assert_eq!(wrong[0], "it is a plan of the fleet \"science\", and this one is \"other\"");
        assert_eq!(wrong.len(), 2);
    }

    #[test]
    fn a_hub_that_was_asked_then_and_not_now_is_told() {
        let (without, with) = (view(vec![], vec![vec![]]), view(vec![], vec![vec![], vec![], vec![]]));
        let missing = |view| terms().not_asked_again(&plan(view, &rules()));
        assert_eq!(missing(&without), [hub("hub-1")]);
        assert_eq!(missing(&with), []);
    }

    #[test]
    fn a_seal_is_of_every_field_and_of_the_plan() {
        let decided = |volume| Decided { project: project("alpha"), volume };
        let seal = terms().seal(&decided(volume(1)));
        assert_eq!(seal.len(), 64);
        assert_eq!(terms().seal(&decided(volume(1))), seal);
        let others = [
            Volume { id: "x".to_owned(), ..volume(1) },
            Volume { name: "x".to_owned(), ..volume(1) },
            Volume { status: "x".to_owned(), ..volume(1) },
            Volume { size_gib: 1, ..volume(1) },
            Volume { created_at: None, ..volume(1) },
            Volume { attachments: vec!["x".to_owned()], ..volume(1) },
            Volume { metadata: Metadata::new(), ..volume(1) },
            Volume { bootable: true, ..volume(1) },
        ];
        for other in others {
            assert_ne!(terms().seal(&decided(other.clone())), seal, "{other:?}");
        }
        assert_ne!(terms().seal(&Decided { project: project("beta"), volume: volume(1) }), seal);
        let mut renamed = project("alpha");
        renamed.name = "another name".to_owned();
        assert_eq!(terms().seal(&Decided { project: renamed, volume: volume(1) }), seal);
        for other in [
            Terms { fleet: "other".to_owned(), ..terms() },
            Terms { made_at: later(1), ..terms() },
            Terms { expires_at: later(1), ..terms() },
            Terms { hubs: vec![], ..terms() },
        ] {
            assert_ne!(other.seal(&decided(volume(1))), seal, "{other:?}");
        }
    }
}
