//! Single estimators coming and going: what keeps the length of `est_list`.
//!
//! | kernel | prototypes |
//! |---|---|
//! | 3.10 to 6.1 | `void ip_vs_start_estimator(struct netns_ipvs *ipvs, struct ip_vs_stats *stats)`, `void ip_vs_stop_estimator(...)` with the same arguments |
//!
//! <https://github.com/torvalds/linux/blob/v6.1/net/netfilter/ipvs/ip_vs_est.c#L133>
//!
//! Both are counted when they are entered: they take `est_lock` with bottom halves off, and a run that
//! was held back by that begins inside their own unlock, when the list has changed already.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::warn;
use probe_ebpf::{Event, EventKind, LOCK_WAIT_MIN_NS, event::ESTIMATORS_UNKNOWN};

use super::kernel_memory::{entry, renew};
use crate::maps::{ESTIMATORS, Estimator, IN_FLIGHT, InFlight, OPERATIONS, OPERATIONS_LOST};

#[kprobe]
fn start_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, 1)
}

#[kretprobe]
fn start_return(_ctx: RetProbeContext) -> u32 {
    leave(EventKind::Start)
}

#[kprobe]
fn stop_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, -1)
}

#[kretprobe]
fn stop_return(_ctx: RetProbeContext) -> u32 {
    leave(EventKind::Stop)
}

#[inline(always)]
fn enter(ctx: &ProbeContext, change: i64) -> u32 {
    let Some(ipvs) = ctx.arg::<u64>(0) else {
        return 0;
    };
    let Some(estimator) = entry(ipvs) else {
        warn!(ctx, "no room for the estimator at {:x}", ipvs);
        return 0;
    };
    // SAFETY: `estimator` points into the map.
    if unsafe { (*estimator).base + (*estimator).delta } == 0 {
        renew(estimator, ipvs);
    }
    add(estimator, change);
    let call = InFlight {
        // SAFETY: no precondition.
        start_ns: unsafe { bpf_ktime_get_ns() },
        ipvs,
    };
    if IN_FLIGHT
        .insert(bpf_get_current_pid_tgid(), call, u64::from(BPF_ANY))
        .is_err()
    {
        // Without its entry the return is not counted, so it is counted here.
        settle(estimator);
    }
    0
}

#[inline(always)]
fn add(estimator: *mut Estimator, change: i64) {
    // SAFETY: `estimator` points into the map.
    unsafe {
        atomic_add((&raw mut (*estimator).entered).cast(), 1);
        atomic_add(&raw mut (*estimator).delta, change);
    }
}

#[inline(always)]
fn settle(estimator: *mut Estimator) {
    // SAFETY: `estimator` points into the map.
    unsafe { atomic_add((&raw mut (*estimator).left).cast(), 1) };
}

/// Adds to a number that other CPUs add to as well. Rust's own atomics need a compare-and-swap, which
/// its BPF target does not claim to have.
///
/// # Safety
///
/// `number` points at eight aligned bytes that may be written.
#[inline(always)]
unsafe fn atomic_add(number: *mut i64, change: i64) {
    // SAFETY: as above.
    unsafe {
        asm!("lock *(u64 *)({number} + 0) += {change}", number = in(reg) number, change = in(reg) change);
    }
}

#[inline(always)]
fn leave(kind: EventKind) -> u32 {
    let task = bpf_get_current_pid_tgid();
    // SAFETY: the entry belongs to this task alone until this task removes it.
    let Some(call) = (unsafe { IN_FLIGHT.get(task) }) else {
        return 0;
    };
    let call = *call;
    let _ = IN_FLIGHT.remove(task);
    let Some(estimator) = ESTIMATORS.get_ptr_mut(call.ipvs) else {
        return 0;
    };
    settle(estimator);
    // SAFETY: no precondition.
    let duration_ns = unsafe { bpf_ktime_get_ns() } - call.start_ns;
    if duration_ns < LOCK_WAIT_MIN_NS {
        return 0;
    }
    let Some(mut record) = OPERATIONS.reserve::<Event>(0) else {
        if let Some(lost) = OPERATIONS_LOST.get_ptr_mut(0) {
            // SAFETY: `lost` points into the map.
            unsafe { atomic_add(lost.cast(), 1) };
        }
        return 0;
    };
    record.write(Event {
        kind: kind as u32,
        // SAFETY: no precondition.
        cpu: unsafe { bpf_get_smp_processor_id() },
        start_ns: call.start_ns,
        duration_ns,
        ipvs: call.ipvs,
        // SAFETY: `estimator` points into the map.
        netns: unsafe { (*estimator).netns },
        estimators: ESTIMATORS_UNKNOWN,
        pid: task as u32,
        reserved: 0,
    });
    record.submit(u64::from(BPF_RB_NO_WAKEUP));
    0
}
