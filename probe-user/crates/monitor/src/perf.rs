//! Trace events read through `perf_event_open`: one ring for each CPU, filtered in the kernel, without a wake-up. All of it is
//! gone with this process.

mod changes;
mod event;
mod ring;
mod rings;
mod sample;
pub mod statistics;

pub use rings::Rings;
