//! The kernel that guests of tests boot unless a test asks for another: 6.1, or the one that `cargo xtask test --kernel` chose
//! and names in these variables.

use std::{env, path::PathBuf};

use super::{Line, OwnKernel};

/// A line of kernels.
pub const LINE: &str = "IPVS_LATENCY_KERNEL";

/// The image of a kernel of the user's own.
pub const IMAGE: &str = "IPVS_LATENCY_KERNEL_IMAGE";

/// The modules of that kernel.
pub const MODULES: &str = "IPVS_LATENCY_KERNEL_MODULES";

/// The inode number of that kernel's first network namespace.
pub const ROOT_NETNS: &str = "IPVS_LATENCY_ROOT_NETNS";

/// The inode number of the first network namespace on Linux 6.1.
const ROOT_NETNS_OF_6_1: u64 = 4_026_531_840;

/// Returns the line of kernels.
///
/// # Panics
/// When what was chosen is no line.
#[must_use]
pub fn line() -> Line {
    chosen_line().unwrap_or(Line::V6_1)
}

/// Returns the line that was chosen, if one was.
///
/// # Panics
/// When what was chosen is no line.
#[must_use]
pub fn chosen_line() -> Option<Line> {
    let line = env::var(LINE).ok()?;
    Some(line.parse().expect("a line of kernels"))
}

/// Returns the kernel of the user's own that was chosen, if one was.
#[must_use]
pub fn own() -> Option<OwnKernel> {
    let path = |name| env::var_os(name).map(PathBuf::from);
    let both = path(IMAGE).zip(path(MODULES));
    both.map(|(image, modules)| OwnKernel { image, modules })
}

/// Returns the inode number of the first network namespace.
///
/// # Panics
/// When what was chosen is no number.
#[must_use]
pub fn root_netns() -> u64 {
    env::var(ROOT_NETNS).map_or(ROOT_NETNS_OF_6_1, |inode| inode.parse().expect("an inode"))
}
