//! Ctrl-C and SIGTERM: told to everything that is under way, so that it can end in good order.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the user has asked fleet to stop. Clones share one answer.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
    /// Asked for again: an orderly end takes too long.
    pressed: watch::Receiver<bool>,
    /// How many have something to put in order before fleet ends.
    holds: Arc<watch::Sender<usize>>,
}

/// While this is there, [`Interrupt::or`] goes on with what was asked.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<watch::Sender<usize>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.send_modify(|holds| *holds -= 1);
    }
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    pub fn listen() -> std::io::Result<Self> {
        let (tell, asked) = watch::channel(false);
        let (press, pressed) = watch::channel(false);
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hangup.recv() => {}
            }
            // Nobody listening any more means that the command has ended by itself.
            let _ = tell.send(true);
            // A terminal that goes away sends SIGHUP beside others: that is no second time.
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
            let _ = press.send(true);
            // The sender lives as long as the process: a closed channel must not look like an answer.
            std::future::pending::<()>().await;
        });
        Ok(Self { asked, pressed, holds: Arc::default() })
    }

    /// One that the caller decides about.
    pub fn manual() -> (watch::Sender<bool>, Self) {
        let (tell, asked) = watch::channel(false);
        (tell, Self { asked, pressed: watch::channel(false).1, holds: Arc::default() })
    }

    /// The same answer, for those who look at it themselves.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }

    /// Whether it has been asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// For somebody who stops by himself when it is asked for, and needs a moment for it: a command that runs in a sandbox
    /// has to be ended there.
    pub fn hold(&self) -> Hold {
        self.holds.send_modify(|holds| *holds += 1);
        Hold { holds: Arc::clone(&self.holds) }
    }

    /// What something comes to; `None` where fleet is to stop before, and then as soon as nobody [holds](Self::hold) it.
    pub async fn or<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(something);
        tokio::select! {
            value = &mut something => return Some(value),
            () = self.asked() => {}
        }
        let mut holds = self.holds.subscribe();
        tokio::select! {
            _ = something => {}
            _ = holds.wait_for(|holds| *holds == 0) => {}
        }
        None
    }

    /// Waits until it is asked for; for ever if it never is.
    pub async fn asked(&self) {
        wait_for(self.asked.clone()).await;
    }

    /// Waits until it is asked for a second time: now, by force.
    pub async fn pressed(&self) {
        wait_for(self.pressed.clone()).await;
    }
}

async fn wait_for(mut asked: watch::Receiver<bool>) {
    if asked.wait_for(|asked| *asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_stopped_is_waited_for_only_while_somebody_holds_it() {
        let (tell, interrupt) = Interrupt::manual();
        assert_eq!(interrupt.or(async { 1 }).await, Some(1));
        let second = Duration::from_secs(1);
        let began = tokio::time::Instant::now();
        let asking = interrupt.or(async {
            let hold = interrupt.hold();
            tokio::time::sleep(3 * second).await;
            drop(hold);
            std::future::pending::<()>().await;
        });
        let stopping = async {
            tokio::time::sleep(second).await;
            tell.send_replace(true);
        };
        assert_eq!(tokio::join!(asking, stopping).0, None);
        assert_eq!(began.elapsed(), 3 * second);
        assert_eq!(interrupt.or(std::future::pending::<()>()).await, None);
        assert_eq!(began.elapsed(), 3 * second);
    }
}
