//! What a screen shows of a session: everything as of one moment, cheap enough to be made every second
//! for a thousand namespaces.

use super::{Blackout, Clock, Histogram, Latest, State, Summary, WallTime};

/// A session as of one moment.
#[derive(Debug, Clone)]
pub struct Overview {
    /// When: the wall clock, and `CLOCK_MONOTONIC` in nanoseconds.
    pub at: WallTime,
    /// The same in nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// How the two relate.
    pub clock: Clock,
    /// How long was observed, in nanoseconds.
    pub observed_ns: u64,
    /// Over all namespaces watched.
    pub all: Summary,
    /// How often which duration came, over all namespaces watched.
    pub histogram: Histogram,
    /// The longest blackout of a CPU so far.
    pub max_blackout: Option<Blackout>,
    /// The longest blackout of a CPU in the last seconds.
    pub latest_blackout: Option<Blackout>,
    /// By namespace, in the order of their numbers; those that are gone, too.
    pub namespaces: Vec<NamespaceView>,
    /// By CPU, those that ran a watched run, in the order of their numbers.
    pub cpus: Vec<CpuView>,
    /// The run that is due next.
    pub next_run: Option<NextRun>,
    /// What one estimator costs here.
    pub cost: Option<Cost>,
    /// The namespace whose runs cost most now, by itself.
    pub focus: Option<Focus>,
    /// Starts and stops that waited for a run on another CPU.
    pub lock_waits: LockWaitSums,
    /// `ip_vs` is loaded, and the probes are in place.
    pub attached: bool,
}

/// A namespace as of one moment. Of its calls, the sums that cost nothing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceView {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// The last known length of `est_list`.
    pub estimators: Option<u32>,
    /// The last known state of its estimator.
    pub state: Option<State>,
    /// What the state was told by: a clause without a full stop.
    pub why: Option<String>,
    /// `net.ipv4.vs.run_estimation`, where the kernel has it.
    pub run_estimation: Option<i32>,
    /// Runs that were seen to begin and to end.
    pub calls: u64,
    /// The latest, in nanoseconds.
    pub last_ns: Option<u64>,
    /// The longest, in nanoseconds.
    pub max_ns: Option<u64>,
    /// The CPU that the longest ran on.
    pub max_cpu: Option<u32>,
    /// What its latest runs took.
    pub latest: Latest,
    /// Nanoseconds of run time to each second observed.
    pub stall_ns_per_s: Option<u64>,
    /// Time between the last two times that the timer was set, in nanoseconds: the period.
    pub period_ns: Option<u64>,
    /// The run that is due next; `None` while the timer is not pending.
    pub next_run: Option<NextRun>,
    /// Runs without a record because the ring buffer was full.
    pub lost: u64,
    /// Runs that the probes did not see, or saw begin and not end.
    pub missed: u64,
}

/// The runs of one namespace, as of one moment.
#[derive(Debug, Clone)]
pub struct Focus {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Over its runs.
    pub summary: Summary,
    /// How often which duration came.
    pub histogram: Histogram,
    /// What one estimator costs there; `None` while its list has one entry, or its runs leave the list out.
    pub cost: Option<Cost>,
}

/// A CPU as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuView {
    /// Its number.
    pub cpu: u32,
    /// Recorded runs on it.
    pub calls: u64,
    /// Nanoseconds of run time to each second observed: its share of time, in parts of 10^9.
    pub stall_ns_per_s: Option<u64>,
    /// The longest run on it, in nanoseconds.
    pub max_ns: u64,
    /// Its longest blackout.
    pub longest_blackout: Option<Blackout>,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRun {
    /// When the timer wheel lets it expire, in nanoseconds of `CLOCK_MONOTONIC`.
    pub due_ns: u64,
    /// The CPU that its timer is queued on.
    pub cpu: u32,
    /// Inode number of the network namespace.
    pub netns: u32,
}

/// What the estimators cost here, told from the latest runs over the longest list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The length of that list.
    pub estimators: u32,
    /// The median of its latest runs, in nanoseconds.
    pub run_ns: u64,
    /// The median of the latest runs over a list of one, in nanoseconds; `None` where there was none. Then all of a run
    /// is taken for what its estimators cost.
    pub base_ns: Option<u64>,
}

impl Cost {
    /// Picoseconds that one more estimator adds to a run.
    #[must_use]
    pub fn estimator_ps(&self) -> u64 {
        let more = u64::from(self.estimators.saturating_sub(1)).max(1);
        self.run_ns
            .saturating_sub(self.base_ns.unwrap_or(0))
            .saturating_mul(1_000)
            / more
    }

    /// How long a run would take over a list of `estimators`, in nanoseconds.
    #[must_use]
    pub fn projected_ns(&self, estimators: u64) -> u64 {
        let more = estimators.saturating_sub(1);
        self.base_ns.unwrap_or(0) + self.estimator_ps().saturating_mul(more) / 1_000
    }

    /// The length that a projection is told for: twice today's, in round numbers.
    #[must_use]
    pub fn twice_as_many(&self) -> u64 {
        let twice = 2 * u64::from(self.estimators.saturating_sub(1));
        let digits = twice.checked_ilog10().unwrap_or(0);
        let round = 10_u64.pow(digits.saturating_sub(1));
        twice / round * round
    }
}

/// Starts and stops of single estimators that waited for a run on another CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockWaitSums {
    /// How many.
    pub count: u64,
    /// How long in all, in nanoseconds.
    pub total_ns: u64,
    /// The longest, in nanoseconds.
    pub longest_ns: u64,
    /// Starts and stops of 10 us or more without a record, because their ring buffer was full: each may have
    /// been a wait.
    pub unrecorded: u64,
}

impl LockWaitSums {
    /// Adds one wait.
    pub fn add(&mut self, duration_ns: u64) {
        self.count += 1;
        self.total_ns = self.total_ns.saturating_add(duration_ns);
        self.longest_ns = self.longest_ns.max(duration_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_goes_through_what_was_measured() {
        let cost = Cost {
            estimators: 30_001,
            run_ns: 345_402,
            base_ns: Some(402),
        };
        assert_eq!(cost.estimator_ps(), 11_500);
        assert_eq!(cost.projected_ns(30_001), 345_402);
        assert_eq!(cost.twice_as_many(), 60_000);
        assert_eq!(cost.projected_ns(60_000), 402 + 59_999 * 115 / 10);
    }

    #[test]
    fn a_list_of_one_has_no_slope_and_does_no_harm() {
        let cost = Cost {
            estimators: 1,
            run_ns: 1_800,
            base_ns: Some(1_800),
        };
        assert_eq!((cost.estimator_ps(), cost.twice_as_many()), (0, 0));
        assert_eq!(cost.projected_ns(0), 1_800);
    }
}
