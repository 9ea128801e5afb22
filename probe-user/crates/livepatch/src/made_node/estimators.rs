//! The estimators of a made node: timers that expire, and probes that see their runs.

use std::{io, mem, rc::Rc, time::Duration};

use anyhow::ensure;
use bytemuck::Zeroable as _;
use probe_ebpf::{
    Event, EventKind, Snapshot, SnapshotKind,
    snapshot::{LENGTH_UNKNOWN, NO_SWITCH},
};

use super::{
    estimators_state::{MadeEstimator, PERIOD, Under},
    world::{Action, World},
};
use crate::ports::{Estimators, Probes, SoftirqTime};
use host::netns_owners::NetnsOwners;
use model::{
    Clock, Options, Output, Overview, Report, SLOW_PERIOD_NS, Session, State, Timer, Topic,
};

const JIFFY: Duration = Duration::from_millis(4);

/// The length of a list on which runs take as long as a test says.
const LONG: u32 = 30_000;

/// Where the estimator's own function lies, in `ip_vs`.
const FUNCTION: u64 = 0xffff_ffff_c060_0000;

impl World {
    /// Adds the estimator of a network namespace, whose list has this length.
    pub fn add_estimator(&self, netns: u32, length: i32) {
        let mut estimators = self.estimators.borrow_mut();
        let number = estimators.all.len();
        let first = PERIOD / 2 + 10 * JIFFY * u32::try_from(number).unwrap();
        estimators.all.push(MadeEstimator {
            netns,
            due: Some(self.time() + first),
            function: FUNCTION,
            run_estimation: Some(1),
            runs: 0,
            length,
        });
        drop(estimators);
        self.schedule(first, Action::Expire(number));
    }

    /// Says what estimators do under a livepatch.
    pub fn under(&self, under: Under) {
        self.estimators.borrow_mut().under = under;
    }

    /// Says how long their own runs take, over a list of 30,000 entries.
    pub fn runs_take(&self, takes: Duration) {
        self.estimators.borrow_mut().takes = takes;
    }

    /// Has no probe attached from now on.
    pub fn refuse_probes(&self) {
        self.estimators.borrow_mut().refusals.attach = true;
    }

    /// Has no probe read from now on.
    pub fn break_probes(&self) {
        self.estimators.borrow_mut().refusals.read = true;
    }

    /// Has no timer seen from now on.
    pub fn hide_timers(&self) {
        self.estimators.borrow_mut().refusals.timers = true;
    }

    /// Has every look at the estimators cut short from now on.
    pub fn cut_looks_short(&self) {
        self.estimators.borrow_mut().refusals.whole = true;
    }

    /// Has the list of an estimator at this length from now on.
    pub fn set_length(&self, netns: u32, length: i32) {
        if let Some(one) = self.estimators.borrow_mut().of_mut(netns) {
            one.length = length;
        }
    }

    /// Has the timer of an estimator not pending any more.
    pub fn kill(&self, netns: u32) {
        if let Some(one) = self.estimators.borrow_mut().of_mut(netns) {
            one.due = None;
        }
    }

    /// Has `ip_vs` unloaded, and its estimators with it.
    pub fn unload_ip_vs(&self) {
        self.remove("sys/module/ip_vs");
        let mut estimators = self.estimators.borrow_mut();
        estimators.all.clear();
        estimators.notices.push((Topic::IpVs, "ip_vs was unloaded"));
    }

    /// Has kprobes disabled for a moment.
    pub fn disable_kprobes(&self) {
        let mut estimators = self.estimators.borrow_mut();
        let notice = (Topic::Kprobes, "kprobes were disabled");
        estimators.notices.push(notice);
    }

    /// Has a kernel without `run_estimation`.
    pub fn without_switches(&self) {
        let mut estimators = self.estimators.borrow_mut();
        let all = estimators.all.iter_mut();
        all.for_each(|one| one.run_estimation = None);
    }

    /// Has so many requests to set a switch refused.
    pub fn refuse_switches(&self, count: u32) {
        self.estimators.borrow_mut().refused_switches = count;
    }

