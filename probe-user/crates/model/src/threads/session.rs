//! A session on kernel threads: from the attaching of the probes to their end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Range,
};

use probe_ebpf::threads::ChainRun;

use super::{ThreadOutput, ThreadReport, ThreadRun, ThreadSums};
use crate::{
    Clock, Histogram, NETNS_UNKNOWN, Notice, Topic, durations::readable, session::Options,
    tally::Tally,
};

/// Threads whose sums are kept apart. Runs of others are in the sums over all.
const KEPT_APART: usize = 4096;

/// From so many calls on that a first thread times, the last of three groups of four tests may have been disturbed: a test
/// is five calls or more, and the fastest of all tests counts (`ip_vs_est_calc_limits`, `net/netfilter/ipvs/ip_vs_est.c` of
/// Linux 6.2 to 7.3).
const IN_THE_LAST_GROUP: u16 = 41;

/// Times with the probes attached that are remembered: records of runs come a second later at most.
const KEPT_TIMES: usize = 64;

/// A first thread begins the last group of tests no sooner after its own begin: it waits for a fiftieth of a second before
/// each of three.
const UNDISTURBED_NS: u64 = 60_000_000;

/// The sums of what the probes on kernel threads report.
#[derive(Debug)]
pub struct ThreadSession {
    options: Options,
    clock: Clock,
    /// When the probes were attached and removed, the last time at the end.
    attached: VecDeque<Range<u64>>,
    is_attached: bool,
    /// When they were removed last, because a thread began.
    removed_ns: Option<u64>,
    whole: Period,
    interval: Period,
    /// By thread id, what the programs had counted with its last record.
    counted: HashMap<u32, Counted>,
    unfollowed: u64,
}

/// What the programs had counted of a thread.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    number: u64,
    lost: u32,
    disturbed: u16,
}

/// The sums of a time.
#[derive(Debug)]
struct Period {
    /// The time observed before the probes were attached last.
    observed_ns: u64,
    /// When it began, or when the probes were attached last.
    since_ns: u64,
    all: Tally,
    /// By number of the namespace since `ip_vs` was loaded, by its inode number, and by number of the thread in it: either
    /// number of the namespace may be used again, after a reload or without.
    threads: BTreeMap<(u32, u32, u32), ThreadSum>,
}

#[derive(Debug)]
struct ThreadSum {
    tid: u32,
    /// A bit for each tick.
    ticks: u64,
    tally: Tally,
    longest: Option<ThreadRun>,
}

impl Period {
    fn new(since_ns: u64) -> Self {
        Self {
            observed_ns: 0,
            since_ns,
            all: Tally::new(Histogram::fine()),
            threads: BTreeMap::new(),
        }
    }

    fn thread(&mut self, run: &ChainRun) -> Option<&mut ThreadSum> {
        let has_room = self.threads.len() < KEPT_APART;
        let key = (run.generation, run.netns, run.thread.into());
        if !has_room && !self.threads.contains_key(&key) {
            return None;
        }
        let sum = self.threads.entry(key).or_insert_with(|| ThreadSum {
            tid: run.tid,
            ticks: 0,
            tally: Tally::new(Histogram::coarse()),
            longest: None,
        });
        sum.tid = run.tid;
        Some(sum)
    }

    fn add(&mut self, of: &ChainRun, run: ThreadRun) {
        self.all.add_call(run.at, run.duration_ns);
        let Some(sum) = self.thread(of) else {
            return;
        };
        sum.tally.add_call(run.at, run.duration_ns);
        sum.ticks |= 1u64.checked_shl(run.tick).unwrap_or(0);
        if sum
            .longest
            .is_none_or(|longest| run.duration_ns > longest.duration_ns)
        {
            sum.longest = Some(run);
        }
    }

    fn add_unrecorded(&mut self, run: &ChainRun, lost: u64, missed: u64) {
        self.all.add_unrecorded(lost, missed);
        if let Some(sum) = self.thread(run) {
            sum.tally.add_unrecorded(lost, missed);
        }
    }

    /// The probes are attached: what is observed begins now, or with the period.
    fn resume(&mut self, now_ns: u64) {
        self.since_ns = self.since_ns.max(now_ns);
    }

    /// The probes are removed: what was observed since they were attached is over.
    fn pause(&mut self, now_ns: u64) {
        self.observed_ns += now_ns.saturating_sub(self.since_ns);
    }

