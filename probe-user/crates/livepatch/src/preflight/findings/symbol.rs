//! The function to replace is not there, or not to be told from others of its name.

use super::{Finding, Module, Node, joined};

/// EINVAL.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    let symbols = node.symbols.as_ref()?;
    let present = |object: &String| !node.absent_objects.contains(object);
    module.replaces.iter().filter(|one| present(&one.object)).find_map(|one| {
        let (object, function) = (one.object.as_str(), one.function.as_str());
        let place = || {
            let elsewhere = symbols.elsewhere(object, function);
            if elsewhere.is_empty() {
                String::new()
            } else {
                format!(" (it is in {})", joined(&elsewhere))
            }
        };
        let build = "build it for this kernel, and name the right object";
        match (symbols.count(object, function), one.position) {
            (0, _) => Some(Finding::new(
                "symbol-missing",
                format!("{object} has no function {function} on this kernel{}: {build}", place()),
            )),
            (count, 0) if count > 1 => Some(Finding::new(
                "symbol-ambiguous",
                format!(
                    "{object} has {count} functions named {function}, and the hotfix does not say which: set \
                     its old_sympos"
                ),
            )),
            (count, position) if position > count => Some(Finding::new(
                "symbol-missing",
                format!(
                    "{object} has {count} of functions named {function}, and the hotfix wants number \
                     {position}: correct its old_sympos"
                ),
            )),
            _ => None,
        }
    })
}
