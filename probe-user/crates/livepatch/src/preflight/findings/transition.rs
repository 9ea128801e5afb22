//! Another livepatch is on its way.

use super::{Finding, Module, Node};

/// EBUSY, without a word in the kernel's log: there is one transition at a time.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    let running = node
        .patches
        .iter()
        .find(|patch| patch.transition == Some(true))?;
    let name = &running.name;
    Some(Finding::new(
        "transition-running",
        format!(
            "the livepatch {name} is in transition (/sys/kernel/livepatch/{name}/transition is 1), and there \
             is one at a time: wait until it is through"
        ),
    ))
}