    fn sums(&self, now_ns: u64, is_attached: bool, clock: &Clock) -> ThreadSums {
        let current_ns = if is_attached {
            now_ns.saturating_sub(self.since_ns)
        } else {
            0
        };
        let observed_ns = self.observed_ns + current_ns;
        let threads = self.threads.iter();
        let mut threads: Vec<ThreadReport> = threads
            .map(|((generation, netns, thread), sum)| ThreadReport {
                netns: *netns,
                generation: *generation,
                thread: *thread,
                tid: sum.tid,
                ticks: sum.ticks.count_ones(),
                summary: sum.tally.summary(observed_ns),
                longest: sum.longest,
            })
            .collect();
        threads.sort_by_key(|one| Reverse(one.summary.stall_ns_per_s));
        ThreadSums {
            at: clock.wall(now_ns),
            observed_ns,
            is_attached,
            all: self.all.summary(observed_ns),
            histogram: self.all.histogram().clone(),
            threads,
        }
    }
}

impl ThreadSession {
    /// Begins at `started_ns` of `CLOCK_MONOTONIC`, with no probe attached.
    #[must_use]
    pub fn new(options: Options, started_ns: u64, clock: Clock) -> Self {
        Self {
            options,
            clock,
            attached: VecDeque::new(),
            is_attached: false,
            removed_ns: None,
            whole: Period::new(started_ns),
            interval: Period::new(started_ns),
            counted: HashMap::new(),
            unfollowed: 0,
        }
    }

    /// The probes on chains were attached at `now_ns`. Returns a notice where they had been removed.
    pub fn attached(&mut self, now_ns: u64) -> Option<ThreadOutput> {
        self.is_attached = true;
        if self.attached.len() == KEPT_TIMES {
            self.attached.pop_front();
        }
        self.attached.push_back(now_ns..u64::MAX);
        for period in [&mut self.whole, &mut self.interval] {
            period.resume(now_ns);
        }
        let gap_ns = now_ns.saturating_sub(self.removed_ns.take()?);
        let text = format!(
            "runs are measured again: they were not for {}",
            readable(gap_ns)
        );
        Some(self.notice(now_ns, Topic::Calibration, text))
    }

    /// The probes on chains were removed at `now_ns`, because a thread began.
    pub fn removed(&mut self, now_ns: u64) -> Option<ThreadOutput> {
        self.pause(now_ns);
        self.removed_ns = Some(now_ns);
        let text = "a kernel thread began and may calibrate: no run is measured";
        Some(self.notice(now_ns, Topic::Calibration, text.into()))
    }

    /// The removal of the probes was over only so many nanoseconds after the thread began. Returns a notice if that may have
    /// been amid its calibration.
    #[must_use]
    pub fn removal_took(&self, now_ns: u64, since_begin_ns: u64) -> Option<ThreadOutput> {
        (since_begin_ns > UNDISTURBED_NS).then(|| {
            let text = format!(
                "the probes were removed {} after a kernel thread began: if it calibrated, its chains may be too short. End watch, then \
                 write net.ipv4.vs.est_cpulist of its network namespace: the thread calibrates again",
                readable(since_begin_ns)
            );
            self.notice(now_ns, Topic::Calibration, text)
        })
    }

    /// `ip_vs` was unloaded at `now_ns`, and the probes are gone with it.
    pub fn detached(&mut self, now_ns: u64) {
        self.pause(now_ns);
        self.removed_ns = None;
        self.counted.clear();
        self.unfollowed = 0;
    }

    fn pause(&mut self, now_ns: u64) {
        if !std::mem::take(&mut self.is_attached) {
            return;
        }
        if let Some(last) = self.attached.back_mut() {
            last.end = now_ns;
        }
        for period in [&mut self.whole, &mut self.interval] {
            period.pause(now_ns);
        }
    }

