//! What the runs take from each CPU.

use std::collections::BTreeMap;

use super::{Blackout, Call, CpuView, tally};

#[derive(Debug, Clone, Copy, Default)]
struct Cpu {
    calls: u64,
    total_ns: u64,
    max_ns: u64,
    longest_blackout: Option<Blackout>,
}

/// The CPUs that ran a watched run: bounded by those the host can have.
#[derive(Debug, Default)]
pub struct Cpus(BTreeMap<u32, Cpu>);

impl Cpus {
    /// Adds one recorded run.
    pub fn add_call(&mut self, cpu: u32, duration_ns: u64) {
        let cpu = self.0.entry(cpu).or_default();
        cpu.calls += 1;
        cpu.total_ns = cpu.total_ns.saturating_add(duration_ns);
        cpu.max_ns = cpu.max_ns.max(duration_ns);
    }

    /// Notes the blackout that a call ends, if it does.
    pub fn add_blackout(&mut self, call: &Call) {
        let Some(blackout) = call.blackout else {
            return;
        };
        let cpu = self.0.entry(call.cpu).or_default();
        let longest = cpu.longest_blackout.get_or_insert(blackout);
        if blackout.duration_ns > longest.duration_ns {
            *longest = blackout;
        }
    }

    /// All of them, over `observed_ns`.
    #[must_use]
    pub fn views(&self, observed_ns: u64) -> Vec<CpuView> {
        let views = self.0.iter().map(|(number, cpu)| CpuView {
            cpu: *number,
            calls: cpu.calls,
            stall_ns_per_s: tally::per_second(cpu.total_ns, observed_ns),
            max_ns: cpu.max_ns,
            longest_blackout: cpu.longest_blackout,
        });
        views.collect()
    }
}
