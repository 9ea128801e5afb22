//! What measures the estimators: eBPF programs loaded, attached and read. The only crate that names aya.

mod measurement;
mod probe;
mod sample;
mod surroundings;
pub mod threads;
pub mod timers;
mod watcher;

pub use measurement::{LEAST, Longest, MOST, Measurement, Observed, Time, ahead};
pub use probe::{ProbeError, SoftirqProbe};
pub use watcher::{TICK, Watcher};
