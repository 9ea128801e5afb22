//! How often estimators start and stop: seen by a probe on each of both functions.

use std::io;

use super::{instance::Instance, probe::Probe};
use crate::traced::CHANGES;

/// The probes, and how often they were hit.
#[derive(Debug)]
pub struct Changes {
    probes: Vec<Probe>,
    count: u64,
}

impl Changes {
    /// Enables the probes; `None` where the kernel does not take them.
    pub fn define(instance: &Instance) -> Option<Self> {
        let enable =
            |(name, function): (&str, &str)| Probe::enable(instance, name, function, "", None);
        let probes = ["start", "stop"].into_iter().zip(CHANGES).map(enable);
        let probes: io::Result<Vec<Probe>> = probes.collect();
        let probes = probes.inspect_err(|error| {
            log::debug!("starts and stops of estimators cannot be seen: {error}");
        });
        Some(Self {
            probes: probes.ok()?,
            count: 0,
        })
    }

    /// Takes a record, which may be of a probe.
    pub fn read(&mut self, record: &[u8]) {
        let id = record
            .first_chunk()
            .map(|id| u64::from(u16::from_le_bytes(*id)));
        let is_one = self
            .probes
            .iter()
            .any(|probe| Some(probe.format().id) == id);
        self.count += u64::from(is_one);
    }

    /// Records found no room: some may have been of a probe.
    pub fn missed(&mut self) {
        self.count += 1;
    }

    /// Returns how often it happened.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}
