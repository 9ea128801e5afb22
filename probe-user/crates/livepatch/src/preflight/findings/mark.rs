//! A module that is no livepatch.

use super::{Finding, Module, Node};

/// EINVAL, if it calls `klp_enable_patch` at all.
pub fn blocker(module: &Module, _: &Node) -> Option<Finding> {
    if module.marked {
        return None;
    }
    Some(Finding::new(
        "no-livepatch-mark",
        "it is not marked as a livepatch: if it is meant to be one, add MODULE_INFO(livepatch, \"Y\") to its \
         source and build it again",
    ))
}
