//! Time in the softirq of timers, by CPU.

use aya::{
    Ebpf, Pod,
    maps::{MapData, PerCpuArray},
    programs::RawTracePoint,
};
use probe_ebpf::{Offsets, SoftirqTime};

use super::{ProbeError, load};

const PROGRAMS: [&str; 2] = ["softirq_exit", "softirq_entry"];

/// The kernel's record as aya wants it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Raw(SoftirqTime);

// SAFETY: `SoftirqTime` is bytemuck's `Pod`: plain numbers without padding.
unsafe impl Pod for Raw {}

/// The probes in place. Dropping it takes them away.
pub struct SoftirqProbe {
    times: PerCpuArray<MapData, Raw>,
    /// Holds the programs.
    _ebpf: Ebpf,
}

impl SoftirqProbe {
    /// Attaches them.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a program or a tracepoint.
    pub fn start() -> Result<Self, ProbeError> {
        let mut ebpf = load::only(&Offsets::ABSENT, &PROGRAMS)?;
        let times = load::map(&mut ebpf, "SOFTIRQ")?;
        for name in PROGRAMS {
            let program: &mut RawTracePoint = load::program(&mut ebpf, name)?;
            program
                .attach(name)
                .map_err(|error| load::refused("tracepoint", &error))?;
        }
        Ok(Self { times, _ebpf: ebpf })
    }

    /// How long each possible CPU has spent in that softirq since the start, in nanoseconds, in the CPUs' order.
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn totals_ns(&self) -> Result<Vec<u64>, ProbeError> {
        let times = self
            .times
            .get(&0, 0)
            .map_err(|error| load::refused("map", &error))?;
        Ok(times.iter().map(|Raw(time)| time.total_ns).collect())
    }
}
