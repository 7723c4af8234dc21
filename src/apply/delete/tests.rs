use std::sync::Mutex;

use proptest::prelude::*;

use super::simulated::{Call, Change, Fault, Notes, Script, Simulated};
use super::*;
use crate::plan::orphans::{plan, samples};

/// Writes nothing down.
pub(super) struct Forgetful;

impl Record for Forgetful {
    async fn deleting(&self, _: &Deleting<'_>) -> Result<(), String> {
        Ok(())
    }

    async fn over(&self, _: &Planned, _: &Outcome) -> Result<(), String> {
        Ok(())
    }
}

/// What a run left: the world, what was told and when, and every outcome by the volume's number.
struct Ran {
    world: Simulated,
    steps: Vec<(Duration, String, Step)>,
    outcomes: Vec<Outcome>,
    exit: Exit,
    planned: u64,
    /// By the clock of that world, which nobody has outside of it.
    took: Duration,
}

impl Ran {
    fn deletes(&self) -> Vec<(Duration, String)> {
        let calls = self.world.calls().into_iter();
        calls
            .filter_map(|(at, call)| if let Call::Delete(id) = call { Some((at, id)) } else { None })
            .collect()
    }

    fn count(&self, wanted: &Call) -> usize {
        self.world.calls().iter().filter(|(_, call)| call == wanted).count()
    }
}

/// Plans in a quiet world, then deletes while the script happens.
fn run(script: Script, parallel: usize) -> Ran {
    run_until(script, parallel, None)
}

fn run_until(script: Script, parallel: usize, stop_at: Option<Duration>) -> Ran {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let view =
            samples::view((0..script.volumes).map(samples::volume).collect(), vec![vec![]; script.hubs]);
        let rules = OrphanRules { parallel, ..samples::rules() };
        let deletions = plan(&view, &rules).deletions().unwrap();
        let confirmed = Confirmed::by_flag(&deletions, true).unwrap();
        let world = Simulated::new(script);
        let steps = Mutex::new(Vec::new());
        let tell = |event: Event<'_>| {
            let id = event.planned.volume().id.clone();
            steps.lock().unwrap().push((world.elapsed(), id, event.step));
        };
        let (stop, stopped) = watch::channel(false);
        let terms = Terms { rules: &rules, limits: &Limits::default(), stop: stopped };
        let notes = Notes(&world);
        let deleting = delete(&world, &notes, &deletions, &confirmed, &terms, &tell);
        let stopping = async {
            if let Some(at) = stop_at {
                tokio::time::sleep(at).await;
                stop.send_replace(true);
            }
        };
        let (summary, ()) = futures_util::join!(deleting, stopping);
        let (exit, took) = (summary.exit(), world.elapsed());
        let outcomes = summary.outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        let planned = deletions.volumes().len() as u64;
        let steps = steps.into_inner().unwrap();
        Ran { world, steps, outcomes, exit, planned, took }
    })
}

fn quiet(volumes: u64) -> Script {
    Script { volumes, hubs: 2, latencies: vec![Duration::from_millis(20)], ..Script::default() }
}

fn at_once(change: Change) -> Script {
    Script { changes: vec![(Duration::ZERO, 0, change)], ..quiet(2) }
}

fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Kept { reason } | Outcome::Failed { reason } | Outcome::Pending { reason } => reason,
        _ => "",
    }
}

