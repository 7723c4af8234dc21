//! Deletes what a plan says, after a second look at each volume.
//!
//! For every volume, just before its own deletion: the PVs of **all** hubs are asked for again, and the volume and its
//! snapshots, and the same rule judges them. What changed is kept. A hub that is silent in the second look stops every
//! deletion that has not been sent yet.
//!
//! What cannot be closed is the time between the second look and the moment in which Cinder acts on the request. It is
//! bounded by [`STALE_AFTER`], and Cinder itself refuses to delete a volume that is attached or has snapshots, because
//! fleet never asks it to cascade, detach or force.
//!
//! Before a deletion is sent, and once its outcome is known, it is written down ([`Record`]). What cannot be written
//! down is not done.

mod follow;
mod record;
mod retry;
mod shared;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::confirm::Confirmed;
use crate::exit::Exit;
use crate::hub::OrphanRules;
use crate::observed::{ClusterVolumes, ProjectKey, Snapshot, Unseen, Volume};
use crate::plan::orphans::{Deletions, Planned, SecondLook, still_orphan};

use self::shared::Shared;

pub use self::follow::{Settled, settle};
pub use self::record::{Asked, Deleting, Evidence, Record};
pub(super) use self::retry::read;

/// A list of all hubs' PVs, or of a project's snapshots, serves every deletion that begins within this time of its
/// being asked for. It is what makes many deletions cheap: 400 volumes do not need 400 lists of 300 hubs.
pub const SHARED_FOR: Duration = Duration::from_secs(2);

/// A second look that was asked for longer ago than this is not acted on but taken again: an answer may be as old as
/// its question. More than the usual limit of one request, so that a cluster which needs all of it blocks nothing.
pub const STALE_AFTER: Duration = Duration::from_secs(20);

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
    /// How long the server wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// What it means that something did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The server says that it did nothing, and may be asked again (429, 500, 503). It may have been done all the same:
    /// a proxy passes a request on and then says 503.
    PutOff,
    /// Nobody knows whether it was done: the connection broke, or a proxy lost the answer (502, 504).
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// It could not be deleted.
    Failed {
        /// Why, and what is known.
        reason: String,
    },
    /// Its deletion was sent, or may have been, and it was not gone when fleet stopped waiting. Nobody knows yet what
    /// becomes of it; [`settle`] finds out.
    Pending {
        /// What is known.
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
    /// Why it could not be written down what is done. Then nothing more was deleted either.
    pub unrecorded: Option<String>,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

impl Summary<'_> {
    /// The exit status. *Cannot tell* comes before *failed*: it is why the rest was left.
    pub fn exit(&self) -> Exit {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Pending { .. });
        let failed = self.outcomes.iter().any(|(_, outcome)| failed(outcome));
        if self.interrupted {
            Exit::Interrupted
        } else if !self.silent.is_empty() {
            Exit::CannotTell
        } else if failed || self.unrecorded.is_some() {
            Exit::Failed
        } else {
            Exit::Done
        }
    }
}

/// What a run of deletions goes by.
#[derive(Debug)]
pub struct Terms<'r> {
    /// The rule's settings.
    pub rules: &'r OrphanRules,
    /// How long and how often.
    pub limits: &'r Limits,
    /// Once this is true, no new deletion begins.
    pub stop: watch::Receiver<bool>,
}

/// Deletes volumes, as many side by side as the rules say. Once it is to stop no new deletion begins, and those that
/// were sent are still followed to their end.
pub async fn delete<'p, W: World, R: Record>(
    world: &W,
    record: &R,
    deletions: &'p Deletions,
    confirmed: &Confirmed,
    terms: &Terms<'_>,
    tell: &(dyn Fn(Event<'p>) + Sync),
) -> Summary<'p> {
    let snapshots = deletions
        .volumes()
        .iter()
        .map(|planned| (&planned.project().key, Shared::new(SHARED_FOR)))
        .collect::<BTreeMap<_, _>>();
    let run = Run {
        world,
        record,
        deletions,
        confirmed,
        terms,
        tell,
        look: Shared::new(SHARED_FOR),
        snapshots,
        halted: OnceLock::new(),
    };
    let run_one = |(place, planned)| {
        let run = &run;
        async move { (place, planned, run.one(planned).await) }
    };
    // Unordered: one volume that takes its time to go must not hold up the start of the others.
    let mut ended: Vec<_> = stream::iter(deletions.volumes().iter().enumerate())
        .map(run_one)
        .buffer_unordered(terms.rules.parallel.max(1))
        .collect()
        .await;
    ended.sort_by_key(|(place, ..)| *place);
    let outcomes = ended.into_iter().map(|(_, planned, outcome)| (planned, outcome)).collect();
    let interrupted = run.stopped();
    let (silent, unrecorded) = match run.halted.into_inner() {
        None => (Vec::new(), None),
        Some(Halt::Silent(silent)) => (silent, None),
        Some(Halt::Unrecorded(reason)) => (Vec::new(), Some(reason)),
    };
    Summary { outcomes, silent, unrecorded, interrupted }
}

