//! What the records of the probes mean: calls and their blackouts, lost and missed runs, the state of
//! each namespace's estimator, and the sums of it all.
//!
//! **Invariant:** no input or output here, and no clock: records come as arguments, and so does the
//! time.

mod blackout;
mod clock;
mod cost;
mod course;
mod cpus;
pub mod durations;
mod estimator;
mod histogram;
mod latest;
mod lock_wait;
mod namespaces;
mod output;
mod overview;
pub mod printable;
mod report;
mod session;
pub mod shell;
mod state;
pub mod statistics;
mod tally;
pub mod threads;
mod timer;
pub mod wheel;
mod worst;

/// The timer's function in `ip_vs` (`net/netfilter/ipvs/ip_vs_est.c`, Linux up to 6.1).
pub const ESTIMATOR: &str = "estimation_timer";

/// The number of a network namespace that is not known.
pub const NETNS_UNKNOWN: u32 = 0;

/// Returns the number of a network namespace, for documents: `None` where it is not known.
#[must_use]
pub fn known_netns(netns: u32) -> Option<u32> {
    Some(netns).filter(|netns| *netns != NETNS_UNKNOWN)
}

pub use clock::{Clock, WallTime};
pub use course::Course;
pub use estimator::is_too_short;
pub use histogram::Histogram;
pub use latest::Latest;
pub use output::{Blackout, Call, LockWait, Notice, Operation, Output, StateChange, Topic};
pub use overview::{Cost, CpuView, Focus, LockWaitSums, NamespaceView, NextRun, Overview};
pub use report::{NamespaceReport, Report};
pub use session::{Options, Session};
pub use state::{SLOW_PERIOD_NS, State};
pub use tally::{P50_MIN_CALLS, P90_MIN_CALLS, P99_MIN_CALLS, Summary, per_second};
pub use timer::{Timer, dead_estimators};
pub use worst::{Span, Worst};
