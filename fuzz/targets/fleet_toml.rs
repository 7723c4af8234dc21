//! `fleet.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fleet::config::fuzzing::parse(text));
