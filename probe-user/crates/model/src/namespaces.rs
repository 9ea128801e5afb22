//! The sums and states of the network namespaces, one by one.

use std::{collections::BTreeMap, ops::Range};

use probe_ebpf::{Event, Snapshot, snapshot::NO_SWITCH};

use super::{
    Histogram, Latest, NETNS_UNKNOWN, NamespaceReport, NamespaceView, NextRun, State, Summary,
    WallTime,
    estimator::{Estimator, Unrecorded},
    tally::Tally,
};

/// Namespaces kept apart. Room for about 2 KiB each.
pub const KEPT_APART: usize = 1 << 16;

/// Of them, those that are gone: pods come and go for weeks.
const GONE_KEPT: usize = 1_000;

/// One network namespace.
#[derive(Debug)]
struct Namespace {
    session: Tally,
    /// Only while there is something to count in this interval.
    interval: Option<Box<Tally>>,
    estimators: Option<u32>,
    run_estimation: Option<i32>,
    state: Option<State>,
    /// What the state was told by, where it is not what it should be.
    why: Option<String>,
    last_ns: Option<u64>,
    max_cpu: Option<u32>,
    latest: Latest,
    period_ns: Option<u64>,
    next_run: Option<NextRun>,
    /// Since when, and until when, it was seen, in nanoseconds of `CLOCK_MONOTONIC`.
    from_ns: u64,
    until_ns: Option<u64>,
    /// It is gone for good: whoever comes with its number is another one.
    ended: bool,
}

impl Namespace {
    fn new(from_ns: u64) -> Self {
        Self {
            session: Tally::new(Histogram::coarse()),
            interval: None,
            estimators: None,
            run_estimation: None,
            state: None,
            why: None,
            last_ns: None,
            max_cpu: None,
            latest: Latest::default(),
            period_ns: None,
            next_run: None,
            from_ns,
            until_ns: None,
            ended: false,
        }
    }

    /// How much of a time it was seen for, in nanoseconds.
    fn observed_ns(&self, time: &Range<u64>) -> u64 {
        let until_ns = self.until_ns.unwrap_or(time.end).min(time.end);
        until_ns.saturating_sub(self.from_ns.max(time.start))
    }

    fn view(&self, netns: u32, time: &Range<u64>) -> NamespaceView {
        let observed_ns = self.observed_ns(time);
        let (lost, missed) = self.session.unrecorded();
        NamespaceView {
            netns,
            estimators: self.estimators,
            state: self.state,
            why: self.why.clone(),
            run_estimation: self.run_estimation,
            calls: self.session.calls(),
            last_ns: self.last_ns,
            max_ns: self.session.max_ns(),
            max_cpu: self.max_cpu,
            latest: self.latest,
            stall_ns_per_s: self.session.stall_ns_per_s(observed_ns),
            period_ns: self.period_ns,
            next_run: self.next_run,
            lost,
            missed,
        }
    }

    fn tallies(&mut self) -> [&mut Tally; 2] {
        let interval = self
            .interval
            .get_or_insert_with(|| Box::new(Tally::new(Histogram::coarse())));
        [&mut self.session, interval]
    }

    fn report(&self, netns: u32, tally: &Tally, time: &Range<u64>) -> NamespaceReport {
        let observed_ns = self.observed_ns(time);
        NamespaceReport {
            netns,
            estimators: self.estimators,
            state: self.state,
            run_estimation: self.run_estimation,
            summary: tally.summary(observed_ns),
        }
    }
}

/// All network namespaces that are watched.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// Boxed: the nodes of the tree are half empty where numbers come in ascending order.
    known: BTreeMap<u32, Box<Namespace>>,
    /// When they were last looked at: who is new came since, in nanoseconds of `CLOCK_MONOTONIC`.
    looked_ns: u64,
}

