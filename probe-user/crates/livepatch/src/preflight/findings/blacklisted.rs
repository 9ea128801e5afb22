//! A module that this node was booted not to load.

use super::{Finding, Module, Node};

/// EPERM, "Module ... is blacklisted" in the kernel's log. What /etc/modprobe.d says is for `modprobe` alone.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    let name = module.name.as_deref()?;
    // As `blacklisted` compares, `kernel/module/main.c` of Linux 6.1.
    let mut names = node.blacklist.as_deref()?.split(',');
    names.find(|one| *one == name)?;
    Some(Finding::new(
        "blacklisted",
        format!(
            "this node was booted with module_blacklist={name} (/sys/module/kernel/parameters/module_blacklist \
             names it), so the kernel refuses every module of that name: boot without that, or build this one \
             under another name"
        ),
    ))
}
