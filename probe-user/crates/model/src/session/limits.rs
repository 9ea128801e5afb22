//! Limits that are reached.

use probe_ebpf::{Snapshot, SnapshotKind};

use super::{super::namespaces::KEPT_APART, look::is};

/// Which limits are reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// The probes have no room for all namespaces.
    room: bool,
    /// Nor have our sums.
    sums: bool,
}

impl Limits {
    /// Returns the notices about limits that were not reached before.
    pub fn news(&mut self, snapshot: &[Snapshot]) -> Vec<String> {
        let Some((end, there)) = snapshot
            .split_last()
            .filter(|(end, _)| is(end, SnapshotKind::End))
        else {
            return Vec::new();
        };
        let (unfollowed, there) = (end.runs, there.len());
        let limits = Self {
            room: unfollowed > 0,
            sums: there > KEPT_APART,
        };
        let before = std::mem::replace(self, limits);
        let mut texts = Vec::new();
        if limits.room && !before.room {
            texts.push(format!(
                "the probes have no room for {unfollowed} of {there} network namespaces: the length of their \
                 est_list is unknown, and lost runs of them are not counted; a restart makes room"
            ));
        }
        if limits.sums && !before.sums {
            texts.push(format!(
                "sums are kept for {KEPT_APART} of {there} network namespaces: runs of the others are in the sums over all"
            ));
        }
        texts
    }
}
