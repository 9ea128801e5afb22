//! A kernel without `estimation_timer`.

use super::{Finding, Module, Node};

/// EINVAL: Linux 6.2 replaced the timer by threads (705dd3444081), and vendors carry that elsewhere.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    let threads = node.symbols.as_ref().is_some_and(|symbols| symbols.threads);
    if !(threads && module.replaces_estimator()) {
        return None;
    }
    Some(Finding::new(
        "estimator-threads",
        format!(
            "this kernel ({}) estimates in kernel threads (ipvs-e:*) and has no estimation_timer to \
             replace: nothing stalls softirqs here, and this hotfix is not for it",
            node.release
        ),
    ))
}