#[test]
fn orphans_are_deleted_and_followed_until_they_are_gone() {
    let ran = run(Script { deleting: Duration::from_secs(3), ..quiet(3) }, 2);
    assert_eq!(ran.outcomes, vec![Outcome::Deleted; 3]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(ran.deletes().len(), 3);
    assert!(ran.steps.iter().any(|(_, _, step)| *step == Step::Deleting));
}

#[test]
fn what_a_claim_was_bound_to_since_the_plan_is_kept() {
    for change in [Change::ClaimedById, Change::ClaimedByName, Change::ClaimWithoutPv] {
        let ran = run(at_once(change), 2);
        assert!(reason(&ran.outcomes[0]).starts_with("in use: hub hub-0"), "{:?}", ran.outcomes);
        assert_eq!(ran.outcomes[1], Outcome::Deleted);
        assert_eq!(ran.exit, Exit::Done);
    }
}

#[test]
fn what_was_attached_renamed_marked_or_snapshotted_since_the_plan_is_kept() {
    for change in [Change::Attached, Change::Renamed, Change::Kept, Change::Snapshotted] {
        let ran = run(at_once(change), 2);
        assert!(matches!(ran.outcomes[0], Outcome::Kept { .. }), "{change:?}");
        assert_eq!(ran.world.deleted(), [samples::volume_id(1)], "{change:?}");
    }
}

#[test]
fn what_is_gone_already_is_not_asked_for() {
    let ran = run(at_once(Change::Gone), 2);
    assert_eq!(ran.outcomes, [Outcome::AlreadyGone, Outcome::Deleted]);
    assert_eq!(ran.deletes().len(), 1);
}

#[test]
fn a_hub_that_falls_silent_stops_every_deletion_that_was_not_sent() {
    let ran = run(Script { silent: Some(Duration::ZERO), ..quiet(5) }, 2);
    assert_eq!(ran.outcomes, vec![Outcome::NotStarted; 5]);
    assert_eq!((ran.exit, ran.deletes().len()), (Exit::CannotTell, 0));
    assert_eq!(ran.count(&Call::Silence), 1);
}

#[test]
fn a_hub_that_falls_silent_half_way_leaves_the_rest() {
    let script =
        Script { silent: Some(Duration::from_secs(6)), deleting: Duration::from_secs(3), ..quiet(6) };
    let ran = run(script, 1);
    let deleted = ran.outcomes.iter().filter(|outcome| **outcome == Outcome::Deleted).count();
    assert!((1..6).contains(&deleted), "{:?}", ran.outcomes);
    assert_eq!(ran.outcomes[5], Outcome::NotStarted);
    assert_eq!(ran.exit, Exit::CannotTell);
}

#[test]
fn a_look_at_all_hubs_is_shared_by_deletions_that_begin_together() {
    let ran = run(quiet(50), 8);
    assert_eq!(ran.outcomes, vec![Outcome::Deleted; 50]);
    let (looks, took) = (ran.count(&Call::Volumes), ran.took);
    assert!(looks <= 3, "{looks} looks in {took:?}");
}

#[test]
fn no_look_is_older_than_it_may_be() {
    let script = Script { deleting: Duration::from_secs(3), ..quiet(6) };
    let ran = run(script, 1);
    // One after the other, 3 s apart: each has to ask again.
    assert_eq!(ran.count(&Call::Volumes), 6);
    assert_eq!(ran.count(&Call::Snapshots), 6);
}

#[test]
fn a_second_look_that_took_too_long_is_taken_again() {
    let slow = Duration::from_secs(25);
    let mut latencies = vec![Duration::from_millis(20); 40];
    // The second request is the volume's: by its end, the list of PVs is stale.
    latencies[2] = slow;
    let ran = run(Script { latencies, ..quiet(1) }, 1);
    assert_eq!(ran.outcomes, [Outcome::Deleted]);
    assert_eq!(ran.count(&Call::Volumes), 2);
}

#[test]
fn a_world_that_is_always_too_slow_deletes_nothing() {
    let ran = run(Script { latencies: vec![Duration::from_secs(30)], ..quiet(1) }, 1);
    assert!(reason(&ran.outcomes[0]).contains("took too long"), "{:?}", ran.outcomes);
    assert_eq!((ran.exit, ran.deletes().len()), (Exit::Failed, 0));
}

#[test]
fn a_read_that_was_put_off_is_tried_again_and_given_up_in_the_end() {
    let once = run(Script { faults: vec![None, None, Some(Fault::PutOff), None, None], ..quiet(1) }, 1);
    assert_eq!(once.outcomes, [Outcome::Deleted]);
    let never = run(Script { faults: vec![Some(Fault::PutOff)], ..quiet(1) }, 1);
    assert!(reason(&never.outcomes[0]).contains("the second look failed"));
    assert_eq!((never.exit, never.deletes().len()), (Exit::Failed, 0));
}

#[test]
fn a_read_that_hangs_costs_its_time_limit_once() {
    let ran = run(Script { faults: vec![None, None, Some(Fault::TimedOut), None, None], ..quiet(1) }, 1);
    assert!(reason(&ran.outcomes[0]).contains("the second look failed"));
    assert_eq!(ran.count(&Call::Volume(samples::volume_id(0))), 1);
}

#[test]
fn a_deletion_that_cinder_puts_off_begins_again_with_a_second_look() {
    // PVs, volume, snapshots, then the deletion.
    let mut faults = vec![None; 50];
    faults[4] = Some(Fault::PutOff);
    let ran = run(Script { faults, ..quiet(1) }, 1);
    assert_eq!(ran.outcomes, [Outcome::Deleted]);
    assert_eq!(ran.deletes().len(), 2);
    assert_eq!(ran.steps.iter().filter(|(_, _, step)| *step == Step::Looking).count(), 2);
}

#[test]
fn a_deletion_whose_answer_is_lost_is_followed_and_not_sent_again() {
    for (fault, gone) in [(Fault::AnswerLost, true), (Fault::TimedOut, true), (Fault::RequestLost, false)] {
        let mut faults = vec![None; 100];
        faults[4] = Some(fault);
        let ran = run(Script { faults, ..quiet(1) }, 1);
        assert_eq!(ran.deletes().len(), 1);
        if gone {
            assert_eq!(ran.outcomes, [Outcome::Deleted]);
        } else {
            assert!(matches!(ran.outcomes[0], Outcome::Pending { .. }), "{:?}", ran.outcomes);
            assert!(reason(&ran.outcomes[0]).contains("nobody knows whether Cinder got the deletion"));
            assert_eq!(ran.exit, Exit::Failed);
        }
    }
}

#[test]
fn a_deletion_that_was_put_off_and_done_all_the_same_is_followed_and_told_as_deleted() {
    for deleting in [Duration::ZERO, Duration::from_secs(30)] {
        let mut faults = vec![None; 200];
        faults[4] = Some(Fault::PutOffButDone);
        let ran = run(Script { faults, deleting, ..quiet(1) }, 1);
        assert_eq!((&ran.outcomes[..], ran.exit), (&[Outcome::Deleted][..], Exit::Done));
        assert_eq!(ran.deletes().len(), 1);
    }
}

#[test]
fn a_deletion_that_was_put_off_and_done_is_told_as_deleted_also_when_fleet_is_stopped() {
    let mut faults = vec![None; 200];
    faults[4] = Some(Fault::PutOffButDone);
    let script = Script { faults, deleting: Duration::from_secs(3), ..quiet(1) };
    let ran = run_until(script, 1, Some(Duration::from_millis(100)));
    assert_eq!((&ran.outcomes[..], ran.exit), (&[Outcome::Deleted][..], Exit::Interrupted));
}

#[test]
fn a_deletion_that_was_put_off_and_not_sent_again_is_not_called_untouched() {
    let mut faults = vec![None; 200];
    faults[4] = Some(Fault::PutOff);
    let ran = run_until(Script { faults, ..quiet(1) }, 1, Some(Duration::from_millis(100)));
    assert!(reason(&ran.outcomes[0]).contains("not sent again (PutOff): its status is \"available\""));
    assert!(ran.world.deleted().is_empty());
}

#[test]
fn a_server_is_left_alone_for_as_long_as_it_asks_but_not_for_ever() {
    for (asked_for, waited) in [(5, 5), (3600, 60)] {
        let mut faults = vec![None; 200];
        faults[4] = Some(Fault::PutOff);
        let retry_after = Some(Duration::from_secs(asked_for));
        let ran = run(Script { faults, retry_after, ..quiet(1) }, 1);
        let sent = ran.deletes();
        assert_eq!((ran.outcomes.as_slice(), sent.len()), (&[Outcome::Deleted][..], 2));
        let pause = sent[1].0.saturating_sub(sent[0].0);
        assert!(pause >= Duration::from_secs(waited) && pause < Duration::from_secs(waited + 2), "{pause:?}");
    }
}

#[test]
fn what_cannot_be_written_down_is_not_done() {
    let ran = run(Script { full: Some(Duration::ZERO), ..quiet(5) }, 2);
    assert_eq!(ran.outcomes, vec![Outcome::NotStarted; 5]);
    assert_eq!((ran.exit, ran.deletes().len()), (Exit::Failed, 0));
}

#[test]
fn once_nothing_can_be_written_down_the_rest_is_left_and_what_was_sent_is_told() {
    let script = Script { full: Some(Duration::from_secs(4)), deleting: Duration::from_secs(3), ..quiet(6) };
    let ran = run(script, 1);
    let deleted = ran.outcomes.iter().filter(|outcome| **outcome == Outcome::Deleted).count();
    assert!((1..6).contains(&deleted), "{:?}", ran.outcomes);
    assert_eq!(ran.outcomes[5], Outcome::NotStarted);
    assert_eq!((ran.exit, ran.deletes().len()), (Exit::Failed, deleted));
}

#[test]
fn a_look_that_became_stale_while_it_was_written_down_is_taken_again() {
    let ran = run(Script { writing: STALE_AFTER + Duration::from_secs(1), ..quiet(1) }, 1);
    assert!(reason(&ran.outcomes[0]).contains("took too long"), "{:?}", ran.outcomes);
    assert_eq!(ran.deletes().len(), 0);
}

#[test]
fn a_look_is_as_old_as_its_question_and_not_as_its_answer() {
    // Each list of PVs takes longer on its way than a look may be old.
    let mut latencies = vec![Duration::from_millis(20); 7];
    latencies[1] = STALE_AFTER + Duration::from_secs(1);
    let ran = run(Script { latencies, ..quiet(1) }, 1);
    assert_eq!(ran.outcomes, [Outcome::Deleted]);
    assert_eq!(ran.count(&Call::Volumes), 2);
}

#[test]
fn a_hub_that_is_forgotten_in_the_second_look_stops_everything() {
    let ran = run(Script { forgotten: Some(Duration::ZERO), ..quiet(3) }, 1);
    assert_eq!(ran.outcomes, vec![Outcome::NotStarted; 3]);
    assert_eq!((ran.exit, ran.deletes().len()), (Exit::CannotTell, 0));
}

#[test]
fn what_was_put_off_and_is_kept_in_the_end_was_kept() {
    let mut faults = vec![None; 50];
    faults[4] = Some(Fault::PutOff);
    let changes = vec![(Duration::from_millis(100), 0, Change::Kept)];
    let ran = run(Script { changes, faults, ..quiet(1) }, 1);
    assert!(matches!(ran.outcomes[0], Outcome::Kept { .. }), "{:?}", ran.outcomes);
}

#[test]
fn a_volume_that_is_going_is_asked_for_less_and_less_often() {
    let ran = run(Script { deleting: Duration::from_hours(1), ..quiet(1) }, 1);
    let asked = ran.count(&Call::Volume(samples::volume_id(0)));
    // In two minutes: after 0.25 s, 0.5 s, 1 s, and then every two seconds.
    assert!((55..70).contains(&asked), "{asked}");
}

#[test]
fn what_became_of_a_deletion_is_found_out_by_id() {
    let found = |script: Script, number: u64, deleted: bool| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let world = Simulated::new(script);
            let (project, id) = (samples::project("alpha").key, samples::volume_id(number));
            if deleted {
                let view = samples::view(vec![samples::volume(number)], vec![vec![]]);
                let deletions = plan(&view, &samples::rules()).deletions().unwrap();
                let confirmed = Confirmed::by_flag(&deletions, true).unwrap();
                world.delete(&project, &id, &confirmed).await.unwrap();
            }
            settle(&world, &Limits::default(), &project, &id).await.unwrap()
        })
    };
    assert_eq!(found(quiet(1), 0, true), Settled::Over(Outcome::Deleted));
    let slow = Script { deleting: Duration::from_secs(9), ..quiet(1) };
    assert_eq!(found(slow, 0, true), Settled::Over(Outcome::Deleted));
    let stuck = found(Script { stuck: vec![0], ..quiet(1) }, 0, true);
    let Settled::Over(Outcome::Failed { reason }) = stuck else { panic!("{stuck:?}") };
    assert_eq!(reason, "Cinder could not delete it: its status is \"error_deleting\"");
    let very_slow = found(Script { deleting: Duration::from_hours(1), ..quiet(1) }, 0, true);
    let Settled::Over(Outcome::Pending { reason }) = very_slow else { panic!("{very_slow:?}") };
    assert!(reason.ends_with("still there: its status is \"deleting\""), "{reason}");
    assert_eq!(found(quiet(1), 0, false), Settled::There(Box::new(samples::volume(0))));
    assert_eq!(found(quiet(1), 1, false), Settled::Over(Outcome::Deleted));
}

