//! Whether a hotfix is what runs, as far as the kernel says.

use std::path::Path;

use crate::preflight::node::Traced;
use host::livepatch::Livepatch;
use livepatch_image::{Module, Replaced};

/// What the kernel says against the hotfix being in force: a clause for each.
#[must_use]
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
    let redirected = Traced::read(root, module).redirected;
    // Linux before 6.1 has no such file, and then ftrace alone could say it.
    let is_told = |one: &&Replaced| {
        let mut objects = patch.objects.iter();
        redirected.is_some()
            || objects.any(|object| object.name == one.object && object.patched.is_some())
    };
    let untold = module.replaces.iter().filter(|one| !is_told(one));
    doubts.extend(untold.map(|one| {
        format!(
            "whether {} of {} is redirected cannot be seen, neither in /sys/kernel/livepatch nor in \
             /sys/kernel/tracing/enabled_functions",
            one.function, one.object
        )
    }));
    if let Some(redirected) = redirected {
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
