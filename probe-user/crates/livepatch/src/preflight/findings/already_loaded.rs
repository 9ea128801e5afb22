//! The name is taken.

use super::{Finding, Module, Node, Taken};

/// EEXIST, whatever the content of the other module.
pub fn blocker(module: &Module, node: &Node) -> Option<Finding> {
    let is_in_the_way = node.name_taken == Taken::Yes && node.left_behind.is_none();
    let name = module.name.as_ref().filter(|_| is_in_the_way)?;
    Some(Finding::new(
        "already-loaded",
        format!(
            "a module named {name} is loaded already (/sys/module/{name}), from this file or another: \
             take it back first, or build this one under another name"
        ),
    ))
}

/// Notes that this very file is enabled. A load of it does nothing, so that nothing keeps it from succeeding.
pub fn enabled(_: &Module, node: &Node) -> Option<Finding> {
    (node.name_taken == Taken::ByThisFile).then(|| {
        Finding::new(
            "enabled",
            "this very file is enabled: a load has nothing to do, and ends with exit code 0",
        )
    })
}

/// Notes a module that a replacement left behind. It blocks nothing: no task runs its code.
pub fn note(_: &Module, node: &Node) -> Option<Finding> {
    let name = node.left_behind.as_ref()?;
    Some(Finding::new(
        "left-behind",
        format!(
            "the module of a disabled livepatch named {name} is still loaded (/sys/module/{name}): a load removes it \
             first"
        ),
    ))
}

/// Objects if livepatches cannot be seen: one could be in the way, or be replaced.
pub fn unknown(_: &Module, node: &Node) -> Option<Finding> {
    let why = node.livepatches_unknown.as_ref()?;
    Some(Finding::new(
        "livepatches-unknown",
        format!(
            "cannot tell which livepatches and modules are loaded ({why}): is sysfs mounted on /sys, and can this \
             process read it?"
        ),
    ))
}
