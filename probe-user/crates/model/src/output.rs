//! What a session tells as it happens.

use std::{fmt, rc::Rc};

use super::{State, WallTime};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A run of the estimator.
    Call(Call),
    /// A start or stop of an estimator that waited for a run.
    LockWait(LockWait),
    /// A namespace's estimator is in another state than before.
    StateChange(StateChange),
    /// Something else happened to the host or to us that a reader of the numbers should know.
    Notice(Notice),
}

impl Output {
    /// When it began, or was found, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        match self {
            Self::Call(call) => call.start_ns,
            Self::LockWait(wait) => wait.start_ns,
            Self::StateChange(change) => change.start_ns,
            Self::Notice(notice) => notice.start_ns,
        }
    }
}

/// One run of `estimation_timer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it began.
    pub at: WallTime,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// The CPU that it ran on.
    pub cpu: u32,
    /// Inode number of its network namespace, or [`super::NETNS_UNKNOWN`].
    pub netns: u32,
    /// Length of `est_list` when it began, if known.
    pub estimators: Option<u32>,
    /// The task that the softirq interrupted; 0 is an idle CPU.
    pub interrupted_pid: u32,
    /// What that task is called, where it was looked up.
    pub interrupted_comm: Option<Rc<str>>,
    /// What the whole batch kept from its CPU: with the batch's last call.
    pub blackout: Option<Blackout>,
}

/// How long a batch of runs, each on the heels of the one before, kept a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blackout {
    /// In nanoseconds.
    pub duration_ns: u64,
    /// Runs in the batch, those of namespaces not watched included.
    pub calls: u64,
    /// The CPU.
    pub cpu: u32,
    /// The longest run of the batch, in nanoseconds.
    pub longest_ns: u64,
    /// Inode number of that run's network namespace, or [`super::NETNS_UNKNOWN`].
    pub netns: u32,
    /// Length of `est_list` in that run, if known.
    pub estimators: Option<u32>,
}

impl Blackout {
    /// Whether many runs make the blackout: the longest of them is less than half of it.
    #[must_use]
    pub fn is_of_many(&self) -> bool {
        self.calls > 1 && self.longest_ns < self.duration_ns / 2
    }
}

/// A start or stop of a single estimator while a run on another CPU held the list's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWait {
    /// When both had begun, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When both had begun.
    pub at: WallTime,
    /// How long they overlapped, in nanoseconds.
    pub duration_ns: u64,
    /// The CPU that waited.
    pub cpu: u32,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// What waited.
    pub operation: Operation,
    /// The task that waited.
    pub pid: u32,
}

/// What takes the lock of `est_list` besides a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `ip_vs_start_estimator`: a service or destination came.
    Start,
    /// `ip_vs_stop_estimator`: a service or destination went.
    Stop,
}

/// A namespace's estimator changed its state, or was found in one that is worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// When it was found, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it was found.
    pub at: WallTime,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The state before; `None` at the first look.
    pub from: Option<State>,
    /// The state now.
    pub to: State,
    /// What the state was told by: a clause without a full stop.
    pub why: String,
}

/// Something that happened to the host or to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When it was found, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it was found.
    pub at: WallTime,
    /// What it is about.
    pub topic: Topic,
    /// What happened: a clause without a full stop.
    pub text: String,
}

/// What a [`Notice`] is about. Displayed as JSON names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// `ip_vs` was unloaded or loaded.
    IpVs,
    /// A livepatch came or went.
    Livepatch,
    /// CPUs came or went.
    Cpus,
    /// Kprobes were switched off or on.
    Kprobes,
    /// Another `ipvs-latency` began or ended.
    Instance,
    /// This process was stopped for a while.
    Stopped,
    /// The wall clock stepped.
    Clock,
    /// Part of the host may not be looked at.
    Access,
    /// The length of an `est_list` was told wrongly, and is right from here on.
    Length,
    /// There is more than we keep apart.
    Limit,
    /// The probes were removed from kernel threads, which may calibrate, or attached again.
    Calibration,
    /// A moment marked by the user.
    Mark,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::IpVs => "ip_vs",
            Self::Livepatch => "livepatch",
            Self::Cpus => "cpus",
            Self::Kprobes => "kprobes",
            Self::Instance => "instance",
            Self::Stopped => "stopped",
            Self::Clock => "clock",
            Self::Access => "access",
            Self::Length => "length",
            Self::Limit => "limit",
            Self::Calibration => "calibration",
            Self::Mark => "mark",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackout_is_of_many_runs_where_the_longest_is_less_than_half_of_it() {
        for (calls, longest_ns, is_of_many) in [(2, 49, true), (2, 50, false), (1, 49, false)] {
            let blackout = Blackout {
                duration_ns: 100,
                calls,
                longest_ns,
                ..Blackout::default()
            };
            assert_eq!(blackout.is_of_many(), is_of_many, "{calls} {longest_ns}");
        }
    }
}
