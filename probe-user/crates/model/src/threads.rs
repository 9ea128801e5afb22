//! Kernel threads that estimate (Linux 6.2 on): what the records of their runs come to.
//!
//! A run is one call of `ip_vs_chain_estimation` (`net/netfilter/ipvs/ip_vs_est.c` of Linux 6.2 to 7.3): one of the 50 ticks
//! of a thread's round of 2 s, over the estimators of that tick's chain.

mod session;

pub use session::ThreadSession;

use super::{Histogram, Notice, Summary, WallTime};

/// One thing to tell about the threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadOutput {
    /// A run over a chain.
    Run(ThreadRun),
    /// Something else happened to the host or to us.
    Notice(Notice),
}

impl ThreadOutput {
    /// When it began, or was found, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        match self {
            Self::Run(run) => run.start_ns,
            Self::Notice(notice) => notice.start_ns,
        }
    }
}

/// One run over a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadRun {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it began.
    pub at: WallTime,
    /// From its begin to its end, in nanoseconds, what interrupted it included.
    pub duration_ns: u64,
    /// The CPU that it ended on.
    pub cpu: u32,
    /// Inode number of its network namespace, or [`super::NETNS_UNKNOWN`].
    pub netns: u32,
    /// The thread's number among those of its namespace.
    pub thread: u32,
    /// The thread's id.
    pub tid: u32,
    /// Which of the thread's 50 ticks it belongs to, from 0 on.
    pub tick: u32,
    /// Estimators in the chain when it began, if known.
    pub estimators: Option<u32>,
}

/// What the runs of an interval, or of a session, came to.
#[derive(Debug, Clone)]
pub struct ThreadSums {
    /// When it ends.
    pub at: WallTime,
    /// For how long the probes were attached, in nanoseconds.
    pub observed_ns: u64,
    /// They are attached now.
    pub is_attached: bool,
    /// Over all threads watched. Its `stall_ns_per_s` is the time that runs took, of each second observed: no softirq
    /// waits for it.
    pub all: Summary,
    /// How often which duration came.
    pub histogram: Histogram,
    /// By thread, the one whose runs took most time first.
    pub threads: Vec<ThreadReport>,
}

/// What the runs of one thread came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadReport {
    /// Inode number of the network namespace, or [`super::NETNS_UNKNOWN`].
    pub netns: u32,
    /// Which of the namespaces since `ip_vs` was loaded.
    pub generation: u32,
    /// Its number among those of its namespace.
    pub thread: u32,
    /// Its id, of the last run: the kernel starts a thread again when its niceness or its CPUs are changed.
    pub tid: u32,
    /// Ticks in which it had a run, of 50.
    pub ticks: u32,
    /// Its runs.
    pub summary: Summary,
    /// The longest of them.
    pub longest: Option<ThreadRun>,
}
