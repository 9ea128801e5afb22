//! Which network namespace's runs cost most, by what they cost *typically*: one outlier among four runs must not make an
//! idle namespace of 600 the one that a verdict rests on.
//!
//! Two things are known of a namespace: the median of its runs, and the length of its list, which no outlier changes. The
//! walk visits every estimator, so that a run over a short list costs no more than its share of a run over a long one.

use super::super::{EstimatorPhase, figures::Figures};
use model::statistics::median;

/// Lists of at least this share of the longest one say what an estimator costs.
const LONG: f64 = 0.5;

/// What is known of the runs of one namespace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Runs {
    /// Median duration over period: the share of time that they take.
    share: f64,
    /// Median length of the list that they walk: 0 where they skip the walk. `None` where no run came with a length.
    walked: Option<f64>,
}

impl Runs {
    /// Returns what is known of the runs of a phase, `None` where there are none, or nothing says how far apart they are.
    pub fn of(phase: &EstimatorPhase) -> Option<Self> {
        let period_ns = Figures::of(phase).period_ns?;
        let lengths = phase.runs.iter().filter_map(|run| run.estimators);
        let lengths: Vec<u64> = lengths.map(u64::from).collect();
        Some(Self {
            share: median(&phase.durations_ns())? / period_ns,
            walked: median(&lengths).map(|length| if phase.skips { 0.0 } else { length }),
        })
    }

    /// Returns the share of time of each of several, no more than its list explains, in their order.
    pub fn costs(all: &[Self]) -> Vec<f64> {
        let lengths = || all.iter().filter_map(|runs| runs.walked);
        let longest = lengths().fold(0.0, f64::max);
        let an_estimator = |runs: &Self| {
            let walked = runs.walked.filter(|length| *length >= LONG * longest)?;
            Some(runs.share / walked.max(1.0))
        };
        let dearest = all.iter().filter_map(an_estimator).fold(0.0, f64::max);
        let cost = |runs: &Self| match runs.walked {
            Some(walked) => runs.share.min(dearest * walked.max(1.0)),
            None => runs.share,
        };
        all.iter().map(cost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(share: f64, walked: impl Into<Option<u32>>) -> Runs {
        Runs {
            share,
            walked: walked.into().map(f64::from),
        }
    }

    fn costliest(all: &[Runs]) -> usize {
        let costs = Runs::costs(all);
        let indexes = 0..costs.len();
        indexes
            .max_by(|one, other| costs[*one].total_cmp(&costs[*other]))
            .unwrap()
    }

    #[test]
    fn an_idle_namespace_whose_median_is_an_outlier_does_not_cost_most() {
        let all = [runs(1e-3, 1), runs(2e-4, 601), runs(1e-6, 1)];
        assert_eq!(costliest(&all), 1);
    }

    #[test]
    fn of_long_lists_the_one_whose_runs_take_longest_costs_most() {
        let all = [runs(1e-4, 900), runs(2e-4, 800), runs(1e-6, 1)];
        assert_eq!(costliest(&all), 1);
    }

    #[test]
    fn runs_that_skip_the_walk_do_not_cost_most_whatever_interrupts_them() {
        assert_eq!(costliest(&[runs(1e-3, 0), runs(2e-4, 601)]), 1);
        assert_eq!(costliest(&[runs(1e-6, 0), runs(2e-6, 0)]), 1);
    }

    #[test]
    fn without_a_list_that_is_walked_the_median_counts() {
        assert_eq!(costliest(&[runs(1e-3, None), runs(2e-4, 601)]), 0);
        assert_eq!(costliest(&[runs(1e-3, None), runs(2e-4, None)]), 0);
        assert_eq!(Runs::costs(&[]), Vec::<f64>::new());
        let skipping = EstimatorPhase {
            skips: true,
            period_ns: Some(2_000),
            runs: vec![crate::transition::run_observer::Run {
                start_ns: 1,
                at: model::WallTime(1),
                duration_ns: 1,
                estimators: Some(30_001),
            }],
            ..EstimatorPhase::default()
        };
        assert_eq!(Runs::of(&skipping), Some(runs(0.0005, 0)));
    }
}
