//! `ipvs-latency watch` in guests, held against the kernel's own tracepoints.

mod accuracy;
pub mod big;
mod length;
mod life;
mod namespaces;
mod refusals;
mod soak;
mod ways_out;
