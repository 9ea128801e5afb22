//! Whether the function that replaces the estimator sets its timer again on every path through it, and for what time.

use super::flow::{Outcome, Reason, Status};

/// Whether something is so, as far as reading a module tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Reading cannot tell.
    Unknown,
}

/// Whether a function sets its timer again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rearms {
    /// On every path through it.
    Yes,
    /// On none.
    No,
    /// On some paths, and on others not.
    SomePaths,
    /// Reading cannot tell.
    Unknown,
}

/// What a function does about its timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rearm {
    /// Whether it sets it.
    pub rearms: Rearms,
    /// For how many jiffies from now, if all paths that set it agree on a constant.
    pub jiffies: Option<u64>,
    /// The conditions under which it does not.
    pub reasons: Vec<Reason>,
}

impl Rearm {
    /// Where nothing can be read.
    pub const UNKNOWN: Self = Self {
        rearms: Rearms::Unknown,
        jiffies: None,
        reasons: Vec::new(),
    };

    /// Returns the answer for a function that ends in this way.
    pub fn of(outcome: &Outcome<'_>) -> Self {
        let ends = |status| outcome.exit(status).is_some();
        let (unset, hidden) = (ends(Status::Unset), ends(Status::Hidden));
        let set = outcome.exit(Status::Set);
        let rearms = match (set.is_some(), unset, hidden) {
            (true, false, false) => Rearms::Yes,
            (true, true, _) => Rearms::SomePaths,
            (false, true, false) => Rearms::No,
            // A function that never returns sets nothing that can be seen.
            _ => Rearms::Unknown,
        };
        Self {
            rearms,
            jiffies: set.filter(|_| !hidden).and_then(|exit| exit.period),
            reasons: if rearms == Rearms::SomePaths {
                outcome.reasons.clone()
            } else {
                Vec::new()
            },
        }
    }
}
