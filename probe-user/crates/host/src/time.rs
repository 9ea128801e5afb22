//! The clocks of this host.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_getres, clock_gettime};

use model::Clock;

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of the programs' records.
///
/// # Errors
///
/// Where the clock cannot be read, which no Linux does.
pub fn monotonic_ns() -> nix::Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(nanoseconds(now))
}

/// Wall clock minus `CLOCK_MONOTONIC`, in nanoseconds.
///
/// # Errors
///
/// As [`monotonic_ns`].
pub fn wall_offset_ns() -> nix::Result<u64> {
    let mut narrowest: Option<Reading> = None;
    for _ in 0..READINGS {
        let reading = Reading::take()?;
        if narrowest.is_none_or(|narrowest| reading.within_ns < narrowest.within_ns) {
            narrowest = Some(reading);
        }
        if reading.within_ns < NARROW_NS {
            break;
        }
    }
    Ok(narrowest.map_or(0, |reading| reading.offset_ns))
}

/// How often both clocks are read at most, until nothing interrupts the two readings.
const READINGS: u32 = 3;

/// Two readings this close, in nanoseconds, need no other try.
const NARROW_NS: u64 = 100_000;

/// The wall clock, read between two readings of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy)]
struct Reading {
    offset_ns: u64,
    /// Time between the two: how wrong the offset may be.
    within_ns: u64,
}

impl Reading {
    fn take() -> nix::Result<Self> {
        let before_ns = monotonic_ns()?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let within_ns = monotonic_ns()?.saturating_sub(before_ns);
        let wall_ns = nanoseconds(wall.unwrap_or_default());
        Ok(Self {
            offset_ns: wall_ns.saturating_sub(before_ns + within_ns / 2),
            within_ns,
        })
    }
}

/// How this host's clocks relate now, where a jiffy is `jiffy_ns` long.
///
/// # Errors
///
/// As [`monotonic_ns`].
pub fn clock(jiffy_ns: u64) -> nix::Result<Clock> {
    Ok(Clock {
        jiffy_ns,
        wall_offset_ns: wall_offset_ns()?,
    })
}

/// The length of one jiffy in nanoseconds: the resolution of the coarse clock, which moves once a
/// tick (`KTIME_LOW_RES`, `include/linux/hrtimer.h` of Linux 6.1).
///
/// # Errors
///
/// As [`monotonic_ns`].
pub fn jiffy_ns() -> nix::Result<u64> {
    let resolution = Duration::from(clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?);
    Ok(nanoseconds(resolution))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
