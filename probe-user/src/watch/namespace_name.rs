//! How a network namespace is called in lines and tables.

use model::NETNS_UNKNOWN;

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

/// Namespaces that are named of those that are alike.
const SHOWN: usize = 3;

/// Names what is the same for one or for many: `netns 1`, `each of 61 netns (1, 2, 3, ...)`.
#[must_use]
pub fn netns_named(netns: impl Iterator<Item = u32>) -> Option<String> {
    let netns: Vec<u32> = netns.collect();
    match netns.as_slice() {
        [] => None,
        [one] => Some(format!("netns {one}")),
        all => {
            let first: Vec<String> = all.iter().take(SHOWN).map(u32::to_string).collect();
            let more = if all.len() > SHOWN { ", ..." } else { "" };
            Some(format!(
                "each of {} netns ({}{more})",
                all.len(),
                first.join(", ")
            ))
        }
    }
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
