//! The estimators' timers, followed without eBPF: their trace events, read tick by tick.

mod lengths;
mod namespaces;
pub mod through;

use std::{collections::BTreeSet, io, path::Path, thread::sleep, time::Duration};

use host::{
    estimation::Kind,
    prerequisites::{self, Refusal},
    time,
};
use model::ESTIMATOR;
use probe_ebpf::{Event, Snapshot, histogram, snapshot::WalkLists};
use thiserror::Error;

use self::{lengths::Look, namespaces::Namespaces, through::Through};
use crate::traced::{Events, Formats, Functions, Ledger, Record};

/// Why the trace events cannot be followed.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum TraceError {
    #[error("no tracefs is in sight: mount it with `mount -t tracefs tracefs /sys/kernel/tracing`")]
    NoTracefs,
    #[error("cannot read the formats of the trace events of timers: {0}")]
    Formats(io::Error),
    #[error("cannot read /proc/kallsyms: {0}")]
    Symbols(io::Error),
    #[error(
        "the kernel hides the address of {ESTIMATOR}: run this as root, with kernel.kptr_restrict at 0 or 1"
    )]
    HiddenAddress,
    #[error("cannot open the trace events of timers through perf: {0}")]
    Perf(io::Error),
    #[error("cannot open the trace events of timers in tracefs: {0}")]
    Tracefs(io::Error),
    #[error("cannot read a clock: {0}")]
    Clock(nix::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// How long the start waits at most for the timers of all namespaces: each runs every two seconds, rounded up by the
/// kernel's timer wheel.
const FIRST_RUNS: Duration = Duration::from_millis(2_200);
const BETWEEN_FIRST_LOOKS: Duration = Duration::from_millis(100);

/// The trace events of the estimators' timers. Dropping it closes them.
pub struct Tracer {
    events: Box<dyn Events>,
    through: Through,
    ledger: Ledger,
    namespaces: Namespaces,
    /// Records that are later than the last look.
    held: Vec<Record>,
    /// Runs that were not handed over yet.
    runs: Vec<Event>,
    timers: BTreeSet<u64>,
    /// Those whose time was over at the last look.
    late: BTreeSet<u64>,
    started_ns: u64,
    /// Whose the timers are was learnt from all that there are.
    is_started: bool,
    /// When the last look was.
    looked_ns: u64,
}

impl Tracer {
    /// Begins to follow the timers, and waits until those of all namespaces were seen, at most for as long as each takes to run
    /// once.
    ///
    /// # Errors
    ///
    /// When the kernel does not show or allow what that takes.
    pub fn start(root: &Path, through: Through) -> Result<Self, TraceError> {
        let kind = Kind::read(root);
        if kind == Some(Kind::Absent) {
            return Err(Refusal::NoIpvs(prerequisites::release(root)).into());
        }
        prerequisites::measurable(kind, &prerequisites::release(root))?;
        let folder = host::tracefs::folder(root).ok_or(TraceError::NoTracefs)?;
        let formats = Formats::read(&folder).map_err(TraceError::Formats)?;
        let functions = Functions::find(root).map_err(TraceError::Symbols)?;
        let estimator = functions.estimator.ok_or(TraceError::HiddenAddress)?;
        let events = through.open(root, formats, estimator, functions);
        let events = events.map_err(|error| through.error(error))?;
        let started_ns = time::monotonic_ns().map_err(TraceError::Clock)?;
        let jiffy_ns = time::jiffy_ns().map_err(TraceError::Clock)?;
        let mut tracer = Self {
            events,
            through,
            ledger: Ledger::new(jiffy_ns),
            namespaces: Namespaces::new(root, through, functions),
            held: Vec::new(),
            runs: Vec::new(),
            timers: BTreeSet::new(),
            late: BTreeSet::new(),
            started_ns,
            is_started: false,
            looked_ns: started_ns,
        };
        tracer.namespaces.note_changes(&mut *tracer.events);
        tracer.look_at_namespaces(Look::Check);
        tracer.wait_for_all()?;
        // Only now that each timer was seen, none is taken for that of its neighbour.
        tracer.is_started = true;
        tracer.add_namespaces(0);
        Ok(tracer)
    }

    fn look_at_namespaces(&mut self, look: Look) {
        let (events, held) = (&mut *self.events, &mut self.held);
        self.namespaces.look(look, &self.timers, events, held);
    }

    fn wait_for_all(&mut self) -> Result<(), TraceError> {
        let looks = FIRST_RUNS.as_millis() / BETWEEN_FIRST_LOOKS.as_millis();
        for _ in 0..looks {
            sleep(BETWEEN_FIRST_LOOKS);
            self.look()?;
            if self.namespaces.are_all_seen(&self.timers) {
                break;
            }
        }
        Ok(())
    }

    /// Returns from when on every run is seen, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Returns until when all records were taken in, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn looked_ns(&self) -> u64 {
        self.looked_ns
    }

    /// Lets the kernel record the returns of the timers that are known alone, once each had the time to run: whichever ran was
    /// seen to end. A new one is set two seconds before it runs.
    fn follow(&mut self) -> Result<(), TraceError> {
        let since_ns = self.looked_ns.saturating_sub(self.started_ns);
        if u128::from(since_ns) < FIRST_RUNS.as_nanos() || self.timers.is_empty() {
            return Ok(());
        }
        let unseen = self.namespaces.unseen(&self.timers).map(|(timer, _)| timer);
        let followed = self.timers.iter().copied().chain(unseen).collect();
        let through = self.through;
        let followed = self.events.follow(&followed);
        followed.map_err(|error| through.error(error))
    }

    /// Returns every timer that is known, as of now. All runs that were over by now are handed over by the next
    /// [`Self::drain`].
    ///
    /// # Errors
    ///
    /// When the kernel refuses an event.
    pub fn snapshot(&mut self, lists: WalkLists) -> Result<Vec<Snapshot>, TraceError> {
        let now_ns = self.look()?;
        self.look_at_namespaces(match lists {
            WalkLists::All => Look::Check,
            WalkLists::Unseeded | WalkLists::Nothing => Look::Tick,
        });
        self.forget_gone(now_ns);
        self.follow()?;
        let timers = self.timers.iter();
        let looks = timers.filter_map(|timer| self.ledger.look(*timer, now_ns));
        let unseen = self.namespaces.unseen(&self.timers);
        let unseen = unseen.map(|(timer, netns)| Snapshot {
            netns,
            ..self.ledger.unseen(timer, now_ns)
        });
        let looks = looks.chain(unseen);
        let mut snapshot: Vec<Snapshot> = looks.map(|look| self.namespaces.add_to(look)).collect();
        snapshot.push(self.ledger.end(now_ns));
        Ok(snapshot)
    }

    /// Hands over the runs since the last call.
    pub fn drain(&mut self, into: impl FnMut(Event)) {
        self.runs.drain(..).for_each(into);
    }

    /// Returns the histogram of runs without a record: there is none in the kernel here.
    #[must_use]
    pub fn histogram() -> Vec<u64> {
        vec![0; histogram::SLOTS as usize]
    }

    /// Takes in all records that were made by now. Returns when that was, in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn look(&mut self) -> Result<u64, TraceError> {
        let now_ns = time::monotonic_ns().map_err(TraceError::Clock)?;
        self.looked_ns = now_ns;
        let through = self.through;
        let held = &mut self.held;
        let read = self.events.read(held);
        // Those of a CPU that went offline are read before it is let go of.
        let read = read.and_then(|()| self.events.follow_cpus());
        read.map_err(|error| through.error(error))?;
        // Each CPU's are in order, and stay so.
        held.sort_by_key(|record| record.time_ns);
        let later = held.split_off(held.partition_point(|record| record.time_ns <= now_ns));
        let (known, handed) = (self.timers.len(), self.runs.len());
        for record in std::mem::replace(held, later) {
            self.runs.extend(self.ledger.take(&record));
        }
        self.ledger.looked_at(now_ns);
        for timer in self.ledger.take_renewed() {
            self.namespaces.forget(timer);
        }
        self.timers = self.ledger.timers().collect();
        if self.timers.len() != known {
            self.namespaces.learn(&self.timers);
        }
        self.namespaces.note_changes(&mut *self.events);
        if self.is_started {
            self.add_namespaces(handed);
        }
        Ok(now_ns)
    }

    /// Begins again on the CPUs of timers that are late and should not be.
    fn reopen(&mut self, late: &BTreeSet<u64>) {
        let there = late
            .iter()
            .filter(|timer| self.namespaces.is_there(**timer));
        // Once: one that is unsure already does not come back by that.
        let cpus = there.filter_map(|timer| self.ledger.sure_cpu(*timer));
        let cpus: BTreeSet<u32> = cpus.collect();
        if cpus.is_empty() {
            return;
        }
        if let Err(error) = self.events.reopen(&cpus) {
            log::debug!("the trace events of CPUs {cpus:?} cannot be opened again: {error}");
        }
        for cpu in cpus {
            self.ledger.lose(cpu);
        }
    }

    /// Adds whose they are to the runs from that one on.
    fn add_namespaces(&mut self, first: usize) {
        for run in &mut self.runs[first..] {
            self.namespaces.add_to_run(run);
        }
    }

    /// Forgets the timers that did not come back, and whose namespace is not there any more.
    fn forget_gone(&mut self, now_ns: u64) {
        let is_late = |timer: &u64| self.ledger.is_late(*timer, now_ns);
        let late: BTreeSet<u64> = self.timers.iter().copied().filter(is_late).collect();
        let new: BTreeSet<u64> = late.difference(&self.late).copied().collect();
        self.late = late;
        if !new.is_empty() {
            let (events, held) = (&mut *self.events, &mut self.held);
            self.namespaces.find(&self.timers, events, held);
            self.reopen(&new);
        }
        for timer in &self.timers {
            let comes_back = self.ledger.is_awaited(*timer) && !self.late.contains(timer);
            if !comes_back && !self.namespaces.is_there(*timer) {
                self.ledger.forget(*timer);
                self.namespaces.forget(*timer);
            }
        }
        self.timers = self.ledger.timers().collect();
    }
}
