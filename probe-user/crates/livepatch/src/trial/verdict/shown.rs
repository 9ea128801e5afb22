//! How numbers are shown, in the sentence and in the table alike.

/// Returns a change in percent with its sign, for every place that shows it. A run takes time: one that became shorter by
/// nearly all is not rounded to 100 %.
#[must_use]
pub fn percent(change: f64) -> String {
    if change < -99.9 {
        return format!("{:.2} %", change.max(-99.99));
    }
    format!("{change:+.1} %")
}

/// Returns a ratio, after / before.
#[must_use]
pub fn times(ratio: f64) -> String {
    let decimals = if ratio < 0.1 { 4 } else { 2 };
    format!("{ratio:.decimals$} times")
}

/// Returns a p.
#[must_use]
pub fn chance(p: f64) -> String {
    if p < 0.0001 {
        return "< 0.0001".to_owned();
    }
    format!("{p:.4}")
}

/// Returns where a shift lies, and how sure that is.
#[must_use]
pub fn interval([low, high]: [f64; 2], confidence_percent: f64) -> String {
    let (low, high) = (percent(low), percent(high));
    format!("{low} to {high} with {confidence_percent:.1} % confidence")
}

/// Returns what is too little to matter, in percent.
#[must_use]
pub fn effect(min_effect_percent: f64) -> String {
    // 7 % as a share and back are 7.000000000000001 %.
    format!("{} %", (1e3 * min_effect_percent).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_where_that_says_nothing_untrue() {
        for (change, told) in [
            (-100.0, "-99.99 %"),
            (-99.95, "-99.95 %"),
            (-99.9, "-99.9 %"),
            (0.0, "+0.0 %"),
            (12.34, "+12.3 %"),
        ] {
            assert_eq!(percent(change), told);
        }
        for (ratio, told) in [(0.012_34, "0.0123 times"), (0.1, "0.10 times")] {
            assert_eq!(times(ratio), told);
        }
        for (p, told) in [(0.000_099, "< 0.0001"), (0.0001, "0.0001"), (0.5, "0.5000")] {
            assert_eq!(chance(p), told);
        }
        assert_eq!(effect(100.0 * 0.07), "7 %");
    }
}
