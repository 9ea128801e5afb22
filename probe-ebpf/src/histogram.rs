//! The slots of the in-kernel histogram: eight equal parts to every power of two, so that a slot is
//! never wider than an eighth of its lower bound.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a slot is under 300, and this compiles for eBPF, where a failed conversion has nowhere to go"
)]

/// Parts that each power of two is divided into.
const PARTS: u64 = 8;
const PART_BITS: u32 = PARTS.trailing_zeros();

/// The highest power of two told apart: the last slot takes everything from 2^37 ns (137 s) on.
const TOP_POWER: u32 = 37;

/// Number of slots.
pub const SLOTS: u32 = (TOP_POWER - PART_BITS + 1) * PARTS as u32 + 1;

/// The slot that counts `duration_ns`.
///
/// The same number of steps for every value, so that a long run costs no more than a short one.
#[inline]
#[must_use]
pub fn slot(duration_ns: u64) -> u32 {
    // With the bit below set, values under PARTS share the arithmetic of the first power.
    let power = (duration_ns | PARTS).ilog2();
    let shift = power - PART_BITS;
    let slot = shift * PARTS as u32 + (duration_ns >> shift) as u32;
    if slot < SLOTS { slot } else { SLOTS - 1 }
}

/// The smallest duration, in nanoseconds, that `slot` counts.
#[must_use]
pub fn lower_bound_ns(slot: u32) -> u64 {
    let slot = u64::from(slot);
    if slot < 2 * PARTS {
        return slot;
    }
    let shift = slot / PARTS - 1;
    (slot % PARTS + PARTS) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_begins_where_the_one_before_ends() {
        for index in 0..SLOTS {
            let low = lower_bound_ns(index);
            assert_eq!(slot(low), index, "lower bound {low} of slot {index}");
            if low > 0 {
                assert_eq!(slot(low - 1), index - 1, "just below slot {index}");
            }
        }
    }

    #[test]
    fn a_slot_is_at_most_an_eighth_as_wide_as_its_lower_bound() {
        for index in PARTS as u32..SLOTS - 1 {
            let low = lower_bound_ns(index);
            let width = lower_bound_ns(index + 1) - low;
            assert!(width * 8 <= low.max(8), "slot {index}: {low} + {width}");
        }
    }

    #[test]
    fn the_last_slot_takes_all_that_is_longer() {
        assert_eq!(slot(u64::MAX), SLOTS - 1);
        assert_eq!(slot(1 << 38), SLOTS - 1);
    }
}
