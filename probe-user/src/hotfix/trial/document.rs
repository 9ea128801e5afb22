//! What a trial came to: all that the outputs rest on.

use serde::Serialize;

use super::{
    counters::Statistics,
    side::Side,
    side_effects,
    subject::Subject,
    verdict::{Judgement, Tests, Verdict},
};
use crate::{
    hotfix::ending::Ending,
    model::{NamespaceReport, State, per_second},
    watch::Sums,
};

/// What became of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// Nothing was done to it.
    Unchanged,
    /// The change is in place.
    Patched,
    /// It was, and is taken back.
    GivenBack,
    /// It is neither.
    NeedsPerson,
}

impl Host {
    /// What it is after something ended, and what is to be told of that.
    pub fn after(ending: &Ending) -> (Self, String) {
        match ending {
            Ending::Done(text) | Ending::GivenBack(text) => (Self::GivenBack, text.clone()),
            Ending::Refused(text)
            | Ending::HalfDone(text)
            | Ending::LeftToGuard(text)
            | Ending::LeftAlone(text) => (Self::NeedsPerson, text.clone()),
        }
    }
}

/// How a trial ended.
#[derive(Debug)]
pub struct Outcome {
    judged: Judgement,
    /// What else moved: whole sentences.
    warnings: Vec<String>,
    /// What became of the node.
    pub host: Host,
    /// How the way back went.
    back: Option<String>,
    /// The kernel has not let go yet.
    pub is_left: bool,
}

impl Outcome {
    /// As judged.
    pub fn of(judged: Judgement, host: Host, back: Option<String>) -> Self {
        Self {
            judged,
            warnings: Vec::new(),
            host,
            back,
            is_left: false,
        }
    }

    /// With what a reader should know besides.
    #[must_use]
    pub fn warned(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// It was ended early.
    pub fn aborted(reason: String, host: Host) -> Self {
        Self::of(Judgement::aborted(reason), host, None)
    }

    /// Nothing was done.
    pub fn refused(reason: String) -> Self {
        Self::of(Judgement::refused(reason), Host::Unchanged, None)
    }

    /// It never came into place, by how that ended.
    pub fn left(ending: &Ending) -> Self {
        if let Ending::Refused(text) = ending {
            return Self::refused(text.clone());
        }
        let (host, text) = Host::after(ending);
        let back = Some(text.clone()).filter(|_| host == Host::NeedsPerson);
        Self::of(Judgement::aborted(text), host, back)
    }

    /// Adds a sentence.
    pub fn add(&mut self, sentence: &str) {
        let back = self.back.get_or_insert_default();
        if !back.is_empty() {
            back.push_str(". ");
        }
        back.push_str(sentence);
    }

    /// It was ended after it had been judged.
    pub fn abort(&mut self, reason: String) {
        self.judged = Judgement::aborted(reason);
    }

    /// Whether the kernel's log is to be shown with it.
    pub fn needs_log(&self) -> bool {
        self.host == Host::NeedsPerson
            || matches!(self.judged.verdict, Verdict::Aborted | Verdict::Refused)
    }
}

/// The document of `apply --json`.
#[derive(Debug, Serialize)]
pub struct Document {
    /// The version of these fields.
    pub schema: u32,
    /// The hotfix, or `run_estimation=0`.
    pub name: Option<String>,
    /// In a word.
    pub verdict: Verdict,
    /// In whole sentences.
    pub why: String,
    /// The network namespace that the verdict rests on, by its inode number.
    pub netns: Option<u32>,
    /// The node as it was.
    pub before: Option<SideDocument>,
    /// Under the change.
    pub after: Option<SideDocument>,
    /// After it was taken back, under `--trial`.
    pub rolled_back: Option<SideDocument>,
    /// The numbers behind the verdict.
    pub tests: Tests,
    /// What else moved meanwhile: whole sentences.
    pub warnings: Vec<String>,
    /// What else the change did: whole sentences.
    pub side_effects: Vec<String>,
    /// What became of the node.
    pub host: Host,
    /// The state of that namespace's estimator under the change.
    pub state_after: Option<State>,
    /// How the way back went.
    pub back: Option<String>,
    /// What the kernel wrote to its log meanwhile.
    pub kernel_log: Vec<String>,
}

/// One side.
#[derive(Debug, Serialize)]
pub struct SideDocument {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When it ended, in nanoseconds of `CLOCK_MONOTONIC`.
    pub end_ns: u64,
    /// Over all namespaces.
    pub all: Sums,
    /// One by one, the one that stalled most first.
    pub namespaces: Vec<NamespaceDocument>,
    /// How long each CPU spent in the softirq of timers, whichever timers, by second; `None` where that cannot be seen.
    pub timer_softirq: Option<Vec<CpuTime>>,
    /// It ended before every estimator had run as often as was asked for.
    pub cut_short: bool,
    /// The durations of the namespace that the verdict rests on, in nanoseconds.
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
    /// At the end of that side.
    pub state: Option<State>,
    /// How far apart it ran, in nanoseconds.
    pub period_ns: Option<u64>,
    /// Length of `est_list`.
    pub estimators: Option<u32>,
    /// `net.ipv4.vs.run_estimation`.
    pub run_estimation: Option<i32>,
    /// What its statistics did; `None` where nobody could tell, as without traffic.
    pub statistics: Option<Statistics>,
    /// Its runs.
    #[serde(flatten)]
    pub sums: Sums,
}

impl SideDocument {
    fn of(side: &Side, netns: Option<u32>) -> Self {
        let durations = netns.and_then(|netns| side.runs.get(&netns));
        Self {
            start_ns: side.start_ns,
            end_ns: side.end_ns,
            all: Sums::from(&side.report.all),
            namespaces: side
                .report
                .namespaces
                .iter()
                .map(|report| NamespaceDocument::of(report, side))
                .collect(),
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
                .into_iter()
                .flatten()
                .map(|run| run.duration_ns)
                .collect(),
        }
    }

