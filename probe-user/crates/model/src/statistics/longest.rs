//! The longest runs of both sides.

use super::real;

/// The longest runs, and how many of one side are longer than all of the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Longest {
    /// The longest before, in nanoseconds.
    pub before_ns: u64,
    /// The longest after, in nanoseconds.
    pub after_ns: u64,
    /// How many runs after took longer than every run before.
    pub above: usize,
    /// The chance that as many of the longest, where nothing changed, all fall on the after side.
    pub chance: f64,
}

impl Longest {
    /// Of two samples. `None` where one is empty.
    #[must_use]
    pub fn of(before: &[u64], after: &[u64]) -> Option<Self> {
        let (before_ns, after_ns) = (*before.iter().max()?, *after.iter().max()?);
        let above = after
            .iter()
            .filter(|duration_ns| **duration_ns > before_ns)
            .count();
        let all = before.len() + after.len();
        let chance = (0..above)
            .map(|taken| real(after.len() - taken) / real(all - taken))
            .product();
        Some(Self {
            before_ns,
            after_ns,
            above,
            chance,
        })
    }

    /// After / before.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.before_ns > 0).then(|| real(self.after_ns) / real(self.before_ns))
    }
}
