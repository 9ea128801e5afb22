//! One look at every estimator's timer, with nothing attached.

use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};
use probe_ebpf::{
    Snapshot, SnapshotKind,
    snapshot::{Outcome, WalkLists},
};

use super::{ProbeError, load, records::Records};
use crate::kernel::prerequisites::Ready;

/// Every namespace's timer as it is now, in the kernel's order; the record with the clocks is the last.
///
/// # Errors
///
/// When the kernel does not take the program or run it, or there are more namespaces than it can tell of.
pub fn glance(ready: &Ready) -> Result<Vec<Snapshot>, ProbeError> {
    let mut ebpf = load::only(&ready.offsets, &[load::SNAPSHOT])?;
    let mut snapshots = Records::take(&mut ebpf, "SNAPSHOTS")?;
    let mut options = RawTracePointRunOptions::new();
    options.args[0] = WalkLists::Nothing as u64;
    let program: &mut RawTracePoint = load::program(&mut ebpf, load::SNAPSHOT)?;
    let result = program
        .test_run(options)
        .map_err(|error| ProbeError::Snapshot(load::root_cause(&error)))?;
    if result.return_value == Outcome::Unreadable as u32 {
        return Err(ProbeError::Unreadable);
    }
    let mut records: Vec<Snapshot> = Vec::new();
    snapshots.drain(|record| records.push(record));
    match records.last() {
        Some(end) if end.kind == SnapshotKind::End as u32 => Ok(records),
        _ => Err(ProbeError::Snapshot("it was cut short".into())),
    }
}
