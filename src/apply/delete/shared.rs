//! An answer that serves everybody who asks at about the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// An answer, with when it was asked for and when it had arrived.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) value: Arc<T>,
    pub(super) asked: Instant,
    pub(super) arrived: Instant,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), asked: self.asked, arrived: self.arrived }
    }
}

/// The latest answer to a question.
#[derive(Debug)]
pub(super) struct Shared<T> {
    latest: Mutex<Option<Answer<T>>>,
    fresh_for: Duration,
}

impl<T> Shared<T> {
    pub(super) fn new(fresh_for: Duration) -> Self {
        Self { latest: Mutex::new(None), fresh_for }
    }

    /// An answer that was asked for after `picked`, or at most `fresh_for` ago. Whoever comes while a question is out
    /// waits for its answer, and asks again only if that question was too early to serve. Errors are not kept.
    pub(super) async fn get<E>(
        &self,
        picked: Instant,
        ask: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Answer<T>, E> {
        let mut latest = self.latest.lock().await;
        if let Some(answer) = latest.as_ref()
            && (answer.asked >= picked || answer.asked.elapsed() <= self.fresh_for)
        {
            return Ok(answer.clone());
        }
        let asked = Instant::now();
        let value = Arc::new(ask().await?);
        let answer = Answer { value, asked, arrived: Instant::now() };
        *latest = Some(answer.clone());
        Ok(answer)
    }
}
