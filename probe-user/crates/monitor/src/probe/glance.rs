//! One look at every estimator's timer, with nothing attached.

use probe_ebpf::{Snapshot, snapshot::WalkLists};

use super::{
    ProbeError, layout, load,
    snapshots::{Snapshots, is_whole},
};
use host::prerequisites::Ready;

/// Every namespace's timer as it is now, in the kernel's order; the record with the clocks is the last.
///
/// # Errors
///
/// When the kernel does not take the program or run it, or the kernel's list of namespaces changes faster than it can
/// be read.
pub fn glance(ready: &Ready) -> Result<Vec<Snapshot>, ProbeError> {
    let mut ebpf = load::only(&layout::offsets(ready)?, &[])?;
    let records = Snapshots::load(&mut ebpf)?.take(&mut ebpf, WalkLists::Nothing)?;
    if is_whole(&records) {
        Ok(records)
    } else {
        Err(ProbeError::Snapshot("it was cut short".into()))
    }
}
