//! What a process says of itself in /proc.

#![no_main]

use ipvs_latency::fuzzed::process;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, process));
