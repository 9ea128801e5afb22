//! May this process load modules at all.

use super::{Finding, Module, Node};

/// `include/uapi/linux/capability.h`.
const CAP_SYS_MODULE: u32 = 16;

/// EPERM, in a user namespace whatever the capabilities (`may_init_module`, `kernel/module/main.c` of
/// Linux 6.1).
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    let lacks = node
        .capabilities
        .is_some_and(|held| held >> CAP_SYS_MODULE & 1 == 0);
    let why = match (lacks, node.confined) {
        (true, _) => "this process lacks: run it as root or with sudo",
        (_, Some(true)) => "this process has in a user namespace alone: run it as root of the host",
        _ => return None,
    };
    let text = format!("loading a module needs the capability CAP_SYS_MODULE, which {why}");
    Some(Finding::new("no-privilege", text))
}
