//! The name is taken.

use super::{Finding, Module, Node};

/// EEXIST, whatever the content of the other module.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    let name = module.name.as_ref().filter(|_| node.name_taken)?;
    Some(Finding::new(
        "already-loaded",
        format!(
            "a module named {name} is loaded already (/sys/module/{name}), from this file or another: \
             take it back first, or build this one under another name"
        ),
    ))
}
