//! What two samples of runs, before a change and after it, say of that change.
//!
//! Every chance told here is that of a permutation: how often a split of the same runs into two sides of
//! these sizes, all splits being alike where nothing changed, comes out as far off. No shape of the noise is
//! assumed; that runs can be exchanged is: a slow drift through both phases looks like a change.

mod longest;
mod rank_sum;
mod shift;
mod stall;

pub use longest::Longest;
pub use rank_sum::RankSum;
pub use shift::{Shift, median};
pub use stall::{Pace, Tails};

/// As a floating-point number.
#[must_use]
pub fn real<T: TryInto<i64>>(number: T) -> f64 {
    let number = number.try_into().unwrap_or(i64::MAX);
    #[allow(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53, which is a hundred days in nanoseconds"
    )]
    let real = number as f64;
    real
}

/// The mean, of at least one.
fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / real(numbers.len()))
}

#[cfg(test)]
mod tests;
