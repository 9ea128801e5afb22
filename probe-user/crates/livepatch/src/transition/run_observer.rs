//! Runs of the estimators as the probes see them.

use std::{collections::BTreeMap, time::Duration};

use crate::{ports::Probes, site::Site};
use model::{NamespaceView, Output, Report, State, Topic, WallTime};

/// How often the probes are read.
const TICK: Duration = Duration::from_secs(1);

/// Probes on the estimators. Attached once a transition is over: while a CPU never yields, attaching them would wait
/// for it too.
pub struct RunObserver {
    probes: Box<dyn Probes>,
    /// When they were read last (`CLOCK_MONOTONIC`).
    read: Duration,
    looked_ns: u64,
    /// When the last run of each namespace began, in nanoseconds of `CLOCK_MONOTONIC`.
    last: BTreeMap<u32, u64>,
    namespaces: Vec<NamespaceView>,
    /// What is kept of every run, once a phase of a trial has begun.
    phase: Option<RecordedRuns>,
    /// `ip_vs` was unloaded since the beginning.
    lost_ip_vs: bool,
    /// Kprobes were disabled for a time, or are disabled still.
    was_blind: bool,
}

/// The runs of a time.
#[derive(Debug, Default)]
pub struct RecordedRuns {
    /// Since when, in nanoseconds of `CLOCK_MONOTONIC`: runs that began earlier are not in it.
    pub start_ns: u64,
    /// By network namespace, in the order of their beginnings.
    pub runs: BTreeMap<u32, Vec<Run>>,
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// The same by the wall clock as it was then.
    pub at: WallTime,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// Length of `est_list` when it began.
    pub estimators: Option<u32>,
}

/// What is known of a namespace's estimator since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It ran, and its timer is set again.
    Yes,
    /// Its timer is not pending: it will not run again by itself.
    Dead,
    /// It has not run, and will at this time, in nanoseconds of `CLOCK_MONOTONIC`.
    Due(u64),
    /// It has not run, and its timer was not pending when it was last looked at.
    NotYet,
    /// It is unknown: the last look did not cover every namespace.
    Unknown,
}

impl RunObserver {
    /// Attaches the probes.
    ///
    /// # Errors
    ///
    /// When this node cannot be measured.
    pub fn start(site: &Site) -> anyhow::Result<Self> {
        let (probes, outputs) = site.estimators().attach()?;
        let mut observer = Self {
            probes,
            read: site.now(),
            looked_ns: 0,
            last: BTreeMap::new(),
            namespaces: Vec::new(),
            phase: None,
            lost_ip_vs: false,
            was_blind: false,
        };
        observer.take(site, &outputs)?;
        Ok(observer)
    }

