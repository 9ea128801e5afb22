//! What a verdict rests on, in words and numbers: each a clause without a full stop, about one namespace.

use super::{super::EstimatorPhase, comparison::Comparison, shown};
use model::durations::readable;

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
        (less && !shorter && of.is_apart()).then(|| rarity(of)),
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
    if of.tests().shift_confidence_percent.is_none() {
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
pub fn moved(of: &Comparison<'_>) -> String {
    let figures = of.figures();
    let length = |estimators: Option<u32>| estimators.unwrap_or_default();
    format!(
        "the list went from {} to {} estimators between the phases ({}), more than the {} that are too little to \
         matter: their runs cannot be compared",
        length(figures.before.estimators()),
        length(figures.after.estimators()),
        shown::percent(of.tests().estimators_change_percent.unwrap_or_default()),
        effect(of)
    )
}

/// That estimators stopped, in sentences; `place` is that of the first of `stopped`.
pub fn disabled(after: &EstimatorPhase, place: &str, stopped: usize) -> String {
    let found = if after.dead {
        "its timer is not pending".to_owned()
    } else {
        format!("no run was seen in {}", readable(after.length_ns))
    };
    let which = match stopped {
        1 => format!("The estimator of {place} no longer runs at all ({found})"),
        _ => format!(
            "The estimators of {stopped} network namespaces no longer run at all, among them that of {place} ({found})"
        ),
    };
    format!("{which}. What does not run takes no time, and counts nothing: that is no improvement.")
}

/// That a side is a single run, for the beginning of a sentence; nothing where each has more.
pub fn one_run(of: &Comparison<'_>) -> &'static str {
    match (of.figures().before.runs, of.figures().after.runs) {
        (1, 1) => "by one run alone before the change and one under it, ",
        (1, _) => "by one run alone before the change, ",
        (_, 1) => "by one run alone under the change, ",
        _ => "",
    }
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
        "runs are {} {direction} ({}, {}; {})",
        shown::percent(shift).trim_start_matches(['+', '-']),
        interval(of),
        chance(tests.p_value),
        counts(of)
    )
}

fn interval(of: &Comparison<'_>) -> String {
    let tests = of.tests();
    let told = tests
        .shift_interval_percent
        .zip(tests.shift_confidence_percent);
    told.map_or_else(String::new, |(interval, confidence)| {
        shown::interval(interval, confidence)
    })
}

fn stall(of: &Comparison<'_>) -> String {
    let (figures, tests) = (of.figures(), of.tests());
    let stalls = figures
        .before
        .stall_ns_per_s()
        .zip(figures.after.stall_ns_per_s());
    let Some(((before, after), ratio)) = stalls.zip(tests.stall_ratio) else {
        return "how much of the time runs take is not known".to_owned();
    };
    let chance = tests.stall_p.map(|p| format!(", {}", chance(Some(p))));
    format!(
        "runs take {} of every second instead of {} ({}{})",
        readable(after),
        readable(before),
        shown::times(ratio),
        chance.unwrap_or_default()
    )
}

fn peak(of: &Comparison<'_>) -> String {
    format!(
        "the longest run took {}, and {} took longer than the longest before, {}",
        longest_after(of),
        of.tests().longest_above.unwrap_or_default(),
        readable(of.figures().before.max_ns.unwrap_or_default())
    )
}

fn longest_after(of: &Comparison<'_>) -> String {
    readable(of.figures().after.max_ns.unwrap_or_default())
}

fn rarity(of: &Comparison<'_>) -> String {
    let figures = of.figures();
    let periods = figures.before.period_ns().zip(figures.after.period_ns());
    periods.map_or_else(String::new, |(before, after)| {
        format!(
            "runs are rarer, not shorter: every {} instead of every {} ({})",
            readable(after),
            readable(before),
            counts(of)
        )
    })
}

fn counts(of: &Comparison<'_>) -> String {
    let figures = of.figures();
    format!(
        "{} before, {} after",
        runs_of(figures.before.runs),
        figures.after.runs
    )
}

fn runs_of(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} run{plural}")
}

fn effect(of: &Comparison<'_>) -> String {
    shown::effect(100.0 * of.effect())
}

fn chance(p: Option<f64>) -> String {
    p.map_or_else(
        || "p unknown".to_owned(),
        |p| format!("p {}", shown::chance(p)),
    )
}

fn joined<const N: usize>(clauses: [Option<String>; N]) -> Option<String> {
    let said: Vec<String> = clauses.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join("; "))
}
