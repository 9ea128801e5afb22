//! What this host is called.

use std::{fs, path::Path};

/// The node's name; empty where it is not told. In a container the kernel tells the container's, and the
/// host's own file its own.
#[must_use]
pub fn hostname(root: &Path) -> String {
    let file = if root == Path::new("/") {
        "proc/sys/kernel/hostname"
    } else {
        "etc/hostname"
    };
    let name = fs::read_to_string(root.join(file)).unwrap_or_default();
    name.trim().to_owned()
}
