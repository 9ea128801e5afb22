//! The readers of `kernel`, made public to [`ipvs_latency::fuzzed`].

use std::{hint::black_box, path::Path};

use super::{
    btf::Fields,
    cgroup, cpus, estimator_threads, hostname,
    kernel_memory::KernelMemory,
    netns::doors::Doors,
    offsets::derived::{self, Anchors},
    prerequisites, services,
    steering::Steering,
    symbols,
};

/// A few bytes again and again in all of the kernel's memory.
struct Repeated<'a> {
    bytes: &'a [u8],
    /// A kernel of this kind may have circles that never close.
    readings_left: u32,
}

impl KernelMemory for Repeated<'_> {
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
        let Some(left) = self.readings_left.checked_sub(1) else {
            return false;
        };
        self.readings_left = left;
        let begin = usize::try_from(address % self.bytes.len() as u64).unwrap_or(0);
        let from = self.bytes.iter().cycle().skip(begin);
        into.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        true
    }
}

/// Looks for namespaces, their threads, and where fields lie in a kernel whose memory is these bytes.
pub fn kernel_memory(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let fields = Fields::made(
        &[
            ("task_struct", "nsproxy", 8),
            ("task_struct", "pid", 16),
            ("nsproxy", "net_ns", 8),
            ("net", "list", 0),
            ("net", "ns", 16),
            ("net", "ipvs", 32),
            ("ns_common", "inum", 8),
            ("netns_ipvs", "net", 40),
            ("netns_ipvs", "gen", 48),
            ("netns_ipvs", "sysctl_run_estimation", 52),
            ("netns_ipvs", "est_stopped", 56),
            ("netns_ipvs", "est_calc_phase", 60),
            ("netns_ipvs", "est_chain_max", 64),
            ("netns_ipvs", "est_kt_count", 68),
            ("netns_ipvs", "est_kt_arr", 72),
            ("ip_vs_est_kt_data", "id", 80),
            ("ip_vs_est_kt_data", "task", 88),
            ("ip_vs_est_kt_data", "est_count", 96),
            ("ip_vs_est_kt_data", "est_max_count", 100),
            ("ip_vs_est_tick_data", "chains", 0),
            ("ip_vs_est_tick_data", "present", 8),
            ("timer_list", "entry", 0),
            ("timer_list", "expires", 16),
            ("timer_list", "function", 24),
            ("timer_list", "flags", 32),
            ("hlist_node", "pprev", 8),
            ("ctl_table", "procname", 0),
            ("ctl_table", "data", 8),
        ],
        &[("ctl_table", 64)],
    );
    let mut memory = Repeated {
        bytes,
        readings_left: 20_000,
    };
    let net = 0xffff_8880_1000_0000;
    if let Ok(layout) = estimator_threads::Layout::of(&fields) {
        let _ = black_box(estimator_threads::read(&layout, net, &mut memory));
    }
    let anchors = Anchors {
        net,
        estimation_timer: 0xffff_ffff_c0a0_0000,
    };
    let _ = black_box(derived::derived(&fields, anchors, &mut memory));
}

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
