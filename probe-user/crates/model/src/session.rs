//! A session: everything from the attaching of the probes to their end.

mod limits;
mod look;
mod overview;
mod states;

use std::collections::{BTreeSet, HashMap};

use probe_ebpf::{Event, EventKind, Snapshot};

use self::{
    limits::Limits,
    look::{Moment, correction, estimators_of, moment_of},
};
use super::{
    Blackout, Call, Clock, Histogram, LockWait, LockWaitSums, NETNS_UNKNOWN, NamespaceReport,
    Notice, Output, Report, Topic,
    blackout::{Batches, LatestBlackouts},
    cost::Costs,
    cpus::Cpus,
    estimator::Estimator,
    lock_wait::{LockWaits, Wait},
    namespaces::Namespaces,
    tally::Tally,
};

/// What to watch.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Inode numbers of the network namespaces to watch; `None`: all. The others only count in the
    /// blackouts of their CPU.
    pub netns: Option<BTreeSet<u32>>,
    /// Tell only of calls, blackouts and lock waits of at least so many nanoseconds. All are counted.
    pub slow_ns: Option<u64>,
}

impl Options {
    fn watches(&self, netns: u32) -> bool {
        self.netns.as_ref().is_none_or(|only| only.contains(&netns))
    }
}

/// The sums of what the probes report, from their attaching on.
#[derive(Debug)]
pub struct Session {
    options: Options,
    clock: Clock,
    started_ns: u64,
    interval_started_ns: u64,
    whole: Sums,
    interval: Sums,
    namespaces: Namespaces,
    /// By address of `struct netns_ipvs`. Those that a whole snapshot has not are dropped, so that
    /// there are no more than the probes follow and may have come since. Boxed: a table is up to twice as large as what
    /// it holds, and for a moment three times when it grows.
    estimators: HashMap<u64, Box<Estimator>>,
    any_snapshot: bool,
    /// How many snapshots there were.
    looks: u64,
    /// The last one had every namespace.
    is_whole: bool,
    /// The limits that were reached at the last whole one.
    limits: Limits,
    batches: Batches,
    lock_waits: LockWaits,
    latest_blackouts: LatestBlackouts,
    /// Starts and stops that the programs had found no room for, by the last snapshot.
    operations_lost: u64,
    cpus: Cpus,
    costs: Costs,
    /// `ip_vs` is there, and the probes are in place.
    attached: bool,
}

/// The sums over all namespaces watched.
#[derive(Debug)]
struct Sums {
    tally: Tally,
    max_blackout: Option<Blackout>,
    lock_waits: LockWaitSums,
}

impl Sums {
    fn new() -> Self {
        Self {
            tally: Tally::new(Histogram::fine()),
            max_blackout: None,
            lock_waits: LockWaitSums::default(),
        }
    }

    fn add_blackout(&mut self, blackout: Blackout) {
        let longest = self.max_blackout.get_or_insert(blackout);
        if blackout.duration_ns > longest.duration_ns {
            *longest = blackout;
        }
    }

    fn report(
        &self,
        now_ns: u64,
        observed_ns: u64,
        clock: &Clock,
        namespaces: Vec<NamespaceReport>,
    ) -> Report {
        Report {
            at: clock.wall(now_ns),
            observed_ns,
            all: self.tally.summary(observed_ns),
            histogram: self.tally.histogram().clone(),
            max_blackout: self.max_blackout,
            lock_waits: self.lock_waits,
            namespaces,
        }
    }
}

impl Session {
    /// Begins when the probes were attached, at `started_ns` of `CLOCK_MONOTONIC`: what they have
    /// counted by the first snapshot belongs to it.
    #[must_use]
    pub fn new(options: Options, started_ns: u64, clock: Clock) -> Self {
        Self {
            options,
            clock,
            started_ns,
            interval_started_ns: started_ns,
            whole: Sums::new(),
            interval: Sums::new(),
            namespaces: Namespaces::new(started_ns),
            estimators: HashMap::new(),
            any_snapshot: false,
            looks: 0,
            is_whole: false,
            limits: Limits::default(),
            batches: Batches::default(),
            latest_blackouts: LatestBlackouts::default(),
            lock_waits: LockWaits::default(),
            operations_lost: 0,
            cpus: Cpus::default(),
            costs: Costs::default(),
            attached: true,
        }
    }

