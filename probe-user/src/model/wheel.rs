//! When the kernel's timer wheel lets a timer expire.
//!
//! A timer is put into a bucket of the level that its distance asks for, and waits for that bucket: late by up
//! to the level's granularity, never early (`calc_index`, `calc_wheel_index`, `kernel/time/timer.c` of Linux 4.8
//! to 6.1).

/// Bits of a level's index (`LVL_BITS`), and by how many bits each level is coarser (`LVL_CLK_SHIFT`).
const LEVEL_BITS: u32 = 6;
const SHIFT_A_LEVEL: u32 = 3;

/// Levels of a wheel (`LVL_DEPTH` at HZ over 100; one fewer at 100, which no timer of ours reaches).
const LEVELS: u32 = 9;

/// When a timer that was set `ahead` jiffies before `expires` gets its turn, in jiffies.
#[must_use]
pub fn turn(expires: u64, ahead: u64) -> u64 {
    let shift = SHIFT_A_LEVEL * level(ahead);
    ((expires >> shift) + 1) << shift
}

fn level(ahead: u64) -> u32 {
    // A level begins where the one below is full: at 63 of its steps (`LVL_START`).
    let full = (1 << LEVEL_BITS) - 1;
    (1..LEVELS)
        .take_while(|level| ahead >= full << (SHIFT_A_LEVEL * (level - 1)))
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_are_rounded_up_as_was_measured() {
        // 250 Hz: 32 ms steps, a period of 2.016 s: from turn to turn.
        let first = turn(1_000, 500);
        assert_eq!(first, 1_008);
        assert_eq!(turn(first + 500, 500) - first, 504);
        // 1000 Hz: 64 ms steps.
        assert_eq!(turn(6_400 + 2_000, 2_000), 8_448);
    }

    #[test]
    fn five_minutes_may_be_sixteen_seconds_late() {
        let hz = 250;
        let late = turn(4_096 * 20, 300 * hz) - 4_096 * 20;
        assert_eq!(late, 4_096);
    }

    #[test]
    fn a_timer_set_close_ahead_is_a_jiffy_late() {
        assert_eq!(turn(1_000, 62), 1_001);
        assert_eq!(turn(1_000, 63), 1_008);
    }
}
