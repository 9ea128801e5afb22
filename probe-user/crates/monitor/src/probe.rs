//! The probes: loaded, attached and read. The only place that names aya.
//!
//! | program | attached to |
//! |---|---|
//! | `est_enter`, `est_return` | `estimation_timer` |
//! | `start_enter`, `start_return` | `ip_vs_start_estimator` |
//! | `stop_enter`, `stop_return` | `ip_vs_stop_estimator` |
//! | `snapshot` or `snapshot_bounded` | nothing: run by us, in our own context |
//! | `peek` | nothing: run by us, where `ip_vs` has no BTF, or kernel threads estimate |
//! | `softirq_entry`, `softirq_exit` | the tracepoints of these names, for the time of a trial |

pub(crate) mod attach;
mod glance;
mod layout;
pub(crate) mod load;
mod peek;
pub(crate) mod records;
mod room;
mod snapshots;
mod softirq;

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{HashMap, MapData, PerCpuArray},
};
use aya_log::EbpfLogger;
use probe_ebpf::{Event, Snapshot, SnapshotKind, histogram, snapshot::WalkLists};
use thiserror::Error;

pub use self::{glance::Glance, peek::Peek, softirq::SoftirqProbe};
use self::{
    records::{RawEstimator, Records},
    room::Room,
    snapshots::{Snapshots, is_whole},
};
use host::prerequisites::{Ready, Refusal};

