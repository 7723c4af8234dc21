//! Deletes what a plan says, after a second look at each volume.
//!
//! For every volume, just before its own deletion: the PVs of **all** hubs are asked for again, and the volume and its
//! snapshots, and the same rule judges them. What changed is kept. A hub that is silent in the second look stops every
//! deletion that has not been sent yet.
//!
//! What cannot be closed is the time between the second look and the moment in which Cinder acts on the request. It is
//! bounded by [`STALE_AFTER`], and Cinder itself refuses to delete a volume that is attached or has snapshots, because
//! fleet never asks it to cascade, detach or force.

mod shared;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::confirm::Confirmed;
use crate::exit::Exit;
use crate::hub::OrphanRules;
use crate::observed::{ClusterVolumes, ProjectKey, Snapshot, Unseen, Volume};
use crate::plan::orphans::{Deletions, Planned, SecondLook, still_orphan};

use self::shared::Shared;

/// A list of all hubs' PVs, or of a project's snapshots, serves every deletion that begins within this time of its
/// being asked for. It is what makes many deletions cheap: 400 volumes do not need 400 lists of 300 hubs.
pub const SHARED_FOR: Duration = Duration::from_secs(2);

/// A second look whose lists arrived longer ago than this is not acted on but taken again.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// How often a second look is taken again because it had become stale, or a deletion was put off by Cinder, before the
/// volume is given up.
const ATTEMPTS: usize = 4;

/// What deletion needs of the world. The real one is made of the clients; tests simulate one.
pub trait World: Sync {
    /// The PVs and claims of every hub of the fleet, asked for now. The error names every hub that did not answer in full.
    fn volumes_used(&self) -> impl Future<Output = Result<Vec<ClusterVolumes>, Vec<Unseen>>> + Send;

    /// All snapshots of a project, asked for now.
    fn snapshots(&self, project: &ProjectKey) -> impl Future<Output = Result<Vec<Snapshot>, Trouble>> + Send;

    /// A volume, asked for now; `None` where Cinder says 404.
    fn volume(
        &self,
        project: &ProjectKey,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Trouble>> + Send;

    /// Asks Cinder to delete a volume, once, by id, with nothing added.
    fn delete(
        &self,
        project: &ProjectKey,
        id: &str,
        confirmed: &Confirmed,
    ) -> impl Future<Output = Result<Sent, Trouble>> + Send;

    /// Now.
    fn now(&self) -> Timestamp;
}

/// What Cinder said to a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It will do it.
    Accepted,
    /// There is no such volume.
    AlreadyGone,
}

/// Why something that was asked did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What that means.
    pub kind: TroubleKind,
    /// What went wrong, in one line, without secrets.
    pub reason: String,
}

/// What it means that something did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The server put it off and did nothing (429, 503).
    PutOff,
    /// Nobody knows whether it was done: the connection broke, or the server failed (500, 502, 504).
    Unknown,
    /// Nobody knows either: the time was up. A read is not tried again, which would take as long once more.
    TimedOut,
    /// The server refused it.
    Refused,
}

/// How long and how often.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Until a volume whose deletion was accepted has to be gone.
    pub gone_within: Duration,
    /// Between two questions whether it is; grows up to eight times that.
    pub poll: Duration,
    /// Before a read that failed is tried for the first time again; doubles each time.
    pub retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gone_within: Duration::from_mins(2),
            poll: Duration::from_millis(250),
            retry: Duration::from_millis(500),
        }
    }
}

/// What became of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is gone: Cinder says 404.
    Deleted,
    /// It was gone before fleet asked.
    AlreadyGone,
    /// The second look found a reason to keep it.
    Kept {
        /// That reason.
        reason: String,
    },
    /// It could not be deleted, or nobody knows whether it was.
    Failed {
        /// Why, and what is known.
        reason: String,
    },
    /// Its turn did not come: fleet was stopped, or stopped itself. It was not touched.
    NotStarted,
}

/// What happens to one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its second look begins.
    Looking,
    /// The second look found nothing; the deletion is sent now.
    Deleting,
    /// It is over.
    Over(Outcome),
}

/// Something that happened, told as it happens.
#[derive(Debug)]
pub struct Event<'p> {
    /// The volume.
    pub planned: &'p Planned,
    /// What.
    pub step: Step,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Summary<'p> {
    /// Every volume of the plan, in the plan's order, with what became of it.
    pub outcomes: Vec<(&'p Planned, Outcome)>,
    /// What was silent in the second look. Then nothing more was deleted.
    pub silent: Vec<Unseen>,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

impl Summary<'_> {
    /// The exit status. *Cannot tell* comes before *failed*: it is why the rest was left.
    pub fn exit(&self) -> Exit {
        let failed = self.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed { .. }));
        if self.interrupted {
            Exit::Interrupted
        } else if !self.silent.is_empty() {
            Exit::CannotTell
        } else if failed {
            Exit::Failed
        } else {
            Exit::Done
        }
    }
}

