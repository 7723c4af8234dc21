//! One command in many sandboxes, side by side: one stream of events, whatever it is shown as.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::lines::Lines;
use super::one::{End, Stream, run};
use crate::hub::{Fleet, Hub, HubName};
use crate::interrupt::Interrupt;
use crate::observe::Sandboxes;
use crate::systems::docker::Engine;

/// What happens while a command runs across hubs.
#[derive(Debug)]
pub enum Event {
    /// A whole line, without its newline.
    Line {
        /// Where.
        hub: HubName,
        /// Of which output.
        stream: Stream,
        /// The line.
        line: Bytes,
    },
    /// The command ended in one hub; every chosen hub has exactly one of these.
    Ended(Outcome),
}

/// How it went in one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where.
    pub hub: HubName,
    /// How it ended.
    pub end: End,
    /// How long it took.
    pub took: Duration,
}

/// Runs a command in all chosen hubs, `parallel` at a time, and sends what happens. The channel is bounded, so that a
/// reader that is slower than the commands slows them down instead of filling the memory. A reader that goes away stops
/// them.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, and there is one caller")]
pub async fn across(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hubs: &[&Hub],
    argv: &[String],
    parallel: usize,
    limit: Option<Duration>,
    interrupt: &Interrupt,
    events: mpsc::Sender<Event>,
) {
    futures_util::stream::iter(hubs)
        .for_each_concurrent(parallel.max(1), |hub| {
            let events = events.clone();
            async move {
                let began = Instant::now();
                let end = match sandboxes.running(fleet, hub) {
                    _ if interrupt.is_asked() || events.is_closed() => End::Interrupted,
                    Err(unseen) => End::Failed { reason: unseen.reason, hint: unseen.hint },
                    Ok(sandbox) => in_one(engine, &sandbox.id, hub, argv, limit, interrupt, &events).await,
                };
                let outcome = Outcome { hub: hub.name.clone(), end, took: began.elapsed() };
                // A reader that has gone does not want to hear it.
                let _ = events.send(Event::Ended(outcome)).await;
            }
        })
        .await;
}

async fn in_one(
    engine: &Engine,
    sandbox: &str,
    hub: &Hub,
    argv: &[String],
    limit: Option<Duration>,
    interrupt: &Interrupt,
    events: &mpsc::Sender<Event>,
) -> End {
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    let mut ready = Vec::new();
    let stop = async {
        tokio::select! {
            () = interrupt.asked() => {}
            () = events.closed() => {}
        }
    };
    let end = run(engine, sandbox, argv, limit, stop, async |stream, bytes| {
        let lines = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        lines.push(&bytes, |line| ready.push(line));
        for line in ready.drain(..) {
            let _ = events.send(Event::Line { hub: hub.name.clone(), stream, line }).await;
        }
    })
    .await;
    for (stream, mut lines) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
        let mut last = None;
        lines.finish(|line| last = Some(line));
        if let Some(line) = last {
            let _ = events.send(Event::Line { hub: hub.name.clone(), stream, line }).await;
        }
    }
    end
}
