//! How much of the time goes to runs, and whether that changed: by their length, by their number, or by both.

use super::{mean, real};

/// Up to so many splits of the durations all of them are looked at: 10 runs against 10 have 184,756.
const EXACT_MAX: f64 = 200_000.0;

/// Of more splits, so many are drawn: a chance of 5 % is then told to 0.3 %, at a cost that grows with the runs
/// alone.
const DRAWS: u32 = 20_000;

/// Draws begin here, so that the same runs always give the same chance.
const SEED: u64 = 0x6970_7673;

/// In whole picoseconds a scaled duration is as exact as it need be, and sums (below 2^53, two hours) are exact in
/// any order.
const PS_A_NS: f64 = 1_000.0;

/// Splits that come out within rounding of what was seen count as alike.
const ALIKE: f64 = 1e-12;

/// The runs of one side: how long they took and how far apart they began.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    durations_ns: Vec<f64>,
    gaps_ns: Vec<f64>,
}

impl Pace {
    /// Of runs, each with its start and its duration in nanoseconds. N runs have N - 1 gaps.
    #[must_use]
    pub fn of(runs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut runs: Vec<(u64, u64)> = runs.into_iter().collect();
        runs.sort_unstable();
        // Below the clock's tick is not nothing.
        let positive = |ns: u64| real(ns.max(1));
        let gap = |pair: &[(u64, u64)]| positive(pair[1].0 - pair[0].0);
        Self {
            durations_ns: runs.iter().map(|(_, ns)| positive(*ns)).collect(),
            gaps_ns: runs.windows(2).map(gap).collect(),
        }
    }

    /// The mean duration in nanoseconds.
    #[must_use]
    pub fn duration_ns(&self) -> Option<f64> {
        mean(&self.durations_ns)
    }

    /// The mean time from start to start in nanoseconds.
    #[must_use]
    pub fn gap_ns(&self) -> Option<f64> {
        mean(&self.gaps_ns)
    }

    /// Run time per time. `None` of fewer than two runs.
    #[must_use]
    pub fn stall(&self) -> Option<f64> {
        Some(self.duration_ns()? / self.gap_ns()?)
    }
}

/// The chances that a stall, where it changed by a given factor and no more, comes out as far off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    /// As large as seen, or larger.
    pub at_least: f64,
    /// As small as seen, or smaller.
    pub at_most: f64,
}

impl Tails {
    /// Of the stall after against `factor` times the stall before. `None` of fewer than two runs on a side.
    ///
    /// Durations and gaps are permuted, each among their own. Durations alone would not do: a change of the
    /// period would be in every split, and so never be seen. Nor would runs with the gap behind them: the last
    /// run has none, and of six runs a side only five would be left. That the two are independent holds nearly:
    /// of a gap of two seconds, the run is a hundredth at most, and it is rounded to the steps of the timer wheel.
    #[must_use]
    pub fn of(before: &Pace, after: &Pace, factor: f64) -> Option<Self> {
        if before.gaps_ns.is_empty() || after.gaps_ns.is_empty() {
            return None;
        }
        let durations = Pool::of(&before.durations_ns, &after.durations_ns, factor);
        let gaps = Pool::of(&before.gaps_ns, &after.gaps_ns, 1.0);
        Some(if durations.splits() <= EXACT_MAX {
            exact(&durations, &gaps)
        } else {
            drawn(durations, gaps)
        })
    }

    /// The chance to be as far off to either side.
    #[must_use]
    pub fn two_sided(&self) -> f64 {
        (2.0 * self.at_least.min(self.at_most)).min(1.0)
    }
}

/// Both sides' numbers, those after first.
#[derive(Debug)]
struct Pool {
    numbers: Vec<f64>,
    after: usize,
    sum: f64,
}

impl Pool {
    fn of(before_ns: &[f64], after_ns: &[f64], factor: f64) -> Self {
        let after = after_ns.iter().map(|ns| (ns * PS_A_NS / factor).round());
        let before = before_ns.iter().map(|ns| (ns * PS_A_NS).round());
        let numbers: Vec<f64> = after.chain(before).collect();
        Self {
            sum: numbers.iter().sum(),
            numbers,
            after: after_ns.len(),
        }
    }

    /// The ratio of the means, after / before, if those after sum up to `after`.
    fn ratio(&self, after: f64) -> f64 {
        let sizes = real(self.numbers.len() - self.after) / real(self.after);
        after / (self.sum - after) * sizes
    }

    /// That of the split which the first numbers make.
    fn split(&self) -> f64 {
        self.ratio(self.numbers[..self.after].iter().sum())
    }

