//! Large modules, made from a few bytes.

#![no_main]

use ipvs_latency::fuzzed::{grow, module};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(&grow(bytes), module));
