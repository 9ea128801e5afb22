//! What measures the estimators: eBPF programs loaded, attached and read. The only crate that names aya.

mod lookout;
mod measurement;
pub mod mechanism;
mod perf;
mod probe;
#[cfg(test)]
mod recorded;
mod sample;
mod source;
mod statistics;
mod surroundings;
mod thread_probe;
mod thread_reader;
mod thread_watcher;
pub mod threads;
pub mod timers;
mod traced;
mod tracefs;
mod tracer;
mod watcher;

use host::prerequisites::Refusal;

pub use measurement::{LEAST, Longest, MOST, Measurement, Observed, Time, ahead};
pub use probe::{ProbeError, SoftirqProbe};
pub use source::SourceError;
pub use thread_watcher::ThreadWatcher;
pub use watcher::{TICK, Watcher};

/// Returns whether an error says that kernel threads estimate on this host, so that it takes a [`ThreadWatcher`].
#[must_use]
pub fn is_of_threads(error: &anyhow::Error) -> bool {
    let refusal =
        error
            .downcast_ref::<Refusal>()
            .or_else(|| match error.downcast_ref::<SourceError>() {
                Some(SourceError::Refused(refusal)) => Some(refusal),
                _ => None,
            });
    matches!(refusal, Some(Refusal::Threads(_)))
}
