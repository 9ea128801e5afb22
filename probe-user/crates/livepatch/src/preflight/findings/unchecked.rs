//! What could not be looked at, or will not be.

use super::{Finding, Module, Node, joined};

/// Whether a timer still calls a module is told by its address (`/proc/modules`): one that is hidden keeps it loaded.
pub fn addresses(_: &Module, node: &Node) -> Option<Finding> {
    if node.addresses_hidden != Some(true) {
        return None;
    }
    Some(Finding::new(
        "addresses-hidden",
        "kernel.kptr_restrict is 2, so where a module lies cannot be seen: when this hotfix is taken back, its module \
         stays loaded, without effect, and the command ends with 3. `sysctl kernel.kptr_restrict=1` avoids that",
    ))
}

/// Silence would pass for "nothing found".
pub fn note(module: &Module, node: &Node) -> Option<Finding> {
    let listed = [
        (node.capabilities.is_none(), "this process's capabilities"),
        (
            node.modules_disabled.is_none(),
            "/proc/sys/kernel/modules_disabled",
        ),
        (
            node.blacklist.is_none(),
            "/sys/module/kernel/parameters/module_blacklist",
        ),
        (
            node.ftrace_enabled.is_none(),
            "/proc/sys/kernel/ftrace_enabled",
        ),
        (node.symbols.is_none(), "/proc/kallsyms"),
        (
            node.traced.redirected.is_none(),
            "/sys/kernel/tracing/enabled_functions",
        ),
        (
            node.traced.untraceable.is_none(),
            "/sys/kernel/tracing/available_filter_functions",
        ),
        (module.replaces.is_empty(), "what it replaces"),
        (
            module.too_big,
            "a part of its code, which is more than any livepatch has,",
        ),
    ];
    let unread: Vec<&str> = listed
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, what)| *what)
        .collect();
    if unread.is_empty() {
        return None;
    }
    Some(Finding::new(
        "not-checked",
        format!(
            "{} could not be read, so what hangs on that is not checked",
            joined(&unread)
        ),
    ))
}
