use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::apply::delete::{Asked, Deleting, Evidence, Outcome, Record as _};
use crate::exit::Exit;
use crate::plan::orphans::{Deletions, plan, samples};

fn a_fleet(dir: &std::path::Path) -> Fleet {
    Fleet { state_dir: dir.join("jhubs"), ..crate::hub::samples::fleet(Vec::new(), samples::rules()) }
}

fn deletions(count: u64) -> Deletions {
    let view = samples::view((0..count).map(samples::volume).collect(), vec![vec![], vec![]]);
    plan(&view, &samples::rules()).deletions().unwrap()
}

fn evidence() -> Evidence {
    let at = samples::now();
    Evidence {
        hubs: vec![Asked { hub: samples::hub("hub-0"), persistent_volumes: 7, claims: 5 }],
        hubs_asked_at: at,
        snapshots_asked_at: at,
        volume_asked_at: at,
    }
}

/// Writes down that the volumes of a plan were deleted, side by side.
async fn write_down(run: &RunRecord<'_>, deletions: &Deletions) {
    let all = deletions.volumes().iter().map(async |planned| {
        let about = Deleting { planned, volume: planned.volume(), evidence: evidence() };
        run.deleting(&about).await.unwrap();
        run.over(planned, &Outcome::Deleted).await.unwrap();
    });
    futures_util::future::join_all(all).await;
}

fn bytes(fleet: &Fleet) -> Vec<u8> {
    std::fs::read(path_of(fleet)).unwrap()
}

#[tokio::test]
async fn a_run_is_written_down_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    assert_eq!(read(&fleet).unwrap(), History::default());
    let deletions = deletions(3);
    let journal = Journal::open(&fleet).await.unwrap();
    let run = journal.begin(&fleet, &deletions, "3@alpha", Vec::new()).await.unwrap();
    let about = |number: usize| {
        let planned = &deletions.volumes()[number];
        Deleting { planned, volume: planned.volume(), evidence: evidence() }
    };
    run.deleting(&about(0)).await.unwrap();
    run.over(&deletions.volumes()[0], &Outcome::Deleted).await.unwrap();
    run.deleting(&about(1)).await.unwrap();
    let history = journal.history().unwrap();
    let [told] = &history.runs[..] else { panic!("{history:?}") };
    assert_eq!((told.id.as_str(), told.end.is_none(), told.counts()), (run.id(), true, (1, 1, 1)));
    assert_eq!(told.volumes[1].fate(), Fate::Unknown);
    assert_eq!(told.volumes[2].fate(), Fate::NotDone);
    assert_eq!(told.volumes[2].decided.as_ref().unwrap().project.name, "alpha");
    let begin = told.begin.as_ref().unwrap();
    assert_eq!((begin.confirmed.as_str(), begin.by.process), ("3@alpha", std::process::id()));
    assert_eq!((begin.volumes.len(), begin.hubs.len()), (3, 2));
    assert!(!begin.by.host.is_empty() && !begin.by.user.is_empty());
    run.settle(&told.volumes[1].id, &Outcome::Deleted).await.unwrap();
    run.end(Exit::Done).await.unwrap();
    let history = read(&fleet).unwrap();
    assert_eq!(history.unended().count(), 0);
    assert_eq!(history.runs[0].counts(), (2, 0, 1));
    assert_eq!(history.runs[0].end.as_ref().unwrap().1, End::with(Exit::Done));
    assert!(history.problems.is_empty());
}

#[tokio::test]
async fn the_journal_is_its_owners_alone_and_only_ever_grows() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let mut before = Vec::new();
    for _ in 0..3 {
        let journal = Journal::open(&fleet).await.unwrap();
        let deletions = deletions(2);
        let run = journal.begin(&fleet, &deletions, "--confirm", Vec::new()).await.unwrap();
        write_down(&run, &deletions).await;
        let after = bytes(&fleet);
        assert!(after.starts_with(&before) && after.len() > before.len());
        before = after;
    }
    assert_eq!(std::fs::metadata(path_of(&fleet)).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path_of(&fleet).parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert!(crate::hub::HubName::new(DIRECTORY).is_err() && !DIRECTORY.starts_with('.'));
}

