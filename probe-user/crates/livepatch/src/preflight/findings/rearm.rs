//! Whether the timer comes back.

use super::{Finding, Module, Node, joined};
use livepatch_image::{Rearms, Reason};
use model::ESTIMATOR;

/// Seen on Linux 6.1: nothing in user space starts a timer that was not set again, but for loading `ip_vs`
/// anew, with all its services.
pub fn warning(module: &Module, node: &Node) -> Option<Finding> {
    match module.rearms {
        Rearms::No => Some(Finding::new(
            "no-rearm",
            "the new function never sets the timer again: within 2 s of the load the estimator is dead in \
             every network namespace, and taking the hotfix back does not revive it. Only loading ip_vs anew \
             does, which drops all services and connections. Call mod_timer on every path",
        )),
        Rearms::SomePaths => Some(Finding::new(
            "rearm-some-paths",
            format!(
                "the new function sets the timer again on some of its paths, and on others it does not: {}, the \
                 estimator is DEAD in that network namespace, and unloading the hotfix does not revive it. Only \
                 loading ip_vs again does, which drops all services and connections. Call mod_timer on every path",
                conditions(module, node)
            ),
        )),
        Rearms::Unknown if module.replaces_estimator() => Some(Finding::new(
            "rearm-unknown",
            "whether the new function sets the timer again cannot be told from the file: it calls what could \
             hide that. Without it the estimator would be dead until ip_vs is loaded anew",
        )),
        Rearms::Unknown if module.replaces.is_empty() => Some(Finding::new(
            "rearm-unknown",
            "what this module replaces cannot be read, so nobody can tell whether the estimator's timer is \
             set again under it",
        )),
        Rearms::Yes | Rearms::Unknown => None,
    }
}

/// More of them would be no help.
const MOST_CONDITIONS: usize = 3;

/// Returns what makes the estimator dead, as far as reading tells.
fn conditions(module: &Module, node: &Node) -> String {
    let mut named: Vec<String> = Vec::new();
    let mut others = false;
    for reason in &module.unset_when {
        match reason {
            Reason::Field { .. } if named.len() == MOST_CONDITIONS => others = true,
            Reason::Field {
                offset,
                number,
                equal,
            } => named.push(field(node, *offset, *number, *equal)),
            Reason::Other => others = true,
        }
    }
    let condition = "a condition holds that cannot be named from the file";
    match (named.is_empty(), others) {
        (true, _) => format!("where {condition}"),
        (false, false) => format!("where {}", joined(&named)),
        (false, true) => format!("where {}, and where {condition}", joined(&named)),
    }
}

fn field(node: &Node, offset: i64, number: i64, equal: bool) -> String {
    if node.run_estimation_from_timer == Some(offset) {
        return match (number, equal) {
            (0, true) | (1, false) => "run_estimation is 0 (`sysctl -w \
                 net.ipv4.vs.run_estimation=0`, as this tool and others recommend)"
                .into(),
            (0, false) | (1, true) => "run_estimation is 1 (the default)".into(),
            (_, true) => format!("run_estimation is {number}"),
            (_, false) => format!("run_estimation is not {number}"),
        };
    }
    let is = if equal { "is" } else { "is not" };
    let side = if offset < 0 { "before" } else { "behind" };
    format!(
        "the number {} bytes {side} the timer {is} {number}",
        offset.unsigned_abs()
    )
}

/// Returns whether `run_estimation=0` under the hotfix would, or may, leave the timer unset.
pub fn forbids_run_estimation(module: &Module) -> bool {
    module.rearms == Rearms::SomePaths
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
