use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::exec::{End, Stop, Stream};

/// What was written, in the order in which it was.
#[derive(Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl Sheet {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const HUBS: [&str; 3] = ["ou23s", "fsu-s23", "pyaos"];

fn paper(out: &Sheet, err: &Sheet) -> Paper {
    Paper {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        colours: (false, false),
        one_screen: false,
        hubs: HUBS.map(|hub| HubName::new(hub).unwrap()).into(),
    }
}

fn output(hub: usize, stream: Stream, bytes: &[u8]) -> Event {
    Event::Output { hub, stream, bytes: bytes::Bytes::copy_from_slice(bytes) }
}

fn out(hub: usize, text: &str) -> Event {
    output(hub, Stream::Stdout, text.as_bytes())
}

fn err(hub: usize, text: &str) -> Event {
    output(hub, Stream::Stderr, text.as_bytes())
}

fn ended(hub: usize, fate: Fate) -> Event {
    Event::Ended(Outcome { hub, fate, took: Duration::from_millis(1500) })
}

fn exited(hub: usize, status: i64) -> Event {
    ended(hub, Fate::Ended(End::Exited(status)))
}

/// What is written to standard output and to standard error.
fn shown<S: Show>(
    make: impl FnOnce(Paper) -> S,
    events: impl IntoIterator<Item = Event>,
) -> (String, String) {
    let (out, err) = (Sheet::default(), Sheet::default());
    let mut show = make(paper(&out, &err));
    for event in events {
        show.event(event).unwrap();
    }
    show.finish().unwrap();
    (out.text(), err.text())
}

fn three(texts: [&str; 3]) -> Vec<Event> {
    let mut events: Vec<Event> = texts.iter().enumerate().map(|(hub, text)| out(hub, text)).collect();
    events.extend([exited(2, 0), exited(0, 0), exited(1, 0)]);
    events
}

#[test]
fn equal_output_is_shown_once_with_the_hubs_that_gave_it() {
    let gather = |events| shown(|paper| Gathered::new(paper, false), events);
    assert_eq!(gather(three(["a\n", "a\n", "a\n"])).0, "== ou23s, fsu-s23, pyaos (all 3 hubs)\na\n");
    let (out, err) = gather(three(["a\n", "b", "a\n"]));
    assert_eq!((out.as_str(), err.as_str()), ("== ou23s, pyaos (2 of 3 hubs)\na\n== fsu-s23\nb\n", ""));
    assert_eq!(gather(three(["", "", ""])), (String::new(), String::new()));
}

