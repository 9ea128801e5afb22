//! A kernel that insists on signatures.

use super::{Finding, Module, Node};

/// EKEYREJECTED. A signature is the kernel's to check.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    if module.signed || !node.sig_enforce? {
        return None;
    }
    Some(Finding::new(
        "signature-required",
        "this kernel loads signed modules alone (/sys/module/module/parameters/sig_enforce is Y), and this one \
         is not signed: sign it with a key that this kernel trusts, or boot without module.sig_enforce",
    ))
}
