//! When the kernel's timer wheel lets a timer expire.
//!
//! A timer is put into a bucket of the level that its distance asks for, and waits for that bucket: late by up
//! to the level's granularity, never early (`calc_index`, `kernel/time/timer.c` of Linux 4.8 to 6.1).

/// By how many bits each level is coarser than the one below (`LVL_CLK_SHIFT`).
const SHIFT_A_LEVEL: u32 = 3;

/// Levels of a wheel (`LVL_DEPTH`).
const LEVELS: u32 = 9;

/// When a timer that is queued on `level` to expire at `expires` gets its turn, in jiffies.
#[must_use]
pub fn turn(expires: u64, level: u32) -> u64 {
    let shift = SHIFT_A_LEVEL * level.min(LEVELS - 1);
    ((expires >> shift).saturating_add(1)) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_are_rounded_up_as_was_measured() {
        // 250 Hz: on level 1, in steps of 32 ms. A period of 2.016 s, from turn to turn.
        let first = turn(1_000, 1);
        assert_eq!(first, 1_008);
        assert_eq!(turn(first + 500, 1) - first, 504);
        // 1000 Hz: on level 2, in steps of 64 ms.
        assert_eq!(turn(6_400 + 2_000, 2), 8_448);
    }

    #[test]
    fn five_minutes_may_be_sixteen_seconds_late() {
        // 250 Hz: on level 4.
        assert_eq!(turn(4_096 * 20, 4) - 4_096 * 20, 4_096);
    }

    #[test]
    fn a_timer_close_ahead_is_a_jiffy_late_and_no_level_is_too_high() {
        assert_eq!(turn(1_000, 0), 1_001);
        assert_eq!(turn(u64::MAX, 15), turn(u64::MAX, 8));
    }
}
