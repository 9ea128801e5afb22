//! Kernel threads that estimate (Linux 6.2 on): what `ip_vs` keeps of them, read from the kernel's memory.
//!
//! No probe is needed for that, and none is put on `ip_vs_chain_estimation`, which each namespace's first thread times once
//! to find how long a chain may be: a probe there would make the chains shorter for good.

use std::{fs, io, path::Path};

use probe_ebpf::{offsets::ABSENT, threads::ThreadOffsets};
use thiserror::Error;

use crate::{
    btf::{self, Fields},
    kernel_memory::{KernelMemory, number, pointer},
    offsets::{self, MissingField},
};

/// The structures whose fields are read.
pub const STRUCTURES: &[&str] = &[
    "task_struct",
    "nsproxy",
    "net",
    "ns_common",
    "netns_ipvs",
    "ip_vs_est_kt_data",
    "ip_vs_est_tick_data",
    "kthread",
];

/// Returns where the kernel under `root` keeps the fields of these structures, from BTF.
///
/// # Errors
///
/// When the kernel's BTF cannot be read, or is none.
pub fn fields(root: &Path) -> io::Result<Fields> {
    let kernel = fs::read(root.join("sys/kernel/btf/vmlinux"))?;
    let module = fs::read(root.join("sys/kernel/btf/ip_vs")).ok();
    btf::fields(&kernel, module.as_deref(), STRUCTURES).map_err(io::Error::other)
}

/// No node has more network namespaces, or more threads that estimate: a list that goes on is not one.
const MAX_NAMESPACES: usize = 1 << 17;
const MAX_THREADS: u32 = 1 << 14;

/// How often the look begins again: a namespace may go away under it.
const TRIES: u32 = 5;

/// Byte offsets of the fields that are read (`include/net/ip_vs.h` of Linux 6.2 to 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// `task_struct.nsproxy`
    pub task_nsproxy: u32,
    /// `nsproxy.net_ns`
    pub nsproxy_net: u32,
    task_pid: u32,
    net_list: u32,
    net_inum: u32,
    net_ipvs: u32,
    ipvs_net: u32,
    ipvs_gen: u32,
    ipvs_run_estimation: u32,
    ipvs_stopped: u32,
    ipvs_calibrating: u32,
    ipvs_chain_max: u32,
    ipvs_thread_count: u32,
    ipvs_threads: u32,
    thread_id: u32,
    thread_task: u32,
    thread_estimators: u32,
    thread_most: u32,
    /// What `est_chain_max` is to be multiplied by.
    chain_factor: u32,
}

impl Layout {
    /// Returns where this kernel keeps them.
    ///
    /// # Errors
    ///
    /// With the first field that is not there.
    pub fn of(fields: &Fields) -> Result<Self, MissingField> {
        let at = |structure, field| offsets::at(fields, structure, field);
        let ipvs = |field| at("netns_ipvs", field);
        let thread = |field| at("ip_vs_est_kt_data", field);
        Ok(Self {
            task_nsproxy: at("task_struct", "nsproxy")?,
            nsproxy_net: at("nsproxy", "net_ns")?,
            task_pid: at("task_struct", "pid")?,
            net_list: at("net", "list")?,
            net_inum: at("net", "ns")? + at("ns_common", "inum")?,
            net_ipvs: at("net", "ipvs")?,
            ipvs_net: ipvs("net")?,
            ipvs_gen: ipvs("gen")?,
            ipvs_run_estimation: ipvs("sysctl_run_estimation")?,
            ipvs_stopped: ipvs("est_stopped")?,
            ipvs_calibrating: ipvs("est_calc_phase")?,
            ipvs_chain_max: ipvs("est_chain_max")?,
            ipvs_thread_count: ipvs("est_kt_count")?,
            ipvs_threads: ipvs("est_kt_arr")?,
            thread_id: thread("id")?,
            thread_task: thread("task")?,
            thread_estimators: thread("est_count")?,
            thread_most: thread("est_max_count")?,
            chain_factor: if has_one_chain(fields)? {
                CHAIN_FACTOR
            } else {
                1
            },
        })
    }
}

/// Size of a pointer, and so of a chain's head.
const POINTER: u32 = 8;

