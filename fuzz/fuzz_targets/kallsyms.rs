//! The kernel's list of symbols.

#![no_main]

use ipvs_latency::fuzzed::kallsyms;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, kallsyms));
