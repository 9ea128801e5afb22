//! What was asked for, and how long that takes.

use std::time::Duration;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Runs of each estimator on each side.
    pub runs: usize,
    /// Take it back in any case.
    pub trial: bool,
    /// Keep what makes nothing worse.
    pub keep: bool,
    /// How long each wait may take.
    pub timeout: Duration,
    /// How long measuring may take on each side.
    pub max_wait: Duration,
    /// What is too little to matter, in percent.
    pub min_effect_percent: f64,
}

impl Plan {
    /// How long it takes until an estimator with this period, in nanoseconds, has run as often as is asked for: the first
    /// run comes at any time within the period.
    #[must_use]
    pub fn needs(&self, period_ns: u64) -> Duration {
        let runs = u64::try_from(self.runs).unwrap_or(u64::MAX);
        Duration::from_nanos(runs.saturating_mul(period_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_takes_as_many_periods_as_runs() {
        let plan = Plan {
            runs: 6,
            trial: false,
            keep: false,
            timeout: Duration::from_secs(30),
            max_wait: Duration::from_mins(5),
            min_effect_percent: 5.0,
        };
        assert_eq!(plan.needs(300_000_000_000), Duration::from_mins(30));
        assert_eq!(plan.needs(u64::MAX), Duration::from_nanos(u64::MAX));
    }
}
