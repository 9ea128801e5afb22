//! The sums over some calls, and what may be said of them.

use super::{Histogram, WallTime};

/// Recorded calls from which on a median is told: under 6, no order statistic bounds it with 95 %
/// confidence on both sides.
pub const P50_MIN_CALLS: u64 = 6;
/// Recorded calls from which on a p90 is told: with 29, the longest is above it with 95 % confidence.
pub const P90_MIN_CALLS: u64 = 29;
/// Recorded calls from which on a p99 is told: with 299, the longest is above it with 95 % confidence.
pub const P99_MIN_CALLS: u64 = 299;

/// The calls of one namespace, or of all, while they come in.
#[derive(Debug, Clone)]
pub struct Tally {
    histogram: Histogram,
    recorded: u64,
    total_ns: u64,
    min_ns: u64,
    longest: Option<Longest>,
    lost: u64,
    missed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Longest {
    duration_ns: u64,
    at: WallTime,
}

impl Tally {
    /// Nothing yet, to be counted in `histogram`.
    #[must_use]
    pub fn new(histogram: Histogram) -> Self {
        Self {
            histogram,
            recorded: 0,
            total_ns: 0,
            min_ns: u64::MAX,
            longest: None,
            lost: 0,
            missed: 0,
        }
    }

    /// Adds one recorded call, which began `at`: as its line says, whatever the wall clock does later.
    pub fn add_call(&mut self, at: WallTime, duration_ns: u64) {
        self.histogram.record(duration_ns);
        self.recorded += 1;
        self.total_ns = self.total_ns.saturating_add(duration_ns);
        self.min_ns = self.min_ns.min(duration_ns);
        if self
            .longest
            .is_none_or(|longest| duration_ns > longest.duration_ns)
        {
            self.longest = Some(Longest { duration_ns, at });
        }
    }

    /// Adds runs that have no record: `lost` to a full ring buffer, `missed` by the probes.
    pub fn add_unrecorded(&mut self, lost: u64, missed: u64) {
        self.lost += lost;
        self.missed += missed;
    }

    /// Runs that were seen to begin and to end.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.recorded + self.lost
    }

    /// Runs without a record: lost to a full ring buffer, and missed by the probes.
    #[must_use]
    pub fn unrecorded(&self) -> (u64, u64) {
        (self.lost, self.missed)
    }

    /// The longest recorded call, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        self.longest.map(|longest| longest.duration_ns)
    }

    /// Nanoseconds of run time to each second observed, over recorded calls.
    #[must_use]
    pub fn stall_ns_per_s(&self, observed_ns: u64) -> Option<u64> {
        self.longest
            .and_then(|_| per_second(self.total_ns, observed_ns))
    }

    /// Time spent in recorded calls.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.total_ns
    }

    /// How often which duration came.
    #[must_use]
    pub fn histogram(&self) -> &Histogram {
        &self.histogram
    }

    /// What these calls come to over `observed_ns`.
    #[must_use]
    pub fn summary(&self, observed_ns: u64) -> Summary {
        let calls = self.calls();
        Summary {
            calls,
            recorded: self.recorded,
            expected: calls + self.missed,
            min_ns: self.longest.map(|_| self.min_ns),
            p50_ns: self.quantile(0.5, P50_MIN_CALLS),
            p90_ns: self.quantile(0.9, P90_MIN_CALLS),
            p99_ns: self.quantile(0.99, P99_MIN_CALLS),
            max_ns: self.max_ns(),
            max_at: self.longest.map(|longest| longest.at),
            stall_ns_per_s: self.stall_ns_per_s(observed_ns),
            lost: self.lost,
            missed: self.missed,
        }
    }

    fn quantile(&self, quantile: f64, min_calls: u64) -> Option<u64> {
        let longest = self.longest?;
        // The histogram rounds up within its precision: what is told was at least no longer than the longest.
        (self.recorded >= min_calls).then(|| {
            self.histogram
                .quantile_ns(quantile)
                .clamp(self.min_ns, longest.duration_ns)
        })
    }
}

/// Of `total_ns`, how much falls on each second of `observed_ns`.
#[must_use]
pub fn per_second(total_ns: u64, observed_ns: u64) -> Option<u64> {
    let second_ns = 1_000_000_000;
    let stall = (u128::from(total_ns) * second_ns).checked_div(u128::from(observed_ns))?;
    u64::try_from(stall).ok()
}