#[test]
fn a_look_may_be_acted_on_up_to_its_age_and_no_longer() {
    for (more, looks) in [(0, 1), (2, 2)] {
        // The PVs take all of it.
        let mut latencies = vec![Duration::ZERO; 20];
        latencies[1] = STALE_AFTER + Duration::from_millis(more);
        let ran = run(Script { latencies, ..quiet(1) }, 1);
        assert_eq!(ran.outcomes, [Outcome::Deleted]);
        assert_eq!(ran.count(&Call::Volumes), looks, "{more} ms");
    }
}

#[test]
fn a_volume_that_goes_between_the_second_look_and_the_deletion_was_gone_already() {
    let changes = vec![(Duration::from_millis(45), 0, Change::Gone)];
    let ran = run(Script { changes, ..quiet(1) }, 1);
    assert_eq!((ran.outcomes.as_slice(), ran.deletes().len()), (&[Outcome::AlreadyGone][..], 1));
}

#[test]
fn a_volume_that_is_gone_when_a_deletion_that_was_put_off_is_sent_again_was_deleted() {
    let mut faults = vec![None; 50];
    faults[4] = Some(Fault::PutOff);
    let mut latencies = vec![Duration::from_millis(20); 50];
    // PVs and snapshots serve the second attempt too; its deletion is on its way for five seconds.
    latencies[6] = Duration::from_secs(10);
    let gone_at = Duration::from_secs(4);
    let changes = vec![(gone_at, 0, Change::Gone)];
    let ran = run(Script { changes, latencies, faults, ..quiet(1) }, 1);
    assert!(ran.deletes()[1].0 < gone_at);
    assert_eq!((ran.outcomes.as_slice(), ran.deletes().len()), (&[Outcome::Deleted][..], 2));
}

