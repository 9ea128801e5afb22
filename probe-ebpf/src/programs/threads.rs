//! Kernel threads that estimate: Linux 6.2 on.
//!
//! | program | function |
//! |---|---|
//! | `thread_enter` | `static int ip_vs_estimation_kthread(void *data)`: a thread begins |
//! | `chain_enter`, `chain_return` | `static void ip_vs_chain_estimation(struct hlist_head *chain)`: a run over one chain |
//!
//! A namespace's first thread begins by timing calls of the second function, to find how long a chain may be, and a probe
//! there would make all chains shorter. It waits for a fiftieth of a second before the first call, and before the fifth and
//! the ninth of twelve, of which the fastest counts (`ip_vs_est_calc_limits`, `net/netfilter/ipvs/ip_vs_est.c` of Linux 6.2
//! to 7.3). So `thread_enter` wakes user space, which detaches the other two.
//!
//! A run is the thread's own: it may sleep and migrate in between, and is kept by thread id.

use aya_ebpf::{
    Global,
    bindings::{BPF_ANY, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    },
    macros::{kprobe, kretprobe, map},
    maps::{Array, HashMap, RingBuf},
    programs::{ProbeContext, RetProbeContext},
};
use probe_ebpf::{
    offsets::ABSENT,
    threads::{
        CHAIN_RUNS_BYTES, ChainRun, FOLLOWED_BYTES, LENGTH_UNKNOWN, MAX_THREADS,
        THREAD_STARTS_BYTES, ThreadOffsets, ThreadStart,
    },
};

use super::memory::{read, read_or_zero};

/// Where the kernel's fields lie; set by user space before loading.
#[unsafe(no_mangle)]
static THREAD_OFFSETS: Global<ThreadOffsets> = Global::new(ThreadOffsets::ABSENT);

/// What is kept about one thread. Its runs do not nest.
#[derive(Clone, Copy)]
#[repr(C)]
struct Followed {
    /// Address of its `struct ip_vs_est_kt_data`.
    data: u64,
    /// Address of its namespace's `struct netns_ipvs`.
    ipvs: u64,
    /// When the run in progress began; 0: none.
    start_ns: u64,
    /// Runs that were entered.
    runs: u64,
    /// The inode number of its namespace; 0 where it could not be read.
    netns: u32,
    /// Of the run in progress: the length of the chain.
    estimators: i32,
    /// Runs whose record found the ring buffer full.
    lost: u32,
    /// Its number among those of its namespace.
    thread: u32,
    /// Of the run in progress: the tick.
    tick: u32,
    /// Calls that it timed while the probes were there.
    disturbed: u32,
    /// Which of the namespaces since `ip_vs` was loaded.
    generation: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Followed>() == FOLLOWED_BYTES);

/// By thread id.
#[map]
static THREADS: HashMap<u32, Followed> = HashMap::with_max_entries(MAX_THREADS, 0);

#[map]
static CHAIN_RUNS: RingBuf = RingBuf::with_byte_size(CHAIN_RUNS_BYTES, 0);

#[map]
static THREAD_STARTS: RingBuf = RingBuf::with_byte_size(THREAD_STARTS_BYTES, 0);

/// How many runs were of threads for which [`THREADS`] has no room.
#[map]
static UNFOLLOWED: Array<u64> = Array::with_max_entries(1, 0);

#[kprobe]
fn thread_enter(ctx: ProbeContext) -> u32 {
    let Some(data) = ctx.arg::<u64>(0) else {
        return 0;
    };
    let tid = bpf_get_current_pid_tgid() as u32;
    // The number may be one of a thread that is gone.
    follow(tid, data);
    report(netns_of(read_or_zero(
        data,
        THREAD_OFFSETS.load().data_ipvs,
    )))
}

/// Wakes user space, which then removes the probes on chains.
#[inline(never)]
fn report(netns: u32) -> u32 {
    let Some(mut record) = THREAD_STARTS.reserve::<ThreadStart>(0) else {
        return 0;
    };
    record.write(ThreadStart {
        // SAFETY: no precondition.
        start_ns: unsafe { bpf_ktime_get_ns() },
        netns,
        tid: bpf_get_current_pid_tgid() as u32,
    });
    record.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    0
}

