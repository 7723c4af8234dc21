//! Trying again: a little later each time, and not before the server wants it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::{ATTEMPTS, Limits, Trouble, TroubleKind};

/// The longest that a server's `Retry-After` is honoured: beyond it, an operator would rather be told.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long to wait before each attempt but the first.
pub(super) fn delays(limits: &Limits, times: usize) -> impl Iterator<Item = Duration> + use<> {
    ExponentialBuilder::default().with_min_delay(limits.retry).with_max_times(times).with_jitter().build()
}

/// The pause that fleet would make, or the one that the server asks for if that is longer.
pub(super) fn longer(pause: Duration, asked_for: Option<Duration>) -> Duration {
    asked_for.map_or(pause, |asked_for| pause.max(asked_for.min(LONGEST_PAUSE)))
}

/// A read, tried again where the server put it off or failed.
pub(in crate::apply) async fn read<T, F: Future<Output = Result<T, Trouble>>>(
    limits: &Limits,
    ask: impl Fn() -> F,
) -> Result<T, Trouble> {
    let mut delays = delays(limits, ATTEMPTS - 1);
    loop {
        match ask().await {
            Err(trouble) if matches!(trouble.kind, TroubleKind::PutOff | TroubleKind::Unknown) => {
                match delays.next() {
                    Some(delay) => tokio::time::sleep(longer(delay, trouble.retry_after)).await,
                    None => return Err(trouble),
                }
            }
            answer => return answer,
        }
    }
}