impl Namespaces {
    /// None yet, at `now_ns` of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self {
            known: BTreeMap::new(),
            looked_ns: now_ns,
        }
    }

    /// They were looked at, at `now_ns`.
    pub fn looked_at(&mut self, now_ns: u64) {
        self.looked_ns = now_ns;
    }

    /// Another namespace has got this number: what is known of the former is not its own.
    pub fn begin_anew(&mut self, netns: u32) {
        self.known
            .insert(netns, Box::new(Namespace::new(self.looked_ns)));
    }

    /// Adds one recorded run, which began `at`.
    pub fn add_call(&mut self, run: &Event, at: WallTime) {
        let Some(namespace) = self.entry(run.netns) else {
            return;
        };
        if Some(run.duration_ns) > namespace.session.max_ns() {
            namespace.max_cpu = Some(run.cpu);
        }
        for tally in namespace.tallies() {
            tally.add_call(at, run.duration_ns);
        }
        namespace.latest.push(run.duration_ns, run.cpu);
        namespace.last_ns = Some(run.duration_ns);
        if let Ok(estimators) = u32::try_from(run.estimators) {
            namespace.estimators = Some(estimators);
        }
    }

    /// Adds runs without a record.
    pub fn add_unrecorded(&mut self, netns: u32, unrecorded: Unrecorded) {
        if unrecorded == Unrecorded::default() {
            return;
        }
        if let Some(namespace) = self.entry(netns) {
            for tally in namespace.tallies() {
                tally.add_unrecorded(unrecorded.lost, unrecorded.missed);
            }
        }
    }

    /// Notes what a snapshot says of a namespace, and what its estimator made of it. Gives the state that was
    /// known of it, so that it need not be looked up once more.
    pub fn note(&mut self, snapshot: &Snapshot, estimator: &Estimator) -> Option<State> {
        let looked_ns = self.looked_ns;
        let namespace = self.entry(snapshot.netns)?;
        if namespace.ended {
            **namespace = Namespace::new(looked_ns);
        }
        let switch = snapshot.run_estimation;
        namespace.run_estimation = (switch != NO_SWITCH).then_some(switch);
        // What is not known any more is not what it was.
        namespace.estimators = u32::try_from(snapshot.counted).ok();
        namespace.period_ns = estimator.period_ns();
        namespace.next_run = estimator.next_run();
        namespace.state
    }

    /// The last known state of a namespace's estimator.
    #[must_use]
    pub fn state(&self, netns: u32) -> Option<State> {
        self.known.get(&netns)?.state
    }

    /// Notes the state of a namespace's estimator, and what it was told by.
    pub fn set_state(&mut self, netns: u32, state: State, why: String) {
        if let Some(namespace) = self.entry(netns) {
            namespace.state = Some(state);
            namespace.why = (state != State::Active).then_some(why);
            namespace.until_ns = None;
        }
    }

    /// A namespace has no estimator any more since `now_ns`; `for_good`: nor will it have one again.
    pub fn end(&mut self, netns: u32, now_ns: u64, for_good: bool) {
        if let Some(namespace) = self.known.get_mut(&netns) {
            namespace.next_run = None;
            namespace.until_ns = Some(now_ns);
            namespace.ended = for_good;
            self.give_up_gone(GONE_KEPT);
        }
    }

    /// Forgets all calls, and the namespaces that are gone.
    pub fn reset(&mut self) {
        self.known
            .retain(|_, namespace| namespace.state != Some(State::Absent));
        for namespace in self.known.values_mut() {
            namespace.session = Tally::new(Histogram::coarse());
            namespace.last_ns = None;
            namespace.max_cpu = None;
            namespace.latest = Latest::default();
        }
    }

    /// All of them as of one moment, in the order of their numbers.
    #[must_use]
    pub fn views(&self, time: &Range<u64>) -> Vec<NamespaceView> {
        let views = self.known.iter();
        views
            .map(|(netns, namespace)| namespace.view(*netns, time))
            .collect()
    }

    /// Returns the namespace's own entry, made if there is none and there is or can be made room. One whose number is
    /// not known has none.
    fn entry(&mut self, netns: u32) -> Option<&mut Box<Namespace>> {
        if netns == NETNS_UNKNOWN {
            return None;
        }
        if self.known.len() >= KEPT_APART && !self.known.contains_key(&netns) {
            self.give_up_gone(0);
            if self.known.len() >= KEPT_APART {
                return None;
            }
        }
        let looked_ns = self.looked_ns;
        Some(
            self.known
                .entry(netns)
                .or_insert_with(|| Box::new(Namespace::new(looked_ns))),
        )
    }

    /// Gives up those that are gone, the ones that stalled least first, when there are more than `kept` by so
    /// many that it is worth the while.
    fn give_up_gone(&mut self, kept: usize) {
        let is_gone = |namespace: &Namespace| namespace.state == Some(State::Absent);
        let gone = self
            .known
            .iter()
            .filter(|(_, namespace)| is_gone(namespace));
        let mut gone: Vec<(u64, u32)> = gone
            .map(|(netns, namespace)| (namespace.session.total_ns(), *netns))
            .collect();
        if gone.len() < kept + kept / 8 + 1 {
            return;
        }
        gone.sort_unstable();
        for (_, netns) in &gone[..gone.len() - kept] {
            self.known.remove(netns);
        }
    }

    /// Those with something to count since the last interval, and begins the next one.
    pub fn interval(&mut self, time: &Range<u64>) -> Vec<NamespaceReport> {
        let reports = self.known.iter_mut().filter_map(|(netns, namespace)| {
            let tally = namespace.interval.take()?;
            Some((tally.total_ns(), namespace.report(*netns, &tally, time)))
        });
        by_stall(reports.collect())
    }

    /// Returns the runs of one namespace over the whole session, and how often which duration came.
    #[must_use]
    pub fn runs(&self, netns: u32, time: &Range<u64>) -> Option<(Summary, Histogram)> {
        let namespace = self.known.get(&netns)?;
        let tally = &namespace.session;
        let summary = tally.summary(namespace.observed_ns(time));
        Some((summary, tally.histogram().clone()))
    }

    /// All of them, over the whole session.
    #[must_use]
    pub fn session(&self, time: &Range<u64>) -> Vec<NamespaceReport> {
        let reports = self.known.iter().map(|(netns, namespace)| {
            let tally = &namespace.session;
            (tally.total_ns(), namespace.report(*netns, tally, time))
        });
        by_stall(reports.collect())
    }
}

