//! The journal of hotfixes.

#![no_main]

use ipvs_latency::fuzzed::journal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, journal));
