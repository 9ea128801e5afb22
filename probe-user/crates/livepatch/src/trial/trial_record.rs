//! What a trial came to.

use super::{measurement::MeasurementPhase, trial_outcome::TrialOutcome};
use host::netns_owners::NetnsOwners;
use livepatch_image::Digest;

/// What was tried, what was seen, and what became of the node.
pub struct TrialRecord {
    /// What was tried.
    pub name: String,
    /// The digest of the livepatch that was tried; `None` for the switch.
    pub livepatch: Option<Digest>,
    /// How it ended.
    pub outcome: TrialOutcome,
    /// What was measured before the change.
    pub before: Option<MeasurementPhase>,
    /// What was measured under the change.
    pub after: Option<MeasurementPhase>,
    /// What was measured after the change was rolled back.
    pub rolled_back: Option<MeasurementPhase>,
    /// Livepatches that were enabled before, and that the change replaced.
    pub replaced: Vec<String>,
    /// The commands that take back what stays.
    pub undo: Option<Vec<String>>,
    /// What the kernel wrote to its log meanwhile.
    pub kernel_log: Vec<String>,
    /// Who lives in which namespace.
    pub owners: NetnsOwners,
}
