//! Records of the kernel's log.

#![no_main]

use ipvs_latency::fuzzed::kernel_log;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, kernel_log));