    /// Returns whether the probes on chains are attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.is_attached
    }

    /// Returns a notice of this text.
    #[must_use]
    pub fn notice(&self, start_ns: u64, topic: Topic, text: String) -> ThreadOutput {
        ThreadOutput::Notice(Notice {
            start_ns,
            at: self.clock.wall(start_ns),
            topic,
            text,
        })
    }

    /// Sets the clock as it is at `now_ns`. Returns a notice if the wall clock stepped since it was set last.
    pub fn set_clock(&mut self, clock: Clock, now_ns: u64) -> Option<ThreadOutput> {
        let step = clock.step_since(&std::mem::replace(&mut self.clock, clock))?;
        Some(self.notice(now_ns, Topic::Clock, step.to_string()))
    }

    /// Takes the runs since the last call, read at `now_ns`. Returns the outputs, by the time they began.
    pub fn take(&mut self, runs: &[ChainRun], now_ns: u64) -> Vec<ThreadOutput> {
        let mut outputs = Vec::new();
        for run in runs {
            if !self.watches(run.netns) {
                continue;
            }
            outputs.extend(self.count(run, now_ns));
            if !self.observed(run) {
                continue;
            }
            let of = run;
            let run = ThreadRun {
                start_ns: run.start_ns,
                at: self.clock.wall(run.start_ns),
                duration_ns: run.duration_ns,
                cpu: run.cpu.into(),
                netns: run.netns,
                thread: run.thread.into(),
                tid: run.tid,
                tick: run.tick.into(),
                estimators: u32::try_from(run.estimators).ok(),
            };
            for period in [&mut self.whole, &mut self.interval] {
                period.add(of, run);
            }
            let slow_ns = self.options.slow_ns.unwrap_or(0);
            if run.duration_ns >= slow_ns {
                outputs.push(ThreadOutput::Run(run));
            }
        }
        outputs.sort_by_key(ThreadOutput::start_ns);
        outputs
    }

    /// Returns whether the probes were attached from the begin of a run to its end. The begin of one that was in progress
    /// when they were removed or attached may be one of another run.
    fn observed(&self, run: &ChainRun) -> bool {
        let end_ns = run.start_ns.saturating_add(run.duration_ns);
        let mut times = self.attached.iter().rev();
        times.any(|time| time.start <= run.start_ns && end_ns <= time.end)
    }

    /// Counts the runs between a thread's last record and this one, which have none. Returns a notice where its calibration
    /// was disturbed to its end.
    fn count(&mut self, run: &ChainRun, now_ns: u64) -> Option<ThreadOutput> {
        let counted = Counted {
            number: run.number,
            lost: run.lost,
            disturbed: run.disturbed,
        };
        let before = self.counted.insert(run.tid, counted);
        // An id may be used again: the new thread's numbers begin with 1. Of one that is new, no run is known before.
        let before = before.filter(|before| before.number < run.number);
        let before = before.unwrap_or(Counted {
            number: run.number.saturating_sub(1),
            lost: run.lost,
            disturbed: 0,
        });
        let lost = u64::from(run.lost.saturating_sub(before.lost));
        let between = run.number.saturating_sub(before.number + 1);
        let missed = between.saturating_sub(lost);
        if between > 0 {
            for period in [&mut self.whole, &mut self.interval] {
                period.add_unrecorded(run, lost, missed);
            }
        }
        let was_disturbed = before.disturbed >= IN_THE_LAST_GROUP;
        (run.disturbed >= IN_THE_LAST_GROUP && !was_disturbed).then(|| {
            let netns = match run.netns {
                NETNS_UNKNOWN => "an unknown netns".to_owned(),
                netns => format!("netns {netns}"),
            };
            let text = format!(
                "the probes disturbed the calibration of the first thread of {netns}: its chains may be too short. End watch, then write \
                 net.ipv4.vs.est_cpulist of that network namespace: the thread calibrates again"
            );
            self.notice(now_ns, Topic::Calibration, text)
        })
    }

    /// Forgets the counts of threads that are gone, and the sums of namespaces that are gone where there is little room. Both
    /// by their numbers: thread ids, and namespaces since `ip_vs` was loaded.
    pub fn keep(&mut self, tids: &BTreeSet<u32>, generations: &BTreeSet<u32>) {
        self.counted.retain(|tid, _| tids.contains(tid));
        for period in [&mut self.whole, &mut self.interval] {
            if period.threads.len() > KEPT_APART / 2 {
                period
                    .threads
                    .retain(|(generation, ..), _| generations.contains(generation));
            }
        }
    }

    /// Takes how many runs were of threads that the programs had no room for. Returns a notice the first time.
    pub fn count_unfollowed(&mut self, unfollowed: u64, now_ns: u64) -> Option<ThreadOutput> {
        let before = std::mem::replace(&mut self.unfollowed, unfollowed);
        let more = unfollowed.checked_sub(before).filter(|more| *more > 0)?;
        for period in [&mut self.whole, &mut self.interval] {
            period.all.add_unrecorded(0, more);
        }
        let text = "the probes have no room for all threads: runs of some are counted as missed";
        (before == 0).then(|| self.notice(now_ns, Topic::Limit, text.into()))
    }

    /// Forgets all runs: the sums begin again at `now_ns`.
    pub fn reset(&mut self, now_ns: u64) {
        self.whole = Period::new(now_ns);
    }

    /// Sums up what came since the last interval, or since the beginning.
    pub fn interval(&mut self, now_ns: u64) -> ThreadSums {
        let interval = std::mem::replace(&mut self.interval, Period::new(now_ns));
        interval.sums(now_ns, self.is_attached(), &self.clock)
    }

    /// Sums up the whole session so far.
    #[must_use]
    pub fn summary(&self, now_ns: u64) -> ThreadSums {
        self.whole.sums(now_ns, self.is_attached(), &self.clock)
    }

    /// Returns whether runs of a namespace are wanted.
    #[must_use]
    pub fn watches(&self, netns: u32) -> bool {
        let only = self.options.netns.as_ref();
        only.is_none_or(|only| only.contains(&netns))
    }
}

#[cfg(test)]
mod tests;
