//! A change on trial: what its phases saw, and what that comes to.
#![cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "`hotfix apply`, which measures the phases, is not there yet"
    )
)]

pub mod verdict;

/// A network namespace in the phases that are compared.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its inode number.
    pub netns: u32,
    /// Without the change.
    pub before: Phase,
    /// Under it.
    pub after: Phase,
}

/// What was seen of one namespace's estimator in one phase.
#[derive(Debug, Clone, Default)]
pub struct Phase {
    /// Its runs, those alone that began in the phase and have a record.
    pub runs: Vec<Run>,
    /// How long it was watched, in nanoseconds.
    pub length_ns: u64,
    /// How far apart the timer sets its runs, in nanoseconds: what tells of the period where fewer than two runs
    /// came. `None` where nothing is known of a run to come either.
    pub period_ns: Option<u64>,
    /// Its timer was not pending at the end: it will not run again by itself.
    pub dead: bool,
}

/// One run of the estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// The length of `est_list`, if known.
    pub estimators: Option<u32>,
}

impl Phase {
    /// How long its runs took, in nanoseconds.
    fn durations_ns(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.duration_ns).collect()
    }

    /// Time spent in its runs, in nanoseconds.
    fn run_time_ns(&self) -> u64 {
        let durations = self.runs.iter().map(|run| run.duration_ns);
        durations.fold(0, u64::saturating_add)
    }

    /// Neither a run, nor a timer that is set for one.
    fn is_still(&self) -> bool {
        self.dead || (self.runs.is_empty() && self.period_ns.is_none())
    }
}