    fn splits(&self) -> f64 {
        let (all, after) = (self.numbers.len(), self.after);
        (0..after)
            .map(|taken| real(all - taken) / real(after - taken))
            .product()
    }

    /// That of every split.
    fn all_splits(&self) -> Vec<f64> {
        // The smaller side: the larger one has many more parts than splits.
        let chosen = self.after.min(self.numbers.len() - self.after);
        let mut sums = vec![Vec::new(); chosen + 1];
        sums[0].push(0.0);
        for number in &self.numbers {
            for count in (0..chosen).rev() {
                let (fewer, more) = sums.split_at_mut(count + 1);
                more[0].extend(fewer[count].iter().map(|sum| sum + number));
            }
        }
        let of_after = |sum| {
            if chosen == self.after {
                sum
            } else {
                self.sum - sum
            }
        };
        let sums = sums.swap_remove(chosen).into_iter();
        sums.map(|sum| self.ratio(of_after(sum))).collect()
    }
}

fn exact(durations: &Pool, gaps: &Pool) -> Tails {
    let seen = durations.split() / gaps.split();
    let durations = durations.all_splits();
    let gaps = Steps::of(gaps.all_splits());
    let (mut at_least, mut at_most) = (0, 0);
    for ratio in &durations {
        at_least += gaps.up_to(ratio / (seen * (1.0 - ALIKE)));
        at_most += gaps.count - gaps.below(ratio / (seen * (1.0 + ALIKE)));
    }
    let all = real(durations.len()) * real(gaps.count);
    Tails {
        at_least: real(at_least) / all,
        at_most: real(at_most) / all,
    }
}

/// Numbers in order, and how many there are up to each. Gaps are few and mostly alike, so that this is short.
#[derive(Debug)]
struct Steps {
    steps: Vec<(f64, usize)>,
    count: usize,
}

impl Steps {
    fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_unstable_by(f64::total_cmp);
        let mut steps: Vec<(f64, usize)> = Vec::new();
        for (before, number) in numbers.iter().enumerate() {
            match steps.last_mut() {
                Some((last, up_to)) if last.total_cmp(number).is_eq() => *up_to = before + 1,
                _ => steps.push((*number, before + 1)),
            }
        }
        let count = numbers.len();
        Self { steps, count }
    }

    fn up_to(&self, limit: f64) -> usize {
        self.before(self.steps.partition_point(|(number, _)| *number <= limit))
    }

    fn below(&self, limit: f64) -> usize {
        self.before(self.steps.partition_point(|(number, _)| *number < limit))
    }

    fn before(&self, step: usize) -> usize {
        step.checked_sub(1).map_or(0, |last| self.steps[last].1)
    }
}

fn drawn(mut durations: Pool, mut gaps: Pool) -> Tails {
    let seen = durations.split() / gaps.split();
    let mut random = fastrand::Rng::with_seed(SEED);
    // What was seen is one of the splits.
    let (mut at_least, mut at_most) = (1, 1);
    for _ in 0..DRAWS {
        random.shuffle(&mut durations.numbers);
        random.shuffle(&mut gaps.numbers);
        let ratio = durations.split() / gaps.split();
        at_least += u32::from(ratio >= seen * (1.0 - ALIKE));
        at_most += u32::from(ratio <= seen * (1.0 + ALIKE));
    }
    let all = f64::from(DRAWS + 1);
    Tails {
        at_least: f64::from(at_least) / all,
        at_most: f64::from(at_most) / all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_alike_are_one_step() {
        let steps = Steps::of(vec![2.0, 3.0, 2.0, 1.0, 2.0]);
        assert_eq!(steps.steps, [(1.0, 1), (2.0, 4), (3.0, 5)]);
        assert_eq!((steps.below(2.0), steps.up_to(2.0), steps.count), (1, 4, 5));
    }

    #[test]
    fn splits_that_are_drawn_tell_nearly_what_all_of_them_do() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..5 {
            let mut numbers = |from| -> Vec<f64> {
                let runs = (0..7).map(|_| f64::from(random.u32(from..1_300)));
                runs.collect()
            };
            let durations = Pool::of(&numbers(900), &numbers(1_000), 1.05);
            let gaps = Pool::of(&numbers(1_200), &numbers(1_250), 1.0);
            let exact = exact(&durations, &gaps);
            let drawn = drawn(durations, gaps);
            assert!((exact.at_least - drawn.at_least).abs() < 0.015);
            assert!((exact.at_most - drawn.at_most).abs() < 0.015);
            assert!(exact.at_least + exact.at_most >= 1.0, "{exact:?}");
        }
    }
}
