//! The clocks of the records, held to each other: `CLOCK_MONOTONIC`, jiffies and the wall clock.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

/// How the clocks of the observed host relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Length of one jiffy in nanoseconds.
    pub jiffy_ns: u64,
    /// Wall clock minus `CLOCK_MONOTONIC`, in nanoseconds.
    pub wall_offset_ns: u64,
}

impl Clock {
    /// The wall-clock time of `monotonic_ns`.
    #[must_use]
    pub fn wall(&self, monotonic_ns: u64) -> WallTime {
        WallTime(monotonic_ns.saturating_add(self.wall_offset_ns))
    }

    /// The length of `jiffies` in nanoseconds.
    #[must_use]
    pub fn jiffies_ns(&self, jiffies: u64) -> u64 {
        jiffies.saturating_mul(self.jiffy_ns)
    }

    /// Returns how far the wall clock stepped since `before`, or `None` if it did not.
    #[must_use]
    pub fn step_since(&self, before: &Self) -> Option<Step> {
        let step = Step {
            by_ns: self.wall_offset_ns.abs_diff(before.wall_offset_ns),
            ahead: self.wall_offset_ns > before.wall_offset_ns,
        };
        (step.by_ns >= STEP_MIN_NS).then_some(step)
    }
}

/// The smallest step of the wall clock against `CLOCK_MONOTONIC` that is reported, in nanoseconds. Slewing moves both clocks
/// alike (`kernel/time/timekeeping.c` of Linux 6.1); on a busy node, the two readings may be nearly this far apart.
const STEP_MIN_NS: u64 = 100_000_000;

/// A step of the wall clock against `CLOCK_MONOTONIC`, which does not count while the host is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    by_ns: u64,
    ahead: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = Duration::from_millis(self.by_ns / 1_000_000);
        // Of a step of an hour no one asks for the milliseconds.
        let by = match by.as_secs() {
            3_600.. => Duration::from_secs(by.as_secs()),
            _ => by,
        };
        let by = humantime::format_duration(by);
        if self.ahead {
            write!(
                f,
                "the wall clock jumped ahead by {by}: it was set, or the node was suspended"
            )
        } else {
            write!(f, "the wall clock jumped back by {by}: it was set")
        }
    }
}

/// A time of the wall clock, in nanoseconds since 1970 UTC. Displayed as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Hours, minutes, seconds and milliseconds, in UTC: `15:04:05.123`.
    #[must_use]
    pub fn time_of_day(self) -> String {
        let (_date, time) = self.rfc3339();
        time
    }

    fn rfc3339(self) -> (String, String) {
        let text =
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(self.0)).to_string();
        let (date, time) = text.split_once('T').unwrap_or(("", &text));
        (date.to_owned(), time.trim_end_matches('Z').to_owned())
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = self.rfc3339();
        write!(f, "{date}T{time}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock {
        jiffy_ns: 4_000_000,
        wall_offset_ns: 1_700_000_000_000_000_000,
    };

    #[test]
    fn monotonic_time_becomes_wall_clock_time_with_milliseconds() {
        let wall = CLOCK.wall(5_123_999_999);
        assert_eq!(wall.to_string(), "2023-11-14T22:13:25.123Z");
        assert_eq!(wall.time_of_day(), "22:13:25.123");
    }

    #[test]
    fn a_step_is_told_from_the_time_between_two_readings() {
        let at = |wall_offset_ns| Clock {
            wall_offset_ns,
            ..CLOCK
        };
        let now = CLOCK.wall_offset_ns;
        let said = |to| at(to).step_since(&CLOCK).map(|step| step.to_string());
        assert_eq!(said(now), None);
        assert_eq!(said(now + 99_999_999), None);
        assert_eq!(said(now - 99_999_999), None);
        assert_eq!(
            said(now + 3_600_250_000_000).as_deref(),
            Some("the wall clock jumped ahead by 1h: it was set, or the node was suspended")
        );
        assert_eq!(
            said(now - 100_000_000).as_deref(),
            Some("the wall clock jumped back by 100ms: it was set")
        );
    }

    #[test]
    fn jiffies_are_as_long_as_the_host_says() {
        assert_eq!(CLOCK.jiffies_ns(504), 2_016_000_000);
    }
}
