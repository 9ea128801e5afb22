//! The durations of all sides above each other, on one axis: each run is a dot.

use std::io::{self, Write};

use model::durations::round;

/// Columns of the axis.
const COLUMNS: usize = 60;

/// Dots above each other in one column, from one run to more than can be told apart.
const DOTS: [char; 10] = [' ', '.', ':', '3', '4', '5', '6', '7', '8', '9'];

/// A side's name, and its durations in nanoseconds.
pub type Row<'a> = (&'a str, &'a [u64]);

/// Draws them; nothing without any run.
pub fn draw(rows: &[Row<'_>], out: &mut impl Write) -> io::Result<()> {
    let all = rows.iter().flat_map(|(_, durations)| durations.iter());
    let (Some(least), Some(most)) = (all.clone().min(), all.max()) else {
        return Ok(());
    };
    let axis = Axis::over(*least, *most);
    for (name, durations) in rows {
        let plural = if durations.len() == 1 { "" } else { "s" };
        writeln!(
            out,
            "{name:>12} |{}| {} run{plural}",
            axis.line(durations),
            durations.len()
        )?;
    }
    let (low, high) = (round(axis.low_ns), round(axis.high_ns));
    let gap = COLUMNS.saturating_sub(low.len() + high.len());
    writeln!(out, "{:>12}  {low}{:gap$}{high}", "", "")
}

/// From one round duration to another, in equal ratios.
struct Axis {
    low_ns: u64,
    high_ns: u64,
}

impl Axis {
    fn over(least_ns: u64, most_ns: u64) -> Self {
        let low_ns = one_two_five_below(least_ns.max(1));
        let mut high_ns = one_two_five_below(most_ns.max(1));
        while high_ns <= most_ns {
            high_ns = next_one_two_five(high_ns);
        }
        Self { low_ns, high_ns }
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among sixty columns"
    )]
    fn column(&self, duration_ns: u64) -> usize {
        let place = |ns: u64| (ns.max(1) as f64).ln();
        let (low, high) = (place(self.low_ns), place(self.high_ns));
        let share = (place(duration_ns) - low) / (high - low);
        ((share * COLUMNS as f64) as usize).min(COLUMNS - 1)
    }

    fn line(&self, durations: &[u64]) -> String {
        let mut counts = [0_usize; COLUMNS];
        for duration_ns in durations {
            counts[self.column(*duration_ns)] += 1;
        }
        let dot = |count: &usize| DOTS.get(*count).copied().unwrap_or('#');
        counts.iter().map(dot).collect()
    }
}

/// The longest of 1, 2, 5, 10, 20... that is not above.
fn one_two_five_below(duration_ns: u64) -> u64 {
    let decade = 10_u64.pow(duration_ns.ilog10());
    match duration_ns / decade {
        1 => decade,
        2..=4 => 2 * decade,
        _ => 5 * decade,
    }
}

fn next_one_two_five(duration_ns: u64) -> u64 {
    let decade = 10_u64.pow(duration_ns.ilog10());
    match duration_ns / decade {
        1 => 2 * decade,
        2 => 5 * decade,
        _ => decade.saturating_mul(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: &[Row<'_>]) -> String {
        let mut out = Vec::new();
        draw(rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sides_share_an_axis_from_round_to_round() {
        let before = [3_870_000, 3_880_000, 3_900_000, 4_100_000];
        let after = [1_200, 1_250];
        let told = drawn(&[("before", &before), ("after", &after), ("rolled back", &[])]);
        insta::assert_snapshot!(told);
    }

    #[test]
    fn runs_of_one_length_are_one_column_and_none_are_nothing() {
        let told = drawn(&[("before", &[7; 12])]);
        assert!(told.contains('#') && told.contains("12 runs"), "{told}");
        assert_eq!(drawn(&[("before", &[])]), "");
        assert!(drawn(&[("before", &[0])]).contains("| 1 run\n"));
    }
}
