//! The histogram at the end of the line mode.

use std::io::{self, Write};

use model::Histogram;
use model::durations::round;

/// Rows that fit a screen.
const MAX_ROWS: usize = 20;

/// The finest rows are for many calls of nearly one length: with fewer calls than this to a row, they
/// would be a list of calls.
const MIN_CALLS_PER_FINEST_ROW: u64 = 3;

const BAR_COLUMNS: u64 = 40;

/// How a power of ten is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// 1.0, 1.1, 1.2 to 9.9.
    TwoDigits,
    /// 1, 2, 3 to 9.
    OneDigit,
    /// 1, 2, 5.
    OneTwoFive,
    /// Not at all.
    Decade,
}

/// Durations from `low_ns` to just under `high_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The shortest that belongs here.
    pub low_ns: u64,
    /// The shortest that does not any more.
    pub high_ns: u64,
    /// How many there were.
    pub count: u64,
}

impl Scale {
    /// The bounds of the row that `duration_ns` belongs to.
    pub fn bounds_ns(self, duration_ns: u64) -> (u64, u64) {
        if duration_ns == 0 {
            return (0, 1);
        }
        let decade = 10_u64.pow(duration_ns.ilog10());
        let between = |low: u64, high: u64, unit: u64| (low * unit, high.saturating_mul(unit));
        let digit = duration_ns / decade;
        match self {
            Self::TwoDigits if decade >= 10 => {
                let unit = decade / 10;
                let digits = duration_ns / unit;
                between(digits, digits + 1, unit)
            }
            Self::TwoDigits | Self::OneDigit => between(digit, digit + 1, decade),
            Self::OneTwoFive => match digit {
                1 => between(1, 2, decade),
                2..=4 => between(2, 5, decade),
                _ => between(5, 10, decade),
            },
            Self::Decade => between(1, 10, decade),
        }
    }

    /// What was counted, cut into rows; without the empty ones.
    pub fn rows(self, histogram: &Histogram) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for (duration_ns, count) in histogram.counts() {
            let (low_ns, high_ns) = self.bounds_ns(duration_ns);
            match rows.last_mut() {
                Some(row) if row.low_ns == low_ns => row.count += count,
                _ => rows.push(Row {
                    low_ns,
                    high_ns,
                    count,
                }),
            }
        }
        rows
    }
}

/// The finest rows that fit.
fn rows(histogram: &Histogram) -> Vec<Row> {
    let finest = Scale::TwoDigits.rows(histogram);
    let calls: u64 = finest.iter().map(|row| row.count).sum();
    if finest.len() <= MAX_ROWS && finest.len() as u64 * MIN_CALLS_PER_FINEST_ROW <= calls {
        return finest;
    }
    [Scale::OneDigit, Scale::OneTwoFive]
        .into_iter()
        .map(|scale| scale.rows(histogram))
        .find(|rows| rows.len() <= MAX_ROWS)
        .unwrap_or_else(|| Scale::Decade.rows(histogram))
}

/// Draws the histogram; nothing where nothing was counted.
pub fn draw(out: &mut impl Write, histogram: &Histogram) -> io::Result<()> {
    let rows = rows(histogram);
    let calls: u64 = rows.iter().map(|row| row.count).sum();
    let most = rows.iter().map(|row| row.count).max().unwrap_or(0);
    let mut end_ns = None;
    for row in rows {
        if end_ns.is_some_and(|end_ns| end_ns != row.low_ns) {
            writeln!(out, "{:>10}", "...")?;
        }
        end_ns = Some(row.high_ns);
        let columns = (row.count * BAR_COLUMNS).div_ceil(most);
        let bar = "#".repeat(usize::try_from(columns).unwrap_or(0));
        let per_mille = (row.count * 1000 + calls / 2) / calls;
        writeln!(
            out,
            "{:>10} to {:<10} |{bar:<40}| {:>8}  {:>3}.{} %",
            round(row.low_ns),
            round(row.high_ns),
            row.count,
            per_mille / 10,
            per_mille % 10,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(durations_ns: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::fine();
        for duration_ns in durations_ns {
            histogram.record(duration_ns);
        }
        histogram
    }

    /// The lower bounds of the rows.
    fn lows(durations_ns: impl IntoIterator<Item = u64>) -> Vec<u64> {
        rows(&histogram(durations_ns))
            .iter()
            .map(|row| row.low_ns)
            .collect()
    }

    #[test]
    fn every_scale_divides_a_decade_without_a_gap() {
        for scale in [
            Scale::TwoDigits,
            Scale::OneDigit,
            Scale::OneTwoFive,
            Scale::Decade,
        ] {
            let mut end_ns = 1;
            while end_ns < 1_000_000 {
                let (low_ns, high_ns) = scale.bounds_ns(end_ns);
                assert_eq!(low_ns, end_ns, "{scale:?}");
                assert_eq!(scale.bounds_ns(high_ns - 1), (low_ns, high_ns), "{scale:?}");
                end_ns = high_ns;
            }
        }
    }

    #[test]
    fn the_shortest_and_the_longest_number_have_a_row() {
        assert_eq!(Scale::Decade.bounds_ns(0), (0, 1));
        assert_eq!(
            Scale::TwoDigits.bounds_ns(u64::MAX).0,
            18_000_000_000_000_000_000
        );
        assert_eq!(Scale::Decade.bounds_ns(u64::MAX).1, u64::MAX);
    }

    #[test]
    fn many_calls_of_nearly_one_length_are_told_apart_by_two_digits() {
        let spread = [3_840_000, 3_910_000, 4_050_000];
        assert_eq!(lows(spread.repeat(3)), [3_800_000, 3_900_000, 4_000_000]);
        assert_eq!(
            lows(spread),
            [3_000_000, 4_000_000],
            "few calls would be a list of them"
        );
    }

    #[test]
    fn the_more_decades_there_are_the_coarser_are_the_rows() {
        let digits = |powers: u32| {
            (0..powers).flat_map(|power| (1..10).map(move |digit| digit * 10_u64.pow(power)))
        };
        assert_eq!(lows(digits(2)).len(), 18);
        assert_eq!(lows(digits(3)).len(), 9);
        assert_eq!(lows(digits(7)).len(), 7);
    }

    #[test]
    fn every_call_is_in_a_row() {
        let counted: u64 = rows(&histogram((0..5_000).map(|call| call * call)))
            .iter()
            .map(|row| row.count)
            .sum();
        assert_eq!(counted, 5_000);
    }

    #[test]
    fn of_nothing_nothing_is_drawn() {
        let mut out = Vec::new();
        draw(&mut out, &histogram([])).expect("memory takes all");
        assert!(out.is_empty());
    }
}
