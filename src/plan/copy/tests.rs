use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path};

use proptest::prelude::*;

use super::*;
use crate::sandbox::paths;

fn of(words: &[&str]) -> Result<Course, Vec<String>> {
    course(&words.iter().map(OsString::from).collect::<Vec<_>>())
}

fn there(hubs: &str, path: &str) -> There {
    There { hubs: hubs.to_owned(), path: path.to_owned() }
}

#[test]
fn what_has_a_colon_before_any_slash_is_in_sandboxes() {
    let word = |text: &str| word(OsStr::new(text)).unwrap();
    for (text, hubs, path) in [
        ("ou23s:/srv/x", "ou23s", "/srv/x"),
        (":/srv/x", "", "/srv/x"),
        ("ou*,fsu-s23:/a:b", "ou*,fsu-s23", "/a:b"),
        ("{a,b}:/a b\n", "{a,b}", "/a b\n"),
    ] {
        assert_eq!(word(text), Word::There(there(hubs, path)));
    }
    for text in ["a", "./a:b", "/a:b", "a/b:/c", "-x", "a b"] {
        assert_eq!(word(text), Word::Here(text.into()));
    }
}

#[test]
fn the_last_word_is_where_it_goes() {
    assert_eq!(
        of(&["a", "b", ":/srv"]),
        Ok(Course::Out { from: vec!["a".into(), "b".into()], to: there("", "/srv") })
    );
    assert_eq!(
        of(&["ou23s:/a", "ou23s:/b/", "."]),
        Ok(Course::Back { hubs: "ou23s".into(), from: vec!["/a".into(), "/b/".into()], to: ".".into() })
    );
}

#[test]
fn what_makes_no_sense_says_why_all_at_once() {
    for (words, why) in [
        (
            &["a:b", "c:", ""][..],
            &["\"a:b\": a path in a sandbox begins with '/'", "it has none", "an empty name"][..],
        ),
        (&["a", "b"], &["none of these is in a sandbox"]),
        (&["ou:/a", "fsu:/b"], &["nothing is copied from sandbox to sandbox"]),
        (&[":/a"], &["two words at least"]),
        (&["a", ":/b", "c"], &["either all here or all in sandboxes"]),
        (&[":/a", "b", ":/c"], &["either all here or all in sandboxes"]),
        (&["ou:/a", "fsu:/b", "."], &["the same hubs"]),
        (&["ou:/", "."], &["does not end with a name"]),
        (&["ou:/a/..", "ou:/b/.", "."], &["\"/a/..\"", "\"/b/.\""]),
        (&["ou:/a/x", "ou:/b/x/", "."], &["two of them are called \"x\""]),
    ] {
        let problems = of(words).unwrap_err().join("\n");
        for why in why {
            assert!(problems.contains(why), "{words:?}: {problems}");
        }
    }
}

#[test]
fn one_hub_is_one_that_no_pattern_can_make_two() {
    assert!(is_one("ou23s"));
    for hubs in ["", "ou*", "ou23s,fsu", "{ou}", "[o]u"] {
        assert!(!is_one(hubs), "{hubs}");
    }
}

#[test]
fn names_in_archives_stay_below_their_directory() {
    let path = |name: &str| within(name.as_bytes());
    assert_eq!(path("."), Ok("".into()));
    assert_eq!(path("./"), Ok("".into()));
    assert_eq!(path("./a//b/./c/"), Ok("a/b/c".into()));
    assert_eq!(path("..a/...b"), Ok("..a/...b".into()));
    for name in ["", "/etc/passwd", "..", "a/../../b", "./..", "a/..", "a\0b", "//a"] {
        assert!(path(name).is_err(), "{name:?}");
    }
    assert!(within(&[b'a'; 4096]).is_ok() && within(&[b'a'; 4097]).is_err());
}

#[test]
fn only_files_and_directories_come_out_of_an_archive_and_nobody_gets_rights_by_it() {
    let made: Vec<u8> =
        (0..=255).filter(|kind| matches!(what(*kind), What::File | What::Directory)).collect();
    assert_eq!(made, *b"\x00057");
    assert!([b'2', b'3', b'4', b'6'].iter().all(|kind| matches!(what(*kind), What::Left(_))));
    assert_eq!([b'1', b'L', b'K'].map(what), [What::Again, What::LongName, What::LongLink]);
    assert_eq!([b'g', b'x', b'S'].map(what), [What::Nothing, What::About, What::Refused]);
    for mode in [0o7777, 0o4755, 0o100_644, 0] {
        assert_eq!(as_a_file(mode) & !0o777, 0);
        assert_eq!(as_a_directory(mode) & 0o7700, 0o700);
    }
    assert_eq!((as_a_file(0o4751), as_a_directory(0o2055)), (0o751, 0o755));
}

