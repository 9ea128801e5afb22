//! Whether the timer comes back.

use super::{Finding, Module, Node};
use crate::hotfix::module::{Answer, ESTIMATOR};

/// Seen on Linux 6.1: nothing in user space starts a timer that was not set again, but for loading `ip_vs`
/// anew, with all its services.
pub fn warning(module: &Module, _: &Node) -> Option<Finding> {
    match module.rearms {
        Answer::No => Some(Finding::new(
            "no-rearm",
            "the new function never sets the timer again: within 2 s of the load the estimator is dead in \
             every network namespace, and taking the hotfix back does not revive it. Only loading ip_vs anew \
             does, which drops all services and connections. Call mod_timer on every path",
        )),
        Answer::Unknown if module.replaces_estimator() => Some(Finding::new(
            "rearm-unknown",
            "whether the new function sets the timer again cannot be told from the file: it calls what could \
             hide that. Without it the estimator would be dead until ip_vs is loaded anew",
        )),
        Answer::Unknown if module.replaces.is_empty() => Some(Finding::new(
            "rearm-unknown",
            "what this module replaces cannot be read, so nobody can tell whether the estimator's timer is \
             set again under it",
        )),
        Answer::Yes | Answer::Unknown => None,
    }
}

/// A livepatch for something else has no timer to set.
pub fn note(module: &Module, _: &Node) -> Option<Finding> {
    if module.replaces.is_empty() || module.replaces_estimator() {
        return None;
    }
    Some(Finding::new(
        "not-the-estimator",
        format!("it does not replace {ESTIMATOR}: what IPVS's estimator does stays as it is"),
    ))
}
