//! The snapshot: every namespace's estimator, looked at from our own process.
//!
//! Run by `BPF_PROG_TEST_RUN` (Linux 5.10 on), never attached. Interrupts and softirqs go on under it, so that
//! no packet waits where the kernel handles them there; tasks of this CPU wait for its end, about 100 ns an
//! entry walked. It does not set the flag by which the kernel skips other programs on this CPU
//! (`bpf_prog_active`), so that no run is missed over it, and it takes no lock. A list that changes under the
//! walk gives a wrong count, never a fault; the count is used only if nothing came or went meanwhile.
//!
//! It comes in pages: when the ring buffer is full, or after so many steps, the program ends, user space takes the
//! records and runs it again. Between two pages nothing keeps the namespaces from going away, so a page begins with
//! a check that the namespace at which the one before ended is the same, and still in the circle. New namespaces
//! join at the end of the kernel's list, so that none that was there from the first page to the last is left out.
//!
//! | program | kernel | a page |
//! |---|---|---|
//! | `snapshot` | 5.17 on, which has `bpf_loop` | up to [`PAGE_STEPS`](probe_ebpf::snapshot::PAGE_STEPS) steps |
//! | `snapshot_bounded` | 5.10 to 5.16 | [`BOUNDED_STEPS`] steps: the verifier follows the loop to its end |

mod pages;

use core::{
    ffi::c_void,
    ptr::{null_mut, read_volatile},
};

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_ktime_get_ns, bpf_loop, generated::bpf_jiffies64},
    macros::map,
    maps::Array,
    programs::RawTracePointContext,
};
use probe_ebpf::{
    Offsets, Snapshot, SnapshotKind,
    offsets::{ABSENT, TIMER_CPU_MASK, TIMER_LEVEL_SHIFT},
    snapshot::{
        Argument, BOUNDED_SPARE_STEPS, BOUNDED_STEPS, LENGTH_UNKNOWN, NO_SWITCH, Outcome, WalkLists,
    },
};

use self::pages::resumed;
use super::{
    kernel_memory::entry,
    memory::{read, read_or_zero},
};
use crate::maps::{ESTIMATORS, Estimator, OFFSETS, OPERATIONS_LOST, SNAPSHOTS};

/// A page ends after the steps that user space asks for, where the walk can be resumed. This bounds the steps where it
/// cannot.
const MAX_STEPS: u32 = 1 << 20;

/// A start or stop not back after this long will not come back: its return was not seen.
const SETTLE_NS: u64 = 1_000_000_000;

/// Where the walk is.
///
/// Kept in a map, not on the stack: Linux before 6.7 verifies the callback of `bpf_loop` only with what the
/// stack holds before the loop, and cuts every branch out that those values do not take.
struct Walk {
    /// `net.list` of the caller's namespace, where the circle begins and ends.
    first: u64,
    /// `net.list` of the namespace that was visited last, and what else tells whether it is still the same one.
    at: u64,
    generation: u32,
    /// `net.list` of the next namespace.
    link: u64,
    begun: bool,
    /// What is left of this page.
    records: u64,
    steps: u64,
    /// Namespaces that found the map of estimators full.
    unfollowed: u64,
    /// A [`WalkLists`].
    lists: u64,
    /// An [`Outcome`].
    outcome: u32,
    /// The list that is being walked: its namespace, its head, the node we are at (0: none).
    netns: u32,
    ipvs: u64,
    head: u64,
    node: u64,
    length: i64,
    /// `Estimator::entered` when the walk of this list began.
    entered: u64,
    /// Nothing was in flight when the walk of this list began.
    quiet: bool,
    /// Inode number of the first namespace visited, and of the root namespace once it is known.
    first_netns: u32,
    root_netns: u32,
    /// Links that belong to no namespace with an estimator. One alone is the circle's head, which the root
    /// namespace follows: it was the first on the list.
    strangers: u32,
    /// 0: the last link was one of them.
    since_stranger: u32,
}

#[map]
static WALK: Array<Walk> = Array::with_max_entries(1, 0);

