//! Built for another kernel.

use super::{Finding, Module, Node};

/// ENOEXEC, or worse: with `CONFIG_MODVERSIONS` the kernel ignores the release (`same_magic`,
/// `kernel/module/version.c` of Linux 6.1), and structures inside `ip_vs` are in no checksum.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    if node.is_kernel_of(module) {
        return None;
    }
    let built_for = module.built_for().unwrap_or("an unknown kernel");
    Some(Finding::new(
        "other-kernel",
        format!(
            "it was built for {built_for} and this kernel is {}: even where the kernel would take it, it \
             would read structures that may have changed. Build it with this kernel's headers",
            node.release
        ),
    ))
}
