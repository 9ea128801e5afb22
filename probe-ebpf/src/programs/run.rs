//! One run of the estimator.
//!
//! | kernel | prototype |
//! |---|---|
//! | 4.15 to 6.1 | `static void estimation_timer(struct timer_list *t)` |
//! | 6.2 on | gone: kernel threads |
//!
//! <https://github.com/torvalds/linux/blob/v6.1/net/netfilter/ipvs/ip_vs_est.c#L94>
//!
//! It runs as a timer callback in softirq context and packets wait for it, so both programs do a
//! constant amount of work and wake nobody. Walking `est_list` here would nearly double the stall.

use aya_ebpf::{
    EbpfContext as _,
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::{debug, warn};
use probe_ebpf::{Event, EventKind, event::ESTIMATORS_UNKNOWN, histogram::slot};

use super::kernel_memory::entry;
use crate::maps::{EST_TIMER, ESTIMATORS, EVENTS, HISTOGRAM, RUNNING, Running};

#[kprobe]
fn est_enter(ctx: ProbeContext) -> u32 {
    let (Some(timer), Some(running)) = (ctx.arg::<u64>(0), RUNNING.get_ptr_mut(0)) else {
        return 0;
    };
    let ipvs = timer.wrapping_sub(EST_TIMER.load());
    let mut run = Running {
        start_ns: 0,
        ipvs,
        netns: 0,
        estimators: ESTIMATORS_UNKNOWN,
    };
    if let Some(estimator) = entry(ipvs) {
        // SAFETY: `estimator` points into the map. Only this namespace's own timer writes `runs`.
        unsafe {
            (*estimator).runs += 1;
            run.netns = (*estimator).netns;
            if (*estimator).seeded != 0 {
                run.estimators = ((*estimator).base + (*estimator).delta) as i32;
            }
        }
    } else {
        warn!(&ctx, "no room for the estimator at {:x}", ipvs);
    }
    // The clock last, so that none of the above counts as the estimator's time.
    // SAFETY: `running` points at this CPU's own value; the helper has no precondition.
    unsafe {
        *running = run;
        (*running).start_ns = bpf_ktime_get_ns();
    }
    0
}

#[kretprobe]
fn est_return(ctx: RetProbeContext) -> u32 {
    // SAFETY: no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(running) = RUNNING.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: `running` points at this CPU's own value.
    let run = unsafe { *running };
    if run.start_ns == 0 {
        debug!(&ctx, "a run left that was not seen to enter");
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*running).start_ns = 0 };
    let duration_ns = now_ns - run.start_ns;
    let Some(mut record) = EVENTS.reserve::<Event>(0) else {
        lose(run.ipvs, duration_ns);
        debug!(
            &ctx,
            "ring buffer full: a run of {} ns has no record", duration_ns
        );
        return 0;
    };
    record.write(Event {
        kind: EventKind::Run as u32,
        // SAFETY: no precondition.
        cpu: unsafe { bpf_get_smp_processor_id() },
        start_ns: run.start_ns,
        duration_ns,
        ipvs: run.ipvs,
        netns: run.netns,
        estimators: run.estimators,
        pid: ctx.pid(),
        reserved: 0,
    });
    record.submit(u64::from(BPF_RB_NO_WAKEUP));
    0
}

/// Counts a run that has no record, and its duration.
#[inline(never)]
fn lose(ipvs: u64, duration_ns: u64) -> u32 {
    if let Some(count) = HISTOGRAM.get_ptr_mut(slot(duration_ns)) {
        // SAFETY: `count` points at this CPU's own value.
        unsafe { *count += 1 };
    }
    match ESTIMATORS.get_ptr_mut(ipvs) {
        Some(estimator) => {
            // SAFETY: `estimator` points into the map. Only this namespace's own timer writes `lost`.
            unsafe { (*estimator).lost += 1 };
            0
        }
        None => 1,
    }
}