/// One run of deletions.
struct Run<'r, 'p, W, R> {
    world: &'r W,
    record: &'r R,
    deletions: &'p Deletions,
    confirmed: &'r Confirmed,
    terms: &'r Terms<'r>,
    tell: &'r (dyn Fn(Event<'p>) + Sync),
    look: Shared<SecondLook>,
    snapshots: BTreeMap<&'p ProjectKey, Shared<Vec<Snapshot>>>,
    /// Set once, and then nothing more is sent.
    halted: OnceLock<Halt>,
}

/// Why fleet itself stopped a run.
#[derive(Debug)]
enum Halt {
    /// These were silent in the second look.
    Silent(Vec<Unseen>),
    /// It could not be written down what is done.
    Unrecorded(String),
}

/// What to do with a volume after a step.
enum Next {
    /// It is over.
    Over(Outcome),
    /// Take the second look again, after the server's own time where it named one.
    Again(String, Option<Duration>),
}

/// What has been done with a volume so far.
#[derive(Debug, Default)]
struct Turn {
    /// That it is deleted was written down, or may have been.
    recorded: bool,
    /// The deletion was sent, and the server said that it did nothing.
    put_off: Option<String>,
}

/// A second look, with when each part of it was asked for.
struct Seen {
    clusters: shared::Answer<SecondLook>,
    snapshots: shared::Answer<Vec<Snapshot>>,
    volume: Volume,
    volume_asked: Instant,
}

impl Seen {
    fn is_stale(&self) -> bool {
        let asked = self.clusters.asked.min(self.snapshots.asked).min(self.volume_asked);
        asked.elapsed() > STALE_AFTER
    }
}