    /// Forgets all calls: the sums begin anew at `now_ns`. States and lengths stay. What was held back is told.
    pub fn reset(&mut self, now_ns: u64) -> Vec<Output> {
        let outputs = self.flush();
        self.started_ns = now_ns;
        self.whole = Sums::new();
        self.namespaces.reset();
        self.cpus = Cpus::default();
        self.latest_blackouts = LatestBlackouts::default();
        outputs
    }

    /// `ip_vs` was unloaded, and the probes are gone with it: no namespace has an estimator any more. What
    /// they had recorded must have been taken.
    pub fn detached(&mut self, now_ns: u64) -> Vec<Output> {
        self.attached = false;
        let mut outputs = self.flush();
        let moment = Moment {
            now_ns,
            is_whole: false,
        };
        let mut changes = Vec::new();
        self.looks += 1;
        self.drop_vanished(moment, false, &mut changes);
        outputs.extend(changes.into_iter().map(Output::StateChange));
        self.lock_waits = LockWaits::default();
        outputs
    }

    /// New probes are in place, and have counted nothing yet.
    pub fn attached_again(&mut self) {
        self.limits = Limits::default();
        self.attached = true;
        self.any_snapshot = false;
        self.operations_lost = 0;
    }

    /// Something that happened to the host or to us.
    #[must_use]
    pub fn notice(&self, start_ns: u64, topic: Topic, text: String) -> Output {
        Output::Notice(Notice {
            start_ns,
            at: self.clock.wall(start_ns),
            topic,
            text,
        })
    }

    /// Sets the clock as it is at `now_ns`. Returns a notice if the wall clock stepped since it was set last; times that
    /// were given out before stay as they are.
    pub fn set_clock(&mut self, clock: Clock, now_ns: u64) -> Option<Output> {
        let step = clock.step_since(&std::mem::replace(&mut self.clock, clock))?;
        Some(self.notice(now_ns, Topic::Clock, step.to_string()))
    }

    /// Takes what one tick brought, and tells what there is to tell, by the time it began.
    ///
    /// The snapshot, which may be empty, must have been taken *before* the `events` were read, so that
    /// the runs it counted have their records among them. `now_ns` is when they had been read.
    pub fn take(&mut self, events: &[Event], snapshot: &[Snapshot], now_ns: u64) -> Vec<Output> {
        let moment = moment_of(snapshot, now_ns);
        for found in estimators_of(snapshot) {
            self.estimators
                .entry(found.ipvs)
                .or_insert_with(|| Box::new(Estimator::new(found.netns)))
                .expect_look(found.now_ns);
        }
        let mut calls = Vec::new();
        for event in events {
            let Some(kind) = EventKind::from_number(event.kind) else {
                continue;
            };
            self.lock_waits.push(event, kind);
            if kind == EventKind::Run {
                self.add_run(event, &mut calls);
            }
        }
        let changes = moment.map_or_else(Vec::new, |moment| self.look(snapshot, moment));
        let busy: Vec<u32> = self
            .estimators
            .values()
            .filter_map(|estimator| estimator.running_on())
            .collect();
        // By when it was seen who is busy: a run that began later is in neither. Pages look at one after the other.
        let looks_ns = snapshot.iter().map(|record| record.now_ns);
        let first_ns = looks_ns.filter(|look_ns| *look_ns > 0).min();
        let seen_ns = first_ns.unwrap_or(now_ns).min(now_ns);
        self.batches.settle(seen_ns, &busy, &mut calls);

        self.latest_blackouts.settle(now_ns);
        let mut outputs = self.shown(calls);
        let waits = self.lock_waits.settle(now_ns);
        outputs.extend(waits.into_iter().filter_map(|wait| self.lock_wait(wait)));
        outputs.extend(changes.into_iter().map(Output::StateChange));
        let corrections = snapshot.iter().filter_map(correction);
        outputs.extend(corrections.map(|text| self.notice(now_ns, Topic::Length, text)));
        let limits = self.limits.news(snapshot).into_iter();
        outputs.extend(limits.map(|text| self.notice(now_ns, Topic::Limit, text)));
        outputs.sort_by_key(Output::start_ns);
        outputs
    }