/// Deletes volumes, as many side by side as the rules say. Once `stop` is true no new deletion begins, and those that
/// were sent are still followed to their end.
pub async fn delete<'p, W: World>(
    world: &W,
    deletions: &'p Deletions,
    confirmed: &Confirmed,
    rules: &OrphanRules,
    limits: &Limits,
    stop: watch::Receiver<bool>,
    tell: &(dyn Fn(Event<'p>) + Sync),
) -> Summary<'p> {
    let snapshots = deletions
        .volumes()
        .iter()
        .map(|planned| (&planned.project().key, Shared::new(SHARED_FOR)))
        .collect::<BTreeMap<_, _>>();
    let run = Run {
        world,
        deletions,
        confirmed,
        rules,
        limits,
        stop,
        tell,
        look: Shared::new(SHARED_FOR),
        snapshots,
        silent: OnceLock::new(),
    };
    let run_one = |(place, planned)| {
        let run = &run;
        async move { (place, planned, run.one(planned).await) }
    };
    // Unordered: one volume that takes its time to go must not hold up the start of the others.
    let mut ended: Vec<_> = stream::iter(deletions.volumes().iter().enumerate())
        .map(run_one)
        .buffer_unordered(rules.parallel.max(1))
        .collect()
        .await;
    ended.sort_by_key(|(place, ..)| *place);
    let outcomes = ended.into_iter().map(|(_, planned, outcome)| (planned, outcome)).collect();
    let interrupted = run.stopped();
    Summary { outcomes, silent: run.silent.into_inner().unwrap_or_default(), interrupted }
}

/// One run of deletions.
struct Run<'r, 'p, W> {
    world: &'r W,
    deletions: &'p Deletions,
    confirmed: &'r Confirmed,
    rules: &'r OrphanRules,
    limits: &'r Limits,
    stop: watch::Receiver<bool>,
    tell: &'r (dyn Fn(Event<'p>) + Sync),
    look: Shared<SecondLook>,
    snapshots: BTreeMap<&'p ProjectKey, Shared<Vec<Snapshot>>>,
    /// What was silent in the second look: set once, and then nothing more is sent.
    silent: OnceLock<Vec<Unseen>>,
}

/// What to do with a volume after a step.
enum Next {
    /// It is over.
    Over(Outcome),
    /// Take the second look again.
    Again(String),
}

