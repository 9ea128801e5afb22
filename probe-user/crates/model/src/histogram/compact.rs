//! Counts of durations in little memory, however many there are: for one of many namespaces.

/// Equal parts of each power of two, at first: a slot is at most 1/128 as wide as the durations it counts.
const PARTS: u64 = 128;
const PART_BITS: u32 = PARTS.trailing_zeros();

/// Slots kept. Where durations fall into more of them, slots are joined in pairs: each is then twice as wide.
const SLOTS: usize = 128;

/// Counts by slot. A kibibyte at most.
#[derive(Debug, Clone, Default)]
pub struct Compact {
    /// How often slots were joined: a slot is 2^joined of the finest ones.
    joined: u32,
    /// Slots with their counts, ascending.
    slots: Vec<(u16, u32)>,
}

impl Compact {
    /// Counts one duration. A counter that is full stays so.
    pub fn record(&mut self, duration_ns: u64) {
        self.record_many(duration_ns, 1);
    }

    /// Counts a duration so many times.
    pub fn record_many(&mut self, duration_ns: u64, times: u32) {
        loop {
            let slot = slot(duration_ns) >> self.joined;
            match self.slots.binary_search_by_key(&slot, |(slot, _)| *slot) {
                Ok(place) => {
                    let count = &mut self.slots[place].1;
                    *count = count.saturating_add(times);
                    return;
                }
                Err(place) if self.slots.len() < SLOTS => {
                    self.slots.insert(place, (slot, times));
                    return;
                }
                Err(_) => self.join(),
            }
        }
    }

    /// Joins each slot with its neighbour.
    fn join(&mut self) {
        self.joined += 1;
        for (slot, _) in &mut self.slots {
            *slot >>= 1;
        }
        self.slots.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
    }

    /// Returns the longest duration of the slot that holds the share `quantile` (0 to 1) of all.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let all: u64 = self.slots.iter().map(|(_, count)| u64::from(*count)).sum();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count: no more than the count, and not negative"
        )]
        let wanted = ((quantile.min(1.0) * all as f64).ceil() as u64).max(1);
        let mut counted = 0;
        let found = self.slots.iter().find(|(_, count)| {
            counted += u64::from(*count);
            counted >= wanted
        });
        found.map_or(0, |(slot, _)| self.bounds(*slot).1)
    }

    /// Returns the middle of each slot that counted something, with its count, ascending.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.slots.iter().map(|(slot, count)| {
            let (lowest, highest) = self.bounds(*slot);
            (lowest + (highest - lowest).div_ceil(2), u64::from(*count))
        })
    }

    /// Returns the shortest and the longest duration that a slot counts, in nanoseconds.
    fn bounds(&self, slot: u16) -> (u64, u64) {
        let first = u64::from(slot) << self.joined;
        let next = first + (1 << self.joined);
        let bound = |slot| lowest(slot).unwrap_or(u64::MAX);
        (bound(first), lowest(next).map_or(u64::MAX, |next| next - 1))
    }
}

/// Returns the finest slot that counts `duration_ns`.
fn slot(duration_ns: u64) -> u16 {
    let shift = (duration_ns | PARTS).ilog2() - PART_BITS;
    let slot = u64::from(shift) * PARTS + (duration_ns >> shift);
    u16::try_from(slot).unwrap_or(u16::MAX)
}

/// Returns the shortest duration of a finest slot, in nanoseconds; `None` where it is longer than any.
fn lowest(slot: u64) -> Option<u64> {
    if slot < 2 * PARTS {
        return Some(slot);
    }
    let shift = u32::try_from(slot / PARTS - 1).ok()?;
    let part = slot % PARTS + PARTS;
    part.checked_mul(1_u64.checked_shl(shift)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_begins_where_the_one_before_ends() {
        for index in 1..=slot(u64::MAX) {
            let low = lowest(index.into()).unwrap();
            assert_eq!(slot(low), index, "{low}");
            assert_eq!(slot(low - 1), index - 1, "just below {low}");
        }
    }

    #[test]
    fn durations_that_lie_close_together_are_kept_to_less_than_a_hundredth() {
        let mut compact = Compact::default();
        for duration_ns in (1_000_000..1_900_000).step_by(1_000) {
            compact.record(duration_ns);
        }
        let median = compact.quantile_ns(0.5);
        assert!(
            (1_449_000..1_464_000).contains(&median),
            "{median} of 1,000,000 to 1,900,000"
        );
    }

    /// 37 powers of two, all of their finest slots: in a kibibyte, and each quantile within an eighth.
    #[test]
    fn however_far_durations_lie_apart_there_are_no_more_slots() {
        let mut compact = Compact::default();
        let mut durations: Vec<u64> = (128..38 * 128).filter_map(lowest).collect();
        for duration_ns in durations.iter().rev() {
            compact.record(*duration_ns);
            assert!(compact.slots.len() <= SLOTS);
        }
        let counted: u64 = compact.counts().map(|(_, count)| count).sum();
        assert_eq!(counted, durations.len() as u64);
        durations.sort_unstable();
        for quantile in [0.1, 0.5, 0.9, 0.99] {
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "some thousand"
            )]
            let place = (quantile * durations.len() as f64).ceil() as usize - 1;
            let (exact, kept) = (durations[place], compact.quantile_ns(quantile));
            assert!(exact <= kept, "{quantile}: {exact} kept as {kept}");
            assert!(kept <= 2 * exact, "{quantile}: {exact} kept as {kept}");
        }
    }

    #[test]
    fn the_longest_and_the_shortest_number_there_are_do_no_harm() {
        let mut compact = Compact::default();
        assert_eq!(compact.quantile_ns(0.5), 0);
        compact.record(u64::MAX);
        compact.record(0);
        assert_eq!(compact.counts().count(), 2);
        assert_eq!(compact.quantile_ns(1.0), u64::MAX);
    }
}
