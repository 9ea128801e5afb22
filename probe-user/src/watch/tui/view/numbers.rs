//! Numbers for reading, beyond what the line mode has.

pub use crate::watch::grouped::grouped;
use model::durations::readable;

const SECOND_NS: u64 = 1_000_000_000;

/// What is not known is a dash.
pub fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

/// A duration, or a dash.
pub fn duration(duration_ns: Option<u64>) -> String {
    or_dash(duration_ns.map(readable))
}

/// A time that goes on, in whole seconds: `20 s`, `2m 31s`, `1h 02m`, `3d 04h`.
pub fn elapsed(duration_ns: u64) -> String {
    let seconds = duration_ns / SECOND_NS;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if minutes == 0 {
        format!("{seconds} s")
    } else if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else {
        format!("{days}d {:02}h", hours % 24)
    }
}

/// Time from `now_ns` until `due_ns`, in tenths of a second: `1.3 s`. Past it, `due`, and from a second
/// on by how much it is late.
pub fn countdown(due_ns: u64, now_ns: u64) -> String {
    let tenths = |duration_ns: u64| {
        let tenths = duration_ns / 100_000_000;
        format!("{}.{} s", tenths / 10, tenths % 10)
    };
    match (due_ns.checked_sub(now_ns), now_ns.saturating_sub(due_ns)) {
        (Some(ahead_ns), _) if ahead_ns >= 1_000 * SECOND_NS => elapsed(ahead_ns),
        (Some(ahead_ns), _) => tenths(ahead_ns),
        (None, late_ns) if late_ns >= SECOND_NS => format!("-{}", tenths(late_ns)),
        (None, _) => "due".into(),
    }
}

/// Nanoseconds out of every second as a share in percent: `1.54 %`.
pub fn share(ns_per_s: u64) -> String {
    let hundredths = (ns_per_s + 50_000) / 100_000;
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// Picoseconds in the unit that suits them: `11.5 ns`.
pub fn picoseconds(duration_ps: u64) -> String {
    if duration_ps >= 100_000 {
        return readable((duration_ps + 500) / 1_000);
    }
    let hundredths = (duration_ps + 5) / 10;
    if hundredths >= 1_000 {
        let tenths = (hundredths + 5) / 10;
        format!("{}.{} ns", tenths / 10, tenths % 10)
    } else {
        format!("{}.{:02} ns", hundredths / 100, hundredths % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_reading() {
        for (text, wanted) in [
            (grouped(0), "0"),
            (grouped(999), "999"),
            (grouped(30_001), "30,001"),
            (grouped(1_234_567), "1,234,567"),
            (elapsed(20_900_000_000), "20 s"),
            (elapsed(151_000_000_000), "2m 31s"),
            (elapsed(3_725_000_000_000), "1h 02m"),
            (elapsed(273_600_000_000_000), "3d 04h"),
            (countdown(2_300_000_000, 1_000_000_000), "1.3 s"),
            (countdown(1_000_000_000, 1_000_000_001), "due"),
            (countdown(1_000_000_000, 3_500_000_000), "-2.5 s"),
            (countdown(1_200_000_000_000, 0), "20m 00s"),
            (share(15_400_000), "1.54 %"),
            (share(0), "0.00 %"),
            (share(1_000_000_000), "100.00 %"),
            (picoseconds(129_100), "129 ns"),
            (picoseconds(11_500), "11.5 ns"),
            (picoseconds(1_234), "1.23 ns"),
            (picoseconds(2_500_000), "2.50 us"),
        ] {
            assert_eq!(text, wanted);
        }
    }
}
