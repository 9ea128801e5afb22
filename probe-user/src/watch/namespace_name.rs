//! How a network namespace is called in lines and tables.

/// Its inode number, and whether it is the root namespace.
#[must_use]
pub fn netns_name(netns: u32, root_netns: u32) -> String {
    let root = if netns == root_netns { " (root)" } else { "" };
    format!("{netns}{root}")
}
