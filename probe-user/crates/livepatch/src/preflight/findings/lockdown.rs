//! A kernel that is locked down, as under Secure Boot.

use super::{Finding, Module, Node};

/// EPERM for an unsigned module. A signature is the kernel's to check.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    let level = node.lockdown.as_deref().filter(|level| *level != "none")?;
    if module.signed {
        return None;
    }
    Some(Finding::new(
        "lockdown",
        format!(
            "the kernel is locked down (/sys/kernel/security/lockdown says {level}) and this module is not \
             signed: sign it with a key that this kernel trusts, or boot without lockdown"
        ),
    ))
}
