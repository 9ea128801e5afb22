//! One side of a trial: what each estimator did in a time, and why the time ended.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    EstimatorPhase,
    counters::{Counters, Statistics},
    figures::Figures,
    plan::Plan,
    visits,
};
use crate::{
    ports::SoftirqTime,
    transition::{
        drive::Drive,
        run_observer::{RecordedRuns, Run, RunObserver},
    },
};
use model::{Course, NamespaceView, Report, SLOW_PERIOD_NS, State};

/// What was seen.
#[derive(Debug)]
pub struct MeasurementPhase {
    /// Every run, by network namespace.
    pub runs: BTreeMap<u32, Vec<Run>>,
    /// Their sums.
    pub report: Report,
    /// How things stood at the end.
    pub namespaces: Vec<NamespaceView>,
    /// What the statistics did, where that could be seen.
    pub statistics: BTreeMap<u32, Statistics>,
    /// Connections and packets of every namespace whose statistics could be read.
    pub traffic: BTreeMap<u32, u64>,
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it ended, in nanoseconds of `CLOCK_MONOTONIC`.
    pub end_ns: u64,
    /// How long each possible CPU spent in the softirq of timers, whichever timers, in nanoseconds; `None` where that
    /// cannot be seen.
    pub timer_softirq_ns: Option<Vec<u64>>,
    /// It ended before every estimator had run as often as was asked for.
    pub is_cut_short: bool,
}

impl MeasurementPhase {
    /// Returns what of each namespace is compared: no more than so many `runs`, for whoever looked at more would choose
    /// when to stop.
    #[must_use]
    pub fn compared(&self, runs: usize) -> BTreeMap<u32, EstimatorPhase> {
        let views = self.namespaces.iter();
        let mut all: BTreeMap<u32, EstimatorPhase> = views
            .map(|view| (view.netns, self.phase(view, runs)))
            .collect();
        let single_ns = visits::single_ns(all.values());
        for view in &self.namespaces {
            if let Some(phase) = all.get_mut(&view.netns) {
                phase.skips =
                    view.run_estimation == Some(0) || visits::leaves_out(phase, single_ns);
                phase.state = state(view, phase);
            }
        }
        all
    }

    fn phase(&self, view: &NamespaceView, runs: usize) -> EstimatorPhase {
        let seen = self.runs.get(&view.netns).into_iter().flatten();
        let ahead_ns = || Some(view.next_run?.due_ns.saturating_sub(self.end_ns));
        EstimatorPhase {
            runs: seen.take(runs).copied().collect(),
            length_ns: self.report.observed_ns,
            period_ns: view.period_ns.or_else(ahead_ns),
            dead: view.state == Some(State::Dead),
            ..EstimatorPhase::default()
        }
    }
}

/// The state by all the runs, where these tell: the last look knows the last run alone.
fn state(view: &NamespaceView, phase: &EstimatorPhase) -> Option<State> {
    let state = view.state?;
    if !matches!(state, State::Active | State::Skipping | State::Slowed) {
        return Some(state);
    }
    let is_slowed = match Figures::of(phase).period_ns() {
        Some(period_ns) if phase.runs.len() > 1 => period_ns > SLOW_PERIOD_NS,
        _ => state == State::Slowed,
    };
    // Without a run, the last one before is all that is known.
    let skips = phase.skips || (phase.runs.is_empty() && state == State::Skipping);
    Some(match (is_slowed, skips) {
        (true, _) => State::Slowed,
        (false, true) => State::Skipping,
        (false, false) => State::Active,
    })
}

/// Why a side has no end: a sentence.
#[derive(Debug)]
pub struct Interrupted(pub String);

/// Measures until every estimator that was there at the beginning has run as often as planned, or is dead, or the time is
/// over. `doing` is what the screen shows meanwhile; `is_undone` tells what makes it useless to go on.
///
/// # Errors
///
/// When the probes cannot be read.
pub fn measure(
    drive: &mut Drive,
    plan: &Plan,
    doing: &str,
    softirq: Option<&dyn SoftirqTime>,
    is_undone: impl Fn(&Drive) -> Option<String>,
) -> anyhow::Result<Result<MeasurementPhase, Interrupted>> {
    let began = drive.site.now();
    let site = drive.site.clone();
    let observer = measuring(drive)?;
    observer.begin_phase(&site)?;
    let there = observer.namespaces().iter().filter(|view| is_there(view));
    let at_first: BTreeSet<u32> = there.map(|view| view.netns).collect();
    let counted = read_counters(drive);
    let spent_ns = totals(softirq);
    let is_cut_short = loop {
        if let Some(reason) = interrupted(drive).or_else(|| is_undone(drive)) {
            return Ok(Err(Interrupted(reason)));
        }
        if is_full(drive.observer.as_ref(), &at_first, plan.runs) {
            break false;
        }
        if drive.site.now().saturating_sub(began) >= plan.max_wait {
            break true;
        }
        show_course(drive, doing, &at_first, plan.runs);
        drive.pause()?;
    };
    let (phase, report, namespaces) = measuring(drive)?.end_phase(&site)?;
    // Up to its very end.
    drive.log.read();
    if let Some(reason) = interrupted(drive) {
        return Ok(Err(Interrupted(reason)));
    }
    let RecordedRuns { start_ns, runs } = phase;
    let later = read_counters(drive);
    let timer_softirq_ns = spent_ns.zip(totals(softirq)).map(since);
    let pairs = counted
        .iter()
        .filter_map(|(netns, before)| Some((*netns, *before, *later.get(netns)?)));
    let pairs: Vec<(u32, Counters, Counters)> = pairs.collect();
    let moved = pairs.iter();
    let statistics =
        moved.filter_map(|(netns, before, later)| Some((*netns, before.until(*later)?)));
    let moved = pairs.iter();
    let traffic = moved.map(|(netns, before, later)| (*netns, before.traffic_until(*later)));
    Ok(Ok(MeasurementPhase {
        runs,
        report,
        namespaces,
        statistics: statistics.collect(),
        traffic: traffic.collect(),
        start_ns,
        end_ns: site.now_ns(),
        timer_softirq_ns,
        is_cut_short,
    }))
}

