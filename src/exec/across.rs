//! One command in many sandboxes, side by side: one stream of events, whatever it is shown as.

use std::fs::File;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::caretaker::Caretaker;
use super::one::{Input, Place, run};
use super::outcome::{Fate, Outcome, Stop};
use super::output::{End, Stream};
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observe::Sandboxes;
use crate::systems::docker::Engine;

use futures_util::StreamExt as _;

/// What happens while a command runs across hubs.
#[derive(Debug, Clone)]
pub enum Event {
    /// A piece of its output, as it came.
    Output {
        /// Where: the hub's place among the chosen ones.
        hub: usize,
        /// Of which output.
        stream: Stream,
        /// The bytes.
        bytes: Bytes,
    },
    /// The command ended in one hub; every chosen hub has exactly one of these.
    Ended(Outcome),
    /// Somebody waits until everything before this is shown.
    Pause(mpsc::Sender<()>),
}

/// A command for many hubs.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The fleet.
    pub fleet: &'a Fleet,
    /// What the engine has of it.
    pub sandboxes: &'a Sandboxes,
    /// How many at once.
    pub parallel: usize,
    /// How long it may take in one hub.
    pub limit: Option<Duration>,
    /// Until when it may take in all of them, and how long that was to be.
    pub deadline: Option<(Instant, Duration)>,
    /// One that fails stops the others.
    pub fail_fast: bool,
    /// What it has to read, the same in every hub.
    pub input: Option<&'a File>,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Who ends the command everywhere where fleet is killed.
    pub caretaker: Option<&'a Caretaker>,
}

/// Runs a command in hubs, each with its place and its words, and sends what happens. The channel is bounded, so that a
/// reader that is slower than the commands slows them down instead of filling the memory. A reader that goes away stops them.
/// What it comes to is told again in the end.
pub async fn across(
    job: Job<'_>,
    hubs: &[(usize, &Hub, Vec<String>)],
    events: &mpsc::Sender<Event>,
) -> Vec<Outcome> {
    let (halt, halted) = watch::channel(None);
    let stop = |why: Stop| halt.send_if_modified(|now| now.is_none() && now.replace(why).is_none());
    let all = futures_util::stream::iter(hubs)
        .map(|(place, hub, argv)| {
            let halted = halted.clone();
            async move {
                let began = Instant::now();
                let fate = in_one(job, *place, hub, argv, halted, events).await;
                if job.fail_fast && !fate.is_success() {
                    stop(Stop::Failed(hub.name.clone()));
                }
                let outcome = Outcome { hub: *place, fate, took: began.elapsed() };
                // A reader that has gone does not want to hear it.
                let _ = events.send(Event::Ended(outcome.clone())).await;
                outcome
            }
        })
        .buffer_unordered(job.parallel.max(1))
        .collect();
    let halting = async {
        stop(why_to_halt(job, events).await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Stopped before begun is not begun.
        biased;
        () = halting => Vec::new(),
        outcomes = all => outcomes,
    }
}

/// Why everything is to be stopped, when it is.
async fn why_to_halt(job: Job<'_>, events: &mpsc::Sender<Event>) -> Stop {
    let deadline = async {
        match job.deadline {
            Some((at, limit)) => {
                tokio::time::sleep_until(at).await;
                limit
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = job.interrupt.asked() => Stop::Asked,
        () = events.closed() => Stop::ReaderGone,
        limit = deadline => Stop::Deadline(limit),
    }
}

async fn in_one(
    job: Job<'_>,
    place: usize,
    hub: &Hub,
    argv: &[String],
    mut halted: watch::Receiver<Option<Stop>>,
    events: &mpsc::Sender<Event>,
) -> Fate {
    if let Some(why) = halted.borrow().clone() {
        return Fate::NotBegun(why);
    }
    let sandbox = match job.sandboxes.running(job.fleet, hub) {
        Ok(sandbox) => sandbox,
        Err(unseen) => return Fate::Ended(End::Failed { reason: unseen.reason, hint: unseen.hint }),
    };
    let Job { engine, limit, interrupt, caretaker, .. } = job;
    let at = Place { engine, sandbox: &sandbox.id, limit, interrupt, caretaker, leaves: &[] };
    let input = job.input.map_or(Input::None, Input::File);
    let mut why = None;
    let stop = async {
        // Whoever could halt it is there as long as this is.
        why = halted.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
    };
    let end = run(at, argv.to_vec(), input, stop, async |stream, bytes| {
        let _ = events.send(Event::Output { hub: place, stream, bytes }).await;
    })
    .await;
    match (end, why) {
        (End::Interrupted, Some(why)) => Fate::Stopped(why),
        (end, _) => Fate::Ended(end),
    }
}
