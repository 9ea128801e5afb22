//! Where the fields lie in the running kernel's structures. User space reads this from BTF, or finds it in memory, and
//! sets it before the programs are loaded: Rust emits no relocations of its own.

use bytemuck::{Pod, Zeroable};

/// The value of an offset whose field this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets of the fields that the programs read, by structure.
///
/// Names as in `include/net/netns/core.h`, `include/net/ip_vs.h`, `include/net/net_namespace.h` and
/// `include/linux/timer.h` of Linux 6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct Offsets {
    /// `task_struct.nsproxy`
    pub task_nsproxy: u32,
    /// `nsproxy.net_ns`
    pub nsproxy_net: u32,
    /// `net.list`, the link of the circular list of all network namespaces.
    pub net_list: u32,
    /// `net.ns.inum`, the inode number that `/proc/PID/ns/net` shows.
    pub net_inum: u32,
    /// `net.ipvs`, null while `ip_vs` is not loaded.
    pub net_ipvs: u32,
    /// `netns_ipvs.net`, back to the namespace.
    pub ipvs_net: u32,
    /// `netns_ipvs.gen`, the number of this one since `ip_vs` was loaded; [`ABSENT`] where it could not be found.
    pub ipvs_gen: u32,
    /// `netns_ipvs.est_list`, head of the list of estimators.
    pub ipvs_est_list: u32,
    /// `netns_ipvs.est_timer`, the timer that runs `estimation_timer`.
    pub ipvs_est_timer: u32,
    /// `netns_ipvs.sysctl_run_estimation`; [`ABSENT`] before Linux 5.16, and where it could
    /// not be found.
    pub ipvs_run_estimation: u32,
    /// `timer_list.entry.pprev`, null while the timer is not queued.
    pub timer_pprev: u32,
    /// `timer_list.expires`, in jiffies.
    pub timer_expires: u32,
    /// `timer_list.function`
    pub timer_function: u32,
    /// `timer_list.flags`, whose low 18 bits are the CPU and whose high 10 are the bucket.
    pub timer_flags: u32,
}

impl Offsets {
    /// No field's place is known.
    pub const ABSENT: Self = Self {
        task_nsproxy: ABSENT,
        nsproxy_net: ABSENT,
        net_list: ABSENT,
        net_inum: ABSENT,
        net_ipvs: ABSENT,
        ipvs_net: ABSENT,
        ipvs_gen: ABSENT,
        ipvs_est_list: ABSENT,
        ipvs_est_timer: ABSENT,
        ipvs_run_estimation: ABSENT,
        timer_pprev: ABSENT,
        timer_expires: ABSENT,
        timer_function: ABSENT,
        timer_flags: ABSENT,
    };
}

/// The bits of `timer_list.flags` that hold the CPU (`TIMER_CPUMASK`, `include/linux/timer.h`).
pub const TIMER_CPU_MASK: u32 = 0x0003_ffff;

/// By how many bits `timer_list.flags` is to be shifted to give the level of the wheel: the bucket's number is in the
/// highest 10 bits (`TIMER_ARRAYSHIFT` 22), and a level has 64 buckets (`LVL_BITS`, `kernel/time/timer.c` of Linux 4.8 to
/// 6.1).
pub const TIMER_LEVEL_SHIFT: u32 = 22 + 6;