/// Without aya's macro: a function that it makes always returns 0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn snapshot(ctx: *mut c_void) -> i32 {
    page(&RawTracePointContext::new(ctx), || {
        // SAFETY: `step` is a callback of the form that the helper asks for.
        unsafe { bpf_loop(MAX_STEPS, step as *mut c_void, null_mut(), 0) };
    })
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn snapshot_bounded(ctx: *mut c_void) -> i32 {
    page(&RawTracePointContext::new(ctx), || {
        for _ in 0..BOUNDED_STEPS + BOUNDED_SPARE_STEPS {
            if bounded_step() != 0 {
                break;
            }
        }
    })
}

/// Takes a page, whose steps `take_steps` takes. Returns an [`Outcome`].
#[inline(always)]
fn page(ctx: &RawTracePointContext, take_steps: impl FnOnce()) -> i32 {
    let offsets = OFFSETS.load();
    // SAFETY: no precondition.
    let task = unsafe { bpf_get_current_task() };
    let Some(net) = read::<u64>(task, offsets.task_nsproxy)
        .and_then(|nsproxy| read::<u64>(nsproxy, offsets.nsproxy_net))
    else {
        return Outcome::Unreadable as i32;
    };
    let first = net + u64::from(offsets.net_list);
    let Some(walk) = WALK.get_ptr_mut(0) else {
        return Outcome::CutShort as i32;
    };
    // SAFETY: `walk` points into a map that one snapshot at a time uses.
    let walk = unsafe { &mut *walk };
    if ctx.arg::<u64>(Argument::Resume as usize) == 0 {
        *walk = Walk::from(first, ctx.arg(Argument::Lists as usize));
    } else if walk.first != first || !resumed(walk, &offsets) {
        return Outcome::Moved as i32;
    }
    walk.outcome = Outcome::CutShort as u32;
    walk.records = ctx.arg(Argument::PageRecords as usize);
    walk.steps = ctx.arg(Argument::PageSteps as usize);
    take_steps();
    if walk.outcome == Outcome::Whole as u32 {
        end(root(walk), walk.unfollowed)
    } else {
        walk.outcome as i32
    }
}

impl Walk {
    #[inline(always)]
    fn from(first: u64, lists: u64) -> Self {
        Self {
            first,
            at: 0,
            generation: 0,
            link: first,
            begun: false,
            records: 0,
            steps: 0,
            unfollowed: 0,
            lists,
            outcome: 0,
            netns: 0,
            ipvs: 0,
            head: 0,
            node: 0,
            length: 0,
            entered: 0,
            quiet: false,
            first_netns: 0,
            root_netns: 0,
            strangers: 0,
            since_stranger: u32::MAX,
        }
    }
}

/// Inode number of the root namespace, or 0.
#[inline(always)]
fn root(walk: &Walk) -> u32 {
    match (walk.strangers, walk.since_stranger) {
        // The circle ended at its head: what follows is where it began.
        (1, 0) => walk.first_netns,
        (1, _) => walk.root_netns,
        _ => 0,
    }
}

/// The callback of `bpf_loop`, which has to be static.
unsafe extern "C" fn step(_index: u64, _context: *mut c_void) -> i64 {
    take_step()
}

/// A global function: the verifier looks at it once, and not in every round of the loop (Linux 5.6 on).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bounded_step() -> i64 {
    take_step()
}

/// Takes one step: an entry of a list, or a namespace. Returns 1 to end the loop.
#[inline(always)]
fn take_step() -> i64 {
    let Some(walk) = WALK.get_ptr_mut(0) else {
        return 1;
    };
    // SAFETY: as in `snapshot`.
    let walk = unsafe { &mut *walk };
    if walk.is_full() {
        walk.outcome = Outcome::More as u32;
        return 1;
    }
    walk.steps = walk.steps.saturating_sub(1);
    if walk.node != 0 {
        return next_entry(walk);
    }
    if walk.begun && walk.link == walk.first {
        walk.outcome = Outcome::Whole as u32;
        return 1;
    }
    walk.begun = true;
    let offsets = OFFSETS.load();
    let at = walk.link;
    let Some(link) = read::<u64>(at, 0) else {
        walk.outcome = Outcome::Unreadable as u32;
        return 1;
    };
    walk.link = link;
    visit(walk, at, &offsets)
}

