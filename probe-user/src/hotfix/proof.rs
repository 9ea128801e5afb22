//! Whether a hotfix is what runs, as far as the kernel says.

use std::path::Path;

use super::{
    module::{Module, Replaced},
    node::Traced,
};
use crate::kernel::livepatch::Livepatch;

/// What the kernel says against the hotfix being in force: a clause for each.
pub fn doubts(root: &Path, module: &Module, patch: &Livepatch) -> Vec<String> {
    let unpatched = patch
        .objects
        .iter()
        .filter(|object| object.patched == Some(false));
    let mut doubts: Vec<String> = unpatched
        .map(|object| {
            format!(
                "/sys/kernel/livepatch/{}/{}/patched is 0: that object is not loaded",
                patch.name, object.name
            )
        })
        .collect();
    if let Some(redirected) = Traced::read(root, module).redirected {
        let missing = module
            .replaces
            .iter()
            .filter(|one| !redirected.contains(one));
        doubts.extend(missing.map(|one: &Replaced| {
            format!(
                "ftrace does not redirect {} of {} (no flag I in /sys/kernel/tracing/enabled_functions)",
                one.function, one.object
            )
        }));
    }
    doubts
}