#[test]
fn what_was_kept_is_written_down_and_what_did_not_begin_is_not() {
    let ran = run(at_once(Change::Attached), 1);
    let over: Vec<_> =
        ran.world.calls().into_iter().filter(|(_, call)| matches!(call, Call::RecordedOver(..))).collect();
    assert_eq!(over.len(), 2, "{over:?}");
    assert!(matches!(&over[0].1, Call::RecordedOver(_, Outcome::Kept { .. })), "{over:?}");
    let stopped = run_until(quiet(2), 1, Some(Duration::ZERO));
    assert_eq!(stopped.outcomes, vec![Outcome::NotStarted; 2]);
    assert!(!stopped.world.calls().iter().any(|(_, call)| matches!(call, Call::RecordedOver(..))));
}

#[test]
fn a_read_that_is_always_put_off_is_given_up_after_some_attempts() {
    let ran = run(Script { faults: vec![Some(Fault::PutOff)], ..quiet(1) }, 1);
    assert!(reason(&ran.outcomes[0]).contains("the second look failed"), "{:?}", ran.outcomes);
    assert_eq!(ran.count(&Call::Volume(samples::volume_id(0))), ATTEMPTS);
}

#[test]
fn a_trouble_is_told_by_its_reason() {
    let trouble = Trouble { kind: TroubleKind::Refused, reason: "HTTP 403".to_owned(), retry_after: None };
    assert_eq!(trouble.to_string(), "HTTP 403");
}

