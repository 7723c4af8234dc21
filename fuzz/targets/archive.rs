//! An archive as a sandbox sends it to `fleet cp`. Whatever it is, it makes files and directories where they were asked for, and
//! nothing anywhere else.
#![no_main]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fleet::copy::fuzzing::unpack;

/// Bytes of a header, and of what goes before and after its checksum.
const RECORD: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// With a right checksum in all that may be a header: no fuzzer hits upon one.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for record in bytes.chunks_exact_mut(RECORD).filter(|record| record[257..262] == *b"ustar") {
        record[CHECKSUM].fill(b' ');
        let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
        record[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

/// Nothing but files and directories, none of them with another's rights.
fn look(path: &Path) {
    let meta = path.symlink_metadata().expect("there");
    assert!(meta.is_file() || meta.is_dir(), "{}: {:?}", path.display(), meta.file_type());
    assert_eq!(meta.permissions().mode() & 0o7000, 0, "{}", path.display());
    if meta.is_dir() {
        path.read_dir().expect("readable").flatten().for_each(|entry| look(&entry.path()));
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // In memory, or most of the time would go to a disk.
    let outside = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let stage = outside.path().join("stage");
    std::fs::create_dir(&stage).expect("a directory");
    let _ = unpack(&with_checksums(bytes), &stage);
    let names = |dir: &Path| {
        dir.read_dir().expect("readable").flatten().map(|entry| entry.file_name()).collect::<Vec<_>>()
    };
    assert_eq!(names(outside.path()), ["stage"]);
    let made = names(&stage);
    assert!(made.is_empty() || made == ["x"], "{made:?}");
    made.iter().for_each(|name| look(&stage.join(name)));
});
