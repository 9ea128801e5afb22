//! Reads what the kernel keeps of the threads that estimate, by the program `peek`.

use std::path::Path;

use anyhow::Context as _;

use crate::probe::{Peek, ProbeError};
use host::{
    btf::Fields,
    estimator_threads::{self, Activity, Estimation, Layout, Unreadable},
    kernel_memory::pointer,
};

/// Reads the threads of every network namespace.
pub struct ThreadReader {
    layout: Layout,
    peek: Peek,
}

impl ThreadReader {
    /// Loads the program that reads the kernel's memory, where BTF under `root` says what lies where.
    ///
    /// # Errors
    ///
    /// When the kernel has no BTF or lacks a field, or refuses the program.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let fields = estimator_threads::fields(root);
        let fields = fields.context("cannot read /sys/kernel/btf/vmlinux")?;
        Ok(Self::of(&fields)?)
    }

    /// Loads the program for fields that are there.
    ///
    /// # Errors
    ///
    /// When one lacks, or the kernel refuses the program.
    pub fn of(fields: &Fields) -> Result<Self, ProbeError> {
        let layout = Layout::of(fields);
        Ok(Self {
            layout: layout.map_err(|field| ProbeError::Field(field.to_string()))?,
            peek: Peek::load()?,
        })
    }

    /// Returns what estimates in each namespace, in the kernel's order.
    ///
    /// # Errors
    ///
    /// When the kernel's memory cannot be read, or does not hold what is sought.
    pub fn read(&mut self) -> Result<Vec<Estimation>, ProbeError> {
        let found = self.search();
        // A program that could not be run is no memory that holds nothing.
        match self.peek.trouble() {
            Some(error) => Err(error),
            None => found,
        }
    }

    /// Returns what the threads of all namespaces do.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn activity(&mut self) -> Result<Activity, ProbeError> {
        Ok(Activity::of(&self.read()?))
    }

    fn search(&mut self) -> Result<Vec<Estimation>, ProbeError> {
        let nsproxy_at = u64::from(self.layout.task_nsproxy);
        let net_at = u64::from(self.layout.nsproxy_net);
        let peek = &mut self.peek;
        let task = peek.task();
        let nsproxy = task.and_then(|task| pointer(peek, task + nsproxy_at));
        let net = nsproxy.and_then(|nsproxy| pointer(peek, nsproxy + net_at));
        let net = net.ok_or(ProbeError::Unreadable)?;
        estimator_threads::read(&self.layout, net, peek)
            .map_err(|error: Unreadable| ProbeError::Snapshot(error.to_string()))
    }
}
