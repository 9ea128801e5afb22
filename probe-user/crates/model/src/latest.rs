//! The latest runs of one namespace: what its runs take typically, now.

/// Runs kept: some ten seconds of them.
const KEPT: u16 = 5;

/// The durations of the latest runs of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latest {
    durations_ns: [u64; KEPT as usize],
    kept: u16,
    next: u16,
    /// The CPU of the latest run.
    cpu: u32,
}

impl Latest {
    /// Adds a run of `duration_ns` on `cpu`.
    pub fn push(&mut self, duration_ns: u64, cpu: u32) {
        self.durations_ns[usize::from(self.next)] = duration_ns;
        self.cpu = cpu;
        self.next = (self.next + 1) % KEPT;
        self.kept = (self.kept + 1).min(KEPT);
    }

    fn durations(&self) -> &[u64] {
        &self.durations_ns[..usize::from(self.kept)]
    }

    /// Returns how many runs it holds, 5 at most.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.durations().len()
    }

    /// Returns the median duration in nanoseconds, of an even number the lower one, so that of two runs the outlier
    /// does not count; `None` without a run.
    #[must_use]
    pub fn typical_ns(&self) -> Option<u64> {
        let mut sorted = self.durations_ns;
        let sorted = &mut sorted[..usize::from(self.kept)];
        sorted.sort_unstable();
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }

    /// Returns the longest duration in nanoseconds; `None` without a run.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        self.durations().iter().copied().max()
    }

    /// Returns the CPU of the latest run; `None` without a run.
    #[must_use]
    pub fn cpu(&self) -> Option<u32> {
        (self.kept > 0).then_some(self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations_ns: &[u64]) -> Latest {
        let mut latest = Latest::default();
        for duration_ns in durations_ns {
            latest.push(*duration_ns, 3);
        }
        latest
    }

    #[test]
    fn one_outlier_of_two_runs_or_more_is_not_typical() {
        assert_eq!(Latest::default().typical_ns(), None);
        assert_eq!(Latest::default().cpu(), None);
        assert_eq!(of(&[7]).typical_ns(), Some(7));
        assert_eq!(of(&[9_000, 7]).typical_ns(), Some(7));
        assert_eq!(of(&[5, 9_000, 7]).typical_ns(), Some(7));
        assert_eq!(of(&[5, 9_000, 7]).max_ns(), Some(9_000));
    }

    #[test]
    fn after_five_more_runs_older_ones_do_not_count() {
        let latest = of(&[9_000, 9_000, 9_000, 1, 2, 3, 4, 5]);
        assert_eq!((latest.runs(), latest.typical_ns()), (5, Some(3)));
        assert_eq!((latest.max_ns(), latest.cpu()), (Some(5), Some(3)));
    }
}
