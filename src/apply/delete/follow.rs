//! What becomes of a deletion once it was sent.

use tokio::time::Instant;

use crate::observed::{ProjectKey, Volume};
use crate::plan::orphans::Planned;

use super::{Limits, Outcome, Trouble, World, retry};

/// What became of a deletion of which nobody knows whether it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The volume is gone, or going, or Cinder failed to delete it; it was followed to its end.
    Over(Outcome),
    /// It is there as if nobody had asked.
    There(Box<Volume>),
}

/// Finds out, by id.
pub async fn settle<W: World>(
    world: &W,
    limits: &Limits,
    project: &ProjectKey,
    id: &str,
) -> Result<Settled, Trouble> {
    let there = retry::read(limits, || world.volume(project, id)).await?;
    Ok(match there {
        None => Settled::Over(Outcome::Deleted),
        Some(volume) if volume.status == "error_deleting" => Settled::Over(could_not(&volume)),
        Some(volume) if volume.status == "deleting" => {
            Settled::Over(until_gone(world, limits, project, id, None).await)
        }
        Some(volume) => Settled::There(Box::new(volume)),
    })
}

/// The outcome of a volume whose deletion was put off and not sent successfully afterwards: whoever put it off, a proxy
/// say, may have passed it on all the same.
pub(super) async fn after_put_off<W: World>(
    world: &W,
    limits: &Limits,
    planned: &Planned,
    outcome: Outcome,
    put_off: &str,
) -> Outcome {
    if matches!(outcome, Outcome::Deleted | Outcome::AlreadyGone) {
        return Outcome::Deleted;
    }
    match settle(world, limits, &planned.project().key, &planned.volume().id).await {
        Ok(Settled::Over(outcome)) => outcome,
        Ok(Settled::There(volume)) if outcome == Outcome::NotStarted => Outcome::Failed {
            reason: format!(
                "Cinder put the deletion off, and it was not sent again ({put_off}): its status is {:?}",
                volume.status
            ),
        },
        Ok(Settled::There(_)) => outcome,
        Err(trouble) => Outcome::Pending { reason: still_there(&trouble.reason, Some(put_off)) },
    }
}

/// Asks until Cinder says 404, or the time is up. `lost` says why there was no answer to the deletion itself.
pub(super) async fn until_gone<W: World>(
    world: &W,
    limits: &Limits,
    project: &ProjectKey,
    id: &str,
    lost: Option<&str>,
) -> Outcome {
    let deadline = Instant::now() + limits.gone_within;
    let mut pause = limits.poll;
    let mut asked_for = None;
    loop {
        tokio::time::sleep(retry::longer(pause, asked_for.take())).await;
        pause = (pause * 2).min(limits.poll * 8);
        let known = match world.volume(project, id).await {
            Ok(None) => return Outcome::Deleted,
            Ok(Some(volume)) if volume.status.starts_with("error") => return could_not(&volume),
            Ok(Some(volume)) => format!("its status is {:?}", volume.status),
            Err(trouble) => {
                asked_for = trouble.retry_after;
                trouble.reason
            }
        };
        if Instant::now() >= deadline {
            return Outcome::Pending { reason: still_there(&known, lost) };
        }
    }
}

fn could_not(volume: &Volume) -> Outcome {
    Outcome::Failed { reason: format!("Cinder could not delete it: its status is {:?}", volume.status) }
}

fn still_there(known: &str, lost: Option<&str>) -> String {
    match lost {
        None => format!("Cinder accepted the deletion, but the volume is still there: {known}"),
        Some(lost) => format!("nobody knows whether Cinder got the deletion ({lost}): {known}"),
    }
}
