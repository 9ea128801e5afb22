//! ftrace is switched off.

use super::{Finding, Module, Node};

/// EBUSY.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    if node.ftrace_enabled? {
        return None;
    }
    Some(Finding::new(
        "ftrace-off",
        "function tracing, by which a livepatch takes a function's place, is switched off \
         (/proc/sys/kernel/ftrace_enabled is 0): switch it on with `sysctl kernel.ftrace_enabled=1`",
    ))
}
