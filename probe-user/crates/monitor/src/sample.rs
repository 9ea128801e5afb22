//! One look at all that the probes say: the one place where its order is kept.

use probe_ebpf::{Event, Snapshot, SnapshotKind, snapshot::WalkLists};

use crate::source::Source;

/// What one look found.
#[derive(Debug, Default)]
pub struct Sample {
    /// Every namespace's estimator; nothing of probes whose functions are gone.
    pub snapshot: Vec<Snapshot>,
    /// The records since the last look that was handed on.
    pub events: Vec<Event>,
    /// Until when every run that was over has its record here, in nanoseconds of `CLOCK_MONOTONIC`.
    pub read_ns: u64,
}

impl Sample {
    /// Takes the snapshot first, then the records: every run that the snapshot counts as over has its record among them.
    /// Records that were not handed on stay.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the probes, or the clock, be read.
    pub fn take(&mut self, probe: &mut Source, lists: WalkLists) -> anyhow::Result<()> {
        self.snapshot = probe.snapshot(lists)?;
        self.take_records(probe)
    }

    /// Takes the last records of probes whose functions are gone.
    ///
    /// # Errors
    ///
    /// When the clock cannot be read.
    pub fn take_last(&mut self, probe: &mut Source) -> anyhow::Result<()> {
        self.snapshot.clear();
        probe.look_last()?;
        self.take_records(probe)
    }

    fn take_records(&mut self, probe: &mut Source) -> anyhow::Result<()> {
        self.read_ns = probe.read_ns()?;
        probe.drain(|event| self.events.push(event));
        Ok(())
    }

    /// Returns whether the snapshot is whole and no namespace is in it, as while `ip_vs` is coming or going.
    pub fn has_no_namespace(&self) -> bool {
        matches!(&self.snapshot[..], [end] if end.kind == SnapshotKind::End as u32)
    }

    /// Forgets the records, which were handed on.
    pub fn handed_on(&mut self) {
        self.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    #[test]
    fn a_snapshot_that_is_cut_short_may_have_a_namespace() {
        let record = |kind: SnapshotKind| Snapshot {
            kind: kind as u32,
            ..Snapshot::zeroed()
        };
        let (end, estimator) = (SnapshotKind::End, SnapshotKind::Estimator);
        for (kinds, none) in [
            (&[end][..], true),
            (&[estimator, end], false),
            (&[estimator], false),
            (&[], false),
        ] {
            let sample = Sample {
                snapshot: kinds.iter().map(|kind| record(*kind)).collect(),
                ..Sample::default()
            };
            assert_eq!(sample.has_no_namespace(), none, "{}", kinds.len());
        }
    }
}
