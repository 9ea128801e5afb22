//! Durations as the kernel's `function_graph` tracer writes them: `! 345.402 us`.

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub bool);

/// Columns that a duration with its mark takes, up to a thousand seconds.
pub const DURATION_COLUMNS: usize = 16;

/// Marks, each for what is longer than so many nanoseconds, and their colours (ANSI).
///
/// <https://github.com/torvalds/linux/blob/v6.1/kernel/trace/trace_output.c> `mark[]`
const MARKS: [(u64, char, &str); 6] = [
    (1_000_000_000, '$', "1;35"),
    (100_000_000, '@', "1;35"),
    (10_000_000, '*', "1;31"),
    (1_000_000, '#', "31"),
    (100_000, '!', "33"),
    (10_000, '+', "36"),
];

/// The mark of a duration; a blank where it has none.
#[must_use]
pub fn sign(duration_ns: u64) -> char {
    let mark = MARKS.iter().find(|(over_ns, ..)| duration_ns > *over_ns);
    mark.map_or(' ', |(_, sign, _)| *sign)
}

/// A duration in microseconds behind its mark, padded to [`DURATION_COLUMNS`].
#[must_use]
pub fn marked(duration_ns: u64, colour: Colour) -> String {
    let mark = MARKS.iter().find(|(over_ns, ..)| duration_ns > *over_ns);
    let sign = sign(duration_ns);
    let (us, ns) = (duration_ns / 1000, duration_ns % 1000);
    let text = format!("{:<DURATION_COLUMNS$}", format!("{sign} {us}.{ns:03} us"));
    match mark {
        Some((.., code)) if colour.0 => format!("\x1b[{code}m{text}\x1b[0m"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_begins_just_above_its_threshold() {
        for (duration_ns, expected) in [
            (0, "  0.000 us"),
            (912, "  0.912 us"),
            (10_000, "  10.000 us"),
            (10_001, "+ 10.001 us"),
            (100_000, "+ 100.000 us"),
            (100_001, "! 100.001 us"),
            (345_402, "! 345.402 us"),
            (1_000_000, "! 1000.000 us"),
            (1_000_001, "# 1000.001 us"),
            (10_000_000, "# 10000.000 us"),
            (10_000_001, "* 10000.001 us"),
            (100_000_000, "* 100000.000 us"),
            (100_000_001, "@ 100000.001 us"),
            (1_000_000_000, "@ 1000000.000 us"),
            (1_000_000_001, "$ 1000000.001 us"),
        ] {
            let text = marked(duration_ns, Colour(false));
            assert_eq!(text, format!("{expected:<16}"), "{duration_ns} ns");
        }
    }

    #[test]
    fn colour_surrounds_the_mark_and_never_replaces_it() {
        assert_eq!(
            marked(345_402, Colour(true)),
            "\x1b[33m! 345.402 us    \x1b[0m"
        );
        assert_eq!(marked(912, Colour(true)), "  0.912 us      ");
    }
}
