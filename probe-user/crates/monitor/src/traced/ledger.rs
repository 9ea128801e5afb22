//! What the records of timers say of each estimator: its runs, and when it runs next.

use std::collections::BTreeMap;

use bytemuck::Zeroable as _;
use model::wheel;
use probe_ebpf::{
    Event, EventKind, Snapshot, SnapshotKind,
    snapshot::{LENGTH_UNKNOWN, NO_SWITCH, PENDING, PENDING_UNKNOWN},
};

use super::{Due, Record, What};

/// A timer that is this late may be gone.
const LATE_NS: u64 = 500_000_000;

/// A timer this much later than its time is not pending any more: it was deleted, or it will not come back.
const OVERDUE_NS: u64 = 5_000_000_000;

/// The estimators' timers, by their addresses.
#[derive(Debug)]
pub struct Ledger {
    jiffy_ns: u64,
    timers: BTreeMap<u64, Timer>,
    /// The run that each CPU is in.
    under_way: BTreeMap<u32, Run>,
    clock: Option<Clock>,
    renewed: Vec<u64>,
}

/// One timer.
#[derive(Debug, Clone, Copy, Default)]
struct Timer {
    runs: u64,
    /// Of them, those whose records found no room.
    lost: u64,
    due: Option<Due>,
    /// When its last run began, and how long after that it was due again, in jiffies.
    entered: Option<u64>,
    period: u64,
    cpu: u32,
    /// Records were lost since it was set last: whether it is pending is not known.
    unsure: Option<Unsure>,
    /// Records were lost since its last run that was seen to begin.
    may_lack_runs: bool,
}

/// Since when a timer is unsure.
#[derive(Debug, Clone, Copy)]
enum Unsure {
    /// Since some time before the next look.
    BeforeLook,
    /// Since a look, in nanoseconds of `CLOCK_MONOTONIC`.
    Since(u64),
}

impl Timer {
    /// Takes the runs as lost that must have been since the last one that was seen, now that one begins.
    fn take_lost(&mut self, jiffies: u64) {
        self.unsure = None;
        let may_lack_runs = std::mem::take(&mut self.may_lack_runs);
        if let Some(entered) = self.entered.replace(jiffies)
            && may_lack_runs
            && self.period > 0
        {
            let periods = (jiffies.saturating_sub(entered) + self.period / 2) / self.period;
            // The last of them is the one that begins.
            let lost = periods.saturating_sub(1);
            self.runs += lost;
            self.lost += lost;
        }
    }
}

/// A run that has begun.
#[derive(Debug, Clone, Copy)]
struct Run {
    timer: u64,
    start_ns: u64,
    tid: u32,
}

/// `jiffies` at a time.
#[derive(Debug, Clone, Copy)]
struct Clock {
    time_ns: u64,
    jiffies: u64,
}

impl Ledger {
    /// None yet, where a jiffy is this long.
    #[must_use]
    pub fn new(jiffy_ns: u64) -> Self {
        Self {
            jiffy_ns,
            timers: BTreeMap::new(),
            under_way: BTreeMap::new(),
            clock: None,
            renewed: Vec::new(),
        }
    }

    /// Takes a record, which comes after all others of its CPU that are earlier. Returns the run that it ends; whose it is, is
    /// not known here.
    pub fn take(&mut self, record: &Record) -> Option<Event> {
        match record.what {
            What::Entered { timer, jiffies } => {
                self.keep_time(record.time_ns, jiffies);
                let known = self.timers.entry(timer).or_default();
                known.take_lost(jiffies);
                known.runs += 1;
                known.due = None;
                known.cpu = record.cpu;
                let run = Run {
                    timer,
                    start_ns: record.time_ns,
                    tid: record.tid,
                };
                self.under_way.insert(record.cpu, run);
                None
            }
            What::Left { timer } => self.left(timer, record),
            What::Set {
                timer,
                jiffies,
                due,
            } => {
                self.keep_time(record.time_ns, jiffies);
                self.renew(timer, record.cpu);
                let known = self.timers.entry(timer).or_default();
                known.cpu = due.cpu.unwrap_or(record.cpu);
                known.due = Some(due);
                known.period = turn(due).saturating_sub(jiffies);
                known.unsure = None;
                None
            }
            What::Lost => {
                self.lose(record.cpu);
                None
            }
        }
    }

    /// Notes that records of a CPU were lost.
    pub fn lose(&mut self, cpu: u32) {
        // What began before may have ended among them.
        self.under_way.remove(&cpu);
        let timers = self.timers.values_mut();
        for timer in timers.filter(|timer| timer.cpu == cpu) {
            // One that was not seen since records were lost before stays late.
            timer.unsure.get_or_insert(Unsure::BeforeLook);
            timer.may_lack_runs = true;
        }
    }

    /// Notes that all records up to now were taken.
    pub fn looked_at(&mut self, now_ns: u64) {
        for timer in self.timers.values_mut() {
            if let Some(unsure @ Unsure::BeforeLook) = &mut timer.unsure {
                *unsure = Unsure::Since(now_ns);
            }
        }
    }

    /// Returns the CPU that a timer is queued on, or last was; `None` where that is not sure.
    #[must_use]
    pub fn sure_cpu(&self, timer: u64) -> Option<u32> {
        let known = self.timers.get(&timer)?;
        known.unsure.is_none().then_some(known.cpu)
    }