#[tokio::test]
async fn two_runs_at_once_are_one_too_many_and_the_second_is_told_who_is_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    assert!(!is_under_way(&fleet));
    let journal = Journal::open(&fleet).await.unwrap();
    let run = journal.begin(&fleet, &deletions(1), "--confirm", Vec::new()).await.unwrap();
    assert!(is_under_way(&fleet));
    let refused = Journal::open(&fleet).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Failed);
    let told = refused.to_string();
    assert!(told.contains(&format!("(process {})", std::process::id())), "{told}");
    assert!(told.contains(run.id()), "{told}");
    drop(run);
    drop(journal);
    assert!(Journal::open(&fleet).await.is_ok());
    assert!(!is_under_way(&fleet));
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let directory = path_of(&fleet).parent().unwrap().to_owned();
    std::fs::create_dir_all(directory.parent().unwrap()).unwrap();
    std::fs::File::create(&directory).unwrap();
    let failure = Journal::open(&fleet).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Failed);
    assert!(failure.hint.unwrap().contains("nothing more is deleted"));
    std::fs::remove_file(&directory).unwrap();
    // A link could lead the record of deletions elsewhere.
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink("/dev/null", path_of(&fleet)).unwrap();
    assert!(Journal::open(&fleet).await.is_err());
}

#[tokio::test]
async fn a_full_disk_ends_the_run_and_every_later_entry_fails_too() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    files::private_dir(path_of(&fleet).parent().unwrap()).unwrap();
    let full = std::fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    let (lines, jobs) = std::sync::mpsc::channel();
    let path = path_of(&fleet);
    let writing = std::thread::spawn(move || writer::write_all(&full, &path, &jobs));
    let journal = Journal::with(path_of(&fleet), lines);
    let deletions = deletions(1);
    let failure = journal.begin(&fleet, &deletions, "--confirm", Vec::new()).await.unwrap_err();
    assert!(failure.to_string().contains("No space left"), "{failure}");
    let run = journal.go_on("r");
    let planned = &deletions.volumes()[0];
    let about = Deleting { planned, volume: planned.volume(), evidence: evidence() };
    assert!(run.deleting(&about).await.unwrap_err().contains("No space left"));
    assert!(run.over(planned, &Outcome::Deleted).await.is_err());
    drop(journal);
    writing.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_ends_the_run_in_time_and_holds_nobody_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    // Nobody ever takes anything out of it.
    let (lines, _jobs) = std::sync::mpsc::channel();
    let journal = Journal::with(path_of(&fleet), lines);
    let run = journal.go_on("r");
    let (deletions, begin) = (deletions(1), tokio::time::Instant::now());
    let planned = &deletions.volumes()[0];
    let about = Deleting { planned, volume: planned.volume(), evidence: evidence() };
    assert!(run.deleting(&about).await.unwrap_err().contains("has not answered for 30 s"));
    assert!(run.over(planned, &Outcome::NotStarted).await.is_err());
    assert!(run.end(Exit::Failed).await.is_err());
    assert_eq!(begin.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn half_a_line_is_told_and_hides_nothing_before_or_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let some = deletions(1);
    let journal = Journal::open(&fleet).await.unwrap();
    let run = journal.begin(&fleet, &some, "--confirm", Vec::new()).await.unwrap();
    write_down(&run, &some).await;
    drop(run);
    drop(journal);
    let whole = bytes(&fleet);
    let cut = &whole[..whole.len() - 9];
    std::fs::OpenOptions::new().write(true).open(path_of(&fleet)).unwrap().set_len(cut.len() as u64).unwrap();
    let history = read(&fleet).unwrap();
    assert_eq!(history.runs[0].counts(), (0, 1, 0));
    assert_eq!(history.problems.len(), 1);
    assert_eq!(history.problems[0].to_string(), "line 3, the last one, is half written and is skipped");
    // The next run begins on a line of its own.
    let journal = Journal::open(&fleet).await.unwrap();
    let run = journal.begin(&fleet, &some, "--confirm", Vec::new()).await.unwrap();
    write_down(&run, &some).await;
    run.end(Exit::Done).await.unwrap();
    let history = journal.history().unwrap();
    assert_eq!(history.runs.len(), 2);
    assert_eq!(history.runs[1].counts(), (1, 0, 0));
    assert_eq!(history.problems.len(), 1);
    assert!(history.problems[0].to_string().starts_with("line 3 cannot be read and is skipped: "));
}

