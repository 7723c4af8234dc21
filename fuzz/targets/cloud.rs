//! Answers of Keystone, Cinder and Nova.
#![no_main]

use fleet::systems::openstack::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    match which % 4 {
        0 => drop(fuzzing::volumes(body)),
        1 => drop(fuzzing::snapshots(body)),
        2 => drop(fuzzing::servers(body)),
        _ => fuzzing::token(body),
    }
});