    /// A timer sets itself in its own run alone. Set otherwise, it is another namespace's, which was given the address.
    fn renew(&mut self, timer: u64, cpu: u32) {
        let is_own = self
            .under_way
            .get(&cpu)
            .is_some_and(|run| run.timer == timer);
        let is_unsure = |known: &Timer| known.unsure.is_some();
        if !is_own
            && self
                .timers
                .get(&timer)
                .is_some_and(|known| !is_unsure(known))
        {
            self.timers.remove(&timer);
            self.renewed.push(timer);
        }
    }

    /// Returns the timers whose addresses were given to other namespaces since the last call.
    pub fn take_renewed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.renewed)
    }

    fn left(&mut self, timer: u64, record: &Record) -> Option<Event> {
        let run = self.under_way.get(&record.cpu)?;
        if run.timer != timer {
            return None;
        }
        let run = self.under_way.remove(&record.cpu)?;
        Some(Event {
            kind: EventKind::Run as u32,
            cpu: record.cpu,
            start_ns: run.start_ns,
            duration_ns: record.time_ns.saturating_sub(run.start_ns),
            ipvs: timer,
            pid: run.tid,
            ..Event::zeroed()
        })
    }

    /// The latest record tells `jiffies` best.
    fn keep_time(&mut self, time_ns: u64, jiffies: u64) {
        if self.clock.is_none_or(|clock| clock.time_ns < time_ns) {
            self.clock = Some(Clock { time_ns, jiffies });
        }
    }

    /// Returns `jiffies` at a time, up to one of them too few; 0 before the first record.
    fn jiffies(&self, now_ns: u64) -> u64 {
        self.clock.map_or(0, |clock| {
            let since = now_ns.saturating_sub(clock.time_ns) / self.jiffy_ns.max(1);
            clock.jiffies.wrapping_add(since)
        })
    }

    /// Returns the addresses of all timers.
    pub fn timers(&self) -> impl Iterator<Item = u64> + '_ {
        self.timers.keys().copied()
    }

    /// Forgets a timer.
    pub fn forget(&mut self, timer: u64) {
        self.timers.remove(&timer);
    }

    /// Returns whether a timer is to run again: it was set, or its run is under way.
    #[must_use]
    pub fn is_awaited(&self, timer: u64) -> bool {
        let is_set = self
            .timers
            .get(&timer)
            .is_some_and(|timer| timer.due.is_some());
        is_set || self.under_way.values().any(|run| run.timer == timer)
    }

    /// Returns whether a timer did not run though its time is over.
    #[must_use]
    pub fn is_late(&self, timer: u64, now_ns: u64) -> bool {
        self.late_ns(timer, now_ns) > LATE_NS
    }

    /// Returns for how long a timer's time has been over, in nanoseconds.
    fn late_ns(&self, timer: u64, now_ns: u64) -> u64 {
        let Some(known) = self.timers.get(&timer) else {
            return 0;
        };
        match (known.unsure, known.due) {
            // Within a period it would have been seen again.
            (Some(Unsure::Since(since_ns)), _) => {
                let period_ns = known.period.saturating_mul(self.jiffy_ns);
                now_ns.saturating_sub(since_ns).saturating_sub(period_ns)
            }
            (None, Some(due)) => {
                let late = self.jiffies(now_ns).saturating_sub(turn(due));
                late.saturating_mul(self.jiffy_ns)
            }
            (Some(Unsure::BeforeLook), _) | (None, None) => 0,
        }
    }

    /// Returns what is known of a timer, as a look at the kernel's memory would tell it: whose it is, and how long its list,
    /// are left out.
    #[must_use]
    pub fn look(&self, timer: u64, now_ns: u64) -> Option<Snapshot> {
        let known = self.timers.get(&timer)?;
        let is_over = self.late_ns(timer, now_ns) > OVERDUE_NS;
        let due = known.due.filter(|_| !is_over);
        Some(Snapshot {
            pending: match due {
                _ if known.unsure.is_some() && !is_over => PENDING_UNKNOWN,
                Some(_) => PENDING,
                None => 0,
            },
            cpu: known.cpu,
            level: due.map_or(0, |due| due.level),
            expires: due.map_or(0, |due| due.expires),
            runs: known.runs,
            lost: known.lost,
            ..self.unseen(timer, now_ns)
        })
    }

    /// Returns what is known of a timer that was not seen.
    #[must_use]
    pub fn unseen(&self, timer: u64, now_ns: u64) -> Snapshot {
        Snapshot {
            kind: SnapshotKind::Estimator as u32,
            ipvs: timer,
            pending: PENDING_UNKNOWN,
            run_estimation: NO_SWITCH,
            walked: LENGTH_UNKNOWN,
            counted: LENGTH_UNKNOWN,
            now_ns,
            jiffies: self.jiffies(now_ns),
            ..Snapshot::zeroed()
        }
    }

    /// Returns the record that ends a snapshot.
    #[must_use]
    pub fn end(&self, now_ns: u64) -> Snapshot {
        Snapshot {
            kind: SnapshotKind::End as u32,
            now_ns,
            jiffies: self.jiffies(now_ns),
            ..Snapshot::zeroed()
        }
    }
}

fn turn(due: Due) -> u64 {
    wheel::turn(due.expires, due.level)
}

#[cfg(test)]
mod tests;
