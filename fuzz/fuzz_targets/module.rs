//! A kernel module's file.

#![no_main]

use ipvs_latency::fuzzed::module;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, module));
