//! What one look at every namespace's estimator finds, taken in our own process context.

use bytemuck::{Pod, Zeroable};

/// Which part of a snapshot a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum SnapshotKind {
    /// One namespace's estimator.
    Estimator = 1,
    /// The end: the clocks at that moment. A snapshot without it was cut short. There is one, however many pages the
    /// snapshot has.
    End = 2,
}

/// The length of `est_list` in a [`Snapshot`] that did not walk it, or walked it in vain because it
/// changed meanwhile.
pub const LENGTH_UNKNOWN: i64 = -1;

/// `run_estimation` in a [`Snapshot`] of a kernel that has no such switch.
pub const NO_SWITCH: i32 = -1;

/// `pending` in a [`Snapshot`] of a timer that is queued.
pub const PENDING: u32 = 1;

/// `pending` in a [`Snapshot`] of a timer that was not seen yet, by what does not read the kernel's memory.
pub const PENDING_UNKNOWN: u32 = 2;

/// One record of a snapshot. Where a field does not belong to the record's kind it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct Snapshot {
    /// A [`SnapshotKind`].
    pub kind: u32,
    /// Inode number of the network namespace. At the end: that of the root namespace, or 0 if it could
    /// not be told from the others.
    pub netns: u32,
    /// Address of the namespace's `struct netns_ipvs`.
    pub ipvs: u64,
    /// Whether the timer is queued: [`PENDING`] or 0, or [`PENDING_UNKNOWN`]. It is 0 for a moment while it runs.
    pub pending: u32,
    /// The CPU that the timer is queued on, or last was.
    pub cpu: u32,
    /// Which `struct netns_ipvs` since `ip_vs` was loaded this is (`netns_ipvs.gen`): addresses and inode
    /// numbers are given again to later ones.
    pub generation: u32,
    /// The level of the timer wheel that the timer is queued on, or last was.
    pub level: u32,
    /// When the timer expires, in jiffies, as the kernel stores it.
    pub expires: u64,
    /// Address of the function that the timer calls.
    pub function: u64,
    /// `net.ipv4.vs.run_estimation` of this namespace, or [`NO_SWITCH`].
    pub run_estimation: i32,
    /// Whether the namespace's length is known to the probes: 1 or 0.
    pub seeded: u32,
    /// Length of `est_list` as walked for this record, or [`LENGTH_UNKNOWN`].
    pub walked: i64,
    /// Length of `est_list` as the probes keep it, or [`LENGTH_UNKNOWN`].
    pub counted: i64,
    /// Runs of `estimation_timer` that the probes saw enter since they were attached. At the end: how many namespaces
    /// found the map of estimators full, so that the probes keep nothing about them.
    pub runs: u64,
    /// Runs among them whose record found the ring buffer full. At the end: the starts and stops of at least
    /// [`crate::LOCK_WAIT_MIN_NS`], of all namespaces, whose record did.
    pub lost: u64,
    /// `CLOCK_MONOTONIC` in nanoseconds when this record was made: the pages of one snapshot may lie far apart, as
    /// when the process that takes it is stopped between two.
    pub now_ns: u64,
    /// `jiffies` at that moment.
    pub jiffies: u64,
}

/// The arguments of the snapshot's program, by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Argument {
    /// A [`WalkLists`].
    Lists = 0,
    /// The most records of a page. They must leave room for the record of the end in the ring buffer.
    PageRecords = 1,
    /// The most steps of a page: namespaces, and entries of their lists.
    PageSteps = 2,
    /// 0: begin; 1: continue where the last page ended.
    Resume = 3,
}

/// Records of one page: with the end, they fill the ring buffer.
pub const PAGE_RECORDS: u64 =
    crate::SNAPSHOTS_BYTES as u64 / (size_of::<Snapshot>() as u64 + 8) - 1;

/// Steps of one page, about 100 ns each. They limit how long a page keeps tasks of its CPU waiting.
pub const PAGE_STEPS: u64 = 1 << 18;

/// Steps of one page where the kernel has no `bpf_loop` (Linux before 5.17). More of them cost the verifier time at each
/// start, fewer cost system calls at each snapshot.
pub const BOUNDED_STEPS: u64 = 192;

/// Extra steps of such a page: it cannot end at a link that belongs to no namespace.
pub const BOUNDED_SPARE_STEPS: u64 = 64;

/// What a snapshot is asked to do, as its program's first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum WalkLists {
    /// Walk the lists whose length the probes do not know yet.
    Unseeded = 0,
    /// Walk every list, to check the lengths that the probes keep.
    All = 1,
    /// Walk none, and take no notice of what the probes keep.
    Nothing = 2,
}

/// What a snapshot's program returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// Every namespace is in it.
    Whole = 0,
    /// The ring buffer was too small for a page, or the bound on steps for a namespace.
    CutShort = 1,
    /// The kernel refused to let the program read its memory (lockdown=confidentiality).
    Unreadable = 2,
    /// This page is full: another one follows.
    More = 3,
    /// The namespace at which the page before ended is gone: the snapshot must begin again.
    Moved = 4,
}

impl Outcome {
    /// Returns the outcome that this number stands for, if any.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        [
            Self::Whole,
            Self::CutShort,
            Self::Unreadable,
            Self::More,
            Self::Moved,
        ]
        .into_iter()
        .find(|outcome| *outcome as u32 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_and_the_end_fit_into_the_ring_buffer_and_one_record_more_would_not() {
        let header = 8;
        let bytes = |records: u64| records * (size_of::<Snapshot>() as u64 + header);
        assert!(bytes(PAGE_RECORDS + 1) <= crate::SNAPSHOTS_BYTES.into());
        assert!(bytes(PAGE_RECORDS + 2) > crate::SNAPSHOTS_BYTES.into());
    }

    #[test]
    fn an_outcome_survives_the_crossing_and_an_unknown_number_is_none() {
        for outcome in [Outcome::Whole, Outcome::More, Outcome::Moved] {
            assert_eq!(Outcome::from_number(outcome as u32), Some(outcome));
        }
        assert_eq!(Outcome::from_number(5), None);
    }
}