#[test]
fn a_volume_that_cinder_cannot_delete_is_failed_and_the_others_go() {
    let ran = run(Script { stuck: vec![0], ..quiet(2) }, 2);
    // At once, and not when the time is up.
    assert!(ran.took < Duration::from_secs(5));
    assert!(reason(&ran.outcomes[0]).contains("error_deleting"));
    assert_eq!(ran.outcomes[1], Outcome::Deleted);
    assert_eq!(ran.exit, Exit::Failed);
}

#[test]
fn a_volume_that_does_not_go_is_pending_in_the_end() {
    let ran = run(Script { deleting: Duration::from_hours(1), ..quiet(1) }, 1);
    assert!(matches!(ran.outcomes[0], Outcome::Pending { .. }), "{:?}", ran.outcomes);
    assert_eq!(ran.exit, Exit::Failed);
    assert!(reason(&ran.outcomes[0]).contains("still there: its status is \"deleting\""));
    assert!(ran.took < Duration::from_mins(3));
}

#[test]
fn once_stopped_nothing_new_begins_and_what_was_sent_is_followed_to_its_end() {
    let script = Script { deleting: Duration::from_secs(4), ..quiet(6) };
    let ran = run_until(script, 2, Some(Duration::from_secs(1)));
    assert_eq!(&ran.outcomes[..2], [Outcome::Deleted, Outcome::Deleted]);
    assert_eq!(&ran.outcomes[2..], vec![Outcome::NotStarted; 4]);
    assert_eq!((ran.exit, ran.deletes().len()), (Exit::Interrupted, 2));
}

