//! What a snapshot says as a whole.

use probe_ebpf::{Snapshot, SnapshotKind, snapshot::LENGTH_UNKNOWN};

/// When a snapshot ended.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// It has every namespace.
    pub is_whole: bool,
}

/// Where a walk found another length than the probes had kept. It should never happen: a probe was skipped by the
/// kernel, and the walk's length is in force from here on.
pub fn correction(found: &Snapshot) -> Option<String> {
    let known = found.seeded == 1 && found.walked != LENGTH_UNKNOWN;
    (known && found.walked != found.counted).then(|| {
        let (netns, counted, walked) = (found.netns, found.counted, found.walked);
        format!("est_list of netns {netns} was counted {counted} long and is {walked}: corrected")
    })
}

/// Returns whether a record is of that kind.
pub fn is(record: &Snapshot, kind: SnapshotKind) -> bool {
    record.kind == kind as u32
}

/// Returns the records of estimators.
pub fn estimators_of(snapshot: &[Snapshot]) -> impl Iterator<Item = &Snapshot> {
    snapshot
        .iter()
        .filter(|record| is(record, SnapshotKind::Estimator))
}

/// When a snapshot ended: as it says itself, and, if it was cut short, before `now_ns`.
pub fn moment_of(snapshot: &[Snapshot], now_ns: u64) -> Option<Moment> {
    let last = snapshot.last()?;
    let is_whole = is(last, SnapshotKind::End);
    Some(Moment {
        now_ns: if is_whole { last.now_ns } else { now_ns },
        is_whole,
    })
}
