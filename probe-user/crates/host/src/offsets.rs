//! Where the fields lie that the programs read.

pub mod derived;
pub mod module_symbols;

use probe_ebpf::{Offsets, offsets::ABSENT};
use thiserror::Error;

use super::btf::Fields;

/// The structures that hold a field of [`Offsets`].
pub const STRUCTURES: &[&str] = &[
    "task_struct",
    "nsproxy",
    "net",
    "ns_common",
    "netns_ipvs",
    "timer_list",
    "hlist_node",
];

/// A field that this kernel's structures do not have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{structure}.{field}")]
pub struct MissingField {
    structure: &'static str,
    field: &'static str,
}

/// Returns the offsets of all fields that the programs read.
///
/// # Errors
///
/// With the first field that is not there; only `sysctl_run_estimation` may be missing (Linux before
/// 5.16).
pub fn offsets(fields: &Fields) -> Result<Offsets, MissingField> {
    let at = |field| at(fields, "netns_ipvs", field);
    Ok(Offsets {
        ipvs_net: at("net")?,
        ipvs_gen: at("gen")?,
        ipvs_est_list: at("est_list")?,
        ipvs_est_timer: at("est_timer")?,
        ipvs_run_estimation: at("sysctl_run_estimation").unwrap_or(ABSENT),
        ..of_the_kernel(fields)?
    })
}

/// Returns the offsets of the fields outside of `ip_vs`.
///
/// # Errors
///
/// With the first field that is not there.
pub fn of_the_kernel(fields: &Fields) -> Result<Offsets, MissingField> {
    let at = |structure, field| at(fields, structure, field);
    Ok(Offsets {
        task_nsproxy: at("task_struct", "nsproxy")?,
        nsproxy_net: at("nsproxy", "net_ns")?,
        net_list: at("net", "list")?,
        net_inum: at("net", "ns")? + at("ns_common", "inum")?,
        net_ipvs: at("net", "ipvs")?,
        timer_pprev: at("timer_list", "entry")? + at("hlist_node", "pprev")?,
        timer_expires: at("timer_list", "expires")?,
        timer_function: at("timer_list", "function")?,
        timer_flags: at("timer_list", "flags")?,
        ..Offsets::ABSENT
    })
}

pub(crate) fn at(
    fields: &Fields,
    structure: &'static str,
    field: &'static str,
) -> Result<u32, MissingField> {
    let offset = fields.offset(structure, field);
    offset.ok_or(MissingField { structure, field })
}
