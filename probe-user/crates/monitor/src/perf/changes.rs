//! How often estimators start and stop: seen on each CPU by records without content.
//!
//! To read an event's counter, the kernel interrupts the event's CPU, which may be asleep (`perf_event_read`,
//! `kernel/events/core.c` of Linux 6.1). A ring is only looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::{event::Event, ring::Ring};

/// A kernel has a probe of its own for each CPU here, and runs all of them whenever an estimator starts or stops. On more CPUs
/// it does not pay.
const MOST_CPUS: usize = 64;

/// The data area of a CPU's ring is one page: what does not fit was seen already.
const RING_BYTES: usize = 4096;

/// What is seen on all CPUs.
#[derive(Debug)]
pub struct Changes {
    functions: [u64; 2],
    cpus: BTreeMap<u32, Cpu>,
    /// A number that is another one after each change.
    count: u64,
}

#[derive(Debug)]
struct Cpu {
    ring: Ring,
    _events: [Event; 2],
}

impl Changes {
    /// Sees the calls of these functions, on no CPU yet.
    pub fn of(functions: [u64; 2]) -> Self {
        Self {
            functions,
            cpus: BTreeMap::new(),
            count: 0,
        }
    }

    /// Sees them on these CPUs, and on no others any more. A CPU that comes or goes counts as a change.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a probe, or there are too many CPUs.
    pub fn follow(&mut self, root: &Path, online: &[u32]) -> io::Result<()> {
        if online.len() > MOST_CPUS {
            return Err(io::Error::other(format!(
                "there are more than {MOST_CPUS} CPUs"
            )));
        }
        self.cpus.retain(|cpu, _| online.contains(cpu));
        for cpu in online {
            if !self.cpus.contains_key(cpu) {
                let opened = Cpu::open(root, self.functions, *cpu)?;
                self.cpus.insert(*cpu, opened);
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Forgets what it has on these CPUs.
    pub fn forget(&mut self, cpus: &BTreeSet<u32>) {
        self.cpus.retain(|cpu, _| !cpus.contains(cpu));
    }

    /// Returns a number that is another one after each change.
    pub fn count(&mut self) -> u64 {
        let bytes = self
            .cpus
            .values_mut()
            .map(|cpu| cpu.ring.take().len() as u64);
        self.count += bytes.sum::<u64>();
        self.count
    }
}

impl Cpu {
    fn open(root: &Path, [start, stop]: [u64; 2], cpu: u32) -> io::Result<Self> {
        let start = Event::hits(root, start, cpu)?;
        let stop = Event::hits(root, stop, cpu)?;
        let ring = Ring::map(start.file(), RING_BYTES)?;
        stop.write_into(&start)?;
        start.enable()?;
        stop.enable()?;
        Ok(Self {
            ring,
            _events: [start, stop],
        })
    }
}
