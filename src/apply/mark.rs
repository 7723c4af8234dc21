//! Changes what volumes' metadata says of them: the mark of the quarantine, and the wish to keep one.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::delete::{Limits, Trouble, read};
use crate::exit::Exit;
use crate::observed::{Metadata, ProjectKey, Volume};
use crate::plan::orphans::keep::Change;
use crate::plan::orphans::{Decided, Marking, SINCE, still_to_mark};

/// What changing metadata needs of the world.
pub trait Annotator: Sync {
    /// A volume, asked for now; `None` where Cinder says 404.
    fn look_up(
        &self,
        project: &ProjectKey,
        id: &str,
    ) -> impl Future<Output = Result<Option<Volume>, Trouble>> + Send;

    /// Adds to a volume's metadata, or changes what is there.
    fn set(
        &self,
        project: &ProjectKey,
        id: &str,
        metadata: &Metadata,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Takes a key out of a volume's metadata. One that is not there is no error.
    fn remove(
        &self,
        project: &ProjectKey,
        id: &str,
        key: &str,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// What became of a volume's mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum MarkOutcome {
    /// It is marked from now on.
    Marked,
    /// It was marked already.
    Stays {
        /// Since when.
        since: Timestamp,
    },
    /// Its mark was taken off.
    TakenOff {
        /// What it is.
        reason: String,
    },
    /// It has changed since it was judged, and was left as it is.
    Left {
        /// What has changed.
        reason: String,
    },
    /// It did not work.
    Failed {
        /// Why.
        reason: String,
    },
    /// fleet was stopped before its turn came.
    NotStarted,
}

/// How it went, in the order of what was to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Marked<'m> {
    /// Every volume with what became of its mark.
    pub outcomes: Vec<(&'m Decided, MarkOutcome)>,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

impl Marked<'_> {
    /// The exit status.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.outcomes.iter().any(|(_, outcome)| matches!(outcome, MarkOutcome::Failed { .. })) {
            Exit::Failed
        } else {
            Exit::Done
        }
    }
}

/// Sets and takes off marks, so many side by side. Every volume is read once more right before.
pub async fn mark<'m, A: Annotator>(
    world: &A,
    marking: &'m Marking,
    now: Timestamp,
    parallel: usize,
    limits: &Limits,
    stop: watch::Receiver<bool>,
) -> Marked<'m> {
    enum Deed<'m> {
        Put(&'m Decided),
        Take(&'m Decided, &'m str),
    }
    let Marking { put, take, stay } = marking;
    let deeds = put.iter().map(Deed::Put).chain(take.iter().map(|(decided, why)| Deed::Take(decided, why)));
    let stop = &stop;
    let done = deeds.map(|deed| async move {
        let (Deed::Put(decided) | Deed::Take(decided, _)) = deed;
        if *stop.borrow() {
            return (decided, MarkOutcome::NotStarted);
        }
        let result = match deed {
            Deed::Put(_) => put_one(world, decided, now, limits).await,
            Deed::Take(_, why) => take_one(world, decided, why, limits).await,
        };
        (decided, result.unwrap_or_else(|trouble| MarkOutcome::Failed { reason: trouble.reason }))
    });
    let mut outcomes: Vec<_> = stream::iter(done).buffered(parallel.max(1)).collect().await;
    outcomes.extend(stay.iter().map(|(decided, since)| (decided, MarkOutcome::Stays { since: *since })));
    Marked { outcomes, interrupted: *stop.borrow() }
}

async fn put_one<A: Annotator>(
    world: &A,
    decided: &Decided,
    now: Timestamp,
    limits: &Limits,
) -> Result<MarkOutcome, Trouble> {
    let (project, id) = (&decided.project.key, decided.volume.id.as_str());
    let Some(fresh) = read(limits, || world.look_up(project, id)).await? else { return Ok(gone()) };
    if let Err(reason) = still_to_mark(decided, &fresh) {
        return Ok(MarkOutcome::Left { reason });
    }
    let metadata = Metadata::from_iter([(SINCE.to_owned(), format!("{now:.0}"))]);
    read(limits, || world.set(project, id, &metadata)).await?;
    Ok(MarkOutcome::Marked)
}

