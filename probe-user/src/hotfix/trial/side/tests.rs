use super::*;
use crate::hotfix::trial::verdict::Verdict;
use host::inhabitants::Inhabitants;
use model::{Histogram, LockWaitSums, NamespaceReport, Summary, WallTime};

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
pub fn side(all: &[Made]) -> Side {
    let lengths = all
        .iter()
        .map(|one| one.period_ns * u64::try_from(one.durations_ns.len()).unwrap());
    let observed_ns = lengths.max().unwrap_or_default() + 2_900_000_000;
    let durations: Vec<u64> = all
        .iter()
        .flat_map(|one| one.durations_ns.clone())
        .collect();
    Side {
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
pub fn plan(runs: usize) -> Plan {
    Plan {
        runs,
        trial: true,
        keep: false,
        timeout: std::time::Duration::from_secs(30),
        max_wait: std::time::Duration::from_mins(5),
        min_effect_percent: 5.0,
        json: false,
    }
}

fn state_of(made: &Made) -> Option<State> {
    side(std::slice::from_ref(made)).compared(6)[&made.netns].state
}

#[test]
fn the_state_is_by_all_runs_and_not_by_the_last() {
    // The last look found the last run long, and took the estimator for active.
    let mut runs = vec![786; 6];
    runs[5] = 2_150_000;
    let made = Made::active(7, 30_001, &runs);
    assert_eq!(state_of(&made), Some(State::Skipping));
    let walks = Made::active(7, 30_001, &[3_870_000; 6]);
    assert_eq!(state_of(&walks), Some(State::Active));
    // A gap that was long once does not make it slow, nor one that was short make it quick.
    let late = Made {
        state: State::Slowed,
        ..walks.clone()
    };
    assert_eq!(state_of(&late), Some(State::Active));
    let slow = Made {
        period_ns: 5_120_000_000,
        ..walks.clone()
    };
    assert_eq!(state_of(&slow), Some(State::Slowed));
    let dead = Made {
        state: State::Dead,
        ..walks.clone()
    };
    assert_eq!(state_of(&dead), Some(State::Dead));
    let rare = Made {
        durations_ns: vec![786],
        state: State::Slowed,
        ..walks
    };
    assert_eq!(state_of(&rare), Some(State::Slowed));
}

#[test]
fn what_is_compared_is_no_more_than_was_planned() {
    let mut runs = vec![3_870_000; 6];
    runs.push(90_000_000);
    let side = side(&[Made::active(7, 30_001, &runs)]);
    assert_eq!(side.compared(6)[&7].runs.len(), 6);
    let document =
        super::super::document::SideDocument::of(&side, Some(7), 6, &Inhabitants::default());
    let one = document.of_netns(7).unwrap();
    assert_eq!((one.compared, one.sums.calls), (6, 7));
    assert_eq!(one.sums.max_ns, Some(3_870_000));
    assert_eq!(document.durations_ns.len(), 6);
    assert_eq!(document.all.max_ns, Some(90_000_000), "all that was seen");
    let figures = Figures::of(&side.compared(6)[&7]);
    assert_eq!(one.period_ns, figures.period_ns());
    assert_eq!(one.sums.stall_ns_per_s, figures.stall_ns_per_s());
    assert_eq!(one.sums.max_at, Some(WallTime(1_000_000_000)));
}

#[test]
fn where_nothing_tells_whether_statistics_move_that_is_a_warning() {
    let frozen = |before: &[Made], after: &[Made]| {
        let (before, after) = (side(before), side(after));
        let judged = super::super::judge::judge(&before, &after, &plan(6), None, None);
        assert_eq!(judged.verdict, Verdict::Improved, "{}", judged.why);
        let warnings = super::super::judge::warnings(&before, &after, &judged, &plan(6));
        let frozen =
            |warning: &String| warning.contains("Statistics may be frozen: no traffic to tell by");
        warnings.iter().any(frozen)
    };
    // Too few estimators for a run that is short to prove anything.
    let before = [Made::active(
        7,
        90,
        &[50_000, 50_100, 50_200, 50_300, 50_400, 50_500],
    )];
    let short = [Made::active(
        7,
        90,
        &[3_000, 3_100, 3_200, 3_300, 3_400, 3_500],
    )];
    assert!(frozen(&before, &short));
    let less = [Made::active(
        7,
        90,
        &[40_000, 40_100, 40_200, 40_300, 40_400, 40_500],
    )];
    assert!(!frozen(&before, &less), "it still walks");
    // Here it is known that they stand still, which is a side effect.
    let long = [Made::active(7, 30_001, &[3_870_000; 6])];
    let skipping = [Made::active(
        7,
        30_001,
        &[786, 2_150_000, 787, 788, 789, 790],
    )];
    assert!(!frozen(&long, &skipping));
}
