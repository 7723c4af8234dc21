//! A scan and the deletion that follows it, while the world goes on: claims are made and their volumes bound, others are
//! attached, snapshotted and marked, PVs come and go, hubs fall silent, answers get lost. Whatever happens, what is
//! deleted was nobody's.
//!
//! The scan keeps the order of the real one ([`in_order`]), the plan and the deletion are the real ones. Times are in
//! milliseconds from the beginning of the scan. `PROPTEST_CASES` sets how many worlds are tried, `PROPTEST_RNG_SEED` which.

use std::ops::Range;
use std::sync::Mutex;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::tests::Forgetful;
use super::*;
use crate::observe::in_order;
use crate::observed::{PersistentVolume, VolumeView};
use crate::plan::orphans::{plan, samples};

/// Stands for the 24 hours.
const MIN_AGE: i64 = 30_000;

/// The CSI driver has made the PV this long after the volume, at most.
const GAP: Range<i64> = 0..5_000;

/// A second look is not older than this when a deletion is sent.
const LOOK: i64 = 20_000;

/// Worlds that are tried where nobody says how many.
const CASES: u32 = 10_000;

/// From when, until when.
type Span = (i64, i64);

#[derive(Debug, Clone, Copy)]
enum How {
    Id,
    Name,
    Released,
    Claim,
}

#[derive(Debug, Clone)]
struct Use {
    hub: usize,
    how: How,
    span: Span,
}

/// All that happens to one volume.
#[derive(Debug, Clone)]
struct Life {
    made: i64,
    uses: Vec<Use>,
    attached: Option<Span>,
    snapshot: Option<Span>,
    keep: Option<Span>,
    foreign: bool,
}

#[derive(Debug, Clone)]
struct Nature {
    hubs: usize,
    lives: Vec<Life>,
    silent: Vec<(usize, Span)>,
    latencies: Vec<u64>,
    faults: Vec<Option<TroubleKind>>,
    parallel: usize,
}

fn during(span: Span, at: i64) -> bool {
    span.0 <= at && at < span.1
}

/// Whether it was so all the time in which a second look can have been taken.
fn throughout(span: Span, sent: i64) -> bool {
    span.0 <= sent - LOOK && span.1 > sent
}

struct Living {
    nature: Nature,
    start: Instant,
    requests: Mutex<usize>,
    sent: Mutex<Vec<(usize, i64)>>,
}

impl Living {
    fn elapsed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// Half of a request's way, and what goes wrong with it.
    fn request(&self) -> (Duration, Option<TroubleKind>) {
        let mut requests = self.requests.lock().unwrap();
        *requests += 1;
        let Nature { latencies, faults, .. } = &self.nature;
        (Duration::from_millis(latencies[*requests % latencies.len()] / 2), faults[*requests % faults.len()])
    }

    fn seen(&self, number: usize) -> Option<Volume> {
        let (life, now) = (&self.nature.lives[number], self.elapsed());
        let gone = self.sent.lock().unwrap().iter().any(|(sent, _)| *sent == number);
        if life.made > now || gone {
            return None;
        }
        let mut volume = samples::volume(number as u64);
        volume.created_at = Some(samples::now() + SignedDuration::from_millis(life.made));
        if life.attached.is_some_and(|span| during(span, now)) {
            volume.status = "in-use".to_owned();
            volume.attachments.push("server".to_owned());
        }
        if life.keep.is_some_and(|span| during(span, now)) {
            volume.metadata.insert("fleet.keep".to_owned(), "yes".to_owned());
        }
        if life.foreign {
            volume.metadata.insert("cinder.csi.openstack.org/cluster".to_owned(), "theirs".to_owned());
        }
        Some(volume)
    }

    fn snapshots_now(&self) -> Vec<Snapshot> {
        let now = self.elapsed();
        let has = |number: &usize| self.nature.lives[*number].snapshot.is_some_and(|span| during(span, now));
        (0..self.nature.lives.len()).filter(has).map(|number| samples::snapshot_of(number as u64)).collect()
    }

