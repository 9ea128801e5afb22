//! The record of logins and shutdowns.

#![no_main]

use ipvs_latency::fuzzed::wtmp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, wtmp));
