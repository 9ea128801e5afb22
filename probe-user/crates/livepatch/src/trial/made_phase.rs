//! Phases of a trial for tests, made of what each estimator did.
#![allow(
    clippy::missing_panics_doc,
    reason = "a phase that cannot be made fails the test"
)]

use std::{collections::BTreeMap, time::Duration};

use super::{measurement::MeasurementPhase, plan::Plan};
use crate::transition::run_observer::Run;
use model::{
    Histogram, LockWaitSums, NamespaceReport, NamespaceView, Report, State, Summary, WallTime,
};

/// What one estimator did on one side.
#[derive(Debug, Clone)]
pub struct Made {
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Length of its list.
    pub estimators: u32,
    /// How long its runs took, in nanoseconds.
    pub durations_ns: Vec<u64>,
    /// From start to start, in nanoseconds.
    pub period_ns: u64,
    /// As the last look found it.
    pub state: State,
}

impl Made {
    /// Returns one that runs every two seconds.
    #[must_use]
    pub fn active(netns: u32, estimators: u32, durations_ns: &[u64]) -> Self {
        Self {
            netns,
            estimators,
            durations_ns: durations_ns.to_vec(),
            period_ns: 2_016_000_000,
            state: State::Active,
        }
    }

    fn runs(&self) -> Vec<Run> {
        let runs = (0..).zip(&self.durations_ns).map(|(index, duration_ns)| {
            // By chance a run comes a little late.
            let late_ns = (index * index % 5) * 3_000_000;
            let start_ns = 1_000_000_000 + index * self.period_ns + late_ns;
            Run {
                start_ns,
                at: WallTime(start_ns),
                duration_ns: *duration_ns,
                estimators: Some(self.estimators),
            }
        });
        runs.collect()
    }

    fn view(&self) -> NamespaceView {
        NamespaceView {
            netns: self.netns,
            estimators: Some(self.estimators),
            state: Some(self.state),
            run_estimation: Some(1),
            // As the timer was last set, which is not what the runs did.
            period_ns: Some(self.period_ns + 7_000_000).filter(|_| self.state != State::Dead),
            ..NamespaceView::default()
        }
    }

    /// As a session sums up: over the time that was watched, which is no number of periods.
    fn report(&self, observed_ns: u64) -> NamespaceReport {
        NamespaceReport {
            netns: self.netns,
            estimators: Some(self.estimators),
            state: Some(self.state),
            run_estimation: Some(1),
            summary: summary(&self.durations_ns, observed_ns),
        }
    }
}

fn summary(durations_ns: &[u64], observed_ns: u64) -> Summary {
    let calls = u64::try_from(durations_ns.len()).unwrap();
    let total: u64 = durations_ns.iter().sum();
    Summary {
        calls,
        recorded: calls,
        expected: calls,
        min_ns: durations_ns.iter().min().copied(),
        p50_ns: None,
        p90_ns: None,
        p99_ns: None,
        max_ns: durations_ns.iter().max().copied(),
        max_at: None,
        stall_ns_per_s: model::per_second(total, observed_ns),
        lost: 0,
        missed: 0,
    }
}

/// Returns a side on which these were seen.
pub fn side(all: &[Made]) -> MeasurementPhase {
    let lengths = all
        .iter()
        .map(|one| one.period_ns * u64::try_from(one.durations_ns.len()).unwrap());
    let observed_ns = lengths.max().unwrap_or_default() + 2_900_000_000;
    let durations: Vec<u64> = all
        .iter()
        .flat_map(|one| one.durations_ns.clone())
        .collect();
    MeasurementPhase {
        runs: all.iter().map(|one| (one.netns, one.runs())).collect(),
        report: Report {
            at: WallTime(0),
            observed_ns,
            all: summary(&durations, observed_ns),
            histogram: Histogram::fine(),
            max_blackout: None,
            lock_waits: LockWaitSums::default(),
            namespaces: all.iter().map(|one| one.report(observed_ns)).collect(),
        },
        namespaces: all.iter().map(Made::view).collect(),
        statistics: BTreeMap::new(),
        traffic: BTreeMap::new(),
        start_ns: 900_000_000,
        end_ns: 900_000_000 + observed_ns,
        timer_softirq_ns: None,
        is_cut_short: false,
    }
}

/// Returns a plan of so many runs a side.
#[must_use]
pub fn plan(runs: usize) -> Plan {
    Plan {
        runs,
        trial: true,
        keep: false,
        timeout: Duration::from_secs(30),
        max_wait: Duration::from_mins(5),
        min_effect_percent: 5.0,
    }
}
