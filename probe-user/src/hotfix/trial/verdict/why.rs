//! What a verdict rests on, in words and numbers: each a clause without a full stop, about one namespace.

use super::{
    super::Phase,
    comparison::{Comparison, Sides},
};
use crate::watch::durations::readable;

/// What of a namespace costs more for sure.
pub fn regression(of: &Comparison<'_>, level: f64) -> Option<String> {
    let ways = [
        of.is_longer(level).then(|| durations(of)),
        of.stalls_more(level).then(|| stall(of)),
        of.peaks_higher(level).then(|| peak(of)),
    ];
    joined(ways)
}

/// What of a namespace costs less for sure.
pub fn improvement(of: &Comparison<'_>, level: f64, runs: usize) -> Option<String> {
    let shorter = of.is_shorter(level);
    let sparing = of.stalls_less(level);
    // Of a run or two it cannot be proven that they are as long as before; but one that is longer speaks against it.
    let rarer = of.is_rarer(runs) && !of.is_higher();
    let less = sparing || rarer;
    joined([
        shorter.then(|| durations(of)),
        (less && !shorter && is_apart(of)).then(|| rarity(of)),
        less.then(|| stall(of)),
    ])
}

/// That nothing of it costs more or less.
pub fn unchanged(of: &Comparison<'_>) -> String {
    format!(
        "runs take as long as before, within the {} that are too little to matter ({}; {})",
        effect(of),
        interval(of),
        counts(of)
    )
}

/// Why nothing can be told; `less` is in what way it seems to cost less, if it does at a level that is not enough.
pub fn inconclusive(of: &Comparison<'_>, runs: usize, less: Option<String>) -> String {
    let seen = of.after().runs.len();
    if seen == 0 {
        return format!(
            "no run was seen in {} under the change, so that what one takes now is not known; --max-wait allows for a \
             longer phase",
            readable(of.after().length_ns)
        );
    }
    if of.is_rarer(runs) && of.is_higher() {
        return format!(
            "{}, but of {} the longest took {}, longer than any before: too few to tell by; --max-wait allows for more",
            rarity(of),
            runs_of(seen),
            longest_after(of)
        );
    }
    if let Some(less) = less {
        return format!(
            "{less}, which is not sure enough for the change to stay in force by; more --runs tell more"
        );
    }
    if of.confidence().is_none() {
        return format!(
            "there were too few runs to tell anything by ({})",
            counts(of)
        );
    }
    format!(
        "neither a change of runs by more than {} nor its absence is proven ({}; {}); {}; more --runs tell more",
        effect(of),
        interval(of),
        counts(of),
        stall(of)
    )
}

/// That the lists are too far apart for runs to be compared.
pub fn moved(of: &Comparison<'_>, lengths: Sides<f64>) -> String {
    format!(
        "the list went from {:.0} to {:.0} estimators between the phases ({:+.1} %), more than the {} that are too \
         little to matter: their runs cannot be compared",
        lengths.before,
        lengths.after,
        100.0 * (lengths.after / lengths.before - 1.0),
        effect(of)
    )
}

/// That an estimator stopped, in sentences.
pub fn disabled(after: &Phase, place: &str, more: usize) -> String {
    let found = if after.dead {
        "its timer is not pending".to_owned()
    } else {
        format!("no run was seen in {}", readable(after.length_ns))
    };
    let others = match more {
        0 => String::new(),
        1 => ", nor does that of 1 more namespace".to_owned(),
        more => format!(", nor do those of {more} more namespaces"),
    };
    format!(
        "The estimator of {place} no longer runs at all ({found}){others}. What does not run takes no time, and counts \
         nothing: that is no improvement."
    )
}

/// That there is nothing to compare with, in a sentence.
pub fn nothing_before() -> String {
    "No estimator was seen to run before the change, so that there is nothing to compare with."
        .to_owned()
}

fn durations(of: &Comparison<'_>) -> String {
    let tests = of.tests();
    let shift = tests.shift_percent.unwrap_or_default();
    let direction = if shift < 0.0 { "shorter" } else { "longer" };
    format!(
        "runs are {} % {direction} ({}, {}; {})",
        percent(shift).trim_start_matches(['+', '-']),
        interval(of),
        chance(tests.p_value),
        counts(of)
    )
}

fn interval(of: &Comparison<'_>) -> String {
    let told = of.tests().shift_interval_percent.zip(of.confidence());
    told.map_or_else(String::new, |([low, high], confidence)| {
        let sure = 100.0 * confidence;
        let (low, high) = (percent(low), percent(high));
        format!("{low} % to {high} % with {sure:.1} % confidence")
    })
}

/// Returns a change in percent with its sign, for every place that shows it. A run takes time: one that became shorter by
/// nearly all is not rounded to 100 %.
pub fn percent(change: f64) -> String {
    if change < -99.9 {
        return format!("{:.2}", change.max(-99.99));
    }
    format!("{change:+.1}")
}

fn stall(of: &Comparison<'_>) -> String {
    let tests = of.tests();
    let (Some(stalls), Some(ratio)) = (of.stalls(), tests.stall_ratio) else {
        return "how much of the time runs take is not known".to_owned();
    };
    let chance = tests.stall_p.map(|p| format!(", {}", chance(Some(p))));
    let decimals = if ratio < 0.1 { 4 } else { 2 };
    format!(
        "runs take {} of every second instead of {} ({ratio:.decimals$} times{})",
        shown(stalls.after * 1e9),
        shown(stalls.before * 1e9),
        chance.unwrap_or_default()
    )
}

fn peak(of: &Comparison<'_>) -> String {
    let before = of.longest().map_or(0, |longest| longest.before_ns);
    let above = of.longest().map_or(0, |longest| longest.above);
    format!(
        "the longest run took {}, and {above} took longer than the longest before, {}",
        longest_after(of),
        readable(before)
    )
}

fn longest_after(of: &Comparison<'_>) -> String {
    readable(of.longest().map_or(0, |longest| longest.after_ns))
}

fn rarity(of: &Comparison<'_>) -> String {
    let periods = of.periods_ns();
    periods.map_or_else(String::new, |periods| {
        format!(
            "runs are rarer, not shorter: every {} instead of every {} ({})",
            shown(periods.after),
            shown(periods.before),
            counts(of)
        )
    })
}

fn is_apart(of: &Comparison<'_>) -> bool {
    let apart = |periods: Sides<f64>| periods.after > (1.0 + of.effect()) * periods.before;
    of.periods_ns().is_some_and(apart)
}

fn counts(of: &Comparison<'_>) -> String {
    format!(
        "{} before, {} after",
        runs_of(of.before().runs.len()),
        of.after().runs.len()
    )
}

fn runs_of(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} run{plural}")
}

fn effect(of: &Comparison<'_>) -> String {
    // 7 % as a share and back are 7.000000000000001 %.
    format!("{} %", (1e5 * of.effect()).round() / 1e3)
}

fn chance(p: Option<f64>) -> String {
    match p {
        None => "p unknown".to_owned(),
        Some(p) if p < 0.0001 => "p < 0.0001".to_owned(),
        Some(p) => format!("p {p:.4}"),
    }
}

fn shown(duration_ns: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no less than nothing, and no more than a phase"
    )]
    let whole_ns = duration_ns.round() as u64;
    readable(whole_ns)
}

fn joined<const N: usize>(clauses: [Option<String>; N]) -> Option<String> {
    let said: Vec<String> = clauses.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join("; "))
}
