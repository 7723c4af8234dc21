//! Many sandboxes at once, in an order that has them all run soon: all are made before the first is started, and started before any is
//! asked for anything. What a sandbox does once it runs, its tunnel and what asks through it, takes as much of an engine's machine as
//! making it.

use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How many hubs at once before their sandboxes are there: a jump host takes only so many logins at a time.
const PREPARING: u32 = 8;

/// How long what is ready waits for others: one of them may hang until its own time limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns of all hubs of one engine.
#[derive(Debug)]
pub struct Turns {
    preparing: Semaphore,
    /// More at once than there are cores only take longer. An engine elsewhere does not say how many it has, and has hardly fewer.
    making: Semaphore,
    /// Twice as many: half of it is waiting for the kernel.
    starting: Semaphore,
    at_once: u32,
}

/// The turn of one hub, from its beginning.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    preparing: Option<SemaphorePermit<'t>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self::among(available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1)))
    }
}

impl Turns {
    fn among(cores: u32) -> Self {
        let turns = |count: u32| Semaphore::new(usize::try_from(count).unwrap_or(1));
        let at_once = cores.saturating_mul(2);
        Self { preparing: turns(PREPARING), making: turns(cores), starting: turns(at_once), at_once }
    }

    /// Waits until a hub can begin.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { turns: self, preparing: self.preparing.acquire().await.ok() }
    }

    /// Waits until a sandbox that is there can be started.
    pub async fn to_start(&self) -> Option<SemaphorePermit<'_>> {
        self.starting.acquire().await.ok()
    }
}

impl<'t> Turn<'t> {
    /// Waits until its sandbox can be made.
    pub async fn to_make(&self) -> Option<SemaphorePermit<'t>> {
        self.turns.making.acquire().await.ok()
    }

    /// It is made: another hub can begin. Waits until those have made theirs that came before, and then until it can be started.
    pub async fn made(&mut self) -> Option<SemaphorePermit<'t>> {
        self.preparing = None;
        after_all(&self.turns.preparing, PREPARING).await;
        self.turns.to_start().await
    }

    /// It runs. Waits until all others run that can be started.
    pub async fn runs(&self) {
        after_all(&self.turns.starting, self.turns.at_once).await;
    }
}

/// Who asks for all turns gets them once nobody who came before has one, or wants one.
async fn after_all(turns: &Semaphore, count: u32) {
    drop(timeout(PATIENCE, turns.acquire_many(count)).await);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// What these hubs did, in order, where making takes each so long.
    async fn done(turns: &Turns, making: &[Duration]) -> Vec<(&'static str, usize)> {
        let done = Mutex::new(Vec::new());
        let did = |what, hub| done.lock().unwrap().push((what, hub));
        join_all(making.iter().enumerate().map(async |(hub, making)| {
            let mut turn = turns.turn().await;
            let to_make = turn.to_make().await;
            sleep(*making).await;
            drop(to_make);
            did("made", hub);
            let to_start = turn.made().await;
            sleep(Duration::from_millis(10)).await;
            drop(to_start);
            did("started", hub);
            turn.runs().await;
            did("asked", hub);
        }))
        .await;
        done.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_made_before_one_is_started_and_started_before_one_is_asked() {
        let turns = Turns::among(2);
        let done = done(&turns, &[Duration::from_millis(50); 30]).await;
        let words: Vec<&str> = done.iter().map(|(what, _)| *what).collect();
        assert_eq!(words, [["made"; 30], ["started"; 30], ["asked"; 30]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_keeps_the_others_no_longer_than_patience_lasts() {
        let turns = Turns::among(4);
        let began = Instant::now();
        let mut making = [Duration::from_millis(50); 10];
        making[3] = Duration::from_mins(1);
        let done = done(&turns, &making).await;
        assert_eq!(done.iter().rposition(|(_, hub)| *hub != 3), Some(26), "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(61), "{:?}", began.elapsed());
    }
}
