//! A change of the estimator, measured before, under it, and where it is rolled back, after it.
//!
//! ```text
//! Plan + Intervention -> before -> put in place -> after -> Verdict -> kept | rolled back (-> measured) -> TrialRecord
//! ```
//! A livepatch and the switch `run_estimation` are two interventions of one engine.

pub mod counters;
pub mod figures;
pub mod intervention;
pub mod judge;
#[cfg(any(test, feature = "testing"))]
pub mod made_phase;
pub mod measurement;
pub mod plan;
pub mod surroundings;
#[cfg(test)]
mod tests;
pub mod trial_outcome;
pub mod trial_record;
pub mod trial_runner;
pub mod verdict;
pub mod visits;

use crate::transition::run_observer::Run;
use model::State;

/// A network namespace in the phases that are compared.
#[derive(Debug, Clone)]
pub struct ComparedNamespace {
    /// Its inode number.
    pub netns: u32,
    /// Without the change.
    pub before: EstimatorPhase,
    /// Under it.
    pub after: EstimatorPhase,
}

/// What was seen of one namespace's estimator in one phase.
#[derive(Debug, Clone, Default)]
pub struct EstimatorPhase {
    /// Its runs, those alone that began in the phase and have a record.
    pub runs: Vec<Run>,
    /// How long it was watched, in nanoseconds.
    pub length_ns: u64,
    /// How far apart the timer sets its runs, in nanoseconds: what tells of the period where fewer than two runs
    /// came. `None` where nothing is known of a run to come either.
    pub period_ns: Option<u64>,
    /// Its timer was not pending at the end: it will not run again by itself.
    pub dead: bool,
    /// Its runs skip the walk of the list, by all of them.
    pub skips: bool,
    /// Its state, by all the runs.
    pub state: Option<State>,
}

impl EstimatorPhase {
    /// How long its runs took, in nanoseconds.
    #[must_use]
    pub fn durations_ns(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.duration_ns).collect()
    }

    /// Neither a run, nor a timer that is set for one.
    fn is_still(&self) -> bool {
        self.dead || (self.runs.is_empty() && self.period_ns.is_none())
    }
}