/// Chains of a tick, where readers of RCU cannot be preempted; elsewhere a tick has one chain, which may be so many times as
/// long (`IPVS_EST_CHAIN_FACTOR`, `include/net/ip_vs.h` of Linux 6.2 to 7.3).
pub const CHAIN_FACTOR: u32 = 48;

fn has_one_chain(fields: &Fields) -> Result<bool, MissingField> {
    let at = |field| offsets::at(fields, "ip_vs_est_tick_data", field);
    Ok(at("present")? == at("chains")? + POINTER)
}

/// Returns where this kernel keeps what the probes on threads read.
///
/// # Errors
///
/// With the first field that is not there.
pub fn probed(fields: &Fields) -> Result<ThreadOffsets, MissingField> {
    let at = |structure, field| offsets::at(fields, structure, field);
    let chains = at("ip_vs_est_tick_data", "chains")?;
    let length = at("ip_vs_est_tick_data", "chain_len")?.wrapping_sub(chains);
    // Of several chains, the probe sees but the address of one.
    let has_one_chain = has_one_chain(fields)?;
    Ok(ThreadOffsets {
        net_inum: at("net", "ns")? + at("ns_common", "inum")?,
        ipvs_net: at("netns_ipvs", "net")?,
        ipvs_gen: at("netns_ipvs", "gen")?,
        ipvs_calibrating: at("netns_ipvs", "est_calc_phase")?,
        task_kthread: at("task_struct", "worker_private")?,
        kthread_data: at("kthread", "data")?,
        data_ipvs: at("ip_vs_est_kt_data", "ipvs")?,
        data_id: at("ip_vs_est_kt_data", "id")?,
        data_row: at("ip_vs_est_kt_data", "est_row")?,
        chain_length: if has_one_chain { length } else { ABSENT },
    })
}

/// What estimates in one network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimation {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Which of the namespaces since `ip_vs` was loaded: an inode number is used again.
    pub generation: u32,
    /// `net.ipv4.vs.run_estimation`.
    pub run_estimation: i32,
    /// The kernel has stopped the threads: `run_estimation` is 0, or `est_cpulist` is empty.
    pub is_stopped: bool,
    /// The first thread is finding how long a chain may be.
    pub is_calibrating: bool,
    /// How many estimators a chain may have, as the first thread found it and the kernel's log says; 0 before that.
    pub chain_max: u32,
    /// The threads, in the order of their numbers.
    pub threads: Vec<Thread>,
}

impl Estimation {
    /// Returns whether the first thread has a task and no limit for its chains yet: it calibrates, or is about to
    /// (`ip_vs_estimation_kthread`, `net/netfilter/ipvs/ip_vs_est.c` of Linux 6.2 to 7.3).
    #[must_use]
    pub fn calibrates_now(&self) -> bool {
        let first = self.threads.iter().find(|thread| thread.id == 0);
        let is_there = first.is_some_and(|thread| thread.tid.is_some());
        is_there && (self.is_calibrating || self.chain_max == 0)
    }
}

/// What the threads of all namespaces do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// There is none.
    None,
    /// A first thread finds how long a chain may be, or is about to.
    Calibrating,
    /// They estimate.
    Estimating,
}

impl Activity {
    /// Returns that of these namespaces' threads.
    #[must_use]
    pub fn of(namespaces: &[Estimation]) -> Self {
        let mut threads = namespaces.iter().flat_map(|one| &one.threads);
        if namespaces.iter().any(Estimation::calibrates_now) {
            Self::Calibrating
        } else if threads.any(|thread| thread.tid.is_some()) {
            Self::Estimating
        } else {
            Self::None
        }
    }
}

/// One kernel thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its number among those of its namespace.
    pub id: u32,
    /// Its thread id, in the numbering of the first process id namespace; `None` while it has no task.
    pub tid: Option<u32>,
    /// How many estimators it has.
    pub estimators: u32,
    /// How many it may have.
    pub most: u32,
}

/// Why the threads could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unreadable {
    /// The list of namespaces changed each time it was read, or it is none, or one of them could not be read.
    #[error(
        "cannot read the kernel's list of network namespaces: it changed during each of {TRIES} readings, or a part is not readable"
    )]
    Changing,
}

