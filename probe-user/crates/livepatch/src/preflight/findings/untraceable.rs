//! ftrace cannot redirect the function.

use super::{Finding, Module, Node};

/// EINVAL, "failed to find location for function" in the kernel's log.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    let symbols = node.symbols.as_ref()?;
    // One that is not there at all is told elsewhere.
    let there = |object: &str, function: &str| symbols.count(object, function) > 0;
    let mut untraceable = node.traced.untraceable.iter().flatten();
    let one = untraceable.find(|one| there(&one.object, &one.function))?;
    Some(Finding::new(
        "untraceable",
        format!(
            "{} cannot be redirected on this kernel (it is not in \
             /sys/kernel/tracing/available_filter_functions): replace a function that calls it",
            one.function
        ),
    ))
}
