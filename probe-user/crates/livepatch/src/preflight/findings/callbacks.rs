//! Code of a hotfix that runs when it is loaded and unloaded.

use super::{Finding, Module, Node, joined};
use livepatch_image::When;

/// Only whether an address stays behind is checked, not what the code does.
pub fn note(module: &Module, _: &Node) -> Option<Finding> {
    if module.callbacks.is_empty() {
        return None;
    }
    let words: Vec<&str> = module.callbacks.iter().map(|when| word(*when)).collect();
    let leaves = module.callbacks.iter().any(|when| when.leaves());
    let replaced = if leaves {
        ". What runs when it is unloaded does not run when another livepatch replaces it"
    } else {
        ""
    };
    Some(Finding::new(
        "callbacks",
        format!(
            "besides the new functions it has code that the kernel runs once: {}{replaced}",
            joined(&words)
        ),
    ))
}

fn word(when: When) -> &'static str {
    match when {
        When::PrePatch => "before it is enabled (pre_patch)",
        When::PostPatch => "after it is enabled (post_patch)",
        When::PreUnpatch => "before it is disabled (pre_unpatch)",
        When::PostUnpatch => "after it is disabled (post_unpatch)",
    }
}
