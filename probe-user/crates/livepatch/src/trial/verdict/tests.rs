mod simulation;
mod table;

use super::super::{ComparedNamespace, EstimatorPhase, Run};
use model::WallTime;

const PERIOD_NS: u64 = 2_016_000_000;

/// Runs of these lengths, in microseconds, so far apart.
fn phase(durations_us: &[f64], period_ns: u64) -> EstimatorPhase {
    let runs = (1..).zip(durations_us).map(|(index, us)| Run {
        start_ns: index * period_ns,
        at: WallTime(index * period_ns),
        duration_ns: nanoseconds(*us),
        estimators: Some(30_001),
    });
    let runs: Vec<Run> = runs.collect();
    EstimatorPhase {
        length_ns: period_ns * runs.len() as u64,
        period_ns: Some(period_ns),
        dead: false,
        skips: false,
        state: None,
        runs,
    }
}

fn nanoseconds(us: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "durations of this fixture are positive and short"
    )]
    let ns = (us * 1_000.0).round() as u64;
    ns
}

fn namespace(netns: u32, before_us: &[f64], after_us: &[f64]) -> ComparedNamespace {
    ComparedNamespace {
        netns,
        before: phase(before_us, PERIOD_NS),
        after: phase(after_us, PERIOD_NS),
    }
}
