//! The CPUs of this host.

use std::{fs, path::Path};

/// How many CPUs the kernel makes room for: what a run visits for every estimator, online or not.
#[must_use]
pub fn possible(root: &Path) -> Option<u32> {
    count(&fs::read_to_string(root.join("sys/devices/system/cpu/possible")).ok()?)
}

/// Counts a list of numbers and ranges: `0-3,6`.
fn count(list: &str) -> Option<u32> {
    let parts = list.trim().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    parts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers_are_counted_and_rubbish_is_not() {
        assert_eq!(count("0-63\n"), Some(64));
        assert_eq!(count("0\n"), Some(1));
        assert_eq!(count("0-3,6,8-9"), Some(7));
        assert_eq!(count("3-0"), None);
        assert_eq!(count(""), None);
    }
}