async fn take_one<A: Annotator>(
    world: &A,
    decided: &Decided,
    why: &str,
    limits: &Limits,
) -> Result<MarkOutcome, Trouble> {
    let (project, id) = (&decided.project.key, decided.volume.id.as_str());
    let Some(fresh) = read(limits, || world.look_up(project, id)).await? else { return Ok(gone()) };
    if fresh.metadata.contains_key(SINCE) {
        read(limits, || world.remove(project, id, SINCE)).await?;
    }
    Ok(MarkOutcome::TakenOff { reason: why.to_owned() })
}

fn gone() -> MarkOutcome {
    MarkOutcome::Left { reason: "it is gone".to_owned() }
}

/// Changes a volume's metadata: sets first, and then takes away.
pub async fn change<A: Annotator>(
    world: &A,
    project: &ProjectKey,
    id: &str,
    change: &Change,
    limits: &Limits,
) -> Result<(), Trouble> {
    let Change { set, remove } = change;
    if !set.is_empty() {
        read(limits, || world.set(project, id, set)).await?;
    }
    for key in remove {
        read(limits, || world.remove(project, id, key)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::apply::delete::TroubleKind;
    use crate::plan::orphans::plan;
    use crate::plan::orphans::samples::{hours_ago, now, pv, rules, view, volume, volume_id, with_metadata};

    /// Volumes that answer, some of them with trouble for so many times.
    struct Volumes {
        all: Mutex<BTreeMap<String, Volume>>,
        trouble: Mutex<BTreeMap<String, (usize, TroubleKind)>>,
        asked: Mutex<Vec<String>>,
    }

    impl Volumes {
        fn new(volumes: &[Volume]) -> Self {
            let all = volumes.iter().map(|volume| (volume.id.clone(), volume.clone())).collect();
            Self { all: Mutex::new(all), trouble: Mutex::default(), asked: Mutex::default() }
        }

        fn ask(&self, what: &str, id: &str) -> Result<(), Trouble> {
            self.asked.lock().unwrap().push(format!("{what} {id}"));
            match self.trouble.lock().unwrap().get_mut(id) {
                Some((times @ 1.., kind)) => {
                    *times -= 1;
                    Err(Trouble { kind: *kind, reason: "no".to_owned(), retry_after: None })
                }
                _ => Ok(()),
            }
        }

        fn metadata(&self, number: u64) -> Metadata {
            self.all.lock().unwrap()[&volume_id(number)].metadata.clone()
        }
    }

    impl Annotator for Volumes {
        async fn look_up(&self, _: &ProjectKey, id: &str) -> Result<Option<Volume>, Trouble> {
            self.ask("look", id)?;
            Ok(self.all.lock().unwrap().get(id).cloned())
        }

        async fn set(&self, _: &ProjectKey, id: &str, more: &Metadata) -> Result<(), Trouble> {
            self.ask("set", id)?;
            self.all.lock().unwrap().get_mut(id).unwrap().metadata.extend(more.clone());
            Ok(())
        }

        async fn remove(&self, _: &ProjectKey, id: &str, key: &str) -> Result<(), Trouble> {
            self.ask("remove", id)?;
            self.all.lock().unwrap().get_mut(id).unwrap().metadata.remove(key);
            Ok(())
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(future)
    }

    /// Two orphans, one of them marked, and a volume in use that carries a mark.
    fn marking() -> (Marking, Vec<Volume>) {
        let volumes = vec![
            volume(1),
            with_metadata(2, SINCE, &hours_ago(5).to_string()),
            with_metadata(3, SINCE, &hours_ago(9).to_string()),
        ];
        let view = view(volumes.clone(), vec![vec![pv(3)]]);
        (plan(&view, &rules()).marking().unwrap(), volumes)
    }

    fn marked<'m>(world: &Volumes, marking: &'m Marking, stopped: bool) -> Marked<'m> {
        let (_stop, stop) = watch::channel(stopped);
        run(mark(world, marking, now(), 4, &Limits::default(), stop))
    }

    #[test]
    fn marks_are_set_and_taken_off_and_nothing_else_is_changed() {
        let (marking, volumes) = marking();
        let world = Volumes::new(&volumes);
        let done = marked(&world, &marking, false);
        let outcomes: Vec<&MarkOutcome> = done.outcomes.iter().map(|(_, outcome)| outcome).collect();
        let in_use = "in use: hub hub-0: claim jhub/claim-alice".to_owned();
        assert_eq!(
            outcomes,
            [
                &MarkOutcome::Marked,
                &MarkOutcome::TakenOff { reason: in_use },
                &MarkOutcome::Stays { since: hours_ago(5) }
            ]
        );
        assert_eq!(done.exit(), Exit::Done);
        let mut expected = volumes[0].metadata.clone();
        expected.insert(SINCE.to_owned(), "2026-03-01T12:00:00Z".to_owned());
        assert_eq!(world.metadata(1), expected);
        assert_eq!(world.metadata(2), volumes[1].metadata);
        assert_eq!(world.metadata(3), volume(3).metadata);
        // Right before, and nobody else is asked for.
        let asked = world.asked.lock().unwrap().clone();
        let of = |what: &str, number| format!("{what} {}", volume_id(number));
        assert_eq!(asked.len(), 4);
        assert!(asked.contains(&of("look", 1)) && asked.contains(&of("look", 3)));
    }

    #[test]
    fn what_has_changed_since_it_was_judged_is_not_marked() {
        let (marking, mut volumes) = marking();
        volumes[0].status = "reserved".to_owned();
        let world = Volumes::new(&volumes);
        let done = marked(&world, &marking, false);
        let MarkOutcome::Left { reason } = &done.outcomes[0].1 else { panic!("{done:?}") };
        assert!(reason.contains("its status changed"), "{reason}");
        assert_eq!(world.metadata(1), volumes[0].metadata);
        world.all.lock().unwrap().remove(&volume_id(1));
        let done = marked(&world, &marking, false);
        assert_eq!(done.outcomes[0].1, MarkOutcome::Left { reason: "it is gone".to_owned() });
        assert_eq!(done.exit(), Exit::Done);
    }

    #[test]
    fn what_was_put_off_is_tried_again_and_what_was_refused_is_not() {
        let (marking, volumes) = marking();
        let world = Volumes::new(&volumes);
        world.trouble.lock().unwrap().insert(volume_id(1), (2, TroubleKind::PutOff));
        world.trouble.lock().unwrap().insert(volume_id(3), (1, TroubleKind::Refused));
        let done = marked(&world, &marking, false);
        assert_eq!(done.outcomes[0].1, MarkOutcome::Marked);
        assert_eq!(done.outcomes[1].1, MarkOutcome::Failed { reason: "no".to_owned() });
        assert_eq!(done.exit(), Exit::Failed);
    }

    #[test]
    fn once_stopped_no_other_volume_is_touched() {
        let (marking, volumes) = marking();
        let world = Volumes::new(&volumes);
        let done = marked(&world, &marking, true);
        assert_eq!(done.exit(), Exit::Interrupted);
        assert_eq!(done.outcomes[0].1, MarkOutcome::NotStarted);
        assert!(world.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn a_volume_that_is_kept_is_kept_all_the_time_while_that_changes() {
        let world = Volumes::new(&[with_metadata(1, "fleet.keep-until", "2099-01-01")]);
        let wish = Change {
            set: Metadata::from_iter([("fleet.keep".to_owned(), "true".to_owned())]),
            remove: vec!["fleet.keep-until".to_owned()],
        };
        let project = crate::plan::orphans::samples::project("alpha").key;
        run(change(&world, &project, &volume_id(1), &wish, &Limits::default())).unwrap();
        let asked = world.asked.lock().unwrap().clone();
        assert_eq!(asked, [format!("set {}", volume_id(1)), format!("remove {}", volume_id(1))]);
        let metadata = world.metadata(1);
        assert!(metadata.contains_key("fleet.keep") && !metadata.contains_key("fleet.keep-until"));
    }
}