#[kprobe]
fn chain_enter(ctx: ProbeContext) -> u32 {
    let Some(chain) = ctx.arg::<u64>(0) else {
        return 0;
    };
    let Some(thread) = current() else {
        unfollowed();
        return 0;
    };
    let offsets = THREAD_OFFSETS.load();
    // SAFETY: `thread` points into the map, at the value of the running task, which nothing else writes.
    unsafe {
        // A thread calibrates before all else, or never.
        if (*thread).runs == 0 && read_or_zero::<i32>((*thread).ipvs, offsets.ipvs_calibrating) != 0
        {
            (*thread).disturbed += 1;
            (*thread).start_ns = 0;
            if (*thread).disturbed == 1 {
                // Its begin was not seen.
                report((*thread).netns);
            }
            return 0;
        }
        (*thread).runs += 1;
        (*thread).tick = read_or_zero((*thread).data, offsets.data_row);
        (*thread).estimators = if offsets.chain_length == ABSENT {
            LENGTH_UNKNOWN
        } else {
            read(chain, offsets.chain_length).unwrap_or(LENGTH_UNKNOWN)
        };
        (*thread).start_ns = bpf_ktime_get_ns();
    }
    0
}

#[kretprobe]
fn chain_return(_ctx: RetProbeContext) -> u32 {
    // SAFETY: no precondition.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(thread) = THREADS.get_ptr_mut(tid) else {
        return 0;
    };
    // SAFETY: as in `chain_enter`.
    let run = unsafe { *thread };
    if run.start_ns == 0 {
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*thread).start_ns = 0 };
    let Some(mut record) = CHAIN_RUNS.reserve::<ChainRun>(0) else {
        // SAFETY: as above.
        unsafe { (*thread).lost += 1 };
        return 0;
    };
    record.write(ChainRun {
        start_ns: run.start_ns,
        duration_ns: now_ns - run.start_ns,
        number: run.runs,
        netns: run.netns,
        tid,
        estimators: run.estimators,
        lost: run.lost,
        // SAFETY: no precondition.
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        thread: run.thread as u16,
        tick: run.tick as u16,
        disturbed: run.disturbed as u16,
        generation: run.generation,
        reserved: 0,
    });
    record.submit(u64::from(BPF_RB_NO_WAKEUP));
    0
}

/// Returns what is kept about the running thread.
#[inline(always)]
fn current() -> Option<*mut Followed> {
    let tid = bpf_get_current_pid_tgid() as u32;
    if let Some(thread) = THREADS.get_ptr_mut(tid) {
        return Some(thread);
    }
    let offsets = THREAD_OFFSETS.load();
    // SAFETY: no precondition.
    let task = unsafe { bpf_get_current_task() };
    let kthread: u64 = read_or_zero(task, offsets.task_kthread);
    follow(tid, read_or_zero(kthread, offsets.kthread_data));
    THREADS.get_ptr_mut(tid)
}

/// Makes an entry for a thread whose `struct ip_vs_est_kt_data` is at `data`. Returns 0, or 1 where there is no room.
#[inline(never)]
fn follow(tid: u32, data: u64) -> u32 {
    let offsets = THREAD_OFFSETS.load();
    let ipvs: u64 = read_or_zero(data, offsets.data_ipvs);
    let fresh = Followed {
        data,
        ipvs,
        start_ns: 0,
        runs: 0,
        netns: netns_of(ipvs),
        estimators: LENGTH_UNKNOWN,
        lost: 0,
        thread: read_or_zero(data, offsets.data_id),
        tick: 0,
        disturbed: 0,
        generation: read_or_zero(ipvs, offsets.ipvs_gen),
        reserved: 0,
    };
    match THREADS.insert(tid, fresh, u64::from(BPF_ANY)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

/// Returns the inode number of the namespace that `ipvs` belongs to; 0 where it cannot be read.
#[inline(always)]
fn netns_of(ipvs: u64) -> u32 {
    let offsets = THREAD_OFFSETS.load();
    read_or_zero(read_or_zero(ipvs, offsets.ipvs_net), offsets.net_inum)
}

#[inline(never)]
fn unfollowed() -> u32 {
    if let Some(count) = UNFOLLOWED.get_ptr_mut(0) {
        // SAFETY: `count` points into the map. Two CPUs that add at once may count one: it is a lower bound.
        unsafe { *count += 1 };
    }
    0
}
