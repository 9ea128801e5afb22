//! `ipvs-latency watch` in guests, held against the kernel's own tracepoints.

mod accuracy;
mod length;
mod namespaces;
mod refusals;
mod soak;
mod ways_out;
