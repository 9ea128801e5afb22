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
}

/// One timer.
#[derive(Debug, Clone, Copy, Default)]
struct Timer {
    runs: u64,
    due: Option<Due>,
    cpu: u32,
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
        }
    }

    /// Takes a record, which comes after all others of its CPU that are earlier. Returns the run that it ends; whose it is, is
    /// not known here.
    pub fn take(&mut self, record: &Record) -> Option<Event> {
        match record.what {
            What::Entered { timer, jiffies } => {
                self.keep_time(record.time_ns, jiffies);
                let known = self.timers.entry(timer).or_default();
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
                let known = self.timers.entry(timer).or_default();
                known.cpu = due.cpu.unwrap_or(record.cpu);
                known.due = Some(due);
                None
            }
            What::Lost => {
                // What began before may have ended among them.
                self.under_way.remove(&record.cpu);
                None
            }
        }
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
        let due = self.timers.get(&timer).and_then(|timer| timer.due);
        let late = due.map_or(0, |due| self.jiffies(now_ns).saturating_sub(turn(due)));
        late.saturating_mul(self.jiffy_ns)
    }

    /// Returns what is known of a timer, as a look at the kernel's memory would tell it: whose it is, and how long its list,
    /// are left out.
    #[must_use]
    pub fn look(&self, timer: u64, now_ns: u64) -> Option<Snapshot> {
        let known = self.timers.get(&timer)?;
        let is_over = self.late_ns(timer, now_ns) > OVERDUE_NS;
        let due = known.due.filter(|_| !is_over);
        Some(Snapshot {
            pending: if due.is_some() { PENDING } else { 0 },
            cpu: known.cpu,
            level: due.map_or(0, |due| due.level),
            expires: due.map_or(0, |due| due.expires),
            runs: known.runs,
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
