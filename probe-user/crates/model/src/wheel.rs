//! When the kernel's timer wheel lets a timer expire.
//!
//! A timer is put into a bucket of the level that its distance asks for, and waits for that bucket: late by up
//! to the level's granularity, never early (`calc_index`, `kernel/time/timer.c` of Linux 4.8 to 6.1).

/// By how many bits each level is coarser than the one below (`LVL_CLK_SHIFT`).
const SHIFT_A_LEVEL: u32 = 3;

/// Levels of a wheel (`LVL_DEPTH`).
const LEVELS: u32 = 9;

/// Buckets of a level (`LVL_SIZE`).
const BUCKETS: u64 = 64;

/// Returns the level that a timer is queued on which expires so many jiffies after the wheel's clock (`calc_wheel_index`).
#[must_use]
pub fn level(ahead: u64) -> u32 {
    let begins = |level: u32| (BUCKETS - 1) << (SHIFT_A_LEVEL * (level - 1));
    (1..LEVELS)
        .find(|level| ahead < begins(*level))
        .map_or(LEVELS - 1, |level| level - 1)
}

/// Returns the level of a bucket, by its number in the wheel.
#[must_use]
pub fn level_of_bucket(bucket: u32) -> u32 {
    bucket / u32::try_from(BUCKETS).unwrap_or(u32::MAX)
}

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
    fn the_level_goes_by_how_far_ahead_a_timer_expires() {
        for (ahead, expected) in [
            (0, 0),
            (62, 0),
            (63, 1),
            (500, 1),
            (503, 1),
            (504, 2),
            (2_000, 2),
            (75_000, 4),
            (u64::MAX, 8),
        ] {
            assert_eq!(level(ahead), expected, "{ahead}");
        }
        assert_eq!([0, 63, 64, 575].map(level_of_bucket), [0, 0, 1, 8]);
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