    fn used_now(&self) -> Result<Vec<ClusterVolumes>, Vec<Unseen>> {
        let now = self.elapsed();
        let silent = self.nature.silent.iter().find(|(_, span)| during(*span, now));
        if let Some((hub, _)) = silent {
            return Err(vec![samples::silent(&format!("hub-{hub}"))]);
        }
        let mut clusters = samples::view(vec![], vec![vec![]; self.nature.hubs]).clusters;
        for (number, life) in (0u64..).zip(&self.nature.lives) {
            for used in life.uses.iter().filter(|used| during(used.span, now)) {
                let cluster = &mut clusters[used.hub % self.nature.hubs];
                let pv = samples::pv(number);
                match used.how {
                    How::Id => {
                        cluster.persistent_volumes.push(PersistentVolume { name: "other".to_owned(), ..pv });
                    }
                    How::Name => {
                        cluster.persistent_volumes.push(PersistentVolume { volume_ids: vec![], ..pv });
                    }
                    How::Released => {
                        cluster
                            .persistent_volumes
                            .push(PersistentVolume { phase: "Released".to_owned(), ..pv });
                    }
                    How::Claim => cluster.claims.push(samples::claim(number)),
                }
            }
        }
        Ok(clusters)
    }

    /// The scan: volumes come in two pages, each as it is at that moment.
    async fn scan(&self) -> VolumeView {
        let volumes = async {
            let mut seen = Vec::new();
            let half = self.nature.lives.len() / 2;
            for page in [0..half, half..self.nature.lives.len()] {
                let (latency, _) = self.request();
                tokio::time::sleep(latency).await;
                seen.extend(page.filter_map(|number| self.seen(number)));
                tokio::time::sleep(latency).await;
            }
            (seen, self.snapshots_now())
        };
        let used = async |_: &_| self.volumes_used().await;
        let ((volumes, snapshots), seen_at, used) = in_order(volumes, used, || self.now()).await;
        let mut view = samples::view(volumes, vec![]);
        // The cluster that volumes name has been answered for: it blocks nothing, and its volumes stay.
        view.projects[0].snapshots = snapshots;
        view.seen_at = seen_at;
        match used {
            Ok(clusters) => view.clusters = clusters,
            Err(silent) => view.unseen = silent,
        }
        view.projects[0].hubs =
            (0..self.nature.hubs).map(|hub| samples::hub(&format!("hub-{hub}"))).collect();
        view
    }
}

fn trouble(kind: TroubleKind) -> Trouble {
    Trouble { kind, reason: "as scripted".to_owned(), retry_after: None }
}

impl World for Living {
    async fn volumes_used(&self) -> Result<Vec<ClusterVolumes>, Vec<Unseen>> {
        let (latency, _) = self.request();
        tokio::time::sleep(latency).await;
        let answer = self.used_now();
        tokio::time::sleep(latency).await;
        answer
    }

    async fn snapshots(&self, _: &ProjectKey) -> Result<Vec<Snapshot>, Trouble> {
        let (latency, fault) = self.request();
        tokio::time::sleep(latency).await;
        let answer = self.snapshots_now();
        tokio::time::sleep(latency).await;
        fault.map_or(Ok(answer), |kind| Err(trouble(kind)))
    }

    async fn volume(&self, _: &ProjectKey, id: &str) -> Result<Option<Volume>, Trouble> {
        let (latency, fault) = self.request();
        tokio::time::sleep(latency).await;
        let number = (0..self.nature.lives.len()).find(|number| samples::volume_id(*number as u64) == id);
        let answer = self.seen(number.unwrap());
        tokio::time::sleep(latency).await;
        fault.map_or(Ok(answer), |kind| Err(trouble(kind)))
    }

    async fn delete(&self, _: &ProjectKey, id: &str, _: &Confirmed) -> Result<Sent, Trouble> {
        // From here on nobody can take it back; this Cinder refuses nothing.
        let (latency, fault) = self.request();
        let number = (0..self.nature.lives.len()).find(|number| samples::volume_id(*number as u64) == id);
        let at = self.elapsed();
        self.sent.lock().unwrap().push((number.unwrap(), at));
        tokio::time::sleep(latency).await;
        fault.map_or(Ok(Sent::Accepted), |kind| Err(trouble(kind)))
    }

    fn now(&self) -> Timestamp {
        samples::now() + SignedDuration::from_millis(self.elapsed())
    }
}

/// Scans, plans, and deletes; what was sent, and when.
fn run(nature: Nature) -> Vec<(usize, i64)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let rules = OrphanRules {
            min_age: Duration::from_millis(MIN_AGE.unsigned_abs()),
            parallel: nature.parallel,
            foreign: vec![samples::answered("theirs", None)],
            ..samples::rules()
        };
        let (sent, requests) = (Mutex::default(), Mutex::default());
        let world = Living { nature, start: Instant::now(), requests, sent };
        let view = world.scan().await;
        let plan = plan(&view, &rules);
        if let Ok(deletions) = plan.deletions()
            && let Some(confirmed) = Confirmed::by_flag(&deletions, true)
        {
            let (_go_on, stop) = watch::channel(false);
            let terms = Terms { rules: &rules, limits: &Limits::default(), stop };
            let _ = delete(&world, &Forgetful, &deletions, &confirmed, &terms, &|_| {}).await;
        }
        world.sent.into_inner().unwrap()
    })
}

