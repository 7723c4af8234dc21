//! Answers of a Kubernetes API server, and kubeconfigs.
#![no_main]

use fleet::systems::{kube, kubeconfig};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, body)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(body) else { return };
    match which % 4 {
        0 => drop(kube::fuzzing::persistent_volumes(text)),
        1 => drop(kube::fuzzing::claims(text)),
        2 => kube::fuzzing::nodes(text),
        _ => kubeconfig::fuzzing::read(text),
    }
});