impl<'p, W: World, R: Record> Run<'_, 'p, W, R> {
    fn stopped(&self) -> bool {
        *self.terms.stop.borrow()
    }

    fn may_send(&self) -> bool {
        !self.stopped() && self.halted.get().is_none()
    }

    fn halt(&self, why: Halt) {
        // The first reason is the one that is told.
        let _ = self.halted.set(why);
    }

    async fn one(&self, planned: &'p Planned) -> Outcome {
        let mut turn = Turn::default();
        let mut outcome = self.attempts(planned, &mut turn).await;
        if let Some(reason) = turn.put_off.take() {
            outcome = follow::after_put_off(self.world, self.terms.limits, planned, outcome, &reason).await;
        }
        // Whose turn did not come is in the plan that was written down, and nowhere after it.
        if (turn.recorded || outcome != Outcome::NotStarted)
            && let Err(reason) = self.record.over(planned, &outcome).await
        {
            self.halt(Halt::Unrecorded(reason));
        }
        (self.tell)(Event { planned, step: Step::Over(outcome.clone()) });
        outcome
    }

    async fn attempts(&self, planned: &'p Planned, turn: &mut Turn) -> Outcome {
        let mut why = String::new();
        for delay in retry::delays(self.terms.limits, ATTEMPTS) {
            // Whoever stops fleet does not wait for a look that hangs. From the deletion on, nothing is cut short.
            let Some(looked) = self.unless_stopped(self.look_again(planned)).await else {
                return Outcome::NotStarted;
            };
            let next = match looked {
                Ok(seen) => self.send(planned, &seen, turn).await,
                Err(next) => next,
            };
            let wait = match next {
                Next::Over(outcome) => return outcome,
                Next::Again(reason, wait) => {
                    why = reason;
                    retry::longer(delay, wait)
                }
            };
            self.unless_stopped(tokio::time::sleep(wait)).await;
        }
        Outcome::Failed { reason: format!("given up after {ATTEMPTS} attempts, not deleted: {why}") }
    }

    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.terms.stop.clone();
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
    async fn look_again(&self, planned: &'p Planned) -> Result<Seen, Next> {
        if !self.may_send() {
            return Err(Next::Over(Outcome::NotStarted));
        }
        (self.tell)(Event { planned, step: Step::Looking });
        let picked = Instant::now();
        let clusters = self.second_look(picked).await.ok_or(Next::Over(Outcome::NotStarted))?;
        let (fresh, snapshots) = futures_util::join!(self.volume(planned), self.snapshots(planned, picked));
        let (volume, volume_asked, snapshots) = match (fresh, snapshots) {
            (Ok((Some(fresh), asked)), Ok(snapshots)) => (fresh, asked, snapshots),
            (Ok((None, _)), _) => return Err(Next::Over(Outcome::AlreadyGone)),
            (Err(trouble), _) | (_, Err(trouble)) => {
                let reason = format!("the second look failed, so it was not deleted: {}", trouble.reason);
                return Err(Next::Over(Outcome::Failed { reason }));
            }
        };
        // It was old enough when it was planned, and is what it was then: the time of the question would say the same.
        let (rules, now) = (self.terms.rules, self.world.now());
        still_orphan(planned, &volume, &snapshots.value, &clusters.value, rules, now)
            .map_err(|reason| Next::Over(Outcome::Kept { reason }))?;
        Ok(Seen { clusters, snapshots, volume, volume_asked })
    }

    /// The PVs of all hubs, asked for after the volume was picked or at most [`SHARED_FOR`] ago. `None` where a hub is
    /// silent: that stops everything.
    async fn second_look(&self, picked: Instant) -> Option<shared::Answer<SecondLook>> {
        let ask = async || {
            // Those who waited for an answer that was no answer do not ask again: each would wait for the time limit.
            if self.halted.get().is_some() {
                return Err(());
            }
            let clusters = self.world.volumes_used().await;
            clusters
                .and_then(|clusters| SecondLook::new(clusters, self.deletions.hubs()))
                .map_err(|silent| self.halt(Halt::Silent(silent)))
        };
        self.look.get(picked, ask).await.ok()
    }

    /// The volume, with when it was asked for.
    async fn volume(&self, planned: &Planned) -> Result<(Option<Volume>, Instant), Trouble> {
        let (project, id) = (&planned.project().key, planned.volume().id.as_str());
        let ask = || async {
            let asked = Instant::now();
            Ok((self.world.volume(project, id).await?, asked))
        };
        retry::read(self.terms.limits, ask).await
    }

    async fn snapshots(
        &self,
        planned: &'p Planned,
        picked: Instant,
    ) -> Result<shared::Answer<Vec<Snapshot>>, Trouble> {
        let project = &planned.project().key;
        let ask = async || retry::read(self.terms.limits, || self.world.snapshots(project)).await;
        match self.snapshots.get(project) {
            Some(shared) => shared.get(picked, ask).await,
            // Every project of the plan has one.
            None => Shared::new(SHARED_FOR).get(picked, ask).await,
        }
    }

    async fn send(&self, planned: &'p Planned, seen: &Seen, turn: &mut Turn) -> Next {
        // Others may have found a hub silent in the meantime: then theirs is the newer answer.
        if !self.may_send() {
            return Next::Over(Outcome::NotStarted);
        }
        if seen.is_stale() {
            return Next::Again(TOO_SLOW.to_owned(), None);
        }
        turn.recorded = true;
        if let Err(reason) = self.record.deleting(&self.deleting(planned, seen)).await {
            self.halt(Halt::Unrecorded(reason));
        }
        // Writing takes its time too.
        if !self.may_send() {
            return Next::Over(Outcome::NotStarted);
        }
        if seen.is_stale() {
            return Next::Again(TOO_SLOW.to_owned(), None);
        }
        (self.tell)(Event { planned, step: Step::Deleting });
        let (project, id) = (&planned.project().key, planned.volume().id.as_str());
        let sent = self.world.delete(project, id, self.confirmed).await;
        let was_put_off = turn.put_off.take();
        match sent {
            Ok(Sent::Accepted) => Next::Over(self.until_gone(planned, None).await),
            // Whoever was put off before may have been heard all the same.
            Ok(Sent::AlreadyGone) if was_put_off.is_some() => Next::Over(Outcome::Deleted),
            Ok(Sent::AlreadyGone) => Next::Over(Outcome::AlreadyGone),
            Err(Trouble { kind: TroubleKind::PutOff, reason, retry_after }) => {
                turn.put_off = Some(reason.clone());
                Next::Again(reason, retry_after)
            }
            Err(Trouble { kind: TroubleKind::Unknown | TroubleKind::TimedOut, reason, .. }) => {
                Next::Over(self.until_gone(planned, Some(&reason)).await)
            }
            Err(Trouble { kind: TroubleKind::Refused, reason, .. }) => {
                turn.put_off = was_put_off;
                Next::Over(Outcome::Failed { reason: format!("Cinder refused: {reason}") })
            }
        }
    }

    /// What is written down before it is sent.
    fn deleting<'a>(&self, planned: &'a Planned, seen: &'a Seen) -> Deleting<'a> {
        let now = self.world.now();
        let at = |asked: Instant| now.checked_sub(asked.elapsed()).unwrap_or(now);
        let evidence = Evidence {
            hubs: Asked::all(&seen.clusters.value),
            hubs_asked_at: at(seen.clusters.asked),
            snapshots_asked_at: at(seen.snapshots.asked),
            volume_asked_at: at(seen.volume_asked),
        };
        Deleting { planned, volume: &seen.volume, evidence }
    }

    async fn until_gone(&self, planned: &Planned, lost: Option<&str>) -> Outcome {
        let (project, id) = (&planned.project().key, planned.volume().id.as_str());
        follow::until_gone(self.world, self.terms.limits, project, id, lost).await
    }
}

const TOO_SLOW: &str = "the second look took too long to be acted on";

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Trouble {}
