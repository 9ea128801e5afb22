//! Whether a module is loaded, and whether it is still the one that was.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// One loading of a module: the inode number of its folder in sysfs, which a later loading does not get
/// again (`kernfs_next_generation` and the cyclic numbers of `fs/kernfs/dir.c`, Linux 4.14 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loading(u64);

/// The present loading of `ip_vs`, or of the part of the kernel that it is.
#[must_use]
pub fn ip_vs(root: &Path) -> Option<Loading> {
    let folder = fs::metadata(root.join("sys/module/ip_vs")).ok()?;
    Some(Loading(folder.ino()))
}