/// Returns what each CPU's sum grew by.
fn since((before, after): (Vec<u64>, Vec<u64>)) -> Vec<u64> {
    let pairs = before.iter().zip(after);
    pairs
        .map(|(before, after)| after.saturating_sub(*before))
        .collect()
}

fn measuring(drive: &mut Drive) -> anyhow::Result<&mut RunObserver> {
    if drive.observer.is_none() {
        drive.observer = Some(RunObserver::start(&drive.site)?);
    }
    drive
        .observer
        .as_mut()
        .ok_or_else(|| anyhow::anyhow!("the probes are gone"))
}

/// Whether a namespace has an estimator that may still run.
fn is_there(view: &NamespaceView) -> bool {
    !matches!(view.state, Some(State::Absent | State::Dead))
}

fn is_full(observer: Option<&RunObserver>, at_first: &BTreeSet<u32>, runs: usize) -> bool {
    let Some((observer, phase)) = observer.and_then(|one| Some((one, one.phase()?))) else {
        return false;
    };
    let waited_for = observer
        .namespaces()
        .iter()
        .filter(|view| is_there(view) && at_first.contains(&view.netns));
    let mut counts = waited_for.map(|view| phase.runs.get(&view.netns).map_or(0, Vec::len));
    counts.all(|count| count >= runs)
}

/// Shows how far it is: the estimator that is furthest behind counts.
fn show_course(drive: &Drive, doing: &str, at_first: &BTreeSet<u32>, runs: usize) {
    let Some(observer) = &drive.observer else {
        return;
    };
    let Some(phase) = observer.phase() else {
        return;
    };
    let seen = |view: &NamespaceView| phase.runs.get(&view.netns).map_or(0, Vec::len);
    let waited_for = observer
        .namespaces()
        .iter()
        .filter(|view| is_there(view) && at_first.contains(&view.netns));
    let behind = waited_for.min_by_key(|view| seen(view));
    let course = Course {
        doing: doing.to_owned(),
        runs: behind.map(|view| (seen(view).min(runs), runs)),
        left_ns: behind.and_then(|view| {
            let missing = u64::try_from(runs.saturating_sub(seen(view))).ok()?;
            view.period_ns?.checked_mul(missing)
        }),
    };
    drive.site.progress().course(course);
}

/// What makes it useless, or wrong, to go on.
fn interrupted(drive: &Drive) -> Option<String> {
    if drive.is_stopped() {
        return Some("A key or a signal asked to end.".into());
    }
    if let Some(line) = drive.log.complaint() {
        return Some(format!("The kernel complained: {line}."));
    }
    if drive.observer.as_ref().is_some_and(RunObserver::was_blind) {
        return Some("Kprobes were disabled during the measurement, so runs may be missing: enable them (`echo 1 > \
                     /sys/kernel/debug/kprobes/enabled`), and start again.".into());
    }
    let is_lost = drive
        .observer
        .as_ref()
        .is_some_and(RunObserver::has_lost_ip_vs);
    is_lost.then(|| "ip_vs was unloaded meanwhile.".into())
}

fn totals(softirq: Option<&dyn SoftirqTime>) -> Option<Vec<u64>> {
    softirq?.totals_ns().ok()
}

/// The statistics of every namespace that can be opened.
fn read_counters(drive: &Drive) -> BTreeMap<u32, Counters> {
    let Some(observer) = &drive.observer else {
        return BTreeMap::new();
    };
    let doors = observer.probes().owners().doors();
    let counters = observer.namespaces().iter().filter_map(|view| {
        let counters = Counters::read(&drive.site.root, doors, view.netns)?;
        Some((view.netns, counters))
    });
    counters.collect()
}

#[cfg(test)]
mod tests;
