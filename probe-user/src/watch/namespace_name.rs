//! How a network namespace is called in lines and tables.

use crate::model::NETNS_UNKNOWN;

/// Its inode number, and whether it is the root namespace.
#[must_use]
pub fn netns_name(netns: u32, root_netns: u32) -> String {
    if netns == NETNS_UNKNOWN {
        return "?".into();
    }
    let root = if netns == root_netns { " (root)" } else { "" };
    format!("{netns}{root}")
}

/// What a line with little room calls it: `root`, or its inode number.
#[must_use]
pub fn short_name(netns: u32, root_netns: u32) -> String {
    if netns == root_netns && netns != NETNS_UNKNOWN {
        return "root".into();
    }
    netns_name(netns, root_netns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_known_is_never_the_root_one() {
        assert_eq!(netns_name(7, 7), "7 (root)");
        assert_eq!(netns_name(7, NETNS_UNKNOWN), "7");
        assert_eq!(netns_name(NETNS_UNKNOWN, NETNS_UNKNOWN), "?");
        assert_eq!(short_name(7, 7), "root");
        assert_eq!(short_name(7, NETNS_UNKNOWN), "7");
        assert_eq!(short_name(NETNS_UNKNOWN, NETNS_UNKNOWN), "?");
    }
}
