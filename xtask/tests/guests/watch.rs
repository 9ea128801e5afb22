//! `ipvs-latency watch` in guests, held against the kernel's own tracepoints.

mod accuracy;
pub mod big;
mod length;
mod life;
mod namespaces;
mod pages;
mod refusals;
mod soak;
mod twelve_thousand;
mod ways_out;