#[test]
fn hubs_that_ended_in_another_way_are_a_group_of_their_own_and_are_told() {
    let stopped = Fate::Stopped(Stop::Failed(HubName::new("fsu-s23").unwrap()));
    let events =
        [out(0, "a\n"), out(1, "a\n"), err(1, "no\n"), exited(1, 7), exited(0, 0), ended(2, stopped)];
    let (out, err) = shown(|paper| Gathered::new(paper, false), events);
    assert_eq!(out, "== ou23s\na\n== fsu-s23\na\n");
    insta::assert_snapshot!(err, @r"
    == fsu-s23
    no
    fleet: exit status 7
    == pyaos
    fleet: stopped: it failed in fsu-s23
    fleet: failed in 1 of 3 hubs: fsu-s23; stopped in 1 of 3 hubs: pyaos
    ");
}

#[test]
fn the_others_are_shown_as_their_difference_from_the_most_frequent() {
    let (out, _) = shown(|paper| Gathered::new(paper, true), three(["a\nx\nc\n", "a\nb\nc\n", "a\nb\nc\n"]));
    insta::assert_snapshot!(out, @r"
    == fsu-s23, pyaos (2 of 3 hubs)
    a
    b
    c
    == ou23s
    --- fsu-s23, pyaos
    +++ ou23s
    @@ -1,3 +1,3 @@
     a
    -b
    +x
     c
    ");
    let same = [out_of_all("a\n"), vec![exited(0, 0), exited(1, 0), exited(2, 3)]].concat();
    let (out, err) = shown(|paper| Gathered::new(paper, true), same);
    assert!(out.ends_with("== pyaos\n(the same output)\n"), "{out}");
    assert!(err.contains("exit status 3"), "{err}");
}

fn out_of_all(text: &str) -> Vec<Event> {
    (0..3).map(|hub| out(hub, text)).collect()
}

#[test]
fn json_has_every_chosen_hub_in_the_files_order_and_bytes_that_are_no_text_survive() {
    let events = || {
        let not_begun = ended(2, Fate::NotBegun(Stop::Deadline(Duration::from_secs(30))));
        let bytes = output(1, Stream::Stdout, b"\xff\x80a");
        [not_begun, bytes, err(1, "\x1b[31mü\n"), exited(1, 0), out(0, "no newline"), exited(0, 137)]
    };
    let (array, _) = shown(|paper| Json::new(paper, Form::Array), events());
    let (lines, _) = shown(|paper| Json::new(paper, Form::Lines), events());
    let array: Vec<serde_json::Value> = serde_json::from_str(&array).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(array, lines);
    let hubs: Vec<&str> = array.iter().map(|one| one["hub"].as_str().unwrap()).collect();
    assert_eq!(hubs, HUBS);
    assert_eq!((&array[0]["stdout"], &array[0]["exit_status"]), (&"no newline".into(), &137.into()));
    assert_eq!(array[1]["stdout"], "\u{fffd}\u{fffd}a");
    assert_eq!(array[1]["stdout_base64"], "/4Bh");
    assert_eq!(array[1]["stderr"], "\x1b[31mü\n");
    assert!(array[1].get("stderr_base64").is_none());
    assert_eq!(array[2]["error"], "not begun: the 30s for all hubs are over");
    assert_eq!(array[2]["seconds"], 1.5);
}

#[test]
fn a_line_of_json_is_written_when_the_hub_and_all_before_it_have_ended() {
    let (sheet, none) = (Sheet::default(), Sheet::default());
    let mut json = Json::new(paper(&sheet, &none), Form::Lines);
    let mut lines_after = |event| {
        json.event(event).unwrap();
        sheet.text().lines().count()
    };
    assert_eq!(lines_after(exited(1, 0)), 0);
    assert_eq!(lines_after(exited(0, 0)), 2);
    assert_eq!(lines_after(out(2, "x")), 2);
    assert_eq!(lines_after(exited(2, 0)), 3);
}

#[test]
fn tables_of_many_hubs_are_one_table_and_what_is_none_is_not_lost() {
    let pods = "NAME    READY   AGE\nhub-1   1/1     11m\n";
    let more = "NAME         READY   AGE\nhub-2        1/1     2 (3d ago)\nlonger-one   0/1     5m\n";
    let mut events = three([pods, "No table\n", more]);
    events.insert(0, err(1, "warning\n"));
    let (out, err) = shown(Tables::new, events);
    insta::assert_snapshot!(out, @r"
    HUB      NAME        READY  AGE
    ou23s    hub-1       1/1    11m
    pyaos    hub-2       1/1    2 (3d ago)
    pyaos    longer-one  0/1    5m
    fsu-s23 | No table
    ");
    assert_eq!(err, "fsu-s23 | warning\n");
}

#[test]
fn tables_with_other_headings_are_tables_of_their_own() {
    let both = "NAME    AGE\npod/a   1m\n\nNAME    TYPE\nsvc/b   X\n";
    let (out, _) = shown(Tables::new, three([both, "", "NAME    TYPE\nsvc/c   Y\n"]));
    insta::assert_snapshot!(out, @r"
    HUB      NAME   AGE
    ou23s    pod/a  1m

    HUB      NAME   TYPE
    ou23s    svc/b  X
    pyaos    svc/c  Y
    ");
}

#[test]
fn a_directory_gets_outputs_and_status_of_each_hub_and_is_not_shared_with_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    free_directory(&path).unwrap();
    let events = [
        out(0, "a"),
        err(0, "e"),
        exited(0, 0),
        exited(1, 7),
        ended(2, Fate::Ended(End::TimedOut(Duration::from_secs(3)))),
    ];
    let (out, err) = shown(|paper| Files::new(paper, &path).unwrap(), events);
    assert_eq!(out, "");
    assert!(err.contains("fsu-s23: fleet: exit status 7\n"), "{err}");
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    assert_eq!(
        (read("ou23s.stdout"), read("ou23s.stderr"), read("ou23s.status")),
        ("a".into(), "e".into(), "0\n".into())
    );
    assert_eq!((read("fsu-s23.status"), read("pyaos.status")), ("7\n".into(), "stopped after 3s\n".into()));
    assert!(free_directory(&path).unwrap_err().contains("there is something in"));
}

#[tokio::test(start_paused = true)]
async fn at_a_terminal_what_is_over_soon_is_gathered_and_what_goes_on_is_streamed() {
    let (sheet, none) = (Sheet::default(), Sheet::default());
    let make = || Deciding::new(paper(&sheet, &none), paper(&sheet, &none));
    let mut soon = make();
    assert!(soon.waits_until().is_some());
    for event in three(["a\n", "a\n", "a\n"]) {
        soon.event(event).unwrap();
    }
    assert_eq!(sheet.text(), "");
    soon.finish().unwrap();
    assert!(sheet.text().starts_with("== ou23s, fsu-s23, pyaos (all 3 hubs)"));
    sheet.0.lock().unwrap().clear();
    let mut late = make();
    late.event(out(1, "a\n")).unwrap();
    late.late().unwrap();
    assert_eq!((sheet.text().as_str(), late.waits_until()), ("fsu-s23 | a\n", None));
    late.event(out(0, "b\n")).unwrap();
    late.finish().unwrap();
    assert_eq!(sheet.text(), "fsu-s23 | a\nou23s   | b\n");
}

/// What three hubs print, in pieces that come in any order.
fn a_run() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<Event>)> {
    let byte = prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 2 => Just(b'a')];
    let piece = (0..3_usize, prop::collection::vec(byte, 0..8));
    prop::collection::vec(piece, 0..20).prop_map(|pieces| {
        let printed = (0..3)
            .map(|hub| {
                pieces.iter().filter(|(of, _)| *of == hub).flat_map(|(_, bytes)| bytes.clone()).collect()
            })
            .collect();
        let mut events: Vec<Event> =
            pieces.iter().map(|(hub, bytes)| output(*hub, Stream::Stdout, bytes)).collect();
        events.extend((0..3).map(|hub| exited(hub, 0)));
        (printed, events)
    })
}

proptest! {
    #[test]
    fn no_form_loses_a_byte_however_the_output_is_cut((printed, events) in a_run()) {
        let (lines, _) = shown(|paper| Json::new(paper, Form::Lines), events.clone());
        for (line, bytes) in lines.lines().zip(&printed) {
            let one: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(one["stdout"].as_str().unwrap(), String::from_utf8_lossy(bytes));
            let exact = one.get("stdout_base64").map(|text| {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap()
            });
            prop_assert_eq!(exact.is_none(), std::str::from_utf8(bytes).is_ok());
            prop_assert!(exact.is_none_or(|exact| exact == *bytes));
        }
        let sheet = Sheet::default();
        let mut streamed = Streamed::new(paper(&sheet, &Sheet::default()));
        for event in events {
            streamed.event(event).unwrap();
        }
        let written = sheet.0.lock().unwrap().clone();
        for (hub, bytes) in HUBS.iter().zip(&printed) {
            let prefix = format!("{hub:<7} | ");
            let own: Vec<u8> = written
                .split_inclusive(|byte| *byte == b'\n')
                .filter_map(|line| line.strip_prefix(prefix.as_bytes()))
                .flatten()
                .copied()
                .collect();
            let mut whole = bytes.clone();
            if whole.last().is_some_and(|last| *last != b'\n') {
                whole.push(b'\n');
            }
            prop_assert_eq!(own, whole);
        }
    }
}
