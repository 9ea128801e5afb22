//! What this host is called.

use std::{fs, path::Path};

use model::printable::printable;

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
    printable(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_hosts_own_and_cannot_write_to_the_terminal() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(hostname(root.path()), "");
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/hostname"), "node-\x1b[31m7\n").unwrap();
        assert_eq!(hostname(root.path()), "node-?[31m7");
    }
}
