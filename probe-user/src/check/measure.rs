//! The runs of the estimators for some seconds, and their timers at the end of them.

use std::{thread::sleep, time::Duration};

use probe_ebpf::{Event, Snapshot, SnapshotKind, snapshot::WalkLists};

use crate::{
    kernel::{prerequisites::Ready, time},
    model::{Call, NamespaceView, NextRun, Options, Output, Overview, Session, State},
    probe::Probe,
};

/// How long is looked at least. Within 2.5 s every timer that is no slower than that has run and been set again.
pub const LEAST: Duration = Duration::from_millis(2_600);

/// How long is looked to judge, unless told otherwise.
pub const TO_JUDGE: Duration = Duration::from_secs(5);

/// How often the timers are looked at: between two looks none runs twice.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// A timer that runs at the last look, or is about to, is waited for: so often, so long.
const LAST_LOOKS: u32 = 50;
const BETWEEN_LAST_LOOKS: Duration = Duration::from_millis(20);

/// Probes in place, and what they have told so far.
pub struct Measurement {
    probe: Probe,
    session: Session,
    jiffy_ns: u64,
    started_ns: u64,
    longest: Longest,
    root_netns: Option<u32>,
}

/// The calls that stand for the longest run and the longest blackout.
#[derive(Debug, Default)]
pub struct Longest {
    pub run: Option<Call>,
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
    pub overview: Overview,
    pub longest: Longest,
}

impl Measurement {
    /// Puts the probes in place and takes a first look.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the probes.
    pub fn start(ready: &Ready) -> anyhow::Result<Self> {
        let jiffy_ns = time::jiffy_ns()?;
        let clock = time::clock(jiffy_ns)?;
        let probe = Probe::start(ready, log::log_enabled!(log::Level::Debug))?;
        let started_ns = time::monotonic_ns()?;
        let mut measurement = Self {
            probe,
            session: Session::new(Options::default(), started_ns, clock),
            jiffy_ns,
            started_ns,
            longest: Longest::default(),
            root_netns: None,
        };
        measurement.look()?;
        Ok(measurement)
    }

    /// Looks on until `duration` has passed since the start.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn observe(&mut self, duration: Duration) -> anyhow::Result<()> {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let end_ns = self.started_ns.saturating_add(duration_ns);
        loop {
            let left_ns = end_ns.saturating_sub(time::monotonic_ns()?);
            if left_ns == 0 {
                return Ok(());
            }
            sleep(BETWEEN_LOOKS.min(Duration::from_nanos(left_ns)));
            self.look()?;
        }
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

    /// First the snapshot, then the records: every run that the snapshot counts as over has its record among
    /// them.
    fn look(&mut self) -> anyhow::Result<()> {
        let snapshot = self.probe.snapshot(WalkLists::Unseeded)?;
        self.root_netns = root_netns(&snapshot).or(self.root_netns);
        let mut events: Vec<Event> = Vec::new();
        self.probe.drain(|event| events.push(event));
        self.session.set_clock(time::clock(self.jiffy_ns)?);
        let outputs = self.session.take(&events, &snapshot, time::monotonic_ns()?);
        self.longest.add(outputs);
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
