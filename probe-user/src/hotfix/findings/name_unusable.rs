//! The module has a name by which nothing could address it once it is loaded.

use super::{Finding, Module, Node};

/// The kernel takes any bytes for a name. `unload`, the guard, `rmmod` and sysfs have to find the module by it again.
pub fn blocker(module: &Module, _: &Node) -> Option<Finding> {
    let trouble = module.name_trouble?;
    let name = module.name.as_ref();
    let name = name.map_or_else(String::new, |name| format!(" {name}"));
    Some(Finding::new(
        "name-unusable",
        format!(
            "its module's name{name} {trouble}, so it could not be taken out again by its name: build it again under a \
             name of letters, digits and `_`"
        ),
    ))
}
