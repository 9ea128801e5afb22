//! May this process load modules at all.

use super::{Finding, Module, Node};

/// `include/uapi/linux/capability.h`.
const CAP_SYS_MODULE: u32 = 16;

/// EPERM.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    if node.capabilities? >> CAP_SYS_MODULE & 1 == 1 {
        return None;
    }
    Some(Finding::new(
        "no-privilege",
        "loading a module needs the capability CAP_SYS_MODULE, which this process lacks: run it as root or \
         with sudo",
    ))
}
