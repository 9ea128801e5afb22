//! Looks at every estimator's timer, with nothing attached.

use aya::Ebpf;
use probe_ebpf::{Snapshot, snapshot::WalkLists};

use super::{
    ProbeError, layout, load,
    snapshots::{Snapshots, is_whole},
};
use host::prerequisites::Ready;

/// The program that looks, loaded once for several looks: where BTF of `ip_vs` is missing, a load searches the kernel's
/// memory.
pub struct Glance {
    snapshots: Snapshots,
    ebpf: Ebpf,
}

impl Glance {
    /// Loads the program.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it, or the fields of `ip_vs` are not found.
    pub fn load(ready: &Ready) -> Result<Self, ProbeError> {
        let mut ebpf = load::only(&layout::offsets(ready)?, &[])?;
        let snapshots = Snapshots::load(&mut ebpf)?;
        Ok(Self { snapshots, ebpf })
    }

    /// Returns every namespace's timer as it is now, in the kernel's order; the record with the clocks is the last.
    ///
    /// # Errors
    ///
    /// When the kernel does not run the program, or its list of namespaces changes faster than it can be read.
    pub fn take(&mut self) -> Result<Vec<Snapshot>, ProbeError> {
        let records = self.snapshots.take(&mut self.ebpf, WalkLists::Nothing)?;
        if is_whole(&records) {
            Ok(records)
        } else {
            Err(ProbeError::Snapshot("it was cut short".into()))
        }
    }
}
