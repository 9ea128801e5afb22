//! What a trial came to: all that the outputs rest on.

use serde::{Serialize, Serializer};

use super::{request::Request, side_effects};
use crate::watch::Sums;
use host::netns_owners::{Named, NetnsOwners};
use livepatch::trial::{
    EstimatorPhase,
    counters::Statistics,
    figures::Figures,
    measurement::MeasurementPhase,
    plan::Plan,
    trial_outcome::{Fate, NodeAfter, TrialOutcome},
    trial_record::TrialRecord,
    verdict::{Judgement, Tests, Verdict},
};
use model::{NamespaceReport, State, per_second};

/// The document of `apply --json`.
#[derive(Debug, Serialize)]
pub struct Document {
    /// The version of these fields.
    pub schema: u32,
    /// What was asked for, where, when and by whom.
    #[serde(flatten)]
    pub request: Request,
    /// The hotfix, or `run_estimation=0`.
    pub name: Option<String>,
    /// In a word.
    pub verdict: Verdict,
    /// In whole sentences.
    pub why: String,
    /// The network namespace that the verdict rests on, by its inode number.
    pub netns: Option<u32>,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
    /// The network namespaces whose estimators no longer run, by their inode numbers.
    pub stopped: Vec<u32>,
    /// The node as it was.
    pub before: Option<SideDocument>,
    /// Under the change.
    pub after: Option<SideDocument>,
    /// After it was taken back, under `--trial`.
    pub rolled_back: Option<SideDocument>,
    /// The numbers behind the verdict.
    pub tests: Tests,
    /// What was taken for too little to matter, in percent; `None` where nothing was measured.
    pub min_effect_percent: Option<f64>,
    /// What else moved meanwhile: whole sentences.
    pub warnings: Vec<String>,
    /// What else the change did: whole sentences.
    pub side_effects: Vec<String>,
    /// What became of the node.
    pub host: NodeAfter,
    /// The same in the words that all documents share.
    pub outcome: Fate,
    /// The commands that take back what stays, each for a shell; `None` where nothing stays.
    #[serde(serialize_with = "one_command")]
    pub undo: Option<Vec<String>>,
    /// The state of that namespace's estimator under the change.
    pub state_after: Option<State>,
    /// How the way back went.
    pub back: Option<String>,
    /// What the kernel wrote to its log meanwhile.
    pub kernel_log: Vec<String>,
}

#[allow(clippy::ref_option, reason = "the form that serde calls it in")]
fn one_command<S: Serializer>(
    commands: &Option<Vec<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let joined = commands.as_ref().map(|commands| commands.join("; "));
    joined.serialize(serializer)
}

/// One side.
#[derive(Debug, Serialize)]
pub struct SideDocument {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it ended, in nanoseconds of `CLOCK_MONOTONIC`.
    pub end_ns: u64,
    /// How long was watched, in nanoseconds.
    pub observed_ns: u64,
    /// Over all namespaces: all runs that were seen, by the time that was watched.
    pub all: Sums,
    /// One by one, the one that stalled most first.
    pub namespaces: Vec<NamespaceDocument>,
    /// How long each CPU spent in the softirq of timers, whichever timers, by second; `None` where that cannot be seen.
    pub timer_softirq: Option<Vec<CpuTime>>,
    /// It ended before every estimator had run as often as was asked for.
    pub cut_short: bool,
    /// The durations that are compared, of the namespace that the verdict rests on, in nanoseconds.
    pub durations_ns: Vec<u64>,
}

/// A CPU's share of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CpuTime {
    /// Its number.
    pub cpu: usize,
    /// In nanoseconds to each second.
    pub ns_per_s: u64,
}

/// One namespace on one side.
#[derive(Debug, Serialize)]
pub struct NamespaceDocument {
    /// Inode number.
    pub netns: u32,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
    /// By all the runs of that side.
    pub state: Option<State>,
    /// How far apart it ran, in nanoseconds.
    pub period_ns: Option<u64>,
    /// Length of `est_list`, the mean.
    pub estimators: Option<u32>,
    /// `net.ipv4.vs.run_estimation`.
    pub run_estimation: Option<i32>,
    /// What its statistics did; `None` where nobody could tell, as without traffic.
    pub statistics: Option<Statistics>,
    /// How many of its runs are compared: what is said of durations, period and stall is of these.
    pub compared: usize,
    /// Its runs.
    #[serde(flatten)]
    pub sums: Sums,
}

impl SideDocument {
    /// Of a side; `netns` is the namespace that the verdict rests on, and so many `runs` are compared.
    pub fn of(
        side: &MeasurementPhase,
        netns: Option<u32>,
        runs: usize,
        names: &NetnsOwners,
    ) -> Self {
        let compared = side.compared(runs);
        let durations = netns.and_then(|netns| compared.get(&netns));
        let nothing = EstimatorPhase::default();
        let document = |report: &NamespaceReport| {
            let phase = compared.get(&report.netns).unwrap_or(&nothing);
            NamespaceDocument::of(report, side, phase, names.named(report.netns))
        };
        Self {
            start_ns: side.start_ns,
            end_ns: side.end_ns,
            observed_ns: side.report.observed_ns,
            all: Sums::from(&side.report.all),
            namespaces: side.report.namespaces.iter().map(document).collect(),
            timer_softirq: side.timer_softirq_ns.as_ref().map(|times| {
                let busy = times.iter().enumerate().filter(|(_, ns)| **ns > 0);
                let shares = busy.filter_map(|(cpu, ns)| {
                    let ns_per_s = per_second(*ns, side.report.observed_ns)?;
                    Some(CpuTime { cpu, ns_per_s })
                });
                shares.collect()
            }),
            cut_short: side.is_cut_short,
            durations_ns: durations
                .map(EstimatorPhase::durations_ns)
                .unwrap_or_default(),
        }
    }

