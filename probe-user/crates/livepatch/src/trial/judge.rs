//! Two sides, as the verdict wants them, and what a reader of it should know besides.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ComparedNamespace, EstimatorPhase,
    plan::Plan,
    verdict::{Evidence, Judgement, Runs, Verdict},
    visits,
};
use crate::transition::run_observer::Run;
use crate::trial::measurement::MeasurementPhase;
use model::State;

/// Traffic that is so many times what it was, or the other way round, is told.
const TRAFFIC_MOVED: u64 = 2;

/// Connections and packets below which traffic says nothing.
const LITTLE_TRAFFIC: u64 = 100;

/// Judges what was seen before against what was seen under the change, of the namespaces that were `changed`.
#[must_use]
pub fn judge(
    before: &MeasurementPhase,
    after: &MeasurementPhase,
    plan: &Plan,
    changed: Option<&BTreeSet<u32>>,
    root_netns: Option<u32>,
) -> Judgement {
    let (before, after) = (before.compared(plan.runs), after.compared(plan.runs));
    let namespaces = namespaces(&before, &after);
    let judged = Evidence {
        namespaces: &namespaces,
        changed,
        root_netns,
        runs: plan.runs,
        min_effect_percent: plan.min_effect_percent,
    }
    .judge();
    let is_bad = matches!(judged.verdict, Verdict::Disabled | Verdict::Regressed);
    match costliest(&before, changed).filter(|netns| !is_bad && !is_there(after.get(netns))) {
        Some(netns) => Judgement::inconclusive(
            netns,
            format!("The network namespace whose runs cost most before, {netns}, is gone."),
        ),
        None => judged,
    }
}

/// Returns the namespace whose runs cost most, of those that are changed.
fn costliest(
    before: &BTreeMap<u32, EstimatorPhase>,
    changed: Option<&BTreeSet<u32>>,
) -> Option<u32> {
    let candidates = before
        .iter()
        .filter(|(netns, _)| changed.is_none_or(|changed| changed.contains(netns)));
    let (netns, runs): (Vec<u32>, Vec<Runs>) = candidates
        .filter_map(|(netns, phase)| {
            let phase = EstimatorPhase {
                // Of a single run, the phase is the period as far as is known.
                period_ns: phase.period_ns.or(Some(phase.length_ns)),
                dead: false,
                ..phase.clone()
            };
            Some((*netns, Runs::of(&phase)?))
        })
        .unzip();
    let costs = netns.into_iter().zip(Runs::costs(&runs));
    let costliest = costs.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    Some(costliest.0)
}

/// Returns whether a run was seen of the namespaces that are changed.
#[must_use]
pub fn has_runs(runs: &BTreeMap<u32, Vec<Run>>, changed: Option<&BTreeSet<u32>>) -> bool {
    let mut seen = runs.iter().filter(|(_, runs)| !runs.is_empty());
    seen.any(|(netns, _)| changed.is_none_or(|changed| changed.contains(netns)))
}

fn is_there(phase: Option<&EstimatorPhase>) -> bool {
    phase.is_some_and(|phase| phase.state != Some(State::Absent))
}

/// Those that were there on both sides.
fn namespaces(
    before: &BTreeMap<u32, EstimatorPhase>,
    after: &BTreeMap<u32, EstimatorPhase>,
) -> Vec<ComparedNamespace> {
    let pairs = before.iter().filter_map(|(netns, before)| {
        let after = after.get(netns)?;
        (is_there(Some(before)) && is_there(Some(after))).then(|| ComparedNamespace {
            netns: *netns,
            before: before.clone(),
            after: after.clone(),
        })
    });
    pairs.collect()
}

/// What else moved, or was not seen: whole sentences.
#[must_use]
pub fn warnings(
    before: &MeasurementPhase,
    after: &MeasurementPhase,
    judged: &Judgement,
    plan: &Plan,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, side) in [("before", before), ("after", after)] {
        if side.is_cut_short {
            warnings.push(format!(
                "The side {name} was ended after --max-wait {} as it stood.",
                humantime::format_duration(plan.max_wait)
            ));
        }
        let (lost, missed) = (side.report.all.lost, side.report.all.missed);
        if lost + missed > 0 {
            warnings.push(format!(
                "On the side {name}, {lost} runs were lost and {missed} missed by the probes."
            ));
        }
    }
    if let Some(netns) = judged.netns
        && judged.verdict != Verdict::Disabled
    {
        warnings.extend(length_moved(before, after, netns));
        warnings.extend(traffic_moved(before, after, netns));
        warnings.extend(may_be_frozen(before, after, netns, plan));
    }
    warnings
}

/// By less than makes the runs incomparable.
fn length_moved(before: &MeasurementPhase, after: &MeasurementPhase, netns: u32) -> Option<String> {
    let lengths = |side: &MeasurementPhase| -> Option<(u32, u32)> {
        let known = side
            .runs
            .get(&netns)?
            .iter()
            .filter_map(|run| run.estimators);
        Some((known.clone().min()?, known.max()?))
    };
    let (least, most) = lengths(before)?;
    let (later_least, later_most) = lengths(after)?;
    let (least, most) = (least.min(later_least), most.max(later_most));
    (least != most).then(|| {
        format!("Services came or went meanwhile: est_list was {least} to {most} estimators long.")
    })
}

/// That nothing tells whether the statistics still move, where the change may have stopped them.
fn may_be_frozen(
    before: &MeasurementPhase,
    after: &MeasurementPhase,
    netns: u32,
    plan: &Plan,
) -> Option<String> {
    let phase = |side: &MeasurementPhase| side.compared(plan.runs).remove(&netns);
    let (earlier, later) = (phase(before)?, phase(after)?);
    let is_told = after.statistics.contains_key(&netns) || later.skips || later.dead;
    (!is_told && visits::is_doubtful(&earlier, &later)).then(|| {
        "Statistics may be frozen: no traffic to tell by, and runs became too short to prove that they still visit the \
         estimators."
            .to_owned()
    })
}

