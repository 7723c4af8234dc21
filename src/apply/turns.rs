//! Many sandboxes at once, in an order that has them all run soon: all are made before the first is started, and started before any is
//! asked for anything. What a sandbox does once it runs, its tunnel and what asks through it, takes as much of an engine's machine as
//! making it, so the tunnels of many are held back until all run.

use std::pin::pin;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::held::Held;
use crate::hub::Hub;

/// How many hubs at once before their sandboxes are there: a jump host takes only so many logins at a time.
const PREPARING: u32 = 8;

/// How long what is ready waits for others: one of them may hang until its own time limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many tunnels at once begin to connect: a jump host's sshd turns some away from the tenth that has not logged in yet.
const CONNECTING: u32 = 12;

/// How long a tunnel has that turn. One whose master is away must not keep others from theirs.
const CONNECTS: Duration = Duration::from_secs(1);

/// The turns of all hubs of one engine.
#[derive(Debug)]
pub struct Turns {
    preparing: Semaphore,
    /// More at once than there are cores only take longer. An engine elsewhere does not say how many it has, and has hardly fewer.
    making: Semaphore,
    /// Twice as many: half of it is waiting for the kernel.
    starting: Semaphore,
    connecting: Semaphore,
    at_once: u32,
    many: bool,
}

/// The turn of one hub, from its beginning.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    preparing: Option<SemaphorePermit<'t>>,
}

impl Turns {
    /// For that many sandboxes that are to be made.
    pub fn of(sandboxes: usize) -> Self {
        let cores = available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        Self::among(cores, sandboxes)
    }

    fn among(cores: u32, sandboxes: usize) -> Self {
        let turns = |count: u32| Semaphore::new(usize::try_from(count).unwrap_or(1));
        let at_once = cores.saturating_mul(2);
        Self {
            preparing: turns(PREPARING),
            making: turns(cores),
            starting: turns(at_once),
            connecting: turns(CONNECTING),
            at_once,
            many: u32::try_from(sandboxes).is_ok_and(|sandboxes| sandboxes > at_once),
        }
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

    /// Holds a hub's tunnel back where it would take the machine from sandboxes that are still to be started.
    pub fn hold(&self, hub: &Hub) -> Option<Held> {
        // Without it, all takes a little longer, and that is all.
        self.turns.many.then(|| Held::new(hub.tunnel_hold()).ok()).flatten()
    }

    /// It runs. Waits until all others run that can be started.
    pub async fn runs(&self) {
        after_all(&self.turns.starting, self.turns.at_once).await;
    }

    /// Lets a tunnel go in its turn, and waits until it is there.
    pub async fn connect<T>(&self, held: Option<Held>, tunnel: impl Future<Output = T>) -> T {
        let turn = self.turns.connecting.acquire().await.ok();
        drop(held);
        let mut tunnel = pin!(tunnel);
        if let Ok(connected) = timeout(CONNECTS, tunnel.as_mut()).await {
            return connected;
        }
        drop(turn);
        tunnel.await
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
            turn.connect(None, async { did("asked", hub) }).await;
        }))
        .await;
        done.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_made_before_one_is_started_and_started_before_one_is_asked() {
        let turns = Turns::among(2, 30);
        let done = done(&turns, &[Duration::from_millis(50); 30]).await;
        let words: Vec<&str> = done.iter().map(|(what, _)| *what).collect();
        assert_eq!(words, [["made"; 30], ["started"; 30], ["asked"; 30]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_keeps_the_others_no_longer_than_patience_lasts() {
        let turns = Turns::among(4, 10);
        let began = Instant::now();
        let mut making = [Duration::from_millis(50); 10];
        making[3] = Duration::from_mins(1);
        let done = done(&turns, &making).await;
        assert_eq!(done.iter().rposition(|(_, hub)| *hub != 3), Some(26), "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(61), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn tunnels_connect_by_turns_and_one_that_cannot_keeps_the_others_no_longer_than_its_turn() {
        let turns = Turns::among(2, 60);
        let (began, connected) = (Instant::now(), Mutex::new(Vec::new()));
        join_all((0..60).map(async |hub| {
            let mut turn = turns.turn().await;
            drop(turn.made().await);
            // Every other master is away.
            let takes = Duration::from_millis(if hub % 2 == 0 { 100 } else { 20_000 });
            turn.connect(None, sleep(takes)).await;
            connected.lock().unwrap().push((began.elapsed().as_millis(), hub));
        }))
        .await;
        let connected = connected.into_inner().unwrap();
        let good: Vec<u128> = connected.iter().filter(|(_, hub)| hub % 2 == 0).map(|(at, _)| *at).collect();
        assert!(good.len() == 30 && good.iter().all(|at| *at <= 5_000), "{good:?}");
    }

    #[tokio::test]
    async fn tunnels_are_held_back_only_where_there_are_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut hub = crate::hub::samples::hub("a");
        hub.state = dir.path().to_owned();
        crate::files::private_dir(&hub.tunnel_dir()).unwrap();
        let (few, many) = (Turns::among(2, 4), Turns::among(2, 5));
        assert!(few.turn().await.hold(&hub).is_none());
        let turn = many.turn().await;
        let held = turn.hold(&hub).unwrap();
        let path = hub.tunnel_hold();
        let (said, says) = std::sync::mpsc::channel();
        let tunnel = std::thread::spawn(move || {
            let mut pipe = std::fs::File::open(path).unwrap();
            said.send("waits").unwrap();
            std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
            said.send("goes").unwrap();
        });
        assert_eq!(says.recv().unwrap(), "waits");
        assert!(says.recv_timeout(Duration::from_millis(100)).is_err());
        turn.connect(Some(held), async { assert!(!hub.tunnel_hold().exists()) }).await;
        assert_eq!(says.recv().unwrap(), "goes");
        tunnel.join().unwrap();
    }
}