impl<'p, W: World> Run<'_, 'p, W> {
    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn may_send(&self) -> bool {
        !self.stopped() && self.silent.get().is_none()
    }

    async fn one(&self, planned: &'p Planned) -> Outcome {
        let outcome = self.attempts(planned).await;
        // The journal's second entry belongs here: what became of it, synced before the next volume is picked.
        (self.tell)(Event { planned, step: Step::Over(outcome.clone()) });
        outcome
    }

    async fn attempts(&self, planned: &'p Planned) -> Outcome {
        let mut why = String::new();
        for delay in self.retry_delays(ATTEMPTS) {
            // Whoever stops fleet does not wait for a look that hangs. From the deletion on, nothing is cut short.
            let Some(looked) = self.unless_stopped(self.look_again(planned)).await else {
                return Outcome::NotStarted;
            };
            let next = match looked {
                // Others may have found a hub silent in the meantime: then theirs is the newer answer.
                Ok(()) if !self.may_send() => Next::Over(Outcome::NotStarted),
                Ok(()) => self.send(planned).await,
                Err(next) => next,
            };
            match next {
                Next::Over(outcome) => return outcome,
                Next::Again(reason) => why = reason,
            }
            self.unless_stopped(tokio::time::sleep(delay)).await;
        }
        Outcome::Failed { reason: format!("given up after {ATTEMPTS} attempts, not deleted: {why}") }
    }

    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.clone();
        let stopped = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // Nobody is left who could stop it.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = stopped => None,
            value = future => Some(value),
        }
    }

    /// The second look. `Ok` only where it found nothing that speaks against deleting the volume.
    async fn look_again(&self, planned: &'p Planned) -> Result<(), Next> {
        if !self.may_send() {
            return Err(Next::Over(Outcome::NotStarted));
        }
        (self.tell)(Event { planned, step: Step::Looking });
        let picked = Instant::now();
        let look = self.second_look(picked).await.ok_or(Next::Over(Outcome::NotStarted))?;
        let (fresh, snapshots) = futures_util::join!(self.volume(planned), self.snapshots(planned, picked));
        let (fresh, snapshots) = match (fresh, snapshots) {
            (Ok(Some(fresh)), Ok(snapshots)) => (fresh, snapshots),
            (Ok(None), _) => return Err(Next::Over(Outcome::AlreadyGone)),
            (Err(trouble), _) | (_, Err(trouble)) => {
                let reason = format!("the second look failed, so it was not deleted: {}", trouble.reason);
                return Err(Next::Over(Outcome::Failed { reason }));
            }
        };
        still_orphan(planned, &fresh, &snapshots.value, &look.value, self.rules, self.world.now())
            .map_err(|reason| Next::Over(Outcome::Kept { reason }))?;
        if look.arrived.elapsed() > STALE_AFTER || snapshots.arrived.elapsed() > STALE_AFTER {
            return Err(Next::Again("the second look took too long to be acted on".to_owned()));
        }
        Ok(())
    }

    /// The PVs of all hubs, asked for after the volume was picked or at most [`SHARED_FOR`] ago. `None` where a hub is
    /// silent: that stops everything.
    async fn second_look(&self, picked: Instant) -> Option<shared::Answer<SecondLook>> {
        let ask = async || {
            // Those who waited for an answer that was no answer do not ask again: each would wait for the time limit.
            if self.silent.get().is_some() {
                return Err(());
            }
            let clusters = self.world.volumes_used().await;
            clusters.and_then(|clusters| SecondLook::new(clusters, self.deletions.hubs())).map_err(|silent| {
                // Nobody else asks while this is out, so nobody has set it.
                let _ = self.silent.set(silent);
            })
        };
        self.look.get(picked, ask).await.ok()
    }

    async fn volume(&self, planned: &Planned) -> Result<Option<Volume>, Trouble> {
        let (project, id) = (&planned.project().key, planned.volume().id.as_str());
        self.read(|| self.world.volume(project, id)).await
    }

    async fn snapshots(
        &self,
        planned: &'p Planned,
        picked: Instant,
    ) -> Result<shared::Answer<Vec<Snapshot>>, Trouble> {
        let project = &planned.project().key;
        let ask = async || self.read(|| self.world.snapshots(project)).await;
        match self.snapshots.get(project) {
            Some(shared) => shared.get(picked, ask).await,
            // Every project of the plan has one.
            None => Shared::new(SHARED_FOR).get(picked, ask).await,
        }
    }

    async fn send(&self, planned: &'p Planned) -> Next {
        // The journal's first entry belongs here: what will be deleted and on what evidence, synced before it is sent.
        (self.tell)(Event { planned, step: Step::Deleting });
        let (project, id) = (&planned.project().key, planned.volume().id.as_str());
        match self.world.delete(project, id, self.confirmed).await {
            Ok(Sent::Accepted) => Next::Over(self.until_gone(planned, None).await),
            Ok(Sent::AlreadyGone) => Next::Over(Outcome::AlreadyGone),
            Err(Trouble { kind: TroubleKind::PutOff, reason }) => Next::Again(reason),
            Err(Trouble { kind: TroubleKind::Unknown | TroubleKind::TimedOut, reason }) => {
                Next::Over(self.until_gone(planned, Some(reason)).await)
            }
            Err(Trouble { kind: TroubleKind::Refused, reason }) => {
                Next::Over(Outcome::Failed { reason: format!("Cinder refused: {reason}") })
            }
        }
    }

    /// Asks until Cinder says 404. `lost` says why there was no answer to the deletion itself.
    async fn until_gone(&self, planned: &Planned, lost: Option<String>) -> Outcome {
        let (project, id) = (&planned.project().key, planned.volume().id.as_str());
        let deadline = Instant::now() + self.limits.gone_within;
        let mut pause = self.limits.poll;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.limits.poll * 8);
            let known = match self.world.volume(project, id).await {
                Ok(None) => return Outcome::Deleted,
                Ok(Some(volume)) if volume.status.starts_with("error") => {
                    return Outcome::Failed {
                        reason: format!("Cinder could not delete it: its status is {:?}", volume.status),
                    };
                }
                Ok(Some(volume)) => format!("its status is {:?}", volume.status),
                Err(trouble) => trouble.reason,
            };
            if Instant::now() >= deadline {
                return Outcome::Failed { reason: still_there(&known, lost) };
            }
        }
    }

    /// A read, tried again where the server put it off or failed.
    async fn read<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, Trouble> {
        let mut delays = self.retry_delays(ATTEMPTS - 1);
        loop {
            match ask().await {
                Err(trouble) if matches!(trouble.kind, TroubleKind::PutOff | TroubleKind::Unknown) => {
                    match delays.next() {
                        Some(delay) => tokio::time::sleep(delay).await,
                        None => return Err(trouble),
                    }
                }
                answer => return answer,
            }
        }
    }

    fn retry_delays(&self, times: usize) -> impl Iterator<Item = Duration> + use<W> {
        ExponentialBuilder::default()
            .with_min_delay(self.limits.retry)
            .with_max_times(times)
            .with_jitter()
            .build()
    }
}

fn still_there(known: &str, lost: Option<String>) -> String {
    match lost {
        None => format!("Cinder accepted the deletion, but the volume is still there: {known}"),
        Some(lost) => format!("nobody knows whether Cinder got the deletion ({lost}): {known}"),
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Trouble {}