/// Reads what estimates in every namespace that is linked with the one at `net`.
///
/// # Errors
///
/// When the list of namespaces does not hold still.
pub fn read(
    layout: &Layout,
    net: u64,
    memory: &mut dyn KernelMemory,
) -> Result<Vec<Estimation>, Unreadable> {
    for _ in 0..TRIES {
        if let Some(found) = once(layout, net, memory) {
            return Ok(found);
        }
    }
    Err(Unreadable::Changing)
}

/// `None` where the circle does not close, a namespace cannot be read, or there are more threads than there can be.
fn once(layout: &Layout, first: u64, memory: &mut dyn KernelMemory) -> Option<Vec<Estimation>> {
    let list = u64::from(layout.net_list);
    let mut found = Vec::new();
    let mut one = first;
    let mut threads_left = MAX_THREADS;
    for _ in 0..MAX_NAMESPACES {
        // The circle's head belongs to no namespace, and what follows it does not point back.
        if let Some(ipvs) = ipvs(layout, one, memory) {
            let (namespace, count) = namespace(layout, one, ipvs, memory)?;
            threads_left = threads_left.checked_sub(count)?;
            found.push(with_threads(layout, namespace, count, memory));
        }
        one = pointer(memory, one + list)?.wrapping_sub(list);
        if one == first {
            return Some(found);
        }
    }
    None
}

/// A namespace whose threads are still to be read.
struct Unread {
    found: Estimation,
    /// The address of the array of threads, if there is one.
    array: Option<u64>,
}

/// Returns the address of the `struct netns_ipvs` of the namespace at `net`, if there is a namespace and it has one.
fn ipvs(layout: &Layout, net: u64, memory: &mut dyn KernelMemory) -> Option<u64> {
    let ipvs = pointer(memory, net + u64::from(layout.net_ipvs))?;
    let back = pointer(memory, ipvs + u64::from(layout.ipvs_net))?;
    (back == net).then_some(ipvs)
}

/// Returns the namespace at `net`, and how many threads it has; `None` where one of its fields cannot be read.
fn namespace(
    layout: &Layout,
    net: u64,
    ipvs: u64,
    memory: &mut dyn KernelMemory,
) -> Option<(Unread, u32)> {
    let netns = number(memory, net + u64::from(layout.net_inum))?;
    let mut field = |offset: u32| number(memory, ipvs + u64::from(offset));
    let found = Estimation {
        netns,
        generation: field(layout.ipvs_gen)?,
        run_estimation: field(layout.ipvs_run_estimation)?.cast_signed(),
        is_stopped: field(layout.ipvs_stopped)? != 0,
        is_calibrating: field(layout.ipvs_calibrating)? != 0,
        chain_max: field(layout.ipvs_chain_max)?.saturating_mul(layout.chain_factor),
        threads: Vec::new(),
    };
    let count = field(layout.ipvs_thread_count)?;
    let array = pointer(memory, ipvs + u64::from(layout.ipvs_threads));
    Some((Unread { found, array }, count))
}

fn with_threads(
    layout: &Layout,
    namespace: Unread,
    count: u32,
    memory: &mut dyn KernelMemory,
) -> Estimation {
    let Unread { mut found, array } = namespace;
    let Some(array) = array else {
        return found;
    };
    // A slot may be free. The kernel moves the array when it grows.
    for place in 0..u64::from(count) {
        let data = pointer(memory, array + place * 8);
        let thread = data.and_then(|data| thread(layout, data, memory));
        found.threads.extend(thread);
    }
    found
}

fn thread(layout: &Layout, data: u64, memory: &mut dyn KernelMemory) -> Option<Thread> {
    let task = pointer(memory, data + u64::from(layout.thread_task));
    let tid = task.and_then(|task| number(memory, task + u64::from(layout.task_pid)));
    let mut field = |offset: u32| number(memory, data + u64::from(offset));
    Some(Thread {
        id: field(layout.thread_id)?,
        tid,
        estimators: field(layout.thread_estimators)?,
        most: field(layout.thread_most)?,
    })
}

#[cfg(test)]
mod tests;
