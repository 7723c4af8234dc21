//! The numbers on the page, counted from the plan in one pass. Nothing is judged here.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::hub::HubName;
use crate::observed::Project;
use crate::plan::orphans::{Class, Evidence, Judged, OrphanPlan, Total};

use super::{candidate_class, user};

/// Ages are counted up to these many days; what is older comes last.
const UP_TO_DAYS: [(i64, &str); 7] = [
    (7, "under 7 days"),
    (30, "7 to 30 days"),
    (90, "30 to 90 days"),
    (180, "90 to 180 days"),
    (365, "180 to 365 days"),
    (730, "1 to 2 years"),
    (i64::MAX, "over 2 years"),
];

/// See the module.
pub(super) struct Figures<'v> {
    /// All volumes.
    pub(super) all: Total,
    /// What is, or may be, orphaned.
    pub(super) candidates: Total,
    /// How much each hub uses, and what no hub uses, by class.
    pub(super) by_hub: BTreeMap<Place<'v>, BTreeMap<Class, Total>>,
    /// How much of what may be orphaned is how old: every age, also those that nothing has.
    pub(super) ages: Vec<(&'static str, Total)>,
    /// Users of what may be orphaned, who have most first.
    pub(super) users: Vec<(&'v str, UserTotal)>,
    /// What may be orphaned and was made for nobody that is known.
    pub(super) of_nobody: Total,
    /// How many volumes of each project each hub uses.
    pub(super) volumes_of: BTreeMap<&'v HubName, u64>,
}

/// Where a volume is used: by a hub, or, without one, by none.
pub(super) type Place<'v> = (&'v Project, Option<&'v HubName>);

/// What may be orphaned of one user.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UserTotal {
    pub(super) total: Total,
    /// When the first of them was made.
    pub(super) oldest: Option<Timestamp>,
}

impl<'v> Figures<'v> {
    pub(super) fn of(plan: &OrphanPlan<'v>) -> Self {
        let mut figures = Self {
            all: Total::default(),
            candidates: Total::default(),
            by_hub: BTreeMap::new(),
            ages: UP_TO_DAYS.map(|(_, name)| (name, Total::default())).to_vec(),
            users: Vec::new(),
            of_nobody: Total::default(),
            volumes_of: BTreeMap::new(),
        };
        let mut unknown_age = Total::default();
        let mut users = HashMap::<&str, UserTotal>::new();
        for judged in plan.volumes() {
            let class = judged.verdict.class;
            add(&mut figures.all, judged);
            let hub = hub(judged);
            let place = figures.by_hub.entry((judged.project, hub)).or_default();
            add(place.entry(class).or_default(), judged);
            if let Some(hub) = hub {
                *figures.volumes_of.entry(hub).or_default() += 1;
            }
            if class != candidate_class(plan) {
                continue;
            }
            add(&mut figures.candidates, judged);
            add(figures.age(judged, plan.seen_at()).unwrap_or(&mut unknown_age), judged);
            match user(judged) {
                Some(user) => users.entry(user).or_default().add(judged),
                None => add(&mut figures.of_nobody, judged),
            }
        }
        if unknown_age.volumes > 0 {
            figures.ages.push(("not known", unknown_age));
        }
        figures.users = users.into_iter().collect();
        figures.users.sort_by_key(|(user, of)| (std::cmp::Reverse(of.total.gib), *user));
        figures
    }

    /// Where volumes of that age are counted.
    fn age(&mut self, judged: &Judged<'_>, now: Timestamp) -> Option<&mut Total> {
        let days = now.duration_since(judged.volume.created_at?).as_hours() / 24;
        let place = UP_TO_DAYS.iter().position(|(up_to, _)| days < *up_to)?;
        self.ages.get_mut(place).map(|(_, total)| total)
    }
}

impl UserTotal {
    fn add(&mut self, judged: &Judged<'_>) {
        add(&mut self.total, judged);
        let created = judged.volume.created_at;
        self.oldest = match (self.oldest, created) {
            (Some(oldest), Some(created)) => Some(oldest.min(created)),
            (oldest, created) => oldest.or(created),
        };
    }
}

fn add(total: &mut Total, judged: &Judged<'_>) {
    total.volumes += 1;
    total.gib = total.gib.saturating_add(judged.volume.size_gib);
}

/// The hub that a volume is, or was, used by: the first that the evidence names, and of those rather one whose PV is not
/// released.
fn hub<'v>(judged: &Judged<'v>) -> Option<&'v HubName> {
    let mut released = None;
    for evidence in &judged.verdict.evidence {
        match evidence {
            Evidence::PersistentVolume { hub, phase, .. } => {
                if !matches!(*phase, "Released" | "Failed") {
                    return Some(hub);
                }
                released = released.or(Some(*hub));
            }
            Evidence::Claim { hub, .. } => return Some(hub),
            Evidence::Metadata { .. }
            | Evidence::Status { .. }
            | Evidence::Attachments { .. }
            | Evidence::Snapshots { .. }
            | Evidence::Created { .. }
            | Evidence::NoReference { .. } => {}
        }
    }
    released
}
