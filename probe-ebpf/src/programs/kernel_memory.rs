//! Finding a namespace's entry.

use aya_ebpf::bindings::BPF_NOEXIST;

use super::memory::read;
use crate::maps::{ESTIMATORS, Estimator, OFFSETS};

/// The inode number of the namespace that `ipvs` belongs to.
#[inline(always)]
fn netns_of(ipvs: u64) -> Option<u32> {
    let offsets = OFFSETS.load();
    let net: u64 = read(ipvs, offsets.ipvs_net)?;
    read(net, offsets.net_inum)
}

/// Makes an entry for `ipvs`, its length not yet known. Returns 0, or 1 where the map is full.
#[inline(never)]
pub fn adopt(ipvs: u64) -> u32 {
    let fresh = Estimator {
        netns: netns_of(ipvs).unwrap_or(0),
        seeded: 0,
        base: 0,
        delta: 0,
        entered: 0,
        left: 0,
        settled: 0,
        settled_ns: 0,
        runs: 0,
        lost: 0,
    };
    match ESTIMATORS.insert(ipvs, fresh, u64::from(BPF_NOEXIST)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

/// The entry of `ipvs`, adopted first if it is unknown.
#[inline(always)]
pub fn entry(ipvs: u64) -> Option<*mut Estimator> {
    if let Some(entry) = ESTIMATORS.get_ptr_mut(ipvs) {
        return Some(entry);
    }
    adopt(ipvs);
    ESTIMATORS.get_ptr_mut(ipvs)
}

/// Notes the namespace that lives at a `netns_ipvs` whose list was empty: a new namespace may have
/// been given the address of one that is gone.
#[inline(always)]
pub fn renew(estimator: *mut Estimator, ipvs: u64) {
    if let Some(netns) = netns_of(ipvs) {
        // SAFETY: `estimator` points into the map, which the verifier has checked.
        unsafe { (*estimator).netns = netns };
    }
}
