use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::exec::{End as Ended, Stop};
use crate::hub::samples;
use crate::plan::orphans::samples::rules;

fn a_fleet(dir: &Path) -> Fleet {
    Fleet { state_dir: dir.to_owned(), ..samples::fleet(vec![samples::hub("ou23s")], rules()) }
}

fn names(fleet: &Fleet) -> Vec<HubName> {
    fleet.hubs.iter().map(|hub| hub.name.clone()).collect()
}

#[test]
fn a_command_has_a_beginning_and_an_end_and_one_that_is_killed_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let record = Record::default();
    record.begin(&fleet, &names(&fleet)).unwrap();
    record.begin(&fleet, &names(&fleet)).unwrap();
    record.fate(&Fate::Ended(Ended::Exited(0)));
    record.fate(&Fate::Ended(Ended::Exited(7)));
    record.fate(&Fate::NotBegun(Stop::Asked));
    record.clone().end(Exit::Failed).unwrap();
    record.end(Exit::Done).unwrap();
    // What never began has no end.
    Record::default().end(Exit::Done).unwrap();
    let killed = Record::default();
    std::thread::sleep(std::time::Duration::from_millis(2));
    killed.begin(&fleet, []).unwrap();
    let past = read(&fleet).unwrap();
    assert_eq!((past.ran.len(), past.problems.len()), (2, 0));
    let end = past.ran[0].end.clone().unwrap();
    assert_eq!(end.exit, 1);
    assert_eq!(
        end.hubs.into_iter().collect::<Vec<_>>(),
        [("0".into(), 1), ("7".into(), 1), ("not begun".into(), 1)]
    );
    assert_eq!(past.ran[0].begin.as_ref().unwrap().by.uid, rustix::process::getuid().as_raw());
    assert_eq!(past.ran[1].end, None);
    assert_eq!(past.chosen(Some("ou23s"), None, None).len(), 1);
    assert_eq!(past.chosen(None, None, Some(1))[0].id, past.ran[1].id);
    assert_eq!(past.chosen(None, Some(past.ran[1].at), None).len(), 1);
    assert_eq!(std::fs::metadata(path_of(&fleet)).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_line_that_was_cut_off_is_told_and_hides_no_other_one() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    Record::default().begin(&fleet, []).unwrap();
    let path = path_of(&fleet);
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"id\": \"2026");
    files_replace(&path, &text);
    let past = read(&fleet).unwrap();
    assert!(past.problems[0].ends_with("line 2, the last one, is half written and is skipped"), "{past:?}");
    std::thread::sleep(std::time::Duration::from_millis(2));
    Record::default().begin(&fleet, []).unwrap();
    let past = read(&fleet).unwrap();
    assert_eq!(past.ran.len(), 2);
    assert!(past.problems[0].contains("line 2 cannot be read"), "{past:?}");
}

fn files_replace(path: &Path, bytes: &[u8]) {
    crate::files::replace(path, bytes, 0o600).unwrap();
}

#[test]
fn a_full_one_becomes_the_older_one_and_both_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let path = path_of(&fleet);
    Record::default().begin(&fleet, []).unwrap();
    let mut text = std::fs::read(&path).unwrap();
    text.resize(9 << 20, b' ');
    text.push(b'\n');
    files_replace(&path, &text);
    std::thread::sleep(std::time::Duration::from_millis(2));
    Record::default().begin(&fleet, []).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 4096);
    assert!(path.with_file_name("history.1.jsonl").exists());
    assert_eq!(read(&fleet).unwrap().ran.len(), 2);
}

#[test]
fn many_who_write_at_once_write_lines() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(dir.path());
    let line = |id: String| Line {
        id,
        at: crate::clock::now(),
        entry: Entry::End(End { exit: 0, milliseconds: 1, hubs: BTreeMap::new() }),
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (path, line) = (path_of(&fleet), &line);
            scope.spawn(move || {
                for number in 0..50 {
                    file::append(&path, &line(format!("{thread}-{number}"))).unwrap();
                }
            });
        }
    });
    let past = read(&fleet).unwrap();
    assert_eq!((past.ran.len(), past.problems.len()), (400, 0));
}

#[test]
fn where_there_are_no_states_yet_it_is_written_down_once_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(&dir.path().join("jhubs"));
    let in_vain = Record::default();
    in_vain.begin(&fleet, []).unwrap();
    in_vain.end(Exit::Failed).unwrap();
    assert!(!fleet.state_dir.exists());
    let first = Record::default();
    first.begin(&fleet, []).unwrap();
    std::fs::create_dir(&fleet.state_dir).unwrap();
    first.end(Exit::Done).unwrap();
    let past = read(&fleet).unwrap();
    assert!(past.ran.len() == 1 && past.ran[0].begin.is_some() && past.ran[0].end.is_some(), "{past:?}");
}

#[test]
fn what_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = a_fleet(&dir.path().join("state"));
    files_replace(&dir.path().join("state"), b"a file");
    let why = Record::default().begin(&fleet, []).unwrap_err();
    assert!(why.contains("_fleet"), "{why}");
}

#[test]
fn a_long_command_line_is_cut_after_it_was_masked() {
    let words = ["exec".to_owned(), format!("--token={}", "s".repeat(10_000)), "x".repeat(5000)];
    let kept = arguments(words.into_iter().chain(std::iter::repeat_n("y".repeat(3000), 20)));
    assert_eq!(kept[1], "--token=[secret]");
    assert_eq!(kept[2].len(), WORD + 3);
    assert_eq!(kept.last().unwrap(), "...");
    assert!(kept.iter().map(String::len).sum::<usize>() < LINE + 2 * WORD);
}
