//! Durations for reading: three significant digits, in the unit that suits them.

const UNITS: [(u64, &str); 3] = [(1_000, "us"), (1_000_000, "ms"), (1_000_000_000, "s")];

/// A duration with three significant digits: `912 ns`, `3.87 ms`, `20.0 s`.
#[must_use]
pub fn readable(duration_ns: u64) -> String {
    let (number, unit) = rounded(duration_ns);
    format!("{number} {unit}")
}

/// As [`readable`], without zeros at the end of a fraction: for round numbers.
#[must_use]
pub fn round(duration_ns: u64) -> String {
    let (number, unit) = rounded(duration_ns);
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        &number
    };
    format!("{number} {unit}")
}

fn rounded(duration_ns: u64) -> (String, &'static str) {
    if duration_ns < 1000 {
        return (duration_ns.to_string(), "ns");
    }
    for (unit_ns, unit) in UNITS {
        for (parts, decimals) in [(100, 2), (10, 1), (1, 0)] {
            let part_ns = unit_ns / parts;
            let count = duration_ns.saturating_add(part_ns / 2) / part_ns;
            if count < 1000 {
                let (whole, fraction) = (count / parts, count % parts);
                let fraction = match decimals {
                    0 => String::new(),
                    _ => format!(".{fraction:0decimals$}"),
                };
                return (format!("{whole}{fraction}"), unit);
            }
        }
    }
    (
        duration_ns
            .saturating_add(500_000_000)
            .div_euclid(1_000_000_000)
            .to_string(),
        "s",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        for (duration_ns, expected) in [
            (0, "0 ns"),
            (912, "912 ns"),
            (999, "999 ns"),
            (1_000, "1.00 us"),
            (9_994, "9.99 us"),
            (9_995, "10.0 us"),
            (345_402, "345 us"),
            (999_499, "999 us"),
            (999_500, "1.00 ms"),
            (3_870_000, "3.87 ms"),
            (20_000_000_000, "20.0 s"),
            (316_000_000_000, "316 s"),
            (3_600_400_000_000, "3600 s"),
        ] {
            assert_eq!(readable(duration_ns), expected, "{duration_ns} ns");
        }
    }

    #[test]
    fn round_numbers_have_no_zeros_behind_the_point() {
        for (duration_ns, expected) in [
            (3_800_000, "3.8 ms"),
            (4_000_000, "4 ms"),
            (100_000, "100 us"),
            (10, "10 ns"),
        ] {
            assert_eq!(round(duration_ns), expected);
        }
    }
}