/// The one with the most run time first; among equals, by number.
fn by_stall(mut reports: Vec<(u64, NamespaceReport)>) -> Vec<NamespaceReport> {
    reports.sort_by_key(|(total_ns, report)| (std::cmp::Reverse(*total_ns), report.netns));
    reports.into_iter().map(|(_, report)| report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(namespaces: &mut Namespaces, netns: u32) {
        namespaces.set_state(netns, State::Absent, "the namespace is gone".into());
        namespaces.end(netns, 0, true);
    }

    #[test]
    fn of_those_that_are_gone_the_ones_that_stalled_most_are_kept() {
        let mut namespaces = Namespaces::default();
        namespaces.set_state(7, State::Active, String::new());
        for netns in 100..10_100 {
            let duration_ns = u64::from(netns % 1_000);
            let entry = namespaces.entry(netns).expect("there is room");
            entry.session.add_call(WallTime(0), duration_ns);
            gone(&mut namespaces, netns);
            assert!(namespaces.known.len() <= 1 + GONE_KEPT + GONE_KEPT / 8);
        }
        assert_eq!(namespaces.state(7), Some(State::Active));
        let worst =
            (0..9).filter(|thousand| namespaces.known.contains_key(&(thousand * 1_000 + 999)));
        assert_eq!(worst.count(), 9, "999 ns each");
    }

    #[test]
    fn of_more_at_once_than_there_is_room_for_some_are_not_kept_apart() {
        let mut namespaces = Namespaces::default();
        let many = u32::try_from(KEPT_APART).unwrap() + 10;
        for netns in 0..many {
            namespaces.set_state(netns, State::Active, String::new());
        }
        assert_eq!(namespaces.known.len(), KEPT_APART);
        gone(&mut namespaces, 3);
        namespaces.set_state(many, State::Active, String::new());
        assert_eq!(namespaces.state(many), Some(State::Active));
        assert_eq!(namespaces.state(3), None);
    }
}
