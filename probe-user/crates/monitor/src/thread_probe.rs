//! The probes on kernel threads that estimate (Linux 6.2 on).
//!
//! | program | attached to |
//! |---|---|
//! | `thread_enter` | `ip_vs_estimation_kthread`, all the time |
//! | `chain_enter`, `chain_return` | `ip_vs_chain_estimation`, while no thread calibrates |
//!
//! The second pair is put in place and removed by a thread of its own ([`attendant`]).

mod attendant;

use std::collections::BTreeSet;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use probe_ebpf::threads::{ChainRun, FOLLOWED_BYTES};

pub use self::attendant::Change;
use self::attendant::{Attendant, Chains};
use crate::{
    probe::{
        ProbeError,
        attach::{self, Target},
        load,
        records::Records,
    },
    thread_reader::ThreadReader,
};
use host::{estimator_threads, prerequisites::ThreadsReady};

/// The probes in place. Dropping it removes them.
pub struct ThreadProbe {
    runs: Records<ChainRun>,
    threads: HashMap<MapData, u32, Followed>,
    unfollowed: Array<MapData, u64>,
    /// Entries of the kernel's map whose thread the last look did not find.
    suspects: BTreeSet<u32>,
    reader: ThreadReader,
    attendant: Attendant,
}

/// The value of the map of threads. Only its size matters here: it is removed, never read.
type Followed = [u64; FOLLOWED_BYTES / 8];

impl ThreadProbe {
    /// Loads the programs, attaches the one that sees threads begin, and the others if no thread calibrates.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a program or a probe, or a field is missing.
    pub fn start(ready: ThreadsReady) -> Result<Self, ProbeError> {
        let offsets = estimator_threads::probed(&ready.fields);
        let offsets = offsets.map_err(|field| ProbeError::Field(field.to_string()))?;
        let mut ebpf = load::of_threads(&offsets)?;
        // Two, for the attendant reads at any time. All is loaded before it starts: a load leaves other threads no descriptor.
        let [reader, own_reader] = [
            ThreadReader::of(&ready.fields)?,
            ThreadReader::of(&ready.fields)?,
        ];
        begin(&mut ebpf, Target::from(&ready))?;
        Ok(Self {
            runs: Records::take(&mut ebpf, "CHAIN_RUNS")?,
            threads: load::map(&mut ebpf, "THREADS")?,
            unfollowed: load::map(&mut ebpf, "UNFOLLOWED")?,
            suspects: BTreeSet::new(),
            reader,
            attendant: Attendant::start(Chains::new(ebpf, ready)?, own_reader)?,
        })
    }

    /// Hands over the runs since the last call.
    pub fn drain(&mut self, into: impl FnMut(ChainRun)) {
        self.runs.drain(into);
    }

    /// Returns when the probes on chains were attached and removed since the last call.
    ///
    /// # Errors
    ///
    /// When they could not be: the reason.
    pub fn changes(&self) -> Result<Vec<Change>, ProbeError> {
        self.attendant.changes()
    }

    /// Returns what reads what the kernel keeps of the threads.
    pub fn reader(&mut self) -> &mut ThreadReader {
        &mut self.reader
    }

    /// Returns how many runs were of threads for which there was no room. A look-up keeps the probes off this CPU for a
    /// moment: to be asked only where so many threads are there. `None` where it cannot be read.
    #[must_use]
    pub fn unfollowed(&self) -> Option<u64> {
        self.unfollowed.get(&0, 0).ok()
    }

    /// Removes the entries of threads that are gone: those that two calls in a row did not find. It looks up the whole map,
    /// which keeps the probes off this CPU for moments: to be called where some are gone.
    pub fn forget_gone(&mut self, living: &BTreeSet<u32>) {
        let tids = self.threads.keys().filter_map(Result::ok);
        let unseen: BTreeSet<u32> = tids.filter(|tid| !living.contains(tid)).collect();
        for gone in self.suspects.intersection(&unseen) {
            // If it is not there any more, all the better.
            let _ = self.threads.remove(gone);
        }
        self.suspects = unseen;
    }
}

/// Attaches the program that sees threads begin.
fn begin(ebpf: &mut Ebpf, target: Target<'_>) -> Result<(), ProbeError> {
    let program = load::program(ebpf, "thread_enter")?;
    attach::attach(program, target, "ip_vs_estimation_kthread")?;
    Ok(())
}
