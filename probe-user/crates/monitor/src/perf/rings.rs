//! The events of timers on every CPU that is online, and their rings.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use host::cpus;
use nix::errno::Errno;

use super::{
    event::Event,
    ring::Ring,
    sample::{Entry, entries},
};
use crate::traced::{Formats, Record, What};

/// Bytes of the data area of a CPU's ring. With a thousand namespaces, whose timers expire one after the other on one CPU,
/// three records a run are 110 KiB a second; before the timers are known, every other timer of the CPU adds 64 bytes a run.
const RING_BYTES: usize = 1 << 18;

/// So many timers are filtered one by one: every other timer's return is compared with all of them.
const FILTERED_APART: usize = 16;

/// The rings of all CPUs.
#[derive(Debug)]
pub struct Rings {
    root: PathBuf,
    formats: Formats,
    function: u64,
    cpus: BTreeMap<u32, Cpu>,
    /// The CPUs online when they were looked at last, as the kernel writes them.
    online: String,
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
    /// Opens the events of timers that call `function`, on every CPU that is online, and begins to record.
    ///
    /// # Errors
    ///
    /// When the kernel refuses an event, or memory for a ring.
    pub fn open(root: &Path, formats: Formats, function: u64) -> io::Result<Self> {
        let mut rings = Self {
            root: root.to_owned(),
            formats,
            function,
            cpus: BTreeMap::new(),
            online: String::new(),
            returns: None,
        };
        rings.follow_cpus()?;
        Ok(rings)
    }

    /// Opens the events on CPUs that came online, and closes those of CPUs that went offline.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn follow_cpus(&mut self) -> io::Result<()> {
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
        self.online = online;
        Ok(())
    }

    fn open_on(&self, cpu: u32) -> io::Result<Cpu> {
        let [entry, exit, start] = self.formats.ids();
        let entry = Event::tracepoint(entry, cpu)?;
        let ring = Ring::map(entry.file(), RING_BYTES)?;
        let exit = self.returns_on(exit, cpu, &entry)?;
        let start = Event::tracepoint(start, cpu)?;
        let of_function = format!("function=={:#x}", self.function);
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

    fn returns_on(&self, id: u64, cpu: u32, entry: &Event) -> io::Result<Event> {
        let exit = Event::tracepoint(id, cpu)?;
        if let Some(filter) = &self.returns {
            exit.filter(filter)?;
        }
        exit.write_into(entry)?;
        Ok(exit)
    }

    /// Records the returns of these timers alone from here on. A timer that is not among them has no end of its runs.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn follow(&mut self, timers: &BTreeSet<u64>) -> io::Result<()> {
        let filter = filter_of(timers);
        if self.returns == filter {
            return Ok(());
        }
        self.returns = filter;
        let [_, exit, _] = self.formats.ids();
        let mut replaced = Vec::new();
        for (cpu, events) in &self.cpus {
            // An event takes one filter: the new one records before the old one ends. A return that both record counts once.
            let next = match self.returns_on(exit, *cpu, &events.entry) {
                Ok(next) => next,
                Err(error) if is_offline(&error) => continue,
                Err(error) => return Err(error),
            };
            next.enable()?;
            replaced.push((*cpu, next));
        }
        for (cpu, next) in replaced {
            if let Some(events) = self.cpus.get_mut(&cpu) {
                events.exit = next;
            }
        }
        Ok(())
    }

    /// Hands over all records since the last call, of each CPU in their order.
    pub fn read(&mut self, mut into: impl FnMut(Record)) {
        for (cpu, events) in &mut self.cpus {
            for entry in entries(&events.ring.take()) {
                let (time_ns, tid, what) = match entry {
                    // Those came after the last that is there.
                    Entry::Lost(records) => {
                        log::debug!("{records} records of CPU {cpu} found no room");
                        (events.last_ns, 0, Some(What::Lost))
                    }
                    Entry::Sample(sample) => (
                        sample.time_ns,
                        sample.tid,
                        self.formats.read_record(sample.raw),
                    ),
                };
                events.last_ns = time_ns;
                if let Some(what) = what {
                    into(Record {
                        time_ns,
                        cpu: *cpu,
                        tid,
                        what,
                    });
                }
            }
        }
    }
}

fn is_offline(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENODEV as i32)
}

/// Returns a filter for these timers: by their addresses, or, where these are many, by the range that they lie in; `None` where
/// there are none.
fn filter_of(timers: &BTreeSet<u64>) -> Option<String> {
    let (first, last) = (timers.first()?, timers.last()?);
    if timers.len() > FILTERED_APART {
        return Some(format!("timer>={first:#x}&&timer<={last:#x}"));
    }
    let each = timers.iter().map(|timer| format!("timer=={timer:#x}"));
    Some(each.collect::<Vec<_>>().join("||"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_timers_are_filtered_by_their_range() {
        let filter = |timers: &[u64]| filter_of(&timers.iter().copied().collect());
        assert_eq!(filter(&[]), None);
        assert_eq!(
            filter(&[0x20, 0x10]).as_deref(),
            Some("timer==0x10||timer==0x20")
        );
        let many: Vec<u64> = (0..17).map(|number| 0x1000 * (number + 1)).collect();
        assert_eq!(
            filter(&many).as_deref(),
            Some("timer>=0x1000&&timer<=0x11000")
        );
        let some = filter(&many[..16]).unwrap();
        assert_eq!(some.matches("||").count(), 15, "{some}");
    }
}
