//! How often estimators start and stop: counted on each CPU, without a record.

use std::{collections::BTreeMap, io, path::Path};

use super::event::Event;

/// A kernel has a probe of its own for each CPU here, and runs all of them whenever an estimator starts or stops. On more CPUs
/// it does not pay.
const MOST_CPUS: usize = 64;

/// The counters of all CPUs.
#[derive(Debug)]
pub struct Changes {
    functions: [u64; 2],
    cpus: BTreeMap<u32, Vec<Event>>,
    /// What the counters of CPUs that went offline had come to.
    before: u64,
}

impl Changes {
    /// Counts the calls of these functions, on no CPU yet.
    pub fn of(functions: [u64; 2]) -> Self {
        Self {
            functions,
            cpus: BTreeMap::new(),
            before: 0,
        }
    }

    /// Counts on these CPUs, and on no others any more. What is not counted while a CPU comes online counts as a change.
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
        let gone = self.cpus.keys().filter(|cpu| !online.contains(cpu));
        let gone: Vec<u32> = gone.copied().collect();
        for cpu in gone {
            let events = self.cpus.remove(&cpu).unwrap_or_default();
            self.before = self.before.saturating_add(sum(&events)?).saturating_add(1);
        }
        for cpu in online {
            if !self.cpus.contains_key(cpu) {
                let events = self.functions.iter();
                let events = events.map(|function| Event::counter(root, *function, *cpu));
                self.cpus.insert(*cpu, events.collect::<io::Result<_>>()?);
                self.before = self.before.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Returns how often it happened.
    ///
    /// # Errors
    ///
    /// When a counter cannot be read.
    pub fn count(&self) -> io::Result<u64> {
        let counts = self.cpus.values().map(|events| sum(events));
        let counts: io::Result<u64> = counts.sum();
        Ok(self.before.saturating_add(counts?))
    }
}

fn sum(events: &[Event]) -> io::Result<u64> {
    events.iter().map(Event::count).sum()
}