    /// Sets `run_estimation` of a namespace.
    ///
    /// # Errors
    ///
    /// When it has no such switch.
    pub fn set_switch(&self, netns: u32, value: i32) -> io::Result<()> {
        let mut estimators = self.estimators.borrow_mut();
        if estimators.refused_switches > 0 {
            estimators.refused_switches -= 1;
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let found = estimators.of_mut(netns);
        let switch = found.and_then(|one| one.run_estimation.as_mut());
        *switch.ok_or(io::ErrorKind::NotFound)? = value;
        Ok(())
    }

    /// Returns `run_estimation` of a namespace.
    #[must_use]
    pub fn switch(&self, netns: u32) -> Option<i32> {
        self.estimators.borrow().of(netns)?.run_estimation
    }

    /// Returns the livepatch that runs in place of the estimator.
    fn replacement(&self) -> Option<String> {
        let mut patches = self.names("sys/kernel/livepatch").into_iter();
        patches.find(|name| {
            let object = format!("sys/kernel/livepatch/{name}/ip_vs");
            self.livepatch(name) == Some((true, false)) && self.root.join(object).is_dir()
        })
    }

    /// Runs an estimator whose timer expires.
    pub(super) fn expire(&self, number: usize) {
        let replacement = self.replacement();
        let place = replacement.and_then(|name| self.place(&name));
        let now = self.time();
        let mut estimators = self.estimators.borrow_mut();
        let (under, usual) = (estimators.under, estimators.takes);
        let Some(one) = estimators.all.get_mut(number) else {
            return;
        };
        if one.due != Some(now) {
            return;
        }
        // A timer that calls a module goes on doing so, whether its livepatch is enabled or not.
        let kept = Some(one.function).filter(|function| *function != FUNCTION);
        let (takes, period, function) = match place {
            _ if kept.is_some() => (under.takes, under.period, one.function),
            Some(place) if under.keeps_timer => (under.takes, under.period, place),
            Some(_) => (under.takes, under.period, FUNCTION),
            None if one.run_estimation == Some(0) => {
                (Duration::from_micros(1), Some(PERIOD), FUNCTION)
            }
            None => (usual, Some(PERIOD), FUNCTION),
        };
        // A run visits each entry of the list.
        let takes = takes * u32::try_from(one.length).unwrap() / LONG;
        one.runs += 1;
        one.function = function;
        one.due = period.map(|period| now + period);
        let event = Event {
            kind: EventKind::Run as u32,
            cpu: 0,
            start_ns: nanoseconds(now),
            duration_ns: nanoseconds(takes),
            ipvs: ipvs(one.netns),
            netns: one.netns,
            estimators: one.length,
            pid: 0,
            reserved: 0,
        };
        estimators.softirq_ns += nanoseconds(takes);
        if estimators.are_probed {
            estimators.events.push(event);
        }
        drop(estimators);
        if let Some(period) = period {
            self.schedule(period, Action::Expire(number));
        }
    }

    fn snapshot(&self) -> Vec<Snapshot> {
        let now = self.time();
        let moment = Snapshot {
            now_ns: nanoseconds(now),
            jiffies: jiffies(now),
            ..Snapshot::zeroed()
        };
        let estimators = self.estimators.borrow();
        let records = estimators.all.iter().map(|one| Snapshot {
            kind: SnapshotKind::Estimator as u32,
            netns: one.netns,
            ipvs: ipvs(one.netns),
            pending: u32::from(one.due.is_some()),
            level: 1,
            expires: jiffies(one.due.unwrap_or(now)),
            function: one.function,
            run_estimation: one.run_estimation.unwrap_or(NO_SWITCH),
            seeded: 1,
            walked: LENGTH_UNKNOWN,
            counted: one.length.into(),
            runs: one.runs,
            ..moment
        });
        let end = Snapshot {
            kind: SnapshotKind::End as u32,
            ..moment
        };
        let end = Some(end).filter(|_| !estimators.refusals.whole);
        records.chain(end).collect()
    }
}

/// The `struct netns_ipvs` of a namespace: any address, but its own.
fn ipvs(netns: u32) -> u64 {
    0xffff_8880_0000_0000 + u64::from(netns)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

fn jiffies(time: Duration) -> u64 {
    nanoseconds(time) / nanoseconds(JIFFY)
}

impl Estimators for World {
    fn can_be_probed(&self) -> anyhow::Result<()> {
        let refusals = self.estimators.borrow().refusals;
        ensure!(!refusals.attach, "this node has no kprobes");
        Ok(())
    }

    fn timers(&self) -> anyhow::Result<Vec<Timer>> {
        let estimators = self.estimators.borrow();
        ensure!(!estimators.refusals.timers, "no timer can be seen");
        let now = self.time();
        let timer = |one: &MadeEstimator| {
            let left_ns = one.due.map(|due| nanoseconds(due.saturating_sub(now)));
            Timer {
                netns: one.netns,
                state: match left_ns {
                    None => State::Dead,
                    Some(left_ns) if left_ns > SLOW_PERIOD_NS => State::Slowed,
                    Some(_) => State::Active,
                },
                run_estimation: one.run_estimation,
                next_run_in_ns: left_ns,
                function: one.function,
            }
        };
        Ok(estimators.all.iter().map(timer).collect())
    }

    fn attach(&self) -> anyhow::Result<(Box<dyn Probes>, Vec<Output>)> {
        self.turn();
        self.can_be_probed()?;
        let mut estimators = self.estimators.borrow_mut();
        estimators.are_probed = true;
        estimators.events.clear();
        estimators.all.iter_mut().for_each(|one| one.runs = 0);
        drop(estimators);
        let clock = Clock {
            jiffy_ns: nanoseconds(JIFFY),
            wall_offset_ns: 0,
        };
        let started_ns = nanoseconds(self.time());
        let mut probes = MadeProbes {
            world: self.me.upgrade().unwrap(),
            session: Session::new(Options::default(), started_ns, clock),
            owners: NetnsOwners::read(&self.root),
            started_ns,
        };
        let outputs = probes.tick()?;
        Ok((Box::new(probes), outputs))
    }

    fn softirq(&self) -> anyhow::Result<Box<dyn SoftirqTime>> {
        Ok(Box::new(MadeSoftirq(self.me.upgrade().unwrap())))
    }
}

struct MadeProbes {
    world: Rc<World>,
    session: Session,
    owners: NetnsOwners,
    started_ns: u64,
}

impl MadeProbes {
    fn now_ns(&self) -> u64 {
        nanoseconds(self.world.time())
    }
}

impl Probes for MadeProbes {
    fn tick(&mut self) -> anyhow::Result<Vec<Output>> {
        let snapshot = self.world.snapshot();
        let (events, notices) = {
            let estimators = &mut *self.world.estimators.borrow_mut();
            ensure!(!estimators.refusals.read, "the probes cannot be read");
            let events = mem::take(&mut estimators.events);
            (events, mem::take(&mut estimators.notices))
        };
        let now_ns = self.now_ns();
        let mut outputs = self.session.take(&events, &snapshot, now_ns);
        let notices = notices.into_iter();
        outputs
            .extend(notices.map(|(topic, text)| self.session.notice(now_ns, topic, text.into())));
        Ok(outputs)
    }

    fn reset(&mut self) -> anyhow::Result<Vec<Output>> {
        let mut outputs = self.tick()?;
        outputs.extend(self.session.reset(self.now_ns()));
        Ok(outputs)
    }

    fn flush(&mut self) -> Vec<Output> {
        self.session.flush()
    }

    fn summary(&self) -> anyhow::Result<Report> {
        Ok(self.session.summary(self.now_ns()))
    }

    fn overview(&self) -> anyhow::Result<Overview> {
        Ok(self.session.overview(self.now_ns()))
    }

    fn has_seen_all(&self) -> bool {
        self.session.has_seen_all()
    }

    fn root_netns(&self) -> u32 {
        0
    }

    fn owners(&self) -> &NetnsOwners {
        &self.owners
    }

    fn new_names(&mut self) -> Option<&NetnsOwners> {
        None
    }

    fn started_ns(&self) -> u64 {
        self.started_ns
    }
}

struct MadeSoftirq(Rc<World>);

impl SoftirqTime for MadeSoftirq {
    fn totals_ns(&self) -> anyhow::Result<Vec<u64>> {
        Ok(vec![self.0.estimators.borrow().softirq_ns])
    }
}
