//! Whether the runs of a side visit the estimators, by all of its runs: one run that something interrupted, be it the last,
//! says nothing of the others.
//!
//! Nothing makes a run shorter. So runs leave the walk out if half of them at least are too short for their list, or if they
//! typically take no longer than a run over a single estimator does on the same side.

use super::EstimatorPhase;
use model::{is_too_short, statistics::median};

/// From this length on, a run that visits its list takes longer than one over a single estimator, whatever the noise.
const LONG_ENOUGH: f64 = 200.0;

/// So many times as long as a run over a single estimator, a run still may have visited no more than that.
const NO_LONGER: f64 = 1.5;

/// Runs over a single estimator from which on their median says what such a run takes.
const ENOUGH: usize = 4;

/// What a run under a change has to keep of its typical length before, to prove that it still visits its list.
const STILL: f64 = 0.5;

/// Returns what a run over a single estimator typically takes, in nanoseconds, by all the runs of a side.
pub fn single_ns<'a>(phases: impl IntoIterator<Item = &'a EstimatorPhase>) -> Option<f64> {
    let runs = phases.into_iter().flat_map(|phase| &phase.runs);
    let single = runs.filter(|run| run.estimators == Some(1));
    let durations: Vec<u64> = single.map(|run| run.duration_ns).collect();
    median(&durations).filter(|_| durations.len() >= ENOUGH)
}

/// Returns whether the runs of a phase leave their list alone, where one over a single estimator takes `single_ns`.
pub fn leaves_out(phase: &EstimatorPhase, single_ns: Option<f64>) -> bool {
    let runs = phase.runs.len();
    let is_short = |estimators: Option<u32>, duration_ns| {
        estimators.is_some_and(|length| is_too_short(duration_ns, length))
    };
    let short = phase
        .runs
        .iter()
        .filter(|run| is_short(run.estimators, run.duration_ns));
    if runs > 0 && 2 * short.count() >= runs {
        return true;
    }
    let lengths: Vec<u64> = phase
        .runs
        .iter()
        .filter_map(|run| run.estimators)
        .map(u64::from)
        .collect();
    let is_long = median(&lengths).is_some_and(|length| length >= LONG_ENOUGH);
    let typical = median(&phase.durations_ns());
    let no_longer = |(single, typical): (f64, f64)| typical <= NO_LONGER * single;
    is_long && single_ns.zip(typical).is_some_and(no_longer)
}

/// Returns whether runs became so much shorter that their length no longer proves that they visit their list.
#[must_use]
pub fn is_doubtful(before: &EstimatorPhase, after: &EstimatorPhase) -> bool {
    let (before, after) = (
        median(&before.durations_ns()),
        median(&after.durations_ns()),
    );
    let shorter = |(before, after): (f64, f64)| after < STILL * before;
    before.zip(after).is_some_and(shorter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transition::run_observer::Run;
    use model::WallTime;

    fn phase(estimators: u32, durations_ns: &[u64]) -> EstimatorPhase {
        let runs = durations_ns.iter().map(|duration_ns| Run {
            start_ns: 1,
            at: WallTime(1),
            duration_ns: *duration_ns,
            estimators: Some(estimators),
        });
        EstimatorPhase {
            runs: runs.collect(),
            ..EstimatorPhase::default()
        }
    }

    #[test]
    fn one_outlier_does_not_hide_that_runs_leave_the_walk_out_and_the_last_run_is_no_other() {
        let (skipped, interrupted, walked) = (786, 2_150_000, 3_870_000);
        for (runs, left_out) in [
            (&[skipped; 6][..], true),
            (&[skipped, skipped, skipped, interrupted], true),
            (&[interrupted, skipped, interrupted, skipped], true),
            (&[walked, walked, walked, walked], false),
            (&[skipped, walked, walked, walked], false),
            (&[interrupted], false),
            (&[], false),
        ] {
            assert_eq!(leaves_out(&phase(30_001, runs), None), left_out, "{runs:?}");
        }
    }

    #[test]
    fn runs_over_a_short_list_are_held_against_runs_over_one_estimator() {
        let idle = [phase(1, &[3_000, 3_100]), phase(1, &[2_900, 90_000])];
        let single = single_ns(&idle);
        assert_eq!(single, Some(3_050.0));
        assert!(leaves_out(&phase(601, &[3_200, 2_150_000, 3_300]), single));
        assert!(!leaves_out(&phase(601, &[300_000, 310_000]), single));
        // Of a few estimators nothing can be told.
        assert!(!leaves_out(&phase(9, &[3_200, 3_300]), single));
        assert_eq!(single_ns(&idle[..1]), None);
    }

    #[test]
    fn runs_that_became_much_shorter_are_in_doubt_and_others_are_not() {
        let before = phase(30, &[10_000; 4]);
        assert!(is_doubtful(&before, &phase(30, &[4_000; 4])));
        assert!(!is_doubtful(&before, &phase(30, &[6_000; 4])));
        assert!(!is_doubtful(&before, &phase(30, &[])));
    }
}