#[test]
fn the_far_ends_words_lead_to_what_can_be_done() {
    let hub = HubName::new("ou23s").unwrap();
    let told = |path: &str, status, stderr: &str| told(&hub, path, status, stderr);
    let full = "tar: ./in/a: Wrote only 512 of 10240 bytes\ntar: No space left on device\ntar: Exiting with failure status due to previous errors\n";
    assert!(told("/srv", 2, "tar: in/a: Wrote only 512 of 10240 bytes").hint.unwrap().contains("make room"));
    let full = told("/srv", 1, full);
    assert!(full.reason.contains("No space left") && !full.reason.contains("Exiting"), "{full:?}");
    assert!(full.hint.unwrap().contains("make room"));
    let openrc = told(paths::OPENRC, MOUNTED, "fleet: /home/openstack/bin/openrc.sh is mounted there\n");
    assert_eq!(openrc.hint.unwrap(), "new credentials: fleet openrc set ou23s FILE");
    let wordless = told(paths::OPENRC, MOUNTED, "");
    assert_eq!(wordless.reason, "/home/openstack/bin/openrc.sh is mounted into the sandbox");
    assert!(wordless.hint.unwrap().starts_with("new credentials"));
    for missing in ["sh: 1: tar: not found", "exec: no such program"] {
        assert!(told("/x", 127, missing).hint.unwrap().contains("needs sh, tar"));
    }
    let other = told("/x", 1, "mv: cannot move 'a' to 'b': Device or resource busy");
    assert!(other.hint.unwrap().contains("where it is mounted from"));
    assert!(told("/x", CUT, "").reason.contains("nothing was changed"));
    assert_eq!(told("/x", 2, "").reason, "it ended in the sandbox with status 2");
    assert_eq!(told("/x", 1, "a\x1b[2J\nb\nc\nd\n").reason, "a [2J; b; c; ...");
}

/// Whether a path stays below the directory that it is joined to.
fn stays(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

proptest! {
    #[test]
    fn a_word_is_read_as_it_was_written(hubs in "[a-z0-9*,{}-]{0,12}", path in "/[^\0]{0,30}") {
        let text = format!("{hubs}:{path}");
        prop_assert_eq!(word(OsStr::new(&text)), Ok(Word::There(There { hubs, path })));
    }

    #[test]
    fn no_word_is_too_strange_and_none_is_changed(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = OsString::from_vec(bytes);
        match word(&text) {
            Ok(Word::Here(path)) => prop_assert_eq!(path.as_os_str(), text.as_os_str()),
            Ok(Word::There(There { hubs, path })) => {
                prop_assert!(path.starts_with('/') && !hubs.contains('/'));
                prop_assert_eq!(format!("{hubs}:{path}"), text.to_str().unwrap());
            }
            Err(why) => prop_assert!(!why.is_empty()),
        }
    }

    #[test]
    fn a_path_that_a_file_here_can_have_is_never_taken_for_one_elsewhere(path in "[./][^\0]{0,30}") {
        let dotted = if path.starts_with('/') { path } else { format!("./{path}") };
        prop_assert_eq!(word(OsStr::new(&dotted)), Ok(Word::Here(dotted.clone().into())));
    }

    #[test]
    fn whatever_a_sandbox_calls_a_file_it_stays_below_its_directory(
        parts in prop::collection::vec(prop_oneof![
            Just("..".to_owned()), Just(".".to_owned()), Just(String::new()), Just("a".to_owned()), "[^/]{1,5}",
        ], 0..8),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for name in [parts.join("/").into_bytes(), noise] {
            if let Ok(path) = within(&name) {
                prop_assert!(stays(&path), "{:?} for {:?}", path, name);
                prop_assert!(!name.contains(&0) && !name.starts_with(b"/"));
            }
        }
        if parts.iter().any(|part| part == "..") {
            prop_assert!(within(parts.join("/").as_bytes()).is_err());
        }
    }

    #[test]
    fn names_here_are_one_part_each_and_all_different(paths in prop::collection::vec("/[ab./]{0,6}", 1..4)) {
        if let Ok(names) = names(&paths) {
            prop_assert_eq!(names.len(), paths.len());
            for (place, name) in names.iter().enumerate() {
                prop_assert!(stays(Path::new(name)) && Path::new(name).components().count() == 1);
                prop_assert!(!names[..place].contains(name));
            }
        }
    }
}
