//! Somebody else redirects the function, and that is no livepatch.

use super::{Finding, Module, Node};

/// EBUSY: ftrace lets one user alone change where a function goes (`FTRACE_OPS_FL_IPMODIFY`). Livepatches
/// share theirs.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    let redirected = node.traced.redirected.as_ref()?;
    let patched = |object: &str, function: &str| {
        node.patches
            .iter()
            .any(|patch| patch.replaces_in(object, function))
    };
    let foreign = redirected
        .iter()
        .find(|one| !patched(&one.object, &one.function))?;
    Some(Finding::new(
        "foreign-redirection",
        format!(
            "{} is redirected already (flag I in /sys/kernel/tracing/enabled_functions), and by no livepatch: \
             one can do that at a time. End what does it: a kprobe with a post handler, or on kernels before \
             6.0 a BPF program at its entry",
            foreign.function
        ),
    ))
}
