//! The readers of `kernel`, made public to [`ipvs_latency::fuzzed`].

use std::{hint::black_box, path::Path};

use super::{
    cgroup, cpus, hostname, netns::doors::Doors, prerequisites, services, steering::Steering,
    symbols,
};

/// Looks for a function in the list of symbols under `root`.
pub fn symbols(root: &Path) {
    let _ = black_box(symbols::address(root, "ip_vs", "estimation_timer"));
}

/// Reads the text of a process's cgroup.
pub fn cgroup(bytes: &[u8]) {
    black_box(cgroup::home(&String::from_utf8_lossy(bytes)));
}

/// Reads what the kernel says of its CPUs, devices and services under `root`.
pub fn host(root: &Path) {
    let cpus = cpus::Cpus::read(root);
    let mut doors = Doors::read(root);
    doors.add_process(1, 7);
    let services = services::count(root, &doors, 1, None);
    black_box((hostname::hostname(root), cpus, services.is_ok()));
    black_box(Steering::read(root));
    black_box(prerequisites::release(root));
}
