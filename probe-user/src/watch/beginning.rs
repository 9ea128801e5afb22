//! What is known of a watch when it begins.

use model::WallTime;

/// From when on every run is seen, and where.
pub struct Beginning {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// The same, as people tell time.
    pub at: WallTime,
    /// The kernel's release.
    pub release: String,
    /// The node's name.
    pub hostname: String,
    /// CPUs that the kernel makes room for.
    pub possible_cpus: Option<u32>,
    /// Inode number of the root network namespace; 0 where it is hidden.
    pub root_netns: u32,
}
