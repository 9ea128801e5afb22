//! What threads came to in a time, from two sources: their runs, and what the kernel says of them.

use crate::kernel_threads::{self, SeenThreads, Thread};
use host::estimator_threads::CHAIN_FACTOR;
use model::{
    durations::readable,
    threads::{ThreadReport, ThreadRun, ThreadSums},
};
use monitor::threads::Threads;

/// How long the kernel plans a run over one chain of several to take, in nanoseconds (`ip_vs_est_calc_limits`,
/// `net/netfilter/ipvs/ip_vs_est.c` of Linux 6.2 to 7.3).
const PLANNED_NS: u64 = 95_000;

/// What threads came to in a time.
#[derive(Debug, Clone)]
pub struct ThreadPeriod {
    /// Their runs.
    pub sums: ThreadSums,
    /// What was read of them at its end.
    pub read: Threads,
    /// The same, as it is shown.
    pub seen: SeenThreads,
}

impl ThreadPeriod {
    /// Returns the runs of a thread, if there were any.
    pub fn runs_of(&self, thread: &Thread) -> Option<&ThreadReport> {
        let mut reports = self.sums.threads.iter();
        reports.find(|one| {
            let key = (one.generation, one.netns, one.thread);
            key == (thread.generation, thread.netns, thread.number)
        })
    }

    /// Returns what there is to look at, in sentences: what the kernel's facts say, and chains beyond their limit.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = kernel_threads::remarks(&self.seen);
        let longest = self.sums.threads.iter().filter_map(|one| one.longest);
        remarks.extend(longest.clone().find_map(|run| self.too_long(run)));
        let slow = longest.max_by_key(|run| run.duration_ns);
        remarks.extend(slow.and_then(too_slow));
        remarks
    }

    /// Says where a chain has more estimators than the kernel allows.
    fn too_long(&self, run: ThreadRun) -> Option<String> {
        let mut namespaces = self.read.namespaces.iter();
        let limit = namespaces.find(|one| one.netns == run.netns)?.chain_max;
        let estimators = run
            .estimators
            .filter(|number| *number > limit && limit > 0)?;
        Some(format!(
            "the longest run of thread {} in netns {} was over {estimators} estimators; the kernel allows a chain {limit} now",
            run.thread, run.netns
        ))
    }
}

/// Says where a run took longer than the kernel plans. What interrupted it is part of it.
fn too_slow(run: ThreadRun) -> Option<String> {
    let planned_ns = match run.estimators {
        // A tick that has one chain.
        Some(_) => PLANNED_NS * u64::from(CHAIN_FACTOR),
        None => PLANNED_NS,
    };
    (run.duration_ns > planned_ns).then(|| {
        format!(
            "the longest run took {} on CPU {}; the kernel plans {} at most",
            readable(run.duration_ns),
            run.cpu,
            readable(planned_ns)
        )
    })
}
