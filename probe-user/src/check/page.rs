//! What `check` tells: the one source of both its forms.

use std::fmt;

use serde::Serialize;

use crate::{
    kernel_threads::SeenThreads,
    record::{Source, WorstStall},
};
use host::{estimation::Kind, livepatch::Livepatch, netns_owners::Named};
use model::State;
use monitor::mechanism::{Lacking, Mechanism, Unavailable};

/// The version of the JSON document's fields.
pub const SCHEMA: u32 = 1;

/// A node as of one moment. What is not known is `None`.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// `check`.
    #[serde(rename = "type")]
    pub record: &'static str,
    /// [`SCHEMA`].
    pub schema: u32,
    /// The node and the tool.
    #[serde(flatten)]
    pub source: Source,
    /// When: RFC 3339.
    pub at: String,
    /// The same in nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// Whether there is a problem.
    pub verdict: Verdict,
    /// The verdict in a line of at most 80 characters.
    pub message: String,
    /// The kernel and its CPUs.
    pub kernel: Kernel,
    /// Inode number of the root namespace.
    pub root_netns: Option<u32>,
    /// The worst that packets waited for, where a run was seen.
    pub worst: Option<WorstStall>,
    /// What measured the runs; `None` where nothing did.
    pub mechanism: Option<Mechanism>,
    /// What that does not give.
    pub cannot: &'static [Lacking],
    /// The better mechanisms that this node does not allow.
    pub unavailable: Vec<Unavailable>,
    /// What was seen of the runs, where they could be measured.
    pub measured: Option<Measured>,
    /// The kernel threads that estimate; `None` where a timer does, and where they could not be read.
    pub threads: Option<SeenThreads>,
    /// The namespaces, the worst first.
    pub namespaces: Vec<Namespace>,
    /// What is missing to measure, or to tell all: whole sentences.
    pub missing: Vec<String>,
    /// Livepatches in force.
    pub livepatch: Livepatches,
    /// What can be done on this node.
    pub mitigations: Vec<Mitigation>,
}

/// Whether there is a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every run and blackout was under the maximum, and the estimators do what they should.
    Ok,
    /// An estimator is DEAD, is SLOWED or SKIPPING without a reason, or something took longer than the maximum.
    Problem,
    /// It cannot be told.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Problem => "problem",
            Self::Unknown => "unknown",
        })
    }
}

/// The kernel and its CPUs.
#[derive(Debug, Clone, Serialize)]
pub struct Kernel {
    /// As `uname -r` tells it.
    pub release: String,
    /// What estimates.
    pub estimator: Option<Kind>,
    /// CPUs that may ever come online.
    pub possible_cpus: Option<u32>,
    /// CPUs that are online.
    pub online_cpus: Option<u32>,
}

/// What was seen of the runs.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// How long was looked, in nanoseconds.
    pub observed_ns: u64,
    /// The longest wait that is no problem, in nanoseconds.
    pub max_ns: u64,
    /// Runs seen.
    pub runs: u64,
    /// Runs whose record found the ring buffer full.
    pub lost: u64,
    /// Runs that must have been there and were not seen whole.
    pub missed: u64,
    /// The longest run.
    pub longest_run: Option<Run>,
    /// The longest blackout of a CPU.
    pub longest_blackout: Option<Blackout>,
    /// How long a run over half of the longest list would take, in nanoseconds.
    pub half_ns: Option<u64>,
}

impl Measured {
    /// The longest that packets waited for: a blackout holds its runs.
    pub fn worst_ns(&self) -> u64 {
        let run = self.longest_run.as_ref().map_or(0, |run| run.duration_ns);
        let blackout = self.longest_blackout.as_ref();
        run.max(blackout.map_or(0, |blackout| blackout.duration_ns))
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// In nanoseconds.
    pub duration_ns: u64,
    /// The CPU that it ran on.
    pub cpu: u32,
    /// Its namespace; `None` where it is not known.
    pub netns: Option<u32>,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
    /// Length of `est_list`.
    pub estimators: Option<u32>,
}

/// Runs that followed each other closely on one CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blackout {
    /// From the beginning of the first run to the end of the last, in nanoseconds.
    pub duration_ns: u64,
    /// Runs in it.
    pub calls: u64,
    /// The CPU.
    pub cpu: u32,
    /// The namespace of the last run; `None` where it is not known.
    pub netns: Option<u32>,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
}

/// A network namespace.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Namespace {
    /// Its inode number.
    pub netns: u32,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
    /// Every process is in sight, and none lives there.
    #[serde(skip)]
    pub is_empty: bool,
    /// Virtual services.
    pub services: Option<u32>,
    /// Destinations of all of them.
    pub destinations: Option<u32>,
    /// Length of `est_list`.
    pub estimators: Option<u32>,
    /// `net.ipv4.vs.run_estimation`.
    pub run_estimation: Option<i32>,
    /// What its estimator does.
    pub state: Option<State>,
    /// Time between two settings of the timer, in nanoseconds.
    pub period_ns: Option<u64>,
    /// When the next run is due, in nanoseconds from `at`. `None` where none is to come, and where it is at hand
    /// or under way.
    pub next_run_in_ns: Option<u64>,
    /// The CPU that its timer is queued on.
    pub next_cpu: Option<u32>,
    /// Runs seen.
    #[serde(skip)]
    pub runs: u64,
    /// The path that a command enters it by: empty where a person is there already, `None` where no path opens it.
    #[serde(skip)]
    pub enter: Option<String>,
}

impl Namespace {
    /// How much there is to estimate, as far as is known.
    pub fn entries(&self) -> Option<u32> {
        let counted = || Some(self.services?.saturating_add(self.destinations?));
        self.estimators.or_else(counted)
    }
}

/// Livepatches.
#[derive(Debug, Clone, Serialize)]
pub struct Livepatches {
    /// The kernel can be livepatched.
    pub supported: bool,
    /// Those that it has.
    pub patches: Vec<Livepatch>,
    /// They cannot be seen: `missing` says why.
    #[serde(skip)]
    pub unseen: bool,
}

/// Something that can be done, as text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mitigation {
    /// What is done: a word to tell it from the others.
    pub name: &'static str,
    /// What it does, and on what terms.
    pub does: String,
    /// The command that tries it: measures before and under it, and rolls it back. `None` where there is none.
    pub trial: Option<String>,
    /// The command. What is in capitals is to be filled in; behind `#` are words.
    pub command: String,
    /// What no longer works then.
    pub breaks: String,
    /// The command that takes it back.
    pub undo: String,
}