fn traffic_moved(
    before: &MeasurementPhase,
    after: &MeasurementPhase,
    netns: u32,
) -> Option<String> {
    let by_second = |side: &MeasurementPhase| {
        let seconds = (side.report.observed_ns / 1_000_000_000).max(1);
        let traffic = side.traffic.get(&netns).copied()?;
        Some((traffic, traffic / seconds))
    };
    let ((all_before, before), (all_after, after)) = (by_second(before)?, by_second(after)?);
    let moved = after > TRAFFIC_MOVED * before || before > TRAFFIC_MOVED * after;
    (moved && all_before.max(all_after) >= LITTLE_TRAFFIC).then(|| {
        format!(
            "Traffic moved meanwhile: {before} connections and packets a second before, {after} after."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::made_phase::{self, Made};
    use model::WallTime;

    #[test]
    fn runs_that_the_probes_did_not_record_are_told_of_each_side() {
        let side = |(lost, missed)| {
            let mut side = made_phase::side(&[]);
            (side.report.all.lost, side.report.all.missed) = (lost, missed);
            side
        };
        let judged = Judgement::aborted("A key or a signal asked to end.");
        for (before, after, told) in [
            ((0, 0), (0, 0), &[][..]),
            (
                (1, 0),
                (0, 0),
                &["On the side before, 1 runs were lost and 0 missed by the probes."],
            ),
            (
                (0, 0),
                (0, 2),
                &["On the side after, 0 runs were lost and 2 missed by the probes."],
            ),
            (
                (3, 4),
                (5, 6),
                &[
                    "On the side before, 3 runs were lost and 4 missed by the probes.",
                    "On the side after, 5 runs were lost and 6 missed by the probes.",
                ],
            ),
        ] {
            let plan = made_phase::plan(6);
            let warnings = warnings(&side(before), &side(after), &judged, &plan);
            assert_eq!(warnings, told, "{before:?} {after:?}");
        }
    }

    #[test]
    fn traffic_that_moved_is_told_by_the_second_whichever_way_it_moved() {
        let side = |traffic| {
            let mut side = made_phase::side(&[]);
            side.report.observed_ns = 10_000_000_000;
            side.traffic.insert(7, traffic);
            side
        };
        for (before, after, told) in [
            (1_000, 2_000, None),
            (2_000, 1_000, None),
            (
                1_000,
                2_010,
                Some("100 connections and packets a second before, 201 after"),
            ),
            (
                2_010,
                1_000,
                Some("201 connections and packets a second before, 100 after"),
            ),
            (10, 90, None),
            (
                100,
                10,
                Some("10 connections and packets a second before, 1 after"),
            ),
        ] {
            let moved = traffic_moved(&side(before), &side(after), 7);
            let expected = told.map(|told| format!("Traffic moved meanwhile: {told}."));
            assert_eq!(moved, expected, "{before} {after}");
        }
    }

    #[test]
    fn a_namespace_that_cost_most_before_and_is_gone_leaves_nothing_to_judge() {
        // A dead timer has no period: the length of the side stands in for it.
        let died = |estimators, duration_ns| Made {
            state: State::Dead,
            ..Made::active(7, estimators, &[duration_ns])
        };
        let costly = Made::active(8, 30_001, &[3_870_000; 6]);
        let idle = Made::active(8, 1, &[3_000; 6]);
        for (says, before, after, gone) in [
            (
                "both stay",
                [Made::active(7, 30_001, &[3_870_000; 6]), idle.clone()],
                &[7, 8][..],
                None,
            ),
            (
                "the costliest is gone",
                [Made::active(7, 30_001, &[3_870_000; 6]), idle.clone()],
                &[8],
                Some(7),
            ),
            (
                "another one is gone",
                [Made::active(7, 1, &[3_000; 6]), costly.clone()],
                &[8],
                None,
            ),
            (
                "the costliest died after one run, and is gone",
                [died(30_001, 9_000_000), idle],
                &[8],
                Some(7),
            ),
            (
                "one that died after a run that cost little is gone",
                [died(30_001, 3_870_000), costly],
                &[8],
                None,
            ),
        ] {
            let mut later = before.to_vec();
            later.retain(|made| after.contains(&made.netns));
            let (before, after) = (made_phase::side(&before), made_phase::side(&later));
            let judged = judge(&before, &after, &made_phase::plan(6), None, None);
            let is_gone = judged.why.ends_with(" is gone.");
            assert_eq!(is_gone, gone.is_some(), "{says}: {}", judged.why);
            if is_gone {
                assert_eq!(judged.verdict, Verdict::Inconclusive, "{says}");
                assert_eq!(judged.netns, gone, "{says}");
            }
        }
    }

    #[test]
    fn runs_of_other_namespaces_are_nothing_to_compare_with() {
        let run = Run {
            start_ns: 1,
            at: WallTime(1),
            duration_ns: 2,
            estimators: None,
        };
        let runs: BTreeMap<u32, Vec<Run>> = [(1, vec![run]), (2, Vec::new())].into();
        assert!(has_runs(&runs, None));
        assert!(has_runs(&runs, Some(&[1, 2].into())));
        assert!(!has_runs(&runs, Some(&[2, 3].into())));
        assert!(!has_runs(&[(2, Vec::new())].into(), None));
        assert!(!has_runs(&BTreeMap::new(), None));
    }
}
