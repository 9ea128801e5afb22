//! Other livepatches on this node.

use std::collections::BTreeSet;

use super::{Finding, Module, Node, joined};

/// An atomic replacement ends all others, a vendor's security fixes among them, and does not run their
/// callbacks (`Documentation/livepatch/cumulative-patches.rst`).
pub fn warning(module: &Module, node: &Node) -> Option<Finding> {
    let others = others(module, node)?;
    match replace(module, node) {
        Some(false) => None,
        Some(true) => Some(Finding::new(
            "replaces-others",
            format!(
                "it takes the place of every livepatch in force, which are {others}: their fixes end with the \
                 load. Build it with .replace = false"
            ),
        )),
        None => Some(Finding::new(
            "replaces-others",
            format!(
                "{others} in force here, and whether this one takes the place of all others cannot be told \
                 from the file"
            ),
        )),
    }
}

/// Livepatches stack: the last one in force on a function wins.
pub fn note(module: &Module, node: &Node) -> Option<Finding> {
    let others = others(module, node)?;
    let shared = |one: &&livepatch_image::Replaced| {
        let mut others = node
            .patches
            .iter()
            .filter(|patch| !is_own(module, &patch.name.to_string()));
        others.any(|patch| patch.replaces_in(&one.object, &one.function))
    };
    let shared = module.replaces.iter().find(shared);
    let text = match (replace(module, node), shared) {
        (Some(true), _) => format!(
            "{others} in force here, whose place this hotfix takes: unloading it brings the kernel's own functions \
             back, and none of these, which have to be loaded again"
        ),
        (None, Some(_)) => format!(
            "{others} in force here: whether unloading this hotfix brings them back depends on whether it takes \
             their place"
        ),
        (Some(false), Some(one)) => format!(
            "{others} in force here, and {} is among what is replaced already: taking this hotfix back \
                 brings that replacement back, and not the kernel's function",
            one.function
        ),
        (_, None) => format!("{others} in force here, on other functions"),
    };
    Some(Finding::new("other-patches", text))
}

/// The livepatches whose place it takes, or may take.
#[must_use]
pub fn may_replace(module: &Module, node: &Node) -> BTreeSet<String> {
    if replace(module, node) == Some(false) {
        return BTreeSet::new();
    }
    names(module, node).into_iter().collect()
}

fn others(module: &Module, node: &Node) -> Option<String> {
    let names = names(module, node);
    (!names.is_empty()).then(|| joined(&names))
}

fn names(module: &Module, node: &Node) -> Vec<String> {
    let mut names = node.other_patches();
    names.retain(|name| !is_own(module, name));
    names
}

/// Returns whether a livepatch has the module's own name.
fn is_own(module: &Module, name: &str) -> bool {
    module.name.as_deref() == Some(name)
}

/// Whether it replaces all others; known where the kernel's own structure is.
#[must_use]
pub fn replace(module: &Module, node: &Node) -> Option<bool> {
    let offset = node.replace_offset.filter(|_| node.is_kernel_of(module))?;
    module.switch(offset)
}