fn a_span() -> impl Strategy<Value = Span> {
    (-60_000..60_000i64, prop_oneof![2 => Just(i64::MAX), 1 => 0..60_000i64])
        .prop_map(|(from, lasts)| (from, from.saturating_add(lasts)))
}

fn some_how() -> impl Strategy<Value = How> {
    prop_oneof![4 => Just(How::Id), 2 => Just(How::Name), 1 => Just(How::Released), 1 => Just(How::Claim)]
}

fn a_life() -> impl Strategy<Value = Life> {
    let made = prop_oneof![3 => -200_000..-MIN_AGE, 2 => -MIN_AGE..40_000i64];
    // What a claim was made with has its PV soon after, and keeps it until it is deleted, or for good.
    let provisioned = prop::option::weighted(
        0.4,
        (0..4usize, some_how(), GAP, prop_oneof![3 => Just(i64::MAX), 1 => 0..120_000i64]),
    );
    let adopted = prop::collection::vec((0..4usize, some_how(), a_span()), 0..2);
    let rare = || prop::option::weighted(0.15, a_span());
    (made, provisioned, adopted, rare(), rare(), rare(), prop::bool::weighted(0.05)).prop_map(
        |(made, provisioned, adopted, attached, snapshot, keep, foreign)| {
            let provisioned = provisioned.map(|(hub, how, gap, lasts)| {
                let from = made + gap;
                Use { hub, how, span: (from, from.saturating_add(lasts)) }
            });
            let adopted = adopted.into_iter().map(|(hub, how, span)| Use { hub, how, span });
            Life {
                made,
                uses: provisioned.into_iter().chain(adopted).collect(),
                attached,
                snapshot,
                keep,
                foreign,
            }
        },
    )
}

fn a_nature() -> impl Strategy<Value = Nature> {
    let fault = prop_oneof![
        12 => Just(None),
        1 => Just(Some(TroubleKind::PutOff)),
        1 => Just(Some(TroubleKind::Unknown)),
        1 => Just(Some(TroubleKind::TimedOut)),
        1 => Just(Some(TroubleKind::Refused)),
    ];
    (
        1..4usize,
        prop::collection::vec(a_life(), 1..10),
        prop::collection::vec((0..4usize, a_span()), 0..2).prop_map(|mut silent| {
            // Most worlds have hubs that answer at first: nothing happens in the others.
            silent.retain(|(hub, span)| span.0 > 0 || *hub == 0);
            silent
        }),
        prop::collection::vec(0..6_000u64, 1..7),
        prop::collection::vec(fault, 1..9),
        1..5usize,
    )
        .prop_map(|(hubs, lives, silent, latencies, faults, parallel)| Nature {
            hubs,
            lives,
            silent,
            latencies,
            faults,
            parallel,
        })
}

#[test]
fn whatever_happens_while_fleet_looks_and_deletes_no_volume_goes_that_anybody_uses_or_wants() {
    let config = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { CASES };
    let deleted = Mutex::new(0u64);
    let outcome =
        TestRunner::new(Config { cases, failure_persistence: None, ..config }).run(&a_nature(), |nature| {
            for (number, sent) in run(nature.clone()) {
                *deleted.lock().unwrap() += 1;
                let Life { made, uses, attached, snapshot, keep, foreign } = &nature.lives[number];
                prop_assert!(sent - made >= MIN_AGE, "volume {} was young at {}", number, sent);
                for used in uses {
                    prop_assert!(
                        !throughout(used.span, sent),
                        "volume {} was used at {}: {:?}",
                        number,
                        sent,
                        used
                    );
                }
                for span in [attached, snapshot, keep].into_iter().flatten() {
                    prop_assert!(
                        !throughout(*span, sent),
                        "volume {} was kept at {}: {:?}",
                        number,
                        sent,
                        span
                    );
                }
                prop_assert!(!foreign, "volume {} was foreign", number);
                for (hub, span) in &nature.silent {
                    prop_assert!(!throughout(*span, sent), "hub-{} was silent when {} was sent", hub, number);
                }
            }
            Ok(())
        });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let deleted = deleted.into_inner().unwrap();
    println!("{cases} worlds, {deleted} volumes deleted");
    assert!(deleted >= u64::from(cases) / 4, "a property of nothing: {deleted} volumes were deleted");
}
