//! The estimators' timers, followed by the trace events of the kernel's timers: what those events say, and what follows from
//! it. `perf` and `tracefs` read the records; `tracer` finds whose a timer is.

pub mod filter;
mod formats;
mod functions;
mod ledger;
mod whose;

use std::{collections::BTreeSet, io};

pub use formats::{EVENTS, Formats};
pub use functions::{CHANGES, Functions, STATISTICS};
pub use ledger::Ledger;
pub use whose::Whose;

/// Where records of trace events come from.
pub trait Events {
    /// Follows CPUs that come and go.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    fn follow_cpus(&mut self) -> io::Result<()>;

    /// Begins again to record on these CPUs, where nothing was seen of timers whose time is over: a CPU that went offline and came
    /// back meanwhile may have lost its events.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    fn reopen(&mut self, cpus: &BTreeSet<u32>) -> io::Result<()>;

    /// Records the returns of these timers alone from here on. A timer that is not among them has no end of its runs.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    fn follow(&mut self, timers: &BTreeSet<u64>) -> io::Result<()>;

    /// Adds all records since the last call, of each CPU in their order.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn read(&mut self, records: &mut Vec<Record>) -> io::Result<()>;

    /// Returns how many estimators started or stopped since the beginning, in any namespace, and maybe more: as long as the
    /// number stays, no list changes its length. `None` where that is not seen.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn changes(&mut self) -> io::Result<Option<u64>>;
}

/// One record of a trace event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// The CPU that it happened on.
    pub cpu: u32,
    /// The task that was running there; of a softirq, the one that it interrupted.
    pub tid: u32,
    /// What happened.
    pub what: What,
}

/// What a record tells. A timer stands for its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The kernel is about to call the timer's function.
    Entered {
        /// Whose function it is.
        timer: u64,
        /// `jiffies` at that moment.
        jiffies: u64,
    },
    /// The timer's function has returned.
    Left {
        /// Whose function it was.
        timer: u64,
    },
    /// The timer was set.
    Set {
        /// The timer.
        timer: u64,
        /// `jiffies` at that moment.
        jiffies: u64,
        /// When it expires, and where.
        due: Due,
    },
    /// Records of this CPU found no room.
    Lost,
}

/// When and where a timer expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// In jiffies.
    pub expires: u64,
    /// The level of the timer wheel that it is queued on.
    pub level: u32,
    /// The CPU that it is queued on; `None` where the kernel does not tell.
    pub cpu: Option<u32>,
}
