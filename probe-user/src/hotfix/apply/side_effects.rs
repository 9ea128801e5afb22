//! What else a change did to the node: whole sentences.

use std::collections::BTreeMap;

use livepatch::preflight::period;
use livepatch::trial::{
    EstimatorPhase, counters::Statistics, figures::Figures, measurement::MeasurementPhase,
    trial_outcome::NodeAfter, trial_record::TrialRecord,
};
use model::{SLOW_PERIOD_NS, durations::readable};

/// After a gap the kernel still divides by its two seconds, and each run takes in a quarter of what it finds
/// (`ip_vs_est.c` of Linux 6.1): a rate is near the truth once it is within a tenth of it.
const KEPT_PER_RUN: f64 = 0.75;
const NEAR: f64 = 0.1;
const USUAL_PERIOD_NS: f64 = 2e9;

/// All that apply; so many `runs` are compared.
pub fn sentences(record: &TrialRecord, runs: usize) -> Vec<String> {
    let (host, netns) = (record.outcome.host, record.outcome.judged.netns);
    let mut effects = Vec::new();
    if host == NodeAfter::Unchanged {
        return effects;
    }
    if record.livepatch.is_some() {
        effects.push(
            "The kernel is tainted until the node boots again, whether the livepatch is there or not.".into(),
        );
    }
    if !record.replaced.is_empty() {
        effects.push(format!(
            "It took the place of other livepatches, whose fixes ended with that: {}.",
            record.replaced.join(", ")
        ));
    }
    let Some(after) = &record.after else {
        return effects;
    };
    let compared = after.compared(runs);
    effects.extend(frozen(after, &compared, netns));
    effects.extend(wrong_rates(&compared, host, netns));
    effects
}

fn frozen(
    after: &MeasurementPhase,
    compared: &BTreeMap<u32, EstimatorPhase>,
    netns: Option<u32>,
) -> Option<String> {
    let is_frozen = |netns: u32| after.statistics.get(&netns) == Some(&Statistics::Frozen);
    let seen = after
        .statistics
        .keys()
        .filter(|netns| is_frozen(**netns))
        .count();
    let stand_still = "stand still: those of `ipvsadm --stats` and `--rate`, of /proc/net/ip_vs_stats, and of what reads \
                       them (node_exporter, keepalived); /proc/net/ip_vs_stats_percpu goes on";
    if seen > 0 {
        return Some(format!(
            "Counters and rates {stand_still}. Seen under traffic in {seen} network namespaces."
        ));
    }
    let netns = netns?;
    let phase = compared.get(&netns)?;
    ((phase.skips || phase.dead) && !after.statistics.contains_key(&netns)).then(|| {
        format!("Counters and rates {stand_still}. Told by its state, for there was no traffic to see it by.")
    })
}

/// How wrong the rates are after the gap between two runs: that of the namespace that the verdict rests on, as the table
/// shows it, or else the longest.
fn wrong_rates(
    compared: &BTreeMap<u32, EstimatorPhase>,
    host: NodeAfter,
    netns: Option<u32>,
) -> Option<String> {
    let period_ns = |phase: &EstimatorPhase| {
        Figures::of(phase)
            .period_ns()
            .filter(|ns| *ns > SLOW_PERIOD_NS)
    };
    let judged = netns.and_then(|netns| period_ns(compared.get(&netns)?));
    let period_ns = judged.or_else(|| compared.values().filter_map(period_ns).max())?;
    let wrong = Wrong::after(period_ns);
    if host == NodeAfter::Patched {
        return Some(format!(
            "Rates are shown {:.1} times too high as long as it is in place: the estimators run {} apart, and the \
             kernel divides by 2 s whatever has passed.",
            wrong.times,
            readable(period_ns)
        ));
    }
    Some(format!(
        "Rates are wrong for about {} after the first run that comes back: it counts {} of traffic as 2 s.",
        period::shown(seconds_ns(wrong.runs * 2.0)),
        readable(period_ns)
    ))
}

/// What a gap between two runs makes of rates.
struct Wrong {
    /// How many times the kernel's two seconds it is.
    times: f64,
    /// Runs until they are near the truth again.
    runs: f64,
}

impl Wrong {
    fn after(gap_ns: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a gap is told by two digits")]
        let times = gap_ns as f64 / USUAL_PERIOD_NS;
        // The first rate is too high by so many times the truth.
        let excess = (1.0 - KEPT_PER_RUN) * (times - 1.0);
        let runs = ((NEAR / excess).ln() / KEPT_PER_RUN.ln()).ceil().max(1.0);
        Self { times, runs }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few seconds, rounded"
)]
fn seconds_ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out run by run: a quarter of each new rate, three quarters of the old one.
    #[test]
    fn rates_are_near_the_truth_after_as_many_runs_as_the_kernels_average_takes() {
        for gap_s in [5_u32, 20, 300] {
            let mut rate = 0.75 + 0.25 * f64::from(gap_s) / 2.0;
            let mut runs = 0.0;
            while rate > 1.1 {
                rate = 0.75 * rate + 0.25;
                runs += 1.0;
            }
            let told = Wrong::after(u64::from(gap_s) * 1_000_000_000).runs;
            assert!((told - runs).abs() < 0.5, "{gap_s} s: {told}, {runs}");
        }
    }
}
