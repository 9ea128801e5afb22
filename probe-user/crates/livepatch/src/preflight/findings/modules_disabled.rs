//! No more modules until the next boot.

use super::{Finding, Module, Node};

/// EPERM, without a word in the kernel's log.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    if !node.modules_disabled? {
        return None;
    }
    Some(Finding::new(
        "modules-disabled",
        "loading modules is switched off until the next boot (/proc/sys/kernel/modules_disabled is 1): boot \
         this node without that",
    ))
}
