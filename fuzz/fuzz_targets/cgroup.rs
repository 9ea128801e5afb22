//! The text of a process's cgroup.

#![no_main]

use ipvs_latency::fuzzed::cgroup;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, cgroup));