/// Why the probes could not be put in place or read.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum ProbeError {
    #[error("the kernel refused the eBPF programs ({0}): {1}")]
    Load(&'static str, String),
    #[error(
        "the kernel refused a probe on {function} ({reason}): check that kprobes are not forbidden \
         (lockdown) and that ip_vs is still loaded"
    )]
    Attach { function: String, reason: String },
    #[error(
        "kernel.perf_event_paranoid is {0}, at which this kernel lets nobody but CAP_SYS_ADMIN probe it: give \
         this process that capability, or lower it with `sysctl kernel.perf_event_paranoid=2`"
    )]
    Paranoid(u32),
    #[error(
        "cannot create the eBPF maps: Linux before 5.11 counts them as locked memory, of which this process may have {kib} KiB: \
         give it the capability CAP_SYS_RESOURCE, or run `ulimit -l unlimited` before it"
    )]
    LockedMemory { kib: u64 },
    #[error("a snapshot of the estimators failed: {0}")]
    Snapshot(String),
    #[error(
        "the kernel does not let eBPF read its memory, as when it is locked down: look at \
         /sys/kernel/security/lockdown, and boot with lockdown=integrity or less to measure this host"
    )]
    Unreadable,
    #[error(
        "this kernel has no BTF for ip_vs, and the search of its memory for the fields of ip_vs failed ({0}): report the \
         output of `uname -a`"
    )]
    Layout(String),
    #[error(
        "cannot measure kernel threads: this kernel has no field {0}; report the output of `uname -a`"
    )]
    Field(String),
    #[error(
        "this kernel has no BTF for ip_vs, and hides the address of estimation_timer, with which its fields are found: {0}"
    )]
    HiddenAddress(&'static str),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The probes in place. Dropping it takes them away.
pub struct Probe {
    events: Records<Event>,
    operations: Records<Event>,
    snapshots: Snapshots,
    estimators: HashMap<MapData, u64, RawEstimator>,
    histogram: PerCpuArray<MapData, u64>,
    /// Entries of the kernel's map that the last check found no namespace for.
    suspects: BTreeSet<u64>,
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Last, so that all that reads its maps goes first.
    ebpf: Ebpf,
}

impl Probe {
    /// Loads the programs and attaches them. With `diagnostics`, what they have to say goes to the log;
    /// without, the kernel drops that part of them when it loads them.
    ///
    /// The order matters: the probes that keep the length come before the walk that seeds it, and of each
    /// pair the return comes first, so that every entry counted has its return counted.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a program or a probe.
    pub fn start(ready: &Ready, diagnostics: bool) -> Result<Self, ProbeError> {
        let (mut ebpf, snapshots) = with_room(ready, diagnostics)?;
        let log = diagnostics.then(|| EbpfLogger::init(&mut ebpf)).transpose();
        let log = log.map_err(|error| load::refused("log", &error))?;
        let mut probe = Self {
            events: Records::take(&mut ebpf, "EVENTS")?,
            operations: Records::take(&mut ebpf, "OPERATIONS")?,
            snapshots,
            estimators: load::map(&mut ebpf, "ESTIMATORS")?,
            histogram: load::map(&mut ebpf, "HISTOGRAM")?,
            suspects: BTreeSet::new(),
            log,
            ebpf,
        };
        attach::lifetimes(&mut probe.ebpf, ready)?;
        probe.snapshot(WalkLists::Unseeded)?;
        attach::runs(&mut probe.ebpf, ready)?;
        Ok(probe)
    }

    /// Looks at every namespace's estimator. One that is whole ends with the record of the end; another was cut short,
    /// and says nothing of the namespaces that are not in it.
    ///
    /// # Errors
    ///
    /// When the kernel does not run the program, or the program cannot read the kernel.
    pub fn snapshot(&mut self, lists: WalkLists) -> Result<Vec<Snapshot>, ProbeError> {
        let records = self.snapshots.take(&mut self.ebpf, lists)?;
        if lists == WalkLists::All && is_whole(&records) {
            self.forget_gone(&records);
        }
        Ok(records)
    }

    /// Takes the entries of namespaces that are gone out of the kernel's map: those that two checks in a
    /// row found none for, for a namespace's end and its beginning touch its entry after it has left, and
    /// before it has joined, the list of namespaces.
    fn forget_gone(&mut self, records: &[Snapshot]) {
        let seen: BTreeSet<u64> = records
            .iter()
            .filter(|record| record.kind == SnapshotKind::Estimator as u32)
            .map(|record| record.ipvs)
            .collect();
        let unseen: BTreeSet<u64> = self
            .estimators
            .keys()
            .filter_map(Result::ok)
            .filter(|ipvs| !seen.contains(ipvs))
            .collect();
        for gone in self.suspects.intersection(&unseen) {
            // If it is not there any more, all the better.
            let _ = self.estimators.remove(gone);
        }
        self.suspects = unseen;
    }

    /// Hands over what the probes have recorded since the last call, and writes out their diagnostics.
    pub fn drain(&mut self, mut into: impl FnMut(Event)) {
        self.events.drain(&mut into);
        self.operations.drain(into);
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Returns the in-kernel histogram: the runs that have no record, by slot, all CPUs together. Each read
    /// keeps probes off this CPU for a moment, so that a run could be missed over it.
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn histogram(&self) -> Result<Vec<u64>, ProbeError> {
        (0..histogram::SLOTS)
            .map(|slot| {
                let counts = self
                    .histogram
                    .get(&slot, 0)
                    .map_err(|error| ProbeError::Snapshot(load::root_cause(&error)))?;
                Ok(counts.iter().sum())
            })
            .collect()
    }
}

/// Loads the programs with room for all namespaces that there are, and as many again.
fn with_room(ready: &Ready, diagnostics: bool) -> Result<(Ebpf, Snapshots), ProbeError> {
    let usual = Room::usual();
    let offsets = layout::offsets(ready)?;
    let mut ebpf = load::programs(&offsets, diagnostics, usual)?;
    let mut snapshots = Snapshots::load(&mut ebpf)?;
    let there = snapshots.take(&mut ebpf, WalkLists::Nothing)?.len();
    let wanted = Room::wanted(there);
    if wanted != usual {
        ebpf = load::programs(&offsets, diagnostics, wanted)?;
        snapshots = Snapshots::load(&mut ebpf)?;
    }
    Ok((ebpf, snapshots))
}
