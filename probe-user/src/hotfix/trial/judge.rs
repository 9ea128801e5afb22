//! Two sides, as the verdict wants them, and what a reader of it should know besides.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Namespace, Phase,
    plan::Plan,
    side::Side,
    verdict::{Evidence, Judgement, Runs, Verdict},
};
use crate::{
    hotfix::witness::Run,
    model::{NamespaceView, State},
};

/// Traffic that is so many times what it was, or the other way round, is told.
const TRAFFIC_MOVED: u64 = 2;

/// Connections and packets below which traffic says nothing.
const LITTLE_TRAFFIC: u64 = 100;

/// Judges what was seen before against what was seen under the change, of the namespaces that were `changed`.
pub fn judge(
    before: &Side,
    after: &Side,
    plan: &Plan,
    changed: Option<&BTreeSet<u32>>,
    root_netns: Option<u32>,
) -> Judgement {
    let namespaces = namespaces(before, after, plan);
    let judged = Evidence {
        namespaces: &namespaces,
        changed,
        root_netns,
        runs: plan.runs,
        min_effect_percent: plan.min_effect_percent,
    }
    .judge();
    let is_bad = matches!(judged.verdict, Verdict::Disabled | Verdict::Regressed);
    match costliest(before, changed).filter(|netns| !is_bad && !is_there(after, *netns)) {
        Some(netns) => Judgement::inconclusive(format!(
            "The network namespace whose runs cost most before, {netns}, is gone."
        )),
        None => judged,
    }
}

/// Returns the namespace whose runs cost most, of those that are changed.
fn costliest(side: &Side, changed: Option<&BTreeSet<u32>>) -> Option<u32> {
    let candidates = side
        .runs
        .iter()
        .filter(|(netns, _)| changed.is_none_or(|changed| changed.contains(netns)));
    let (netns, runs): (Vec<u32>, Vec<Runs>) = candidates
        .filter_map(|(netns, runs)| {
            let phase = Phase {
                runs: runs.clone(),
                // Of a single run, the phase is the period as far as is known.
                period_ns: Some(side.report.observed_ns),
                skips: side
                    .namespaces
                    .iter()
                    .any(|view| view.netns == *netns && view.state == Some(State::Skipping)),
                ..Phase::default()
            };
            Some((*netns, Runs::of(&phase)?))
        })
        .unzip();
    let costs = netns.into_iter().zip(Runs::costs(&runs));
    let costliest = costs.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    Some(costliest.0)
}

/// Returns whether a run was seen of the namespaces that are changed.
pub fn has_runs(runs: &BTreeMap<u32, Vec<Run>>, changed: Option<&BTreeSet<u32>>) -> bool {
    let mut seen = runs.iter().filter(|(_, runs)| !runs.is_empty());
    seen.any(|(netns, _)| changed.is_none_or(|changed| changed.contains(netns)))
}

fn is_there(side: &Side, netns: u32) -> bool {
    let mut views = side.namespaces.iter();
    views.any(|view| view.netns == netns && view.state != Some(State::Absent))
}

/// Those that were there on both sides.
fn namespaces(before: &Side, after: &Side, plan: &Plan) -> Vec<Namespace> {
    let there = before
        .namespaces
        .iter()
        .filter(|view| view.state != Some(State::Absent));
    let pairs = there.filter_map(|view| {
        let later = after
            .namespaces
            .iter()
            .find(|one| one.netns == view.netns)?;
        (later.state != Some(State::Absent)).then_some((view, later))
    });
    pairs
        .map(|(view, later)| Namespace {
            netns: view.netns,
            before: phase(before, view, plan),
            after: phase(after, later, plan),
        })
        .collect()
}

/// No more runs than were planned: whoever looked at more would choose when to stop.
fn phase(side: &Side, view: &NamespaceView, plan: &Plan) -> Phase {
    let runs = side.runs.get(&view.netns).into_iter().flatten();
    let ahead_ns = || Some(view.next_run?.due_ns.saturating_sub(side.end_ns));
    Phase {
        runs: runs.take(plan.runs).copied().collect(),
        length_ns: side.report.observed_ns,
        period_ns: view.period_ns.or_else(ahead_ns),
        dead: view.state == Some(State::Dead),
        skips: view.state == Some(State::Skipping),
    }
}

/// What else moved, or was not seen: whole sentences.
pub fn warnings(before: &Side, after: &Side, judged: &Judgement, plan: &Plan) -> Vec<String> {
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
    }
    warnings
}

/// By less than makes the runs incomparable.
fn length_moved(before: &Side, after: &Side, netns: u32) -> Option<String> {
    let lengths = |side: &Side| -> Option<(u32, u32)> {
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

fn traffic_moved(before: &Side, after: &Side, netns: u32) -> Option<String> {
    let by_second = |side: &Side| {
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

    #[test]
    fn runs_of_other_namespaces_are_nothing_to_compare_with() {
        let run = Run {
            start_ns: 1,
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