    /// That namespace.
    pub fn of_netns(&self, netns: u32) -> Option<&NamespaceDocument> {
        self.namespaces.iter().find(|one| one.netns == netns)
    }
}

impl NamespaceDocument {
    fn of(
        report: &NamespaceReport,
        side: &MeasurementPhase,
        phase: &EstimatorPhase,
        named: Named,
    ) -> Self {
        let figures = Figures::of(phase);
        Self {
            netns: report.netns,
            named,
            state: phase.state.or(report.state),
            period_ns: figures.period_ns(),
            estimators: figures.estimators().or(report.estimators),
            run_estimation: report.run_estimation,
            statistics: side.statistics.get(&report.netns).copied(),
            compared: figures.runs,
            sums: Sums {
                min_ns: figures.min_ns,
                p50_ns: figures.p50_ns,
                p90_ns: figures.p90_ns,
                p99_ns: figures.p99_ns,
                max_ns: figures.max_ns,
                max_at: figures.max_at,
                stall_ns_per_s: figures.stall_ns_per_s(),
                ..Sums::from(&report.summary)
            },
        }
    }
}

impl Document {
    /// All of it.
    pub fn of(mut request: Request, record: TrialRecord, plan: &Plan) -> Self {
        let netns = record.outcome.judged.netns;
        let document = |phase: &Option<MeasurementPhase>| {
            phase
                .as_ref()
                .map(|phase| SideDocument::of(phase, netns, plan.runs, &record.owners))
        };
        let [before, after_document, rolled_back] =
            [&record.before, &record.after, &record.rolled_back].map(document);
        let judged_after = after_document
            .as_ref()
            .zip(netns)
            .and_then(|(side, netns)| side.of_netns(netns));
        let state_after = judged_after.and_then(|one| one.state);
        let side_effects = side_effects::sentences(&record, plan.runs);
        let TrialOutcome {
            judged,
            warnings,
            host,
            back,
            is_left: _,
        } = record.outcome;
        request.sha256 = record.livepatch.or(request.sha256);
        Self {
            schema: 1,
            request,
            name: Some(record.name),
            verdict: judged.verdict,
            why: judged.why,
            netns,
            named: netns.map_or_else(Named::default, |netns| record.owners.named(netns)),
            stopped: judged.stopped,
            min_effect_percent: before.as_ref().map(|_| plan.min_effect_percent),
            before,
            rolled_back,
            tests: judged.tests,
            warnings,
            side_effects,
            host,
            outcome: host.into(),
            undo: record.undo,
            state_after,
            after: after_document,
            back,
            kernel_log: record.kernel_log,
        }
    }

    /// It was refused before anything was measured.
    pub fn refused(request: Request, reason: &str) -> Self {
        let judged = Judgement::refused(reason);
        Self {
            schema: 1,
            request,
            name: None,
            verdict: judged.verdict,
            why: judged.why,
            netns: None,
            named: Named::default(),
            stopped: Vec::new(),
            before: None,
            after: None,
            rolled_back: None,
            tests: judged.tests,
            min_effect_percent: None,
            warnings: Vec::new(),
            side_effects: Vec::new(),
            host: NodeAfter::Unchanged,
            outcome: Fate::Unchanged,
            undo: None,
            state_after: None,
            back: None,
            kernel_log: Vec::new(),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match (self.verdict, self.host) {
            (Verdict::Refused, _) => 2,
            (_, NodeAfter::NeedsPerson) => 3,
            (Verdict::Improved, _) => 0,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::livepatch::trial::made_phase;
    use model::WallTime;

    #[test]
    fn what_is_compared_is_no_more_than_was_planned() {
        let mut runs = vec![3_870_000; 6];
        runs.push(90_000_000);
        let phase = made_phase::side(&[made_phase::Made::active(7, 30_001, &runs)]);
        assert_eq!(phase.compared(6)[&7].runs.len(), 6);
        let document = SideDocument::of(&phase, Some(7), 6, &NetnsOwners::default());
        let one = document.of_netns(7).unwrap();
        assert_eq!((one.compared, one.sums.calls), (6, 7));
        assert_eq!(one.sums.max_ns, Some(3_870_000));
        assert_eq!(document.durations_ns.len(), 6);
        assert_eq!(document.all.max_ns, Some(90_000_000), "all that was seen");
        let figures = Figures::of(&phase.compared(6)[&7]);
        assert_eq!(one.period_ns, figures.period_ns());
        assert_eq!(one.sums.stall_ns_per_s, figures.stall_ns_per_s());
        assert_eq!(one.sums.max_at, Some(WallTime(1_000_000_000)));
    }
}
