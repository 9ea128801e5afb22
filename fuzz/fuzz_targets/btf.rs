//! The kernel's BTF.

#![no_main]

use ipvs_latency::fuzzed::btf;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, btf));
