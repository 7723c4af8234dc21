use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use super::*;

/// An entry as a sandbox may send it, good or not.
fn header(kind: u8, name: &[u8], size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(kind));
    // Not by `set_path`, which knows better.
    header.as_old_mut().name[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1);
    header.set_cksum();
    header
}

fn archive(entries: &[(u8, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, content) in entries {
        bytes.extend_from_slice(header(*kind, name.as_bytes(), content.len() as u64, 0o6755).as_bytes());
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// What an archive comes to, in a directory of its own that has a neighbour.
fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<Unpacked, String>) {
    let dir = tempfile::tempdir().unwrap();
    let stage = dir.path().join("stage");
    std::fs::create_dir(&stage).unwrap();
    files::replace(&dir.path().join("neighbour"), b"untouched", 0o600).unwrap();
    let result = unpack(bytes, &stage, "x", "x".as_ref());
    assert_eq!(std::fs::read(dir.path().join("neighbour")).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    (dir, result)
}

fn refused(entries: &[(u8, &str, &str)]) -> String {
    unpacked(&archive(entries)).1.unwrap_err()
}

#[test]
fn a_file_comes_with_its_mode_and_without_setuid() {
    let (dir, result) = unpacked(&archive(&[(b'0', "./x", "text")]));
    let result = result.unwrap();
    assert!(!result.is_directory);
    assert_eq!((result.copied.files, result.copied.bytes), (1, 4));
    let meta = std::fs::symlink_metadata(dir.path().join("stage/x")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o755, 1));
    // Under another name here.
    let other = tempfile::tempdir().unwrap();
    unpack(&archive(&[(b'0', "./x", "text")])[..], other.path(), "x", "y".as_ref()).unwrap();
    assert_eq!(std::fs::read(other.path().join("y")).unwrap(), b"text");
}

#[test]
fn a_tree_comes_without_links_and_devices_which_are_told() {
    let (dir, result) = unpacked(&archive(&[
        (b'5', "./", ""),
        (b'5', "./sub/", ""),
        (b'0', "./sub/a", "one"),
        (b'2', "./sub/link", ""),
        (b'3', "./device", ""),
        (b'6', "./pipe", ""),
    ]));
    let result = result.unwrap();
    assert!(result.is_directory);
    assert_eq!(
        result.copied.left_out.told,
        ["sub/link (a symbolic link)", "device (a device)", "pipe (a pipe)"]
    );
    assert_eq!(std::fs::read(dir.path().join("stage/x/sub/a")).unwrap(), b"one");
    assert_eq!(std::fs::read_dir(dir.path().join("stage/x")).unwrap().count(), 1);
}

#[test]
fn what_has_two_names_there_has_two_copies_here_and_only_of_what_was_sent() {
    let again = |to: &str| {
        let mut header = header(b'1', b"./b", 0, 0o644);
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_cksum();
        let mut bytes = archive(&[(b'5', "./", ""), (b'0', "./a", "one")]);
        bytes.truncate(bytes.len() - 1024);
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + 1024, 0);
        unpacked(&bytes)
    };
    let (dir, result) = again("./a");
    assert_eq!(result.unwrap().copied.files, 2);
    assert_eq!(std::fs::read(dir.path().join("stage/x/b")).unwrap(), b"one");
    for to in ["../../neighbour", "/etc/passwd", "./nothing", "."] {
        assert!(again(to).1.is_err(), "{to}");
    }
}

#[test]
fn nothing_gets_out_of_its_directory() {
    for name in ["../x", "/etc/x", "./../../neighbour", "sub/../../neighbour", ".."] {
        let why = refused(&[(b'5', "./", ""), (b'0', name, "evil")]);
        assert!(why.contains("the sandbox sent a name that"), "{name}: {why}");
        assert!(unpacked(&archive(&[(b'0', name, "evil")])).1.is_err());
    }
    // A link first, and a file through it: the link is not made, so the file has no directory.
    let why = refused(&[(b'5', "./", ""), (b'2', "./out", ""), (b'0', "./out/x", "evil")]);
    assert!(why.contains("No such file"), "{why}");
    // By the long way.
    for kind in [b'L', b'x'] {
        let text = if kind == b'x' { "21 path=../neighbour\n" } else { "../neighbour\0" };
        let why = refused(&[(b'5', "./", ""), (kind, "long", text), (b'0', "./a", "evil")]);
        assert!(why.contains("leads out"), "{why}");
    }
}

#[test]
fn what_nobody_asked_for_is_refused() {
    for entries in [
        &[(b'0', "./y", "")][..],
        &[(b'0', "./x", ""), (b'0', "./y", "")],
        &[(b'0', "./x", ""), (b'5', "./", "")],
        &[(b'2', "./x", "")],
        &[(b'5', "./x", ""), (b'0', "./x/y", "")],
        &[(b'5', "./", ""), (b'5', ".", "")],
        &[(b'1', "./x", "")],
    ] {
        assert!(refused(entries).contains("nobody asked for"), "{entries:?}");
    }
    assert!(refused(&[(b'5', "./", ""), (b'S', "./a", "")]).contains("does not know"));
    assert!(refused(&[]).contains("nothing came"));
}

#[test]
fn a_name_is_written_once() {
    let why = refused(&[(b'5', "./", ""), (b'0', "./a", "1"), (b'0', "./a", "2")]);
    assert!(why.contains("File exists"), "{why}");
    assert!(refused(&[(b'5', "./", ""), (b'0', "./a", "1"), (b'5', "./a", "")]).contains("File exists"));
}

#[test]
fn a_name_without_end_does_not_fill_the_memory() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(self.0 < 10 << 20, "it is read for ever");
            self.0 += buffer.len() as u64;
            buffer.fill(b'a');
            Ok(buffer.len())
        }
    }
    for kind in [b'L', b'K', b'x'] {
        let dir = tempfile::tempdir().unwrap();
        let header = header(kind, b"long", 1 << 40, 0o644);
        let why = unpack(header.as_bytes().chain(Endless(0)), dir.path(), "x", "x".as_ref()).unwrap_err();
        assert!(why.contains("too long"), "{why}");
    }
}

#[test]
fn what_is_cut_off_is_no_file() {
    let whole = archive(&[(b'0', "./x", &"t".repeat(2000))]);
    for length in [0, 100, 512, 513, 2000] {
        assert!(unpacked(&whole[..length]).1.is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_an_archive_has_in_it_nothing_is_written_outside_and_no_link_is_made(
        entries in prop::collection::vec((
            prop::sample::select(b"0125637LKxgSV".to_vec()),
            prop::sample::select(vec!["./", "./x", "../neighbour", "/tmp/x", "a/../../neighbour", "./a", "./a/b", "a", "", "./a/../.."]),
            prop::sample::select(vec!["", "../neighbour\0", "21 path=../neighbour\n", "text", "./a\0"]),
        ), 0..6),
    ) {
        let mut all = vec![(b'5', "./", "")];
        all.extend(entries.iter().copied());
        for entries in [&all[..], &entries] {
            let (dir, _) = unpacked(&archive(entries));
            let mut left = vec![dir.path().join("stage")];
            while let Some(path) = left.pop() {
                let meta = std::fs::symlink_metadata(&path).unwrap();
                prop_assert!(meta.is_file() || meta.is_dir());
                prop_assert_eq!(meta.mode() & 0o7000, 0);
                if meta.is_dir() {
                    left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                }
            }
        }
    }
}
