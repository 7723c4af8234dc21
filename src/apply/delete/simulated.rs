//! A world that changes while fleet deletes: hubs that bind claims and fall silent, volumes that are attached, renamed
//! and marked, servers that put off, fail and lose answers. Its clock is tokio's, which stands still between waits.
//!
//! Its Cinder deletes whatever it is asked to: what the real one would refuse must not be sent to begin with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::confirm::Confirmed;
use crate::observed::{ClusterVolumes, PersistentVolume, ProjectKey, Snapshot, Unseen, Volume};
use crate::plan::orphans::{Planned, samples};

use super::{Deleting, Outcome, Record, Sent, Trouble, TroubleKind, World};

/// What happens to a volume at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A PV with its id appears.
    ClaimedById,
    /// A PV with its name appears.
    ClaimedByName,
    /// The claim that it was made for appears, without a PV.
    ClaimWithoutPv,
    Attached,
    Snapshotted,
    Renamed,
    Kept,
    /// Somebody else deletes it.
    Gone,
}

impl Change {
    /// Whether it is seen in a list that deletions share, and not in the volume itself.
    pub(super) fn is_shared(self) -> bool {
        matches!(self, Self::ClaimedById | Self::ClaimedByName | Self::ClaimWithoutPv | Self::Snapshotted)
    }
}

/// What a server does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    PutOff,
    /// A proxy passes it on, and says 503.
    PutOffButDone,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is not done, and there is no answer.
    RequestLost,
    /// It is done, and the answer takes too long.
    TimedOut,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    pub(super) volumes: u64,
    pub(super) hubs: usize,
    /// When, which volume, what.
    pub(super) changes: Vec<(Duration, u64, Change)>,
    /// From when on a hub does not answer.
    pub(super) silent: Option<Duration>,
    /// From when on the last hub is not asked.
    pub(super) forgotten: Option<Duration>,
    /// One for each request, over and over.
    pub(super) latencies: Vec<Duration>,
    /// One for each request, over and over.
    pub(super) faults: Vec<Option<Fault>>,
    /// How long Cinder takes to delete.
    pub(super) deleting: Duration,
    /// Volumes that Cinder cannot delete.
    pub(super) stuck: Vec<u64>,
    /// How long it takes to write something down.
    pub(super) writing: Duration,
    /// From when on nothing can be written down.
    pub(super) full: Option<Duration>,
    /// How long a server that puts off wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Everything that was asked, with when it arrived at the server, and what was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// The question for PVs leaves.
    Asked,
    Volumes,
    Volume(String),
    Snapshots,
    Delete(String),
    Silence,
    /// It is written down, for good, that a volume is deleted now.
    Recorded(String),
    /// The same for what became of it.
    RecordedOver(String, Outcome),
    /// It could not be written down.
    Unrecorded,
}

pub(super) struct Simulated {
    pub(super) script: Script,
    start: Instant,
    requests: Mutex<usize>,
    deleted: Mutex<Vec<(String, Duration)>>,
    calls: Arc<Mutex<Vec<(Duration, Call)>>>,
}

impl Simulated {
    /// Has to be made inside the runtime whose clock it uses.
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            start: Instant::now(),
            requests: Mutex::new(0),
            deleted: Mutex::new(Vec::new()),
            calls: Arc::new(Mutex::new(Vec::new())),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn calls(&self) -> Vec<(Duration, Call)> {
        self.calls.lock().unwrap().clone()
    }

    pub(super) fn deleted(&self) -> Vec<String> {
        self.deleted.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    fn log(&self, call: Call) {
        self.calls.lock().unwrap().push((self.elapsed(), call));
    }

    /// One way over the network: half before the server acts, half after.
    fn request(&self) -> (Duration, Option<Fault>) {
        let mut requests = self.requests.lock().unwrap();
        *requests += 1;
        let pick = |len: usize| if len == 0 { None } else { Some(*requests % len) };
        let latency =
            pick(self.script.latencies.len()).map_or(Duration::ZERO, |at| self.script.latencies[at]);
        let fault = pick(self.script.faults.len()).and_then(|at| self.script.faults[at]);
        (latency / 2, fault)
    }

    fn happened(&self, number: u64, wanted: &[Change]) -> bool {
        let now = self.elapsed();
        self.script
            .changes
            .iter()
            .any(|(at, of, change)| *of == number && *at <= now && wanted.contains(change))
    }

    fn pvs(&self) -> Vec<ClusterVolumes> {
        let mut view = samples::view(vec![], vec![vec![]; self.script.hubs]);
        for number in 0..self.script.volumes {
            // Every change hits another hub.
            let hub = usize::try_from(number).unwrap() % self.script.hubs;
            let pvs = &mut view.clusters[hub].persistent_volumes;
            if self.happened(number, &[Change::ClaimedById]) {
                pvs.push(PersistentVolume { name: "by-id".to_owned(), ..samples::pv(number) });
            }
            if self.happened(number, &[Change::ClaimedByName]) {
                pvs.push(PersistentVolume { volume_ids: vec![], ..samples::pv(number) });
            }
            if self.happened(number, &[Change::ClaimWithoutPv]) {
                view.clusters[hub].claims.push(samples::claim(number));
            }
        }
        if self.script.forgotten.is_some_and(|from| self.elapsed() >= from) {
            view.clusters.pop();
        }
        view.clusters
    }

    fn look_up(&self, id: &str) -> Option<Volume> {
        let number = (0..self.script.volumes).find(|number| samples::volume_id(*number) == id)?;
        if self.happened(number, &[Change::Gone]) {
            return None;
        }
        let mut volume = samples::volume(number);
        if let Some((_, at)) = self.deleted.lock().unwrap().iter().find(|(known, _)| known == id) {
            if self.script.stuck.contains(&number) {
                volume.status = "error_deleting".to_owned();
            } else if self.elapsed() >= *at + self.script.deleting {
                return None;
            } else {
                volume.status = "deleting".to_owned();
            }
        }
        if volume.status == "available" && self.happened(number, &[Change::Attached]) {
            volume.status = "in-use".to_owned();
            volume.attachments.push("server".to_owned());
        }
        if self.happened(number, &[Change::Renamed]) {
            volume.name = "mine".to_owned();
        }
        if self.happened(number, &[Change::Kept]) {
            volume.metadata.insert("fleet.keep".to_owned(), "yes".to_owned());
        }
        Some(volume)
    }
}

/// What is written down in that world.
pub(super) struct Notes<'w>(pub(super) &'w Simulated);