#[tokio::test]
async fn two_hundred_deletions_side_by_side_share_their_flushes() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let all = deletions(200);
    let journal = Journal::open(&fleet).await.unwrap();
    let run = journal.begin(&fleet, &all, "--confirm", Vec::new()).await.unwrap();
    let began = std::time::Instant::now();
    write_down(&run, &all).await;
    let took = began.elapsed();
    eprintln!("400 entries took {took:?}");
    assert_eq!(journal.history().unwrap().runs[0].counts(), (200, 0, 0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_volume_that_is_deleted_again_is_not_known_of_again() {
    let over = |outcome: &str| {
        format!(r#"{{"run":"r","at":"2026-03-01T12:00:00Z","entry":"over","id":"v","outcome":"{outcome}"}}"#)
    };
    let volume = serde_json::to_string(&samples::volume(1)).unwrap().replace(&samples::volume_id(1), "v");
    let project = serde_json::to_string(&samples::project("alpha")).unwrap();
    let evidence = serde_json::to_string(&evidence()).unwrap();
    let deleting = format!(
        r#"{{"run":"r","at":"2026-03-01T12:00:00Z","entry":"deleting","project":{project},"volume":{volume},"evidence":{evidence}}}"#
    );
    let fate = |lines: &[&str]| {
        let history = History::parse(lines.join("\n").as_bytes());
        assert!(history.problems.is_empty(), "{:?}", history.problems);
        let volume = &history.runs[0].volumes[0];
        (matches!(volume.fate(), Fate::Over(_)), volume.is_done())
    };
    assert_eq!(fate(&[&over("deleted")]), (true, true));
    assert_eq!(fate(&[&over("not_started")]), (true, false));
    // Without its beginning a run is still one, and what it says counts.
    assert_eq!(fate(&[&deleting, &over("deleted")]), (true, true));
    assert_eq!(fate(&[&over("deleted"), &deleting]), (false, false));
}

/// A journal of some runs, with the entries in it.
async fn a_journal(runs: u64) -> (Vec<u8>, Vec<Line>) {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let journal = Journal::open(&fleet).await.unwrap();
    for number in 0..runs {
        let deletions = deletions(number % 3 + 1);
        let run = journal.begin(&fleet, &deletions, "--confirm", vec!["earlier".to_owned()]).await.unwrap();
        write_down(&run, &deletions).await;
        run.end(Exit::Done).await.unwrap();
    }
    let bytes = bytes(&fleet);
    let lines: Vec<Line> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    (bytes, lines)
}

/// How many entries of each volume a history knows of: `deleting` and `over`.
fn known(history: &History) -> usize {
    let of = |run: &RunHistory| {
        let volumes = run.volumes.iter();
        let entries = volumes
            .map(|volume| usize::from(volume.deleting_at.is_some()) + usize::from(volume.over.is_some()));
        usize::from(run.begin.is_some()) + usize::from(run.end.is_some()) + entries.sum::<usize>()
    };
    history.runs.iter().map(of).sum()
}

#[tokio::test]
async fn a_journal_that_is_cut_at_any_byte_loses_no_whole_line() {
    // One run, so that every entry is told apart.
    let (bytes, lines) = a_journal(1).await;
    for cut in 0..=bytes.len() {
        let history = History::parse(&bytes[..cut]);
        let whole = bytes[..cut].split(|byte| *byte == b'\n').count() - 1;
        // A line that lacks nothing but its end is whole too.
        let at_the_end = usize::from(bytes.get(cut) == Some(&b'\n'));
        assert_eq!(known(&history), whole + at_the_end, "cut at {cut}");
        let half = cut > 0 && bytes[cut - 1] != b'\n' && at_the_end == 0;
        assert_eq!(history.problems.len(), usize::from(half), "cut at {cut}: {:?}", history.problems);
        assert!(history.problems.iter().all(|problem| problem.is_half));
    }
    assert_eq!(known(&History::parse(&bytes)), lines.len());
}

proptest! {
    #[test]
    fn whatever_is_broken_in_a_journal_the_other_lines_are_read(
        runs in 1..4u64,
        broken in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40)), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (bytes, _) = runtime.block_on(a_journal(runs));
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.pop();
        for (place, garbage) in broken {
            let place = place.index(lines.len());
            lines[place] = garbage;
        }
        let good = lines.iter().filter_map(|line| serde_json::from_slice::<Line>(line).ok()).count();
        let mut broken = Vec::new();
        for line in &lines {
            broken.write_all(line).unwrap();
            broken.push(b'\n');
        }
        let history = History::parse(&broken);
        let runs: std::collections::BTreeSet<String> = history.runs.iter().map(|run| run.id.clone()).collect();
        prop_assert_eq!(runs.len(), history.runs.len());
        prop_assert_eq!(known(&history), good);
        prop_assert_eq!(history.runs.is_empty(), good == 0);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let history = History::parse(&bytes);
        prop_assert!(history.runs.is_empty());
    }
}
