//! Ctrl-C and SIGTERM: told to everything that is under way, so that it can end in good order.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the user has asked fleet to stop. Clones share one answer.
#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    pub fn listen() -> std::io::Result<Self> {
        let (tell, asked) = watch::channel(false);
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
            // The sender lives as long as the process: a closed channel must not look like an answer.
            std::future::pending::<()>().await;
        });
        Ok(Self { asked })
    }

    /// One that the caller decides about.
    pub fn manual() -> (watch::Sender<bool>, Self) {
        let (tell, asked) = watch::channel(false);
        (tell, Self { asked })
    }

    /// The same answer, for those who look at it themselves.
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }

    /// Whether it has been asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until it is asked for; for ever if it never is.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
