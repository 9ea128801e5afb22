//! What is to be patched is not there.

use super::{Finding, Module, Node, joined};

/// The kernel then loads the livepatch and waits for the object: it succeeds and nothing is patched.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    if node.absent_objects.is_empty() {
        return None;
    }
    let absent = joined(&node.absent_objects);
    Some(Finding::new(
        "object-not-loaded",
        format!(
            "it replaces a function of {absent}, which is not loaded: the load would succeed and nothing \
             would be patched. Load {absent} first, or run this on a node that uses it"
        ),
    ))
}
