//! What a guest of the lab and its host say to each other.

#![no_main]

use xtask::wire::feed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs_latency_fuzz::bounded(bytes, feed));
