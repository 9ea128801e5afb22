//! The kernel's memory.

#![no_main]

use ipvs_latency::fuzzed::kernel_memory;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, kernel_memory));
