//! Time that a CPU spends in the softirq of timers, whichever timers.
//!
//! | kernel | tracepoints |
//! |---|---|
//! | 2.6.31 to 6.12 | `irq:softirq_entry`, `irq:softirq_exit`, both with `unsigned int vec_nr` |
//!
//! <https://github.com/torvalds/linux/blob/v6.1/include/trace/events/irq.h#L103>
//!
//! Attached for the time of a trial alone: every softirq passes here.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::raw_tracepoint, programs::RawTracePointContext};
use probe_ebpf::softirq::TIMER;

use crate::maps::SOFTIRQ;

#[raw_tracepoint(tracepoint = "softirq_entry")]
fn softirq_entry(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<u64>(0) as u32 == TIMER
        && let Some(time) = SOFTIRQ.get_ptr_mut(0)
    {
        // SAFETY: `time` points at this CPU's own value; the helper has no precondition.
        unsafe { (*time).start_ns = bpf_ktime_get_ns() };
    }
    0
}

#[raw_tracepoint(tracepoint = "softirq_exit")]
fn softirq_exit(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<u64>(0) as u32 != TIMER {
        return 0;
    }
    let Some(time) = SOFTIRQ.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: as above. Softirqs neither nest nor migrate.
    unsafe {
        if (*time).start_ns != 0 {
            (*time).total_ns += bpf_ktime_get_ns() - (*time).start_ns;
            (*time).start_ns = 0;
        }
    }
    0
}
