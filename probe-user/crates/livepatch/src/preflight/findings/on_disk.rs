//! The `ip_vs` on disk is not the one that is loaded.

use super::{Finding, Module, Node};
use crate::preflight::node::OnDisk;

/// Nothing in the kernel notices: a hotfix built for one reads the structures of the other.
pub fn blocker(_: &Module, node: &Node) -> Option<Finding> {
    let OnDisk::Other(path) = &node.on_disk else {
        return None;
    };
    Some(Finding::new(
        "ip-vs-differs",
        format!(
            "the ip_vs that is loaded is not the one in {}, by their build-ids: the kernel's package was \
             changed since. Reboot into it, and build the hotfix for what then runs",
            path.display()
        ),
    ))
}

/// Where they could not be compared.
pub fn note(_: &Module, node: &Node) -> Option<Finding> {
    let OnDisk::Unknown(why) = &node.on_disk else {
        return None;
    };
    Some(Finding::new(
        "ip-vs-not-compared",
        format!("whether the ip_vs that is loaded is the one on disk could not be told: {why}"),
    ))
}
