//! What the runs of one estimator on one side came to. Each number about a side is defined here and nowhere else: the
//! verdict and its sentence, the table, and the document show the same value for the same thing.

use super::EstimatorPhase;
use model::{
    P50_MIN_CALLS, P90_MIN_CALLS, P99_MIN_CALLS, WallTime,
    statistics::{Pace, median, real},
};

/// The numbers, over the runs that are compared. What cannot be told is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// How many runs are compared.
    pub runs: usize,
    /// The shortest, in nanoseconds.
    pub min_ns: Option<u64>,
    /// The median, in nanoseconds, from [`P50_MIN_CALLS`] runs on.
    pub p50_ns: Option<u64>,
    /// What nine in ten do not exceed, in nanoseconds, from [`P90_MIN_CALLS`] runs on.
    pub p90_ns: Option<u64>,
    /// What 99 in 100 do not exceed, in nanoseconds, from [`P99_MIN_CALLS`] runs on.
    pub p99_ns: Option<u64>,
    /// The longest, in nanoseconds.
    pub max_ns: Option<u64>,
    /// When the first of the longest began.
    pub max_at: Option<WallTime>,
    /// The mean time from start to start, in nanoseconds; of fewer than two runs, how far ahead the timer is set.
    pub period_ns: Option<f64>,
    /// Run time per time: mean duration by period.
    pub stall: Option<f64>,
    /// The mean length of `est_list`.
    pub estimators: Option<f64>,
}

impl Figures {
    /// Returns those of a phase.
    #[must_use]
    pub fn of(phase: &EstimatorPhase) -> Self {
        let mut sorted = phase.durations_ns();
        sorted.sort_unstable();
        let pace = pace(phase);
        // A timer that is not pending has no period.
        let by_timer = phase.period_ns.filter(|_| !phase.dead);
        let period_ns = pace.gap_ns().or(by_timer.map(real));
        let by_period = || Some(pace.duration_ns()? / period_ns?);
        let longest = phase.runs.iter().rev().max_by_key(|run| run.duration_ns);
        let is_enough = |least: u64| u64::try_from(sorted.len()).is_ok_and(|runs| runs >= least);
        Self {
            runs: sorted.len(),
            min_ns: sorted.first().copied(),
            p50_ns: median(&sorted)
                .map(whole)
                .filter(|_| is_enough(P50_MIN_CALLS)),
            p90_ns: quantile(&sorted, 9, 10).filter(|_| is_enough(P90_MIN_CALLS)),
            p99_ns: quantile(&sorted, 99, 100).filter(|_| is_enough(P99_MIN_CALLS)),
            max_ns: longest.map(|run| run.duration_ns),
            max_at: longest.map(|run| run.at),
            stall: pace.stall().or_else(by_period),
            period_ns,
            estimators: mean_estimators(phase),
        }
    }

    /// The period in whole nanoseconds.
    #[must_use]
    pub fn period_ns(&self) -> Option<u64> {
        self.period_ns.map(whole)
    }

    /// Nanoseconds of run time to each second.
    #[must_use]
    pub fn stall_ns_per_s(&self) -> Option<u64> {
        self.stall.map(|stall| whole(stall * 1e9))
    }

    /// The mean length of `est_list`, rounded.
    #[must_use]
    pub fn estimators(&self) -> Option<u32> {
        u32::try_from(whole(self.estimators?)).ok()
    }
}

/// Returns how the runs of a phase follow each other.
#[must_use]
pub fn pace(phase: &EstimatorPhase) -> Pace {
    Pace::of(phase.runs.iter().map(|run| (run.start_ns, run.duration_ns)))
}

/// The least of them that `part` of `whole` do not exceed.
fn quantile(sorted: &[u64], part: usize, whole: usize) -> Option<u64> {
    let rank = (sorted.len() * part).div_ceil(whole);
    sorted.get(rank.checked_sub(1)?).copied()
}

fn mean_estimators(phase: &EstimatorPhase) -> Option<f64> {
    let known = phase.runs.iter().filter_map(|run| run.estimators);
    let known: Vec<u64> = known.map(u64::from).collect();
    (!known.is_empty()).then(|| real(known.iter().sum::<u64>()) / real(known.len()))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no less than nothing, and no more than a phase"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transition::run_observer::Run;

    fn phase(durations_ns: impl IntoIterator<Item = u64>) -> EstimatorPhase {
        let runs = (1..).zip(durations_ns).map(|(index, duration_ns)| Run {
            start_ns: index * 2_000_000_000,
            at: WallTime(index * 2_000_000_000),
            duration_ns,
            estimators: Some(601),
        });
        EstimatorPhase {
            runs: runs.collect(),
            // Neither the length of the phase nor what the timer was last set to is a period where two runs came.
            length_ns: 15_000_000_000,
            period_ns: Some(2_016_000_000),
            ..EstimatorPhase::default()
        }
    }

    #[test]
    fn the_stall_is_mean_duration_by_mean_gap_and_the_period_is_that_gap() {
        let figures = Figures::of(&phase([300, 100, 200]));
        assert_eq!(figures.period_ns(), Some(2_000_000_000));
        assert_eq!(figures.stall_ns_per_s(), Some(100));
        assert_eq!((figures.min_ns, figures.max_ns), (Some(100), Some(300)));
        assert_eq!(figures.max_at, Some(WallTime(2_000_000_000)));
        assert_eq!((figures.runs, figures.p50_ns), (3, None));
        assert_eq!(figures.estimators(), Some(601));
    }

    #[test]
    fn a_single_run_has_the_period_of_its_timer_and_a_dead_one_none() {
        let mut one = phase([2_016_000]);
        assert_eq!(Figures::of(&one).period_ns(), Some(2_016_000_000));
        assert_eq!(Figures::of(&one).stall_ns_per_s(), Some(1_000_000));
        one.dead = true;
        assert_eq!(Figures::of(&one).period_ns(), None);
        assert_eq!(Figures::of(&one).stall_ns_per_s(), None);
        let none = EstimatorPhase {
            runs: Vec::new(),
            ..phase([])
        };
        let figures = Figures::of(&none);
        assert_eq!((figures.max_ns, figures.stall), (None, None));
        assert_eq!(figures.period_ns(), Some(2_016_000_000));
    }

    #[test]
    fn percentiles_are_of_the_runs_themselves_from_as_many_as_they_need() {
        let six = Figures::of(&phase(1..=6));
        assert_eq!((six.p50_ns, six.p90_ns, six.p99_ns), (Some(4), None, None));
        let many = Figures::of(&phase(1..=300));
        assert_eq!((many.p90_ns, many.p99_ns), (Some(270), Some(297)));
    }
}
