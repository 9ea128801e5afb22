//! The module has a name by which nothing could address it once it is loaded.

use super::{Finding, Module, Node};

/// Objects to a name by which `unload`, the guard, `rmmod` and sysfs could not find the module. The kernel accepts any
/// bytes as a name.
pub fn blocker(module: &Module, _: &Node) -> Option<Finding> {
    let trouble = module.name_trouble?;
    let name = module.name.as_ref();
    let name = name.map_or_else(String::new, |name| format!(" {name}"));
    Some(Finding::new(
        "name-unusable",
        format!(
            "its module's name{name} {trouble}, so it could not be unloaded by its name: build it again under a \
             name of letters, digits and `_`"
        ),
    ))
}
