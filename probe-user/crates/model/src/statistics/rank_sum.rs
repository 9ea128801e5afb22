//! Whether one side's runs tend to be longer: by the sum of its ranks among all (Mann, Whitney, Wilcoxon).
//!
//! Ties are the rule: in a guest that counts instructions most runs take equally long. The exact tables of the
//! libraries are for samples without ties, so the distribution is computed here for the ranks at hand.

use std::cmp::Reverse;

use super::real;

/// Up to so many runs on the smaller side times runs on both the distribution is exact, which takes no more than
/// 5 MB and a tenth of a second: 50 against 50, or 6 against 800. Beyond, a normal one with corrections for ties and
/// steps is within 0.001 of it, and takes next to nothing.
const EXACT_MAX: usize = 5_000;

/// In how many standard deviations from the mean 2.5 % of a normal distribution begin.
const NORMAL_TAIL: f64 = 1.959_963_984_540_054;

/// The chance on either side of an interval of 95 %.
const TAIL: f64 = 0.025;

/// What the ranks say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankSum {
    /// The chance that ranks without any difference come out as far off, to either side.
    pub p_value: f64,
    /// From -1 (every run after is shorter than every run before) over 0 to 1 (every one is longer).
    pub cliffs_delta: f64,
}

impl RankSum {
    /// Of two samples. `None` where one is empty.
    #[must_use]
    pub fn of(before: &[u64], after: &[u64]) -> Option<Self> {
        if before.is_empty() || after.is_empty() {
            return None;
        }
        let ranks = Ranks::of(before, after);
        let chosen = before.len().min(after.len());
        let smaller = if before.len() < after.len() {
            &ranks.before
        } else {
            &ranks.after
        };
        let sum = smaller.iter().sum();
        let p_value = if is_exact(ranks.count(), chosen) {
            exact_p(&ranks.all(), chosen, sum)
        } else {
            normal_p(&ranks.all(), chosen, sum)
        };
        Some(Self {
            p_value,
            cliffs_delta: ranks.delta(),
        })
    }
}

fn is_exact(all: usize, chosen: usize) -> bool {
    all * chosen <= EXACT_MAX
}

