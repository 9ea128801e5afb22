//! The maps, and the values that only the programs see.

use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use probe_ebpf::{
    EVENTS_BYTES, MAX_IN_FLIGHT, OPERATIONS_BYTES, Offsets, SNAPSHOTS_BYTES, SoftirqTime,
    USUAL_ESTIMATORS, histogram, peek::PEEK_BYTES,
};

/// Where the kernel's fields lie; set by user space before loading.
#[unsafe(no_mangle)]
pub static OFFSETS: Global<Offsets> = Global::new(Offsets::ABSENT);

/// The one offset that a run needs, on its own so that the run's path loads nothing else.
#[unsafe(no_mangle)]
pub static EST_TIMER: Global<u64> = Global::new(0);

/// What the programs keep about one namespace's estimator.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Estimator {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Whether `base` has been set from a walk.
    pub seeded: u32,
    /// `est_list` is `base + delta` long.
    pub base: i64,
    /// Starts minus stops since the probes were attached.
    pub delta: i64,
    /// Start and stop calls entered, and left again. Unequal: a call may be about to change the list.
    pub entered: u64,
    pub left: u64,
    /// `entered` as an earlier snapshot found it, and when: calls that never come back do not
    /// hold up a seed for ever.
    pub settled: u64,
    pub settled_ns: u64,
    /// Runs entered.
    pub runs: u64,
    /// Runs whose record found the ring buffer full.
    pub lost: u64,
}

/// By address of `struct netns_ipvs`. User space makes it larger where there are many.
#[map]
pub static ESTIMATORS: HashMap<u64, Estimator> = HashMap::with_max_entries(USUAL_ESTIMATORS, 0);

/// A run in progress. Timer callbacks neither nest nor migrate, so that one a CPU is enough; a key
/// by task would mix the CPUs, which all run softirqs over the same idle task 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Running {
    /// 0: none.
    pub start_ns: u64,
    pub ipvs: u64,
    pub netns: u32,
    pub estimators: i32,
}

#[map]
pub static RUNNING: PerCpuArray<Running> = PerCpuArray::with_max_entries(1, 0);

/// Counts of the runs that have no record, by [`histogram::slot`].
#[map]
pub static HISTOGRAM: PerCpuArray<u64> = PerCpuArray::with_max_entries(histogram::SLOTS, 0);

/// A start or stop in progress. It may sleep before the lock and migrate: by task.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct InFlight {
    pub start_ns: u64,
    pub ipvs: u64,
}

#[map]
pub static IN_FLIGHT: HashMap<u64, InFlight> = HashMap::with_max_entries(MAX_IN_FLIGHT, 0);

#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);

#[map]
pub static OPERATIONS: RingBuf = RingBuf::with_byte_size(OPERATIONS_BYTES, 0);

/// How many records found [`OPERATIONS`] full.
#[map]
pub static OPERATIONS_LOST: Array<u64> = Array::with_max_entries(1, 0);

#[map]
pub static SNAPSHOTS: RingBuf = RingBuf::with_byte_size(SNAPSHOTS_BYTES, 0);

/// What each CPU has spent in the softirq of timers.
#[map]
pub static SOFTIRQ: PerCpuArray<SoftirqTime> = PerCpuArray::with_max_entries(1, 0);

/// What `peek` has read.
#[map]
pub static PEEK: Array<[u8; PEEK_BYTES]> = Array::with_max_entries(1, 0);
