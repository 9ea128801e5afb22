//! What the probes report: one fixed-size record for each run of the estimator and for each start or
//! stop of a single estimator that took long enough to have waited.

use bytemuck::{Pod, Zeroable};

/// Which function a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// `estimation_timer`: one run over a namespace's `est_list`.
    Run = 1,
    /// `ip_vs_start_estimator`: a service or destination came.
    Start = 2,
    /// `ip_vs_stop_estimator`: a service or destination went.
    Stop = 3,
}

impl EventKind {
    /// The kind that this number stands for in a record, if any.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Run, Self::Start, Self::Stop]
            .into_iter()
            .find(|kind| *kind as u32 == number)
    }
}

/// The number of estimators in an [`Event`] where the probes do not know it.
pub const ESTIMATORS_UNKNOWN: i32 = -1;

/// One call of a probed function. Times are `CLOCK_MONOTONIC` in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct Event {
    /// An [`EventKind`].
    pub kind: u32,
    /// The CPU on which the function returned.
    pub cpu: u32,
    /// When the function was entered.
    pub start_ns: u64,
    /// From entry to return.
    pub duration_ns: u64,
    /// Address of the namespace's `struct netns_ipvs`: its identity while it lives.
    pub ipvs: u64,
    /// Inode number of the network namespace; 0 where it could not be read.
    pub netns: u32,
    /// Length of `est_list` when the run began, or [`ESTIMATORS_UNKNOWN`]. Runs only.
    pub estimators: i32,
    /// Task that the call ran in: for a run, the one that the softirq interrupted (0: idle).
    pub pid: u32,
    /// Keeps the record free of padding.
    pub reserved: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_survives_the_crossing_and_an_unknown_number_is_none() {
        for kind in [EventKind::Run, EventKind::Start, EventKind::Stop] {
            assert_eq!(EventKind::from_number(kind as u32), Some(kind));
        }
        assert_eq!(EventKind::from_number(0), None);
        assert_eq!(EventKind::from_number(4), None);
    }

    #[test]
    fn the_ring_buffer_holds_as_many_events_as_its_documentation_says() {
        let header = 8;
        assert_eq!(
            crate::EVENTS_BYTES as usize / (size_of::<Event>() + header),
            9362
        );
    }
}
