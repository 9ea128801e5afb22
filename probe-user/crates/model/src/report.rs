//! What an interval or a whole session came to: all that an output may rest on.

use super::{Blackout, Histogram, LockWaitSums, State, Summary, WallTime};

/// The sums of an interval, or of a session.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it ends.
    pub at: WallTime,
    /// How long was observed, in nanoseconds.
    pub observed_ns: u64,
    /// Over all namespaces watched.
    pub all: Summary,
    /// How often which duration came, over all namespaces watched.
    pub histogram: Histogram,
    /// The longest blackout of a CPU among the batches that ended, if any had a run that is watched.
    pub max_blackout: Option<Blackout>,
    /// Starts and stops of single estimators that waited for a run on another CPU.
    pub lock_waits: LockWaitSums,
    /// By namespace, the one that stalls most first. An interval has only those in which something
    /// happened. Of namespaces that are gone, a thousand at least are kept; those that stalled least may be in
    /// `all` only.
    pub namespaces: Vec<NamespaceReport>,
}

/// The sums of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceReport {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The last known length of `est_list`.
    pub estimators: Option<u32>,
    /// The last known state of its estimator.
    pub state: Option<State>,
    /// `net.ipv4.vs.run_estimation`, where the kernel has it.
    pub run_estimation: Option<i32>,
    /// Its calls.
    pub summary: Summary,
}
