//! Where the fields lie that the programs read.

use probe_ebpf::{Offsets, offsets::ABSENT};
use thiserror::Error;

use super::btf::Fields;

/// The structures that hold a field of [`Offsets`], and the one by which kernel threads are told.
pub const STRUCTURES: &[&str] = &[
    "task_struct",
    "nsproxy",
    "net",
    "ns_common",
    "netns_ipvs",
    "timer_list",
    "hlist_node",
    THREAD_STRUCTURE,
];

/// `ip_vs` has this structure from Linux 6.2 on, where kernel threads took over from the timer
/// (`include/net/ip_vs.h`).
const THREAD_STRUCTURE: &str = "ip_vs_est_kt_data";

/// What estimates on this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// `estimation_timer`, in softirq context: Linux up to 6.1.
    Timer,
    /// Kernel threads `ipvs-e:GEN:ID`: Linux 6.2 on, and vendors' backports.
    Threads,
}

/// Told by what the module is made of, never by a version: vendors carry either into other versions.
#[must_use]
pub fn estimator(fields: &Fields) -> Estimator {
    if fields.has(THREAD_STRUCTURE) {
        Estimator::Threads
    } else {
        Estimator::Timer
    }
}

/// A field that this kernel's structures do not have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{structure}.{field}")]
pub struct MissingField {
    structure: &'static str,
    field: &'static str,
}

/// The offsets of all fields that the programs read.
///
/// # Errors
///
/// With the first field that is not there; only `sysctl_run_estimation` may be missing (Linux before
/// 5.16).
pub fn offsets(fields: &Fields) -> Result<Offsets, MissingField> {
    let at = |structure, field| {
        fields
            .offset(structure, field)
            .ok_or(MissingField { structure, field })
    };
    Ok(Offsets {
        task_nsproxy: at("task_struct", "nsproxy")?,
        nsproxy_net: at("nsproxy", "net_ns")?,
        net_list: at("net", "list")?,
        net_inum: at("net", "ns")? + at("ns_common", "inum")?,
        net_ipvs: at("net", "ipvs")?,
        ipvs_net: at("netns_ipvs", "net")?,
        ipvs_gen: at("netns_ipvs", "gen")?,
        ipvs_est_list: at("netns_ipvs", "est_list")?,
        ipvs_est_timer: at("netns_ipvs", "est_timer")?,
        ipvs_run_estimation: at("netns_ipvs", "sysctl_run_estimation").unwrap_or(ABSENT),
        timer_pprev: at("timer_list", "entry")? + at("hlist_node", "pprev")?,
        timer_expires: at("timer_list", "expires")?,
        timer_function: at("timer_list", "function")?,
        timer_flags: at("timer_list", "flags")?,
    })
}
