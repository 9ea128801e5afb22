//! A kernel that cannot be livepatched.

use super::{Finding, Module, Node};

/// ENOEXEC.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    if node.livepatching {
        return None;
    }
    Some(Finding::new(
        "no-livepatching",
        format!(
            "this kernel ({}) cannot be livepatched (/sys/kernel/livepatch is missing): boot one built with \
             CONFIG_LIVEPATCH=y",
            node.release
        ),
    ))
}
