//! How often which duration came, in nanoseconds.

mod compact;

use self::compact::Compact;

/// Counts of durations.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Counts,
}

#[derive(Debug, Clone)]
enum Counts {
    Fine(Box<hdrhistogram::Histogram<u32>>),
    Compact(Compact),
}

fn three_digits() -> hdrhistogram::Histogram<u32> {
    hdrhistogram::Histogram::new(3).expect("three digits are allowed")
}

impl Histogram {
    /// To three digits: 8 KiB to 100 KiB, by the longest duration.
    #[must_use]
    pub fn fine() -> Self {
        Self {
            counts: Counts::Fine(Box::new(three_digits())),
        }
    }

    /// For one of many namespaces: 1 KiB at most. Durations within two powers of two are kept to 1 in 64, and to less
    /// where they lie further apart.
    #[must_use]
    pub fn coarse() -> Self {
        Self {
            counts: Counts::Compact(Compact::default()),
        }
    }

    /// Adds the counts that the probes keep in the kernel, each slot's at its lower bound.
    pub fn add_slots(&mut self, counts: &[u64]) {
        let taken = (0..).zip(counts).filter(|(_, count)| **count > 0);
        for (slot, count) in taken {
            let lowest_ns = probe_ebpf::histogram::lower_bound_ns(slot);
            let times = u32::try_from(*count).unwrap_or(u32::MAX);
            match &mut self.counts {
                Counts::Fine(counts) => counts.saturating_record_n(lowest_ns, times),
                Counts::Compact(counts) => counts.record_many(lowest_ns, times),
            }
        }
    }

    /// Counts one duration. A counter that is full (2^32 - 1) stays so.
    pub fn record(&mut self, duration_ns: u64) {
        match &mut self.counts {
            Counts::Fine(counts) => {
                // It grows as it must, so that the one error left is a number beyond its range: then the top.
                if counts.record(duration_ns).is_err() {
                    counts.saturating_record(duration_ns);
                }
            }
            Counts::Compact(counts) => counts.record(duration_ns),
        }
    }

    /// The duration in nanoseconds that the share `quantile` (0 to 1) of all does not exceed.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        match &self.counts {
            Counts::Fine(counts) => counts.value_at_quantile(quantile),
            Counts::Compact(counts) => counts.quantile_ns(quantile),
        }
    }

    /// Every duration counted, in nanoseconds and to the histogram's precision, with its count,
    /// ascending.
    #[must_use]
    pub fn counts(&self) -> Box<dyn Iterator<Item = (u64, u64)> + '_> {
        match &self.counts {
            Counts::Fine(counts) => Box::new(counts.iter_recorded().map(|step| {
                let middle_ns = counts.median_equivalent(step.value_iterated_to());
                (middle_ns, u64::from(step.count_at_value()))
            })),
            Counts::Compact(counts) => Box::new(counts.counts()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_from_nanoseconds_to_hours_are_kept_to_three_digits() {
        let mut histogram = Histogram::fine();
        for duration_ns in [1, 1_234, 5_678_901, 3_600_000_000_000] {
            histogram.record(duration_ns);
            let (kept_ns, count) = histogram.counts().last().expect("one was recorded");
            assert_eq!(count, 1);
            assert!(
                kept_ns.abs_diff(duration_ns) * 1000 <= duration_ns,
                "{duration_ns} kept as {kept_ns}"
            );
        }
    }

    #[test]
    fn what_the_kernel_counted_is_added_to_what_was_recorded() {
        let mut slots = [0; probe_ebpf::histogram::SLOTS as usize];
        let slot = |duration_ns| probe_ebpf::histogram::slot(duration_ns) as usize;
        slots[slot(1_000)] = 2;
        slots[slot(1_000_000)] = 3;
        for mut histogram in [Histogram::fine(), Histogram::coarse()] {
            histogram.record(1_000_000_000);
            histogram.add_slots(&slots);
            let counts: Vec<u64> = histogram.counts().map(|(_, count)| count).collect();
            assert_eq!(counts, [2, 3, 1]);
            let longest = histogram.quantile_ns(1.0);
            assert!(longest.abs_diff(1_000_000_000) < 20_000_000, "{longest}");
        }
    }

    #[test]
    fn the_longest_number_there_is_does_no_harm() {
        let mut histogram = Histogram::fine();
        histogram.record(u64::MAX);
        histogram.record(0);
        assert_eq!(histogram.counts().count(), 2);
    }
}
