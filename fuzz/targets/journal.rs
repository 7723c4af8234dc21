//! The journal. A line that cannot be read hides no other one: what is read of it is read with rubbish behind it too.
#![no_main]

use fleet::journal::History;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let history = History::parse(bytes);
    for run in &history.runs {
        let (deleted, unknown, not_done) = run.counts();
        assert!(deleted + unknown + not_done <= run.volumes.len());
    }
    let behind = History::parse(&[bytes, b"\n{\"rubbish\":"].concat());
    assert_eq!(behind.runs, history.runs);
});
