//! The runs of the estimators for some seconds, and their timers at the end of them.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::Duration,
};

use probe_ebpf::{Snapshot, SnapshotKind, snapshot::WalkLists};

use crate::{
    mechanism::{Chosen, Mechanism},
    sample::Sample,
    source::Source,
};
use host::time;
use model::{Call, NamespaceView, NextRun, Options, Output, Overview, Session, State};

/// How long is looked at least. Within 2.5 s every timer that is no slower than that has run and been set again.
pub const LEAST: Duration = Duration::from_millis(2_600);

/// How long is looked at most for a run that is due soon: all of `check` is over within the 5 s that
/// node-problem-detector gives a plugin by default.
pub const MOST: Duration = Duration::from_millis(3_400);

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// At least.
    pub least: Duration,
    /// At most, where a run is due by then that no run was seen before.
    pub most: Duration,
}

/// How often the timers are looked at: between two looks none runs twice.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// A timer that runs at the last look, or is about to, is waited for: so often, so long.
const LAST_LOOKS: u32 = 50;
const BETWEEN_LAST_LOOKS: Duration = Duration::from_millis(20);

/// Probes in place, and what they have told so far.
pub struct Measurement {
    probe: Source,
    sample: Sample,
    session: Session,
    jiffy_ns: u64,
    started_ns: u64,
    longest: Longest,
    root_netns: Option<u32>,
}

/// The calls that stand for the longest run and the longest blackout.
#[derive(Debug, Default)]
pub struct Longest {
    /// The call that took longest.
    pub run: Option<Call>,
    /// The call whose blackout was longest.
    pub blackout: Option<Call>,
}

impl Longest {
    fn add(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            let Output::Call(call) = output else {
                continue;
            };
            let blackout_ns = |call: &Call| call.blackout.map(|blackout| blackout.duration_ns);
            let longest_ns = self.blackout.as_ref().and_then(blackout_ns);
            if blackout_ns(&call) > longest_ns {
                self.blackout = Some(call.clone());
            }
            let longest = self.run.as_ref().map(|longest| longest.duration_ns);
            if Some(call.duration_ns) > longest {
                self.run = Some(call);
            }
        }
    }
}

/// What was seen.
pub struct Observed {
    /// As of the last look.
    pub overview: Overview,
    /// The calls that took the CPU longest.
    pub longest: Longest,
}

impl Measurement {
    /// Puts the best mechanism in place that this node allows, or the one that is asked for, and takes a first look.
    ///
    /// # Errors
    ///
    /// When none can be put in place.
    pub fn start(root: &Path, via: Option<Mechanism>) -> anyhow::Result<Self> {
        let jiffy_ns = time::jiffy_ns()?;
        let clock = time::clock(jiffy_ns)?;
        let probe = Source::start(root, via)?;
        let started_ns = probe.started_ns();
        let mut measurement = Self {
            probe,
            sample: Sample::default(),
            session: Session::new(Options::default(), started_ns, clock),
            jiffy_ns,
            started_ns,
            longest: Longest::default(),
            root_netns: None,
        };
        measurement.look()?;
        Ok(measurement)
    }

    /// Looks until the least time has passed since the start, and then for the first run of each namespace that is due
    /// within the most. Ends at once where a signal asks for it. Returns whether it saw the whole least time.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn observe(&mut self, time: Time, asked_to_end: &AtomicBool) -> anyhow::Result<bool> {
        let least_ns = self.end_ns(time.least);
        let most_ns = self.end_ns(time.most);
        while !asked_to_end.load(Ordering::SeqCst) {
            let now_ns = time::monotonic_ns()?;
            let end_ns = if now_ns < least_ns {
                least_ns
            } else if now_ns < most_ns && self.is_one_due_by(most_ns, now_ns) {
                most_ns
            } else {
                return Ok(true);
            };
            sleep(BETWEEN_LOOKS.min(Duration::from_nanos(end_ns - now_ns)));
            self.look()?;
        }
        Ok(time::monotonic_ns()? >= least_ns)
    }

    fn end_ns(&self, after: Duration) -> u64 {
        let after_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.started_ns.saturating_add(after_ns)
    }

    /// Whether a namespace is without a run yet, and its next one is due by then.
    fn is_one_due_by(&self, end_ns: u64, now_ns: u64) -> bool {
        let overview = self.session.overview(now_ns);
        overview.namespaces.iter().any(|namespace| {
            let due_ns = namespace.next_run.map(|run| run.due_ns);
            namespace.calls == 0 && due_ns.is_some_and(|due_ns| due_ns < end_ns)
        })
    }

    /// Returns the mechanism that measures, and why it is no better one.
    #[must_use]
    pub fn chosen(&self) -> &Chosen {
        self.probe.chosen()
    }

    /// The namespaces as of now.
    ///
    /// # Errors
    ///
    /// When the clock cannot be read.
    pub fn namespaces(&self) -> anyhow::Result<Vec<NamespaceView>> {
        Ok(self.session.overview(time::monotonic_ns()?).namespaces)
    }

    /// Inode number of the root namespace, where the kernel told it.
    #[must_use]
    pub fn root_netns(&self) -> Option<u32> {
        self.root_netns
    }

    /// Takes a last look, and takes the probes away: that may take seconds on many CPUs, and what is told is
    /// as of before.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn finish(mut self) -> anyhow::Result<Observed> {
        let mut overview = self.last_look()?;
        for _ in 1..LAST_LOOKS {
            if !is_any_at_hand(&overview) {
                break;
            }
            sleep(BETWEEN_LAST_LOOKS);
            overview = self.last_look()?;
        }
        let last = self.session.flush();
        self.longest.add(last);
        Ok(Observed {
            overview: self.session.overview(overview.now_ns),
            longest: self.longest,
        })
    }

    fn last_look(&mut self) -> anyhow::Result<Overview> {
        self.look()?;
        Ok(self.session.overview(time::monotonic_ns()?))
    }

    fn look(&mut self) -> anyhow::Result<()> {
        self.sample.take(&mut self.probe, WalkLists::Unseeded)?;
        let Sample {
            snapshot, events, ..
        } = &self.sample;
        self.root_netns = root_netns(snapshot).or(self.root_netns);
        let now_ns = time::monotonic_ns()?;
        self.session.set_clock(time::clock(self.jiffy_ns)?, now_ns);
        let outputs = self.session.take(events, snapshot, now_ns);
        self.longest.add(outputs);
        self.sample.handed_on();
        Ok(())
    }
}

/// A timer that is neither dead nor surely waiting.
fn is_any_at_hand(overview: &Overview) -> bool {
    overview.namespaces.iter().any(|namespace| {
        let over = matches!(namespace.state, Some(State::Dead | State::Absent));
        !over && ahead(namespace, overview).is_none()
    })
}

/// The next run of a namespace, if it is surely still to come: jiffies tell its time up to one of them too late,
/// and between the look at the timer and the overview it may have begun.
#[must_use]
pub fn ahead(namespace: &NamespaceView, overview: &Overview) -> Option<NextRun> {
    let begun_ns = overview.now_ns.saturating_add(overview.clock.jiffy_ns);
    namespace.next_run.filter(|run| run.due_ns > begun_ns)
}

fn root_netns(snapshot: &[Snapshot]) -> Option<u32> {
    let end = snapshot.last()?;
    let is_end = end.kind == SnapshotKind::End as u32;
    (is_end && end.netns != 0).then_some(end.netns)
}
