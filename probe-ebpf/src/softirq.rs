//! Time in the softirq of timers.

use bytemuck::{Pod, Zeroable};

/// Its number (`TIMER_SOFTIRQ`, `include/linux/interrupt.h` of Linux 2.6.25 to 6.12).
pub const TIMER: u32 = 1;

/// What one CPU has spent in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct SoftirqTime {
    /// When it was entered, in nanoseconds of `CLOCK_MONOTONIC`; 0: it is not under way.
    pub start_ns: u64,
    /// How long in all, in nanoseconds, since the probes were attached.
    pub total_ns: u64,
}
