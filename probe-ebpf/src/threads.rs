//! Kernel threads that estimate (Linux 6.2 on): what the probes on them read, keep and report.

use bytemuck::{Pod, Zeroable};

use crate::offsets::ABSENT;

/// Byte offsets of the fields that these probes read (`include/net/ip_vs.h` of Linux 6.2 to 7.3, `kernel/kthread.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct ThreadOffsets {
    /// `net.ns.inum`, the inode number under `/proc/PID/ns/net`.
    pub net_inum: u32,
    /// `netns_ipvs.net`
    pub ipvs_net: u32,
    /// `netns_ipvs.gen`, the number of this one since `ip_vs` was loaded.
    pub ipvs_gen: u32,
    /// `netns_ipvs.est_calc_phase`
    pub ipvs_calibrating: u32,
    /// `task_struct.worker_private`, which points to the thread's `struct kthread`.
    pub task_kthread: u32,
    /// `kthread.data`, which points to a `struct ip_vs_est_kt_data`.
    pub kthread_data: u32,
    /// `ip_vs_est_kt_data.ipvs`
    pub data_ipvs: u32,
    /// `ip_vs_est_kt_data.id`
    pub data_id: u32,
    /// `ip_vs_est_kt_data.est_row`
    pub data_row: u32,
    /// From a chain to its length in `struct ip_vs_est_tick_data`; [`ABSENT`] where a tick has several chains.
    pub chain_length: u32,
}

impl ThreadOffsets {
    /// No field's place is known.
    pub const ABSENT: Self = Self {
        net_inum: ABSENT,
        ipvs_net: ABSENT,
        ipvs_gen: ABSENT,
        ipvs_calibrating: ABSENT,
        task_kthread: ABSENT,
        kthread_data: ABSENT,
        data_ipvs: ABSENT,
        data_id: ABSENT,
        data_row: ABSENT,
        chain_length: ABSENT,
    };
}

/// How many threads are followed at once: some 100 bytes each.
pub const MAX_THREADS: u32 = 4096;

/// Bytes of the ring buffer of [`ChainRun`]s: room for 8,192 of them, those of some 320 threads in a second.
pub const CHAIN_RUNS_BYTES: u32 = 512 * 1024;

/// Bytes of the ring buffer of [`ThreadStart`]s.
pub const THREAD_STARTS_BYTES: u32 = 16 * 1024;

/// The length of a chain that is not known.
pub const LENGTH_UNKNOWN: i32 = -1;

/// One call of `ip_vs_chain_estimation` by a kernel thread. Times are `CLOCK_MONOTONIC` in nanoseconds.
///
/// It has its thread's counts too: a look-up of a map would keep the probes off its CPU for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct ChainRun {
    /// When the function was entered.
    pub start_ns: u64,
    /// From entry to return.
    pub duration_ns: u64,
    /// How many runs of this thread the probes saw begin, this one included.
    pub number: u64,
    /// Inode number of the network namespace; 0 where it could not be read.
    pub netns: u32,
    /// The thread's id, in the numbering of the first process id namespace.
    pub tid: u32,
    /// Estimators in the chain when the run began, or [`LENGTH_UNKNOWN`].
    pub estimators: i32,
    /// How many runs of this thread before it found the ring buffer full.
    pub lost: u32,
    /// The CPU on which the function returned.
    pub cpu: u16,
    /// The thread's number among those of its namespace.
    pub thread: u16,
    /// Which of the thread's 50 ticks the chain belongs to, from 0 on.
    pub tick: u16,
    /// Calls that this thread timed to find how long a chain may be, and that the probes made slower.
    pub disturbed: u16,
    /// Which of the namespaces since `ip_vs` was loaded: an inode number is used again.
    pub generation: u32,
    /// Keeps the record free of padding.
    pub reserved: u32,
}

/// A kernel thread that began to run `ip_vs_estimation_kthread`, or that calibrates beside the probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct ThreadStart {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// Inode number of the network namespace; 0 where it could not be read.
    pub netns: u32,
    /// The thread's id.
    pub tid: u32,
}

/// Bytes that the programs keep about one thread.
pub const FOLLOWED_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_buffer_holds_as_many_runs_as_its_documentation_says() {
        let header = 8;
        let room = CHAIN_RUNS_BYTES as usize / (size_of::<ChainRun>() + header);
        assert_eq!(room, 8_192);
    }
}