/// Twice the mid-rank of every run among all, which is a whole number: runs alike share the mean of their ranks.
#[derive(Debug)]
struct Ranks {
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Ranks {
    fn of(before: &[u64], after: &[u64]) -> Self {
        let mut pooled = [before, after].concat();
        pooled.sort_unstable();
        let rank = |duration: &u64| {
            let below = pooled.partition_point(|other| other < duration);
            let up_to = pooled.partition_point(|other| other <= duration);
            below + up_to + 1
        };
        Self {
            before: before.iter().map(rank).collect(),
            after: after.iter().map(rank).collect(),
        }
    }

    fn count(&self) -> usize {
        self.before.len() + self.after.len()
    }

    fn all(&self) -> Vec<usize> {
        [self.before.as_slice(), &self.after].concat()
    }

    /// `2 U / (m n) - 1`, where U counts the pairs in which the run after is longer, a tie as half a one.
    fn delta(&self) -> f64 {
        let (before, after) = (self.before.len(), self.after.len());
        let double_u = self.after.iter().sum::<usize>() - after * (after + 1);
        real(double_u) / real(before * after) - 1.0
    }
}

/// How many ways there are to choose `chosen` of `ranks`, by the sum of what is chosen. No two of
/// these numbers are ever subtracted, so that adding them up loses nothing that matters.
fn ways_by_sum(ranks: &[usize], chosen: usize) -> Vec<f64> {
    let mut highest = ranks.to_vec();
    highest.sort_unstable_by_key(|rank| Reverse(*rank));
    let highest: usize = highest.iter().take(chosen).sum();
    let mut ways = vec![vec![0.0; highest + 1]; chosen + 1];
    ways[0][0] = 1.0;
    let mut reached = 0;
    for (seen, rank) in ranks.iter().enumerate() {
        for count in (0..chosen.min(seen + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(count + 1);
            for (to, from) in more[0][*rank..]
                .iter_mut()
                .zip(&fewer[count][..=reached.min(highest)])
            {
                *to += from;
            }
        }
        reached += rank;
    }
    ways.swap_remove(chosen)
}

fn exact_p(ranks: &[usize], chosen: usize, sum: usize) -> f64 {
    let ways = ways_by_sum(ranks, chosen);
    let all: f64 = ways.iter().sum();
    let low: f64 = ways[..=sum].iter().sum();
    let high: f64 = ways[sum..].iter().sum();
    (2.0 * low.min(high) / all).min(1.0)
}

fn normal_p(ranks: &[usize], chosen: usize, sum: usize) -> f64 {
    // Doubled ranks: twice the sum, twice the deviation, twice the half step.
    let (all, chosen) = (real(ranks.len()), real(chosen));
    let mean = all + 1.0;
    let squares: f64 = ranks.iter().map(|rank| (real(*rank) - mean).powi(2)).sum();
    let variance = squares * chosen * (all - chosen) / (all * (all - 1.0));
    let off = (real(sum) - chosen * mean).abs() - 1.0;
    if off <= 0.0 || variance <= 0.0 {
        return 1.0;
    }
    libm::erfc(off / variance.sqrt() / std::f64::consts::SQRT_2).min(1.0)
}

/// For an interval of at least 95 % from the k-th smallest to the k-th largest of all `before * after` pairwise
/// differences: k, and how sure it is. By the distribution of U without ties, with which the interval is at
/// least as sure when there are some. `None` where the samples are too small for any.
pub fn interval_rank(before: usize, after: usize) -> Option<(usize, f64)> {
    let (all, chosen) = (before + after, before.min(after));
    if !is_exact(all, chosen) {
        return normal_interval_rank(real(before), real(after));
    }
    let ranks: Vec<usize> = (1..=all).collect();
    let ways = ways_by_sum(&ranks, chosen);
    let sum: f64 = ways.iter().sum();
    let lowest = chosen * (chosen + 1) / 2;
    let mut below = 0.0;
    let mut found = None;
    for (rank, ways) in (1..).zip(ways.get(lowest..)?) {
        below += ways / sum;
        if below > TAIL {
            break;
        }
        found = Some((rank, 1.0 - 2.0 * below));
    }
    found
}

fn normal_interval_rank(before: f64, after: f64) -> Option<(usize, f64)> {
    let pairs = before * after;
    let deviation = (pairs * (before + after + 1.0) / 12.0).sqrt();
    let rank = (pairs / 2.0 + 0.5 - NORMAL_TAIL * deviation).floor();
    if rank < 1.0 {
        return None;
    }
    let steps = (pairs / 2.0 + 0.5 - rank) / deviation;
    let confidence = libm::erf(steps / std::f64::consts::SQRT_2);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to half the number of pairs"
    )]
    let rank = rank as usize;
    Some((rank, confidence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_exact_distribution_ends_the_normal_one_is_close() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20 {
            let offset = random.u64(100..112);
            let mut runs =
                |from| -> Vec<u64> { (0..50).map(|_| from + random.u64(0..40)).collect() };
            let ranks = Ranks::of(&runs(100), &runs(offset));
            let sum = ranks.after.iter().sum();
            let exact = exact_p(&ranks.all(), 50, sum);
            let normal = normal_p(&ranks.all(), 50, sum);
            assert!((exact - normal).abs() < 0.001, "{exact} and {normal}");
        }
        let (exact, _) = interval_rank(50, 50).unwrap();
        let (normal, confidence) = normal_interval_rank(50.0, 50.0).unwrap();
        assert!(exact.abs_diff(normal) <= 1, "{exact} and {normal}");
        assert!((0.95..0.952).contains(&confidence), "{confidence}");
    }

    #[test]
    fn ways_to_choose_are_counted_by_their_sum() {
        // Of 1, 2, 2 and 3: 1+2 twice, 1+3 and 2+2, 2+3 twice.
        assert_eq!(
            ways_by_sum(&[1, 2, 2, 3], 2),
            [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]
        );
    }
}
