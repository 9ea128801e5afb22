//! Lines of the kernel's log that say why a module was refused.

#![no_main]

use ipvs_latency::fuzzed::refusal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, refusal));
