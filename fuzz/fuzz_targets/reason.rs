//! Lines of the kernel's log that say why a task keeps a transition.

#![no_main]

use ipvs_latency::fuzzed::reason;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, reason));