impl Notes<'_> {
    async fn write(&self, call: Call) -> Result<(), String> {
        tokio::time::sleep(self.0.script.writing).await;
        if self.0.script.full.is_some_and(|from| self.0.elapsed() >= from) {
            self.0.log(Call::Unrecorded);
            return Err("no space left".to_owned());
        }
        self.0.log(call);
        Ok(())
    }
}

impl Record for Notes<'_> {
    async fn deleting(&self, about: &Deleting<'_>) -> Result<(), String> {
        // What it rests on is every hub, each time.
        assert_eq!(about.evidence.hubs.len(), self.0.script.hubs);
        self.write(Call::Recorded(about.volume.id.clone())).await
    }

    async fn over(&self, planned: &Planned, outcome: &Outcome) -> Result<(), String> {
        self.write(Call::RecordedOver(planned.volume().id.clone(), outcome.clone())).await
    }
}

fn trouble(fault: Fault, retry_after: Option<Duration>) -> Trouble {
    let kind = match fault {
        Fault::PutOff | Fault::PutOffButDone => TroubleKind::PutOff,
        Fault::AnswerLost | Fault::RequestLost => TroubleKind::Unknown,
        Fault::TimedOut => TroubleKind::TimedOut,
    };
    Trouble { kind, reason: format!("{fault:?}"), retry_after }
}

impl World for Simulated {
    async fn volumes_used(&self) -> Result<Vec<ClusterVolumes>, Vec<Unseen>> {
        let (latency, _) = self.request();
        self.log(Call::Asked);
        tokio::time::sleep(latency).await;
        let answer = self.pvs();
        let silent = self.script.silent.is_some_and(|from| self.elapsed() >= from);
        self.log(Call::Volumes);
        tokio::time::sleep(latency).await;
        if silent {
            self.log(Call::Silence);
            return Err(vec![samples::silent("hub-0")]);
        }
        Ok(answer)
    }

    async fn snapshots(&self, _: &ProjectKey) -> Result<Vec<Snapshot>, Trouble> {
        let (latency, fault) = self.request();
        tokio::time::sleep(latency).await;
        self.log(Call::Snapshots);
        let answer = (0..self.script.volumes)
            .filter(|number| self.happened(*number, &[Change::Snapshotted]))
            .map(samples::snapshot_of)
            .collect();
        tokio::time::sleep(latency).await;
        fault.map_or(Ok(answer), |fault| Err(trouble(fault, self.script.retry_after)))
    }

    async fn volume(&self, _: &ProjectKey, id: &str) -> Result<Option<Volume>, Trouble> {
        let (latency, fault) = self.request();
        tokio::time::sleep(latency).await;
        self.log(Call::Volume(id.to_owned()));
        let answer = self.look_up(id);
        tokio::time::sleep(latency).await;
        fault.map_or(Ok(answer), |fault| Err(trouble(fault, self.script.retry_after)))
    }

    async fn delete(&self, _: &ProjectKey, id: &str, _: &Confirmed) -> Result<Sent, Trouble> {
        let (latency, fault) = self.request();
        // Logged when it is sent: from here on nobody can take it back.
        self.log(Call::Delete(id.to_owned()));
        tokio::time::sleep(latency).await;
        let there = self.look_up(id).is_some();
        if there && !matches!(fault, Some(Fault::PutOff | Fault::RequestLost)) {
            self.deleted.lock().unwrap().push((id.to_owned(), self.elapsed()));
        }
        tokio::time::sleep(latency).await;
        match fault {
            Some(fault) => Err(trouble(fault, self.script.retry_after)),
            None if there => Ok(Sent::Accepted),
            None => Ok(Sent::AlreadyGone),
        }
    }

    fn now(&self) -> Timestamp {
        samples::now() + SignedDuration::try_from(self.elapsed()).unwrap()
    }
}