/// Begins with the namespace that is linked at `at`, if there is one: the head of the circle is no `struct net`,
/// and is told by its `ipvs` not pointing back.
#[inline(always)]
fn visit(walk: &mut Walk, at: u64, offsets: &Offsets) -> i64 {
    let net = at - u64::from(offsets.net_list);
    let Some(ipvs) = read::<u64>(net, offsets.net_ipvs) else {
        return stranger(walk);
    };
    if ipvs == 0 || read::<u64>(ipvs, offsets.ipvs_net) != Some(net) {
        return stranger(walk);
    }
    let Some(netns) = read::<u32>(net, offsets.net_inum) else {
        return stranger(walk);
    };
    if walk.first_netns == 0 {
        walk.first_netns = netns;
    }
    if walk.since_stranger == 0 {
        walk.since_stranger = 1;
        walk.root_netns = netns;
    }
    walk.at = at;
    walk.netns = netns;
    walk.ipvs = ipvs;
    walk.generation = generation(ipvs, offsets);
    walk.length = LENGTH_UNKNOWN;
    if walk.lists == WalkLists::Nothing as u64 {
        return report(walk, offsets, None);
    }
    let Some(estimator) = entry(ipvs) else {
        walk.unfollowed += 1;
        return report(walk, offsets, None);
    };
    // SAFETY: `estimator` points into the map. `netns` and `seeded` are written where nothing else is
    // under way in this namespace; `entered` is read once, before the walk.
    let seeded = unsafe {
        (*estimator).netns = netns;
        walk.entered = read_volatile(&raw const (*estimator).entered);
        (*estimator).seeded != 0
    };
    if seeded && walk.lists != WalkLists::All as u64 {
        return report(walk, offsets, Some(estimator));
    }
    walk.quiet = quiet(estimator, walk.entered);
    walk.head = ipvs + u64::from(offsets.ipvs_est_list);
    walk.node = read::<u64>(walk.head, 0).unwrap_or(0);
    if walk.node == 0 {
        return report(walk, offsets, Some(estimator));
    }
    walk.length = 0;
    0
}

/// Returns which `struct netns_ipvs` since `ip_vs` was loaded this is, or 0 where the field's place is not known.
#[inline(always)]
fn generation(ipvs: u64, offsets: &Offsets) -> u32 {
    if offsets.ipvs_gen == ABSENT {
        return 0;
    }
    read_or_zero(ipvs, offsets.ipvs_gen)
}

#[inline(always)]
fn stranger(walk: &mut Walk) -> i64 {
    walk.strangers += 1;
    walk.since_stranger = 0;
    0
}

/// Whether no start or stop is between being counted and changing the list.
#[inline(always)]
fn quiet(estimator: *mut Estimator, entered: u64) -> bool {
    // SAFETY: `estimator` points into the map. `settled` and `settled_ns` are the snapshots' own; `left` is
    // written only where no call has moved for a second.
    unsafe {
        if read_volatile(&raw const (*estimator).left) == entered {
            return true;
        }
        let now_ns = bpf_ktime_get_ns();
        if (*estimator).settled != entered {
            (*estimator).settled = entered;
            (*estimator).settled_ns = now_ns;
            return false;
        }
        if now_ns - (*estimator).settled_ns < SETTLE_NS {
            return false;
        }
        (*estimator).left = entered;
    }
    true
}

