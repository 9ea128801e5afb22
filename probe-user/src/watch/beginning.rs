//! What is known of a watch when it begins.

use std::path::Path;

use host::{cpus, hostname::hostname, prerequisites};
use model::{Clock, WallTime};
use monitor::mechanism::Mechanism;

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
    /// What measures.
    pub mechanism: Mechanism,
}

impl Beginning {
    /// Returns what is known on the host under `root` of a watch that began at `start_ns`.
    pub fn new(
        root: &Path,
        start_ns: u64,
        clock: &Clock,
        root_netns: u32,
        mechanism: Mechanism,
    ) -> Self {
        Self {
            start_ns,
            at: clock.wall(start_ns),
            release: prerequisites::release(root),
            hostname: hostname(root),
            possible_cpus: cpus::possible(root),
            root_netns,
            mechanism,
        }
    }
}