    /// Reads the probes, once a second at most.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn look(&mut self, site: &Site) -> anyhow::Result<()> {
        let now = site.now();
        if now.saturating_sub(self.read) < TICK {
            return Ok(());
        }
        self.read = now;
        let outputs = self.probes.tick()?;
        self.take(site, &outputs)
    }

    fn take(&mut self, site: &Site, outputs: &[Output]) -> anyhow::Result<()> {
        for output in outputs {
            self.note(output);
        }
        let overview = self.probes.overview()?;
        self.looked_ns = overview.now_ns;
        self.namespaces.clone_from(&overview.namespaces);
        let progress = site.progress();
        if progress.is_shown() {
            progress.show(outputs, overview, self.probes.new_names());
        }
        Ok(())
    }

    fn note(&mut self, output: &Output) {
        match output {
            Output::Call(call) => {
                self.last.insert(call.netns, call.start_ns);
                if let Some(phase) = &mut self.phase
                    && call.start_ns >= phase.start_ns
                {
                    phase.runs.entry(call.netns).or_default().push(Run {
                        start_ns: call.start_ns,
                        at: call.at,
                        duration_ns: call.duration_ns,
                        estimators: call.estimators,
                    });
                }
            }
            Output::Notice(notice) if notice.topic == Topic::IpVs => self.lost_ip_vs = true,
            Output::Notice(notice) if notice.topic == Topic::Kprobes => self.was_blind = true,
            _ => {}
        }
    }

    /// Begins a phase: from here on every run is kept, and the sums are anew.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn begin_phase(&mut self, site: &Site) -> anyhow::Result<()> {
        self.phase = None;
        let outputs = self.probes.reset()?;
        self.take(site, &outputs)?;
        self.phase = Some(RecordedRuns {
            start_ns: site.now_ns(),
            runs: BTreeMap::new(),
        });
        Ok(())
    }

    /// The phase so far.
    #[must_use]
    pub fn phase(&self) -> Option<&RecordedRuns> {
        self.phase.as_ref()
    }

    /// Ends the phase: its runs, their sums, and how things stand.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn end_phase(
        &mut self,
        site: &Site,
    ) -> anyhow::Result<(RecordedRuns, Report, Vec<NamespaceView>)> {
        let mut outputs = self.probes.tick()?;
        outputs.extend(self.probes.flush());
        self.take(site, &outputs)?;
        let report = self.probes.summary()?;
        let phase = self.phase.take().unwrap_or_default();
        Ok((phase, report, self.namespaces.clone()))
    }

    /// When the last look was, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn looked_ns(&self) -> u64 {
        self.looked_ns
    }

    /// Every namespace that was seen, as of the last look.
    #[must_use]
    pub fn namespaces(&self) -> &[NamespaceView] {
        &self.namespaces
    }

    /// Whether `ip_vs` was unloaded, or loaded anew, since the beginning.
    #[must_use]
    pub fn has_lost_ip_vs(&self) -> bool {
        self.lost_ip_vs
    }

    /// Returns whether kprobes were switched off since the beginning: runs may have gone unseen.
    #[must_use]
    pub fn was_blind(&self) -> bool {
        self.was_blind
    }

    /// Returns the probes.
    #[must_use]
    pub fn probes(&self) -> &dyn Probes {
        &*self.probes
    }

    /// Each namespace that has an estimator, and whether it ran since.
    #[must_use]
    pub fn since(&self, since_ns: u64) -> Vec<(u32, Ran)> {
        let there = self
            .namespaces
            .iter()
            .filter(|view| view.state != Some(State::Absent));
        let ran = |view: &NamespaceView| {
            if !self.probes.has_seen_all() {
                return Ran::Unknown;
            }
            let run = self.last.get(&view.netns);
            ran(view, run.is_some_and(|start_ns| *start_ns >= since_ns))
        };
        there.map(|view| (view.netns, ran(view))).collect()
    }
}

fn ran(view: &NamespaceView, has_run: bool) -> Ran {
    match (view.state, &view.next_run) {
        (Some(State::Dead), _) => Ran::Dead,
        (_, Some(_)) if has_run => Ran::Yes,
        (_, Some(next)) => Ran::Due(next.due_ns),
        (_, None) => Ran::NotYet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;
    use model::NextRun;

    #[test]
    fn the_probes_are_read_again_a_second_after_they_were_read_and_no_sooner() {
        let node = MadeNode::new();
        let site = node.site();
        let mut observer = RunObserver::start(&site).unwrap();
        let first_ns = observer.looked_ns();
        assert_eq!(first_ns, site.now_ns());
        node.world().pass(Duration::from_nanos(999_999_999));
        observer.look(&site).unwrap();
        assert_eq!(observer.looked_ns(), first_ns);
        node.world().pass(Duration::from_nanos(1));
        observer.look(&site).unwrap();
        assert_eq!(observer.looked_ns(), site.now_ns());
    }

    #[test]
    fn a_run_counts_once_the_timer_is_set_again() {
        let view = |state, due_ns: Option<u64>| NamespaceView {
            netns: 1,
            state,
            next_run: due_ns.map(|due_ns| NextRun {
                due_ns,
                cpu: 0,
                netns: 1,
            }),
            ..NamespaceView::default()
        };
        let active = Some(State::Active);
        for (state, due_ns, has_run, expected) in [
            (active, Some(7), true, Ran::Yes),
            (active, Some(7), false, Ran::Due(7)),
            (active, None, true, Ran::NotYet),
            (Some(State::Dead), None, true, Ran::Dead),
            (None, None, false, Ran::NotYet),
        ] {
            assert_eq!(ran(&view(state, due_ns), has_run), expected);
        }
    }
}
