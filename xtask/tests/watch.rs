//! `ipvs-latency watch` in guests, held against the kernel's own tracepoints.

#[path = "watch/accuracy.rs"]
mod accuracy;
#[path = "watch/length.rs"]
mod length;
#[path = "watch/namespaces.rs"]
mod namespaces;
#[path = "watch/refusals.rs"]
mod refusals;
#[path = "watch/soak.rs"]
mod soak;
#[path = "watch/ways_out.rs"]
mod ways_out;