/// Goes one entry further along the list, and ends it at its head.
#[inline(always)]
fn next_entry(walk: &mut Walk) -> i64 {
    if walk.node != walk.head {
        walk.length += 1;
        if let Some(next) = read::<u64>(walk.node, 0).filter(|next| *next != 0) {
            walk.node = next;
            return 0;
        }
        walk.length = LENGTH_UNKNOWN;
    }
    walk.node = 0;
    let offsets = OFFSETS.load();
    let Some(estimator) = ESTIMATORS.get_ptr_mut(walk.ipvs) else {
        return report(walk, &offsets, None);
    };
    // `enter` raises `entered` before it changes `delta`: if `entered` has not moved after `delta` was read,
    // that `delta` belongs to the list as it was walked.
    // SAFETY: `estimator` points into the map; other CPUs change these fields.
    let (delta, entered) = unsafe {
        let delta = read_volatile(&raw const (*estimator).delta);
        (delta, read_volatile(&raw const (*estimator).entered))
    };
    if !walk.quiet || entered != walk.entered {
        walk.length = LENGTH_UNKNOWN;
    }
    let code = report(walk, &offsets, Some(estimator));
    if walk.length != LENGTH_UNKNOWN {
        // SAFETY: as above. `base` and `seeded` are written by snapshots alone.
        unsafe {
            (*estimator).base = walk.length - delta;
            (*estimator).seeded = 1;
        }
    }
    code
}

/// Writes the record of the namespace that the walk is at. Returns 1, ending the loop, if there is no room.
#[inline(always)]
fn report(walk: &mut Walk, offsets: &Offsets, estimator: Option<*mut Estimator>) -> i64 {
    let Some(mut record) = SNAPSHOTS.reserve::<Snapshot>(0) else {
        return 1;
    };
    let timer = walk.ipvs + u64::from(offsets.ipvs_est_timer);
    let flags: u32 = read_or_zero(timer, offsets.timer_flags);
    let run_estimation = if offsets.ipvs_run_estimation == ABSENT {
        NO_SWITCH
    } else {
        read(walk.ipvs, offsets.ipvs_run_estimation).unwrap_or(NO_SWITCH)
    };
    let (mut seeded, mut counted, mut runs, mut lost) = (0, LENGTH_UNKNOWN, 0, 0);
    if let Some(estimator) = estimator {
        // SAFETY: `estimator` points into the map.
        unsafe {
            (runs, lost) = ((*estimator).runs, (*estimator).lost);
            if (*estimator).seeded != 0 {
                seeded = 1;
                counted = (*estimator).base + read_volatile(&raw const (*estimator).delta);
            }
        }
    }
    record.write(Snapshot {
        kind: SnapshotKind::Estimator as u32,
        netns: walk.netns,
        ipvs: walk.ipvs,
        pending: u32::from(read_or_zero::<u64>(timer, offsets.timer_pprev) != 0),
        cpu: flags & TIMER_CPU_MASK,
        generation: walk.generation,
        level: flags >> TIMER_LEVEL_SHIFT,
        expires: read_or_zero(timer, offsets.timer_expires),
        function: read_or_zero(timer, offsets.timer_function),
        run_estimation,
        seeded,
        walked: walk.length,
        counted,
        runs,
        lost,
        // SAFETY: no precondition.
        now_ns: unsafe { bpf_ktime_get_ns() },
        // SAFETY: no precondition.
        jiffies: unsafe { bpf_jiffies64() },
    });
    record.submit(u64::from(aya_ebpf::bindings::BPF_RB_NO_WAKEUP));
    walk.records = walk.records.saturating_sub(1);
    0
}

/// Closes the snapshot with the clocks.
#[inline(always)]
fn end(root_netns: u32, unfollowed: u64) -> i32 {
    let Some(mut record) = SNAPSHOTS.reserve::<Snapshot>(0) else {
        return Outcome::CutShort as i32;
    };
    let lost = OPERATIONS_LOST.get(0).copied().unwrap_or(0);
    record.write(Snapshot {
        kind: SnapshotKind::End as u32,
        netns: root_netns,
        ipvs: 0,
        pending: 0,
        cpu: 0,
        generation: 0,
        level: 0,
        expires: 0,
        function: 0,
        run_estimation: 0,
        seeded: 0,
        walked: 0,
        counted: 0,
        runs: unfollowed,
        lost,
        // SAFETY: no precondition.
        now_ns: unsafe { bpf_ktime_get_ns() },
        // SAFETY: no precondition.
        jiffies: unsafe { bpf_jiffies64() },
    });
    record.submit(u64::from(aya_ebpf::bindings::BPF_RB_NO_WAKEUP));
    Outcome::Whole as i32
}