#[test]
fn one_slow_volume_does_not_hold_up_the_others() {
    let mut latencies = vec![Duration::from_millis(1); 31];
    latencies[7] = Duration::from_secs(9);
    let ran = run(Script { latencies, ..quiet(20) }, 4);
    let first_to_last = ran.deletes().last().unwrap().0;
    assert!(first_to_last < Duration::from_secs(20), "{first_to_last:?}");
    assert_eq!(ran.exit, Exit::Done);
}

#[test]
fn stopping_does_not_wait_for_a_look_that_hangs() {
    let script = Script { latencies: vec![Duration::from_mins(5)], ..quiet(3) };
    let ran = run_until(script, 2, Some(Duration::from_secs(1)));
    assert_eq!(ran.outcomes, vec![Outcome::NotStarted; 3]);
    assert_eq!(ran.exit, Exit::Interrupted);
    assert!(ran.took < Duration::from_secs(2));
}

fn a_script() -> impl Strategy<Value = Script> {
    let milliseconds = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    let change = prop_oneof![
        Just(Change::ClaimedById),
        Just(Change::ClaimedByName),
        Just(Change::ClaimWithoutPv),
        Just(Change::Attached),
        Just(Change::Snapshotted),
        Just(Change::Renamed),
        Just(Change::Kept),
        Just(Change::Gone),
    ];
    let fault = prop_oneof![
        12 => Just(None),
        1 => Just(Some(Fault::PutOff)),
        1 => Just(Some(Fault::PutOffButDone)),
        1 => Just(Some(Fault::AnswerLost)),
        1 => Just(Some(Fault::RequestLost)),
        1 => Just(Some(Fault::TimedOut)),
    ];
    (
        1..12u64,
        1..4usize,
        prop::collection::vec((milliseconds(0..15_000), 0..12u64, change), 0..8),
        prop_oneof![3 => Just(None), 1 => milliseconds(0..10_000).prop_map(Some)],
        prop::collection::vec(milliseconds(0..6_000), 1..7),
        prop::collection::vec(fault, 1..9),
        milliseconds(0..8_000),
        prop::collection::vec(0..12u64, 0..2),
        (
            prop_oneof![1 => Just(0u64), 2 => 0..300u64, 1 => 0..30_000u64],
            prop_oneof![5 => Just(None), 1 => milliseconds(0..10_000).prop_map(Some)],
            prop_oneof![3 => Just(None), 1 => milliseconds(0..100_000).prop_map(Some)],
        ),
    )
        .prop_map(|(volumes, hubs, changes, silent, latencies, faults, deleting, stuck, more)| Script {
            volumes,
            hubs,
            changes,
            silent,
            forgotten: None,
            latencies,
            faults,
            deleting,
            stuck,
            writing: Duration::from_millis(more.0),
            full: more.1,
            retry_after: more.2,
        })
}

/// A deletion that was sent must not be of a volume that was in use, or changed, when its second look began: what is
/// seen in the volume itself up to that moment, and what is seen in a list up to [`SHARED_FOR`] before it.
fn check_no_harm(ran: &Ran) -> Result<(), TestCaseError> {
    for (sent, id) in ran.deletes() {
        let looking = ran
            .steps
            .iter()
            .filter(|(at, of, step)| *of == id && *step == Step::Looking && *at <= sent)
            .map(|(at, _, _)| *at)
            .max();
        let looking = looking.expect("a second look before each deletion");
        for (at, number, change) in &ran.world.script.changes {
            if samples::volume_id(*number) != id || *change == Change::Gone {
                continue;
            }
            let seen = if change.is_shared() { looking.saturating_sub(SHARED_FOR) } else { looking };
            prop_assert!(*at > seen, "{:?} at {:?}, {} deleted at {:?}", change, at, id, sent);
        }
    }
    Ok(())
}

