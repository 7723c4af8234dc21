//! Volumes as Cinder lists them, a zero byte, and PVs as an API server lists them: whatever they are, no volume is an
//! orphan whose id stands anywhere among the PVs.
#![no_main]

use fleet::plan::orphans::fuzzing::orphans;
use fleet::systems::{kube, openstack};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(middle) = bytes.iter().position(|byte| *byte == 0) else { return };
    let Ok(pvs) = std::str::from_utf8(&bytes[middle + 1..]) else { return };
    let Some(volumes) = openstack::fuzzing::volumes(&bytes[..middle]) else { return };
    let Some(seen) = kube::fuzzing::persistent_volumes(pvs) else { return };
    if seen.is_empty() {
        return;
    }
    let text = pvs.to_lowercase();
    for id in orphans(volumes, seen) {
        assert!(id.is_empty() || !text.contains(&id.to_lowercase()), "{id} stands among the PVs");
    }
});
