//! The order in which everybody is asked: it is part of the rule for orphans.

use jiff::Timestamp;

/// What holds volumes is asked first, and what uses them only when all of that is there. Ages are counted up to the moment
/// in between: of what was made before it, whatever uses it had that long to show.
pub(crate) async fn in_order<V, U>(
    volumes: impl Future<Output = V>,
    used: impl AsyncFnOnce(&V) -> U,
    now: impl FnOnce() -> Timestamp,
) -> (V, Timestamp, U) {
    let volumes = volumes.await;
    let between = now();
    let used = used(&volumes).await;
    (volumes, between, used)
}
