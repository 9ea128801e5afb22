//! What the kernel says of this host in /proc and /sys.

#![no_main]

use ipvs_latency::fuzzed::host;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, host));