/// Nothing is sent once a hub was found silent.
fn check_silence(ran: &Ran) -> Result<(), TestCaseError> {
    let calls = ran.world.calls();
    let Some(place) = calls.iter().position(|(_, call)| *call == Call::Silence) else { return Ok(()) };
    prop_assert!(calls[place..].iter().all(|(_, call)| !matches!(call, Call::Delete(_))));
    // Whichever stopped it first is the one that is told.
    let unrecorded = calls.iter().position(|(_, call)| *call == Call::Unrecorded);
    let first = unrecorded.is_none_or(|unrecorded| place < unrecorded);
    prop_assert!(!first || matches!(ran.exit, Exit::CannotTell | Exit::Interrupted));
    Ok(())
}

/// What is said to be deleted is gone, and what is said not to have begun was never asked for.
fn check_outcomes(ran: &Ran) -> Result<(), TestCaseError> {
    prop_assert_eq!(ran.outcomes.len() as u64, ran.planned);
    let sent = ran.deletes();
    for (number, outcome) in (0u64..).zip(&ran.outcomes) {
        let id = samples::volume_id(number);
        let was_sent = sent.iter().any(|(_, known)| *known == id);
        match outcome {
            Outcome::Deleted => prop_assert!(was_sent),
            Outcome::NotStarted => prop_assert!(!was_sent),
            Outcome::Kept { .. } => prop_assert!(!ran.world.deleted().contains(&id)),
            Outcome::AlreadyGone | Outcome::Failed { .. } | Outcome::Pending { .. } => {}
        }
    }
    Ok(())
}

/// Each deletion was written down, for good, before it was sent and after the one before it; and once something could
/// not be written down, nothing is sent any more. What became of every volume that was sent is written down too, once,
/// after everything else about it.
fn check_record(ran: &Ran) -> Result<(), TestCaseError> {
    let mut open: std::collections::BTreeMap<String, bool> = std::collections::BTreeMap::new();
    let mut full = false;
    let mut over = Vec::new();
    for (_, call) in ran.world.calls() {
        match call {
            Call::Recorded(id) => {
                prop_assert!(!over.contains(&id), "{} was over", id);
                open.insert(id, true);
            }
            Call::Delete(id) => {
                prop_assert!(!full, "{} was sent when nothing could be written down", id);
                prop_assert_eq!(open.insert(id.clone(), false), Some(true), "{} was not written down", id);
            }
            Call::RecordedOver(id, outcome) => {
                let number =
                    (0u64..).zip(&ran.outcomes).find(|(number, _)| samples::volume_id(*number) == id);
                prop_assert_eq!(number.map(|(_, told)| told.clone()), Some(outcome));
                open.remove(&id);
                over.push(id);
            }
            Call::Unrecorded => full = true,
            _ => {}
        }
    }
    prop_assert!(full || open.is_empty(), "{:?} have no end", open);
    prop_assert!(!full || matches!(ran.exit, Exit::Failed | Exit::CannotTell | Exit::Interrupted));
    Ok(())
}

/// Every deletion rests on PVs that were asked for at most [`STALE_AFTER`] before it.
fn check_age(ran: &Ran) -> Result<(), TestCaseError> {
    let calls = ran.world.calls();
    for (sent, id) in ran.deletes() {
        let asked = calls.iter().filter(|(at, call)| *call == Call::Asked && *at <= sent).map(|(at, _)| *at);
        let oldest = sent.saturating_sub(STALE_AFTER);
        prop_assert!(asked.max().is_some_and(|asked| asked >= oldest), "{} was deleted on old evidence", id);
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_that_was_in_use_at_its_second_look_is_deleted(
        script in a_script(),
        parallel in 1..6usize,
        stop in prop_oneof![3 => Just(None), 1 => (0..9_000u64).prop_map(|at| Some(Duration::from_millis(at)))],
    ) {
        let ran = run_until(script, parallel, stop);
        check_no_harm(&ran)?;
        check_silence(&ran)?;
        check_outcomes(&ran)?;
        check_record(&ran)?;
        check_age(&ran)?;
    }
}
