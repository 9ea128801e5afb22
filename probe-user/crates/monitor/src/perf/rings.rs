//! The events of timers on every CPU that is online, and their rings.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use host::cpus;
use nix::errno::Errno;

use super::{
    changes::Changes,
    event::Event,
    ring::Ring,
    sample::{Entry, SAMPLE_TYPE, entries},
};
use crate::traced::{Events, Formats, Functions, Record, What, filter};

/// Bytes of the data area of a CPU's ring. With a thousand namespaces, whose timers expire one after the other on one CPU,
/// three records a run are 110 KiB a second; before the timers are known, every other timer of the CPU adds 64 bytes a run.
const RING_BYTES: usize = 1 << 18;

/// The rings of all CPUs.
#[derive(Debug)]
pub struct Rings {
    root: PathBuf,
    formats: Formats,
    estimator: u64,
    cpus: BTreeMap<u32, Cpu>,
    /// The CPUs online when they were looked at last, as the kernel writes them.
    online: String,
    /// `None` where starts and stops of estimators cannot be counted.
    changes: Option<Changes>,
    /// What the returns of timers are filtered by; `None` while all of them are recorded.
    returns: Option<String>,
}

/// The events of one CPU.
#[derive(Debug)]
struct Cpu {
    ring: Ring,
    entry: Event,
    exit: Event,
    _start: Event,
    /// When the last of its records was made, in nanoseconds of `CLOCK_MONOTONIC`.
    last_ns: u64,
}

impl Rings {
    /// Opens the events of timers that call `estimator`, on every CPU that is online, and begins to record.
    ///
    /// # Errors
    ///
    /// When the kernel refuses an event, or memory for a ring.
    pub fn open(
        root: &Path,
        formats: Formats,
        estimator: u64,
        functions: Functions,
    ) -> io::Result<Self> {
        let mut rings = Self {
            root: root.to_owned(),
            formats,
            estimator,
            cpus: BTreeMap::new(),
            online: String::new(),
            changes: functions.changes.map(Changes::of),
            returns: None,
        };
        rings.follow_cpus()?;
        Ok(rings)
    }

    fn open_on(&self, cpu: u32) -> io::Result<Cpu> {
        let [entry, exit, start] = self.formats.ids();
        let entry = Event::tracepoint(entry, cpu)?;
        let ring = Ring::map(entry.file(), RING_BYTES)?;
        let exit = self.returns_on(exit, cpu, &entry)?;
        let start = Event::tracepoint(start, cpu)?;
        let of_function = format!("function=={:#x}", self.estimator);
        start.filter(&of_function)?;
        start.write_into(&entry)?;
        entry.filter(&of_function)?;
        // The return first, so that every run that is seen to begin is seen to end.
        exit.enable()?;
        start.enable()?;
        entry.enable()?;
        Ok(Cpu {
            ring,
            entry,
            exit,
            _start: start,
            last_ns: 0,
        })
    }

    /// Replaces the event of returns on a CPU, as an event takes one filter: the new one records before the old one is closed. A
    /// return that both record counts once.
    fn replace_returns(&mut self, exit: u64, cpu: u32) -> io::Result<()> {
        let Some(events) = self.cpus.get(&cpu) else {
            return Ok(());
        };
        let next = match self.returns_on(exit, cpu, &events.entry) {
            Ok(next) => next,
            Err(error) if is_offline(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        next.enable()?;
        if let Some(events) = self.cpus.get_mut(&cpu) {
            events.exit = next;
        }
        Ok(())
    }

    /// Counts starts and stops on the CPUs that are followed. Without that, lengths are not known.
    fn count_changes(&mut self) {
        let online: Vec<u32> = self.cpus.keys().copied().collect();
        let root = &self.root;
        self.changes = self.changes.take().and_then(|mut changes| {
            let followed = changes.follow(root, &online);
            followed.map_err(|error| uncounted(&error)).ok()?;
            Some(changes)
        });
    }

    fn returns_on(&self, id: u64, cpu: u32, entry: &Event) -> io::Result<Event> {
        let exit = Event::tracepoint(id, cpu)?;
        if let Some(filter) = &self.returns {
            exit.filter(filter)?;
        }
        exit.write_into(entry)?;
        Ok(exit)
    }
}

impl Events for Rings {
    fn follow_cpus(&mut self) -> io::Result<()> {
        let online = std::fs::read_to_string(self.root.join("sys/devices/system/cpu/online"))?;
        if online == self.online {
            return Ok(());
        }
        let cpus = cpus::parse_list(&online);
        let cpus = cpus.ok_or_else(|| io::Error::other("the list of CPUs online is none"))?;
        let cpus: BTreeSet<u32> = cpus.into_iter().collect();
        self.cpus.retain(|cpu, _| cpus.contains(cpu));
        for cpu in cpus {
            if self.cpus.contains_key(&cpu) {
                continue;
            }
            match self.open_on(cpu) {
                Ok(events) => drop(self.cpus.insert(cpu, events)),
                // It went offline meanwhile; the next look tells.
                Err(error) if is_offline(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.count_changes();
        self.online = online;
        Ok(())
    }

    fn changes(&mut self) -> io::Result<Option<u64>> {
        Ok(self.changes.as_mut().map(Changes::count))
    }

    fn reopen(&mut self, cpus: &BTreeSet<u32>) -> io::Result<()> {
        self.cpus.retain(|cpu, _| !cpus.contains(cpu));
        if let Some(changes) = &mut self.changes {
            changes.forget(cpus);
        }
        self.online.clear();
        self.follow_cpus()
    }

    fn follow(&mut self, timers: &BTreeSet<u64>) -> io::Result<()> {
        let filter = filter::of_timers(timers);
        if self.returns == filter {
            return Ok(());
        }
        self.returns = filter;
        let [_, exit, _] = self.formats.ids();
        let cpus: Vec<u32> = self.cpus.keys().copied().collect();
        for cpu in cpus {
            self.replace_returns(exit, cpu)?;
        }
        Ok(())
    }

    fn read(&mut self, records: &mut Vec<Record>) -> io::Result<()> {
        for (cpu, events) in &mut self.cpus {
            for entry in entries(&events.ring.take(), SAMPLE_TYPE) {
                match entry {
                    Entry::Sample(sample) => {
                        events.last_ns = sample.time_ns;
                        let record = self.formats.read_record(*cpu, sample.time_ns, sample.raw);
                        records.extend(record);
                    }
                    Entry::Lost(lost) => {
                        log::debug!("{lost} records of CPU {cpu} found no room");
                        // They came after the last that is there.
                        records.push(Record {
                            time_ns: events.last_ns,
                            cpu: *cpu,
                            tid: 0,
                            what: What::Lost,
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn uncounted(error: &io::Error) {
    log::debug!("starts and stops of estimators cannot be counted: {error}");
}

fn is_offline(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENODEV as i32)
}