/// What the calls of one namespace, or of all, came to. What cannot be told is `None`, never 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Runs that were seen to begin and to end, with a record or without.
    pub calls: u64,
    /// Of them, those with a record: what every duration here rests on.
    pub recorded: u64,
    /// Runs that there must have been: `calls` and `missed`.
    pub expected: u64,
    /// The shortest, in nanoseconds.
    pub min_ns: Option<u64>,
    /// The median, in nanoseconds, from [`P50_MIN_CALLS`] recorded calls on.
    pub p50_ns: Option<u64>,
    /// What nine in ten do not exceed, in nanoseconds, from [`P90_MIN_CALLS`] recorded calls on.
    pub p90_ns: Option<u64>,
    /// What 99 in 100 do not exceed, in nanoseconds, from [`P99_MIN_CALLS`] recorded calls on.
    pub p99_ns: Option<u64>,
    /// The longest, in nanoseconds.
    pub max_ns: Option<u64>,
    /// When the longest began.
    pub max_at: Option<WallTime>,
    /// Nanoseconds of run time to each second observed, over recorded calls.
    pub stall_ns_per_s: Option<u64>,
    /// Runs without a record because the ring buffer was full.
    pub lost: u64,
    /// Runs that the probes did not see, or saw begin and not end.
    pub missed: u64,
}

impl Summary {
    /// Whether some runs left no duration behind, so that their sum and its rate are lower bounds.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.lost + self.missed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_runs_as_long_the_first_is_the_longest_and_what_has_no_record_is_counted_apart() {
        let mut tally = Tally::new(Histogram::fine());
        tally.add_call(WallTime(1), 5);
        tally.add_call(WallTime(2), 5);
        assert_eq!(tally.longest.unwrap().at, WallTime(1));
        tally.add_unrecorded(2, 3);
        assert_eq!((tally.calls(), tally.unrecorded()), (4, (2, 3)));
    }

    #[test]
    fn a_sum_is_partial_where_runs_have_no_record_for_either_reason() {
        for (lost, missed, is_partial) in [(0, 0, false), (1, 0, true), (0, 1, true), (2, 3, true)]
        {
            let mut tally = Tally::new(Histogram::fine());
            tally.add_call(WallTime(1), 5);
            tally.add_unrecorded(lost, missed);
            let summary = tally.summary(1_000_000_000);
            assert_eq!(summary.is_partial(), is_partial, "{lost} {missed}");
        }
    }

    fn tally_of(calls: u64) -> Tally {
        let mut tally = Tally::new(Histogram::fine());
        for call in 0..calls {
            tally.add_call(WallTime(call * 2_000_000_000), 1_000 + call);
        }
        tally
    }

    fn percentiles(calls: u64) -> [bool; 3] {
        let summary = tally_of(calls).summary(1_000_000_000);
        [summary.p50_ns, summary.p90_ns, summary.p99_ns].map(|percentile| percentile.is_some())
    }

    #[test]
    fn a_percentile_is_told_from_exactly_as_many_calls_as_it_needs() {
        for (calls, told) in [
            (5, [false, false, false]),
            (6, [true, false, false]),
            (28, [true, false, false]),
            (29, [true, true, false]),
            (298, [true, true, false]),
            (299, [true, true, true]),
        ] {
            assert_eq!(percentiles(calls), told, "p50, p90, p99 of {calls} calls");
        }
    }

    #[test]
    fn lost_runs_count_as_calls_but_not_towards_percentiles() {
        let mut tally = tally_of(5);
        tally.add_unrecorded(3, 2);
        let summary = tally.summary(1_000_000_000);
        assert_eq!(
            (summary.calls, summary.recorded, summary.expected),
            (8, 5, 10)
        );
        assert_eq!(summary.p50_ns, None);
    }

    #[test]
    fn of_no_call_nothing_is_told() {
        let summary = tally_of(0).summary(1_000_000_000);
        assert_eq!(summary, Summary::default());
    }

    #[test]
    fn the_stall_is_run_time_by_time_observed() {
        let mut tally = Tally::new(Histogram::fine());
        tally.add_call(WallTime(0), 4_000_000);
        tally.add_call(WallTime(2_000_000_000), 6_000_000);
        let over = |observed_ns| tally.summary(observed_ns).stall_ns_per_s;
        assert_eq!(over(4_000_000_000), Some(2_500_000));
        assert_eq!(over(500_000_000), Some(20_000_000));
        assert_eq!(over(0), None);
    }

    #[test]
    fn percentiles_lie_between_the_shortest_and_the_longest_call() {
        let mut tally = Tally::new(Histogram::coarse());
        for _ in 0..299 {
            tally.add_call(WallTime(7), 123_456_789);
        }
        let summary = tally.summary(1_000_000_000);
        for told in [
            summary.min_ns,
            summary.p50_ns,
            summary.p90_ns,
            summary.p99_ns,
            summary.max_ns,
        ] {
            assert_eq!(told, Some(123_456_789));
        }
        assert_eq!(summary.max_at, Some(WallTime(7)));
    }
}
