//! Where a page ends, and where the next one continues.

use core::ptr::read_volatile;

use probe_ebpf::Offsets;

use super::{super::memory::read, Walk, generation};
use crate::maps::ESTIMATORS;

/// `list_head.prev`
const PREV: u32 = 8;

impl Walk {
    /// Returns whether the page ends here. Only a namespace can be found again, so not at a link that belongs to none.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        (self.records == 0 || self.steps == 0) && self.begun && self.since_stranger != 0
    }
}

/// Returns whether the walk can continue where the last page ended. While this page lasts, nothing that it can reach is
/// freed: the program runs under RCU's read lock.
#[inline(always)]
pub fn resumed(walk: &mut Walk, offsets: &Offsets) -> bool {
    let net = walk.at - u64::from(offsets.net_list);
    // Another namespace at this address has another generation; one that was unlinked has no `prev` (`list_del_rcu`).
    let is_same = read::<u64>(net, offsets.net_ipvs) == Some(walk.ipvs)
        && read::<u64>(walk.ipvs, offsets.ipvs_net) == Some(net)
        && generation(walk.ipvs, offsets) == walk.generation
        && read::<u32>(net, offsets.net_inum) == Some(walk.netns);
    let is_linked =
        read::<u64>(walk.at, PREV).and_then(|prev| read::<u64>(prev, 0)) == Some(walk.at);
    let Some(link) = read::<u64>(walk.at, 0).filter(|_| is_same && is_linked) else {
        return false;
    };
    walk.link = link;
    if walk.node != 0 && !is_unchanged(walk) {
        // The node that we were at may be gone: the length stays unknown.
        walk.quiet = false;
        walk.node = walk.head;
    }
    true
}

/// Returns whether no start or stop came since the walk of this list began.
#[inline(always)]
fn is_unchanged(walk: &Walk) -> bool {
    let Some(estimator) = ESTIMATORS.get_ptr_mut(walk.ipvs) else {
        return false;
    };
    // SAFETY: `estimator` points into the map; other CPUs change this field.
    walk.quiet && unsafe { read_volatile(&raw const (*estimator).entered) } == walk.entered
}