    /// Tells of the calls that were held back, at the end of the session.
    pub fn flush(&mut self) -> Vec<Output> {
        let mut calls = Vec::new();
        self.batches.flush(&mut calls);
        let mut outputs = self.shown(calls);
        outputs.sort_by_key(Output::start_ns);
        outputs
    }

    /// Sums up what came since the last interval, or since the beginning.
    pub fn interval(&mut self, now_ns: u64) -> Report {
        let observed_ns = now_ns.saturating_sub(self.interval_started_ns);
        let time = self.interval_started_ns..now_ns;
        self.interval_started_ns = now_ns;
        let sums = std::mem::replace(&mut self.interval, Sums::new());
        let namespaces = self.namespaces.interval(&time);
        sums.report(now_ns, observed_ns, &self.clock, namespaces)
    }

    /// Sums up the whole session so far.
    #[must_use]
    pub fn summary(&self, now_ns: u64) -> Report {
        let observed_ns = now_ns.saturating_sub(self.started_ns);
        let time = self.started_ns..now_ns;
        let namespaces = self.namespaces.session(&time);
        self.whole
            .report(now_ns, observed_ns, &self.clock, namespaces)
    }

    fn add_run(&mut self, run: &Event, ready: &mut Vec<Call>) {
        let estimator = self
            .estimators
            .entry(run.ipvs)
            .or_insert_with(|| Box::new(Estimator::new(run.netns)));
        let run = &Event {
            // Where the probes had no room for it, the snapshot tells whose it is.
            netns: if run.netns == NETNS_UNKNOWN {
                estimator.netns()
            } else {
                run.netns
            },
            ..*run
        };
        estimator.record(run);
        let estimators = u32::try_from(run.estimators).ok();
        let visits = estimator.visits();
        let at = self.clock.wall(run.start_ns);
        let watched = self.watches(run.netns);
        if watched {
            if let Some(estimators) = estimators.filter(|_| visits) {
                self.costs.add(run.netns, estimators, run.duration_ns);
            }
            for sums in [&mut self.whole, &mut self.interval] {
                sums.tally.add_call(at, run.duration_ns);
            }
            self.namespaces.add_call(run, at);
            self.cpus.add_call(run.cpu, run.duration_ns);
        }
        let call = Call {
            start_ns: run.start_ns,
            at,
            duration_ns: run.duration_ns,
            cpu: run.cpu,
            netns: run.netns,
            estimators,
            interrupted_pid: run.pid,
            interrupted_comm: None,
            blackout: None,
        };
        self.batches.push(call, watched, ready);
    }

    fn watches(&self, netns: u32) -> bool {
        self.options.watches(netns)
    }

    fn is_slow(&self, duration_ns: u64) -> bool {
        self.options
            .slow_ns
            .is_none_or(|slow_ns| duration_ns >= slow_ns)
    }

    /// Notes the blackouts of calls whose place in their batch is known, and keeps those to tell of.
    fn shown(&mut self, calls: Vec<Call>) -> Vec<Output> {
        for call in &calls {
            self.cpus.add_blackout(call);
            if let Some(blackout) = call.blackout {
                self.whole.add_blackout(blackout);
                self.interval.add_blackout(blackout);
                self.latest_blackouts.push(call.start_ns, blackout);
            }
        }
        let slow = calls.into_iter().filter(|call| {
            let blackout_ns = call.blackout.map_or(0, |blackout| blackout.duration_ns);
            self.is_slow(call.duration_ns.max(blackout_ns))
        });
        slow.map(Output::Call).collect()
    }

    fn lock_wait(&mut self, wait: Wait) -> Option<Output> {
        if !self.watches(wait.event.netns) {
            return None;
        }
        for sums in [&mut self.whole, &mut self.interval] {
            sums.lock_waits.add(wait.duration_ns);
        }
        self.is_slow(wait.duration_ns).then(|| {
            Output::LockWait(LockWait {
                start_ns: wait.start_ns,
                at: self.clock.wall(wait.start_ns),
                duration_ns: wait.duration_ns,
                cpu: wait.event.cpu,
                netns: wait.event.netns,
                operation: wait.operation,
                pid: wait.event.pid,
            })
        })
    }

    /// Returns whether the last look at the estimators had every namespace.
    #[must_use]
    pub fn has_seen_all(&self) -> bool {
        self.is_whole
    }
}

#[cfg(test)]
mod tests;