    /// That namespace.
    pub fn of_netns(&self, netns: u32) -> Option<&NamespaceDocument> {
        self.namespaces.iter().find(|one| one.netns == netns)
    }
}

impl NamespaceDocument {
    fn of(report: &NamespaceReport, side: &Side) -> Self {
        let netns = report.netns;
        let view = side.namespaces.iter().find(|view| view.netns == netns);
        Self {
            netns,
            state: report.state,
            period_ns: view
                .filter(|view| view.state != Some(State::Dead))
                .and_then(|view| view.period_ns),
            estimators: report.estimators,
            run_estimation: report.run_estimation,
            statistics: side.statistics.get(&netns).copied(),
            sums: Sums::from(&report.summary),
        }
    }
}

impl Document {
    /// All of it.
    pub fn of(
        subject: &Subject,
        outcome: Outcome,
        sides: [Option<Side>; 3],
        replaced: &[String],
        kernel_log: Vec<String>,
    ) -> Self {
        let Outcome {
            judged,
            warnings,
            host,
            back,
            is_left: _,
        } = outcome;
        let [before, after, rolled_back] = sides;
        let netns = judged.netns;
        let document =
            |side: &Option<Side>| side.as_ref().map(|side| SideDocument::of(side, netns));
        let after_document = document(&after);
        let state_after = after_document
            .as_ref()
            .zip(netns)
            .and_then(|(side, netns)| side.of_netns(netns)?.state);
        let effects = side_effects::of(subject, host, replaced, after.as_ref(), netns);
        Self {
            schema: 1,
            name: Some(subject.name().to_owned()),
            verdict: judged.verdict,
            why: judged.why,
            netns,
            before: document(&before),
            after: after_document,
            rolled_back: document(&rolled_back),
            tests: judged.tests,
            warnings,
            side_effects: effects,
            host,
            state_after,
            back,
            kernel_log,
        }
    }

    /// It was refused before anything was measured.
    pub fn refused(reason: &str) -> Self {
        let judged = Judgement::refused(reason);
        Self {
            schema: 1,
            name: None,
            verdict: judged.verdict,
            why: judged.why,
            netns: None,
            before: None,
            after: None,
            rolled_back: None,
            tests: judged.tests,
            warnings: Vec::new(),
            side_effects: Vec::new(),
            host: Host::Unchanged,
            state_after: None,
            back: None,
            kernel_log: Vec::new(),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match (self.verdict, self.host) {
            (Verdict::Refused, _) => 2,
            (_, Host::NeedsPerson) => 3,
            (Verdict::Improved, _) => 0,
            _ => 1,
        }
    }
}
