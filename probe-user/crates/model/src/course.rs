//! How far a measurement is.

/// What is being measured, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// What it is: the hotfix, and the phase.
    pub doing: String,
    /// Runs seen, and runs to see; `None` where no runs are counted.
    pub runs: Option<(usize, usize)>,
    /// How long it takes still, in nanoseconds, where that is known.
    pub left_ns: Option<u64>,
}
