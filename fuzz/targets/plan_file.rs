//! Saved plans.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fleet::saved_plan::fuzzing::parse(bytes));
