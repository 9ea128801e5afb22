//! What was written down of an installed hotfix.

#![no_main]

use ipvs_latency::fuzzed::record;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, record));
