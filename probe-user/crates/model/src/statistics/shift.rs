//! How many times as long runs became: the median of all pairwise ratios (Hodges, Lehmann, on logarithms), and its
//! interval. As a ratio it has no sign to lose: runs cannot become shorter by more than 100 %.

use super::{rank_sum, real};

/// How many times as long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The median ratio, after / before.
    pub ratio: f64,
    /// Between which ratios the shift lies. `None` where the samples are too small to say.
    pub interval: Option<Interval>,
}

/// Where a shift lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The least ratio, above 0.
    pub low: f64,
    /// The largest ratio.
    pub high: f64,
    /// How sure that is: at least 0.95.
    pub confidence: f64,
}

impl Shift {
    /// Returns the shift between two samples of durations in nanoseconds, `None` where one is empty. A duration of 0
    /// counts as 1 ns, the clock's resolution. Takes memory for every pair: 6 MB for 900 runs a side, which are half an
    /// hour.
    #[must_use]
    pub fn of(before: &[u64], after: &[u64]) -> Option<Self> {
        let duration = |ns: &u64| real(*ns).max(1.0);
        let mut ratios: Vec<f64> = after
            .iter()
            .flat_map(|after| {
                before
                    .iter()
                    .map(|before| duration(after) / duration(before))
            })
            .collect();
        // Ratios are in the order of their logarithms.
        ratios.sort_unstable_by(f64::total_cmp);
        let interval = rank_sum::interval_rank(before.len(), after.len());
        let (lower, upper) = middle(&ratios)?;
        Some(Self {
            ratio: (lower * upper).sqrt(),
            interval: interval.map(|(rank, confidence)| Interval {
                low: ratios[rank - 1],
                high: ratios[ratios.len() - rank],
                confidence,
            }),
        })
    }
}

/// Returns the median: of an even number, the mean of the two in the middle. `None` of an empty sample.
#[must_use]
pub fn median(durations_ns: &[u64]) -> Option<f64> {
    let mut sorted = durations_ns.to_vec();
    sorted.sort_unstable();
    let (lower, upper) = middle(&sorted)?;
    Some(real(lower).midpoint(real(upper)))
}

/// Returns the two in the middle, or the one twice.
fn middle<T: Copy>(sorted: &[T]) -> Option<(T, T)> {
    let upper = *sorted.get(sorted.len() / 2)?;
    Some((sorted[(sorted.len() - 1) / 2], upper))
}
