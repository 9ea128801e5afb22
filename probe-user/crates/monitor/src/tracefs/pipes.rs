//! The events of timers in an instance, and the raw pages of each CPU.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use host::cpus;
use nix::fcntl::OFlag;

use super::{
    changes::Changes,
    instance::{Instance, in_file},
    page::{Entry, Layout},
};
use crate::traced::{EVENTS, Events, Formats, Record, What, filter};

/// KiB of each CPU's buffer: see `perf::rings`.
const BUFFER_KIB: &str = "256";

/// The pages of all CPUs. Fields are closed in this order: an instance whose pipes are open, or whose probes are enabled,
/// stays.
#[derive(Debug)]
pub struct Pipes {
    cpus: BTreeMap<u32, File>,
    /// When the last record of a CPU was made, in nanoseconds of `CLOCK_MONOTONIC`.
    last_ns: BTreeMap<u32, u64>,
    /// `None` where starts and stops of estimators cannot be seen.
    changes: Option<Changes>,
    instance: Instance,
    formats: Formats,
    layout: Layout,
    root: PathBuf,
    returns: Option<String>,
}

impl Pipes {
    /// Enables the events of timers that call `estimator` in an instance of our own.
    ///
    /// # Errors
    ///
    /// When the kernel does not let this user, or has no clock that tells `CLOCK_MONOTONIC`.
    pub fn open(root: &Path, formats: Formats, estimator: u64) -> io::Result<Self> {
        let instance = Instance::make(root, "timers")?;
        instance.write("trace_clock", "mono")?;
        instance.write("buffer_size_kb", BUFFER_KIB)?;
        let mut pipes = Self {
            cpus: BTreeMap::new(),
            last_ns: BTreeMap::new(),
            layout: page_layout(instance.tracefs())?,
            changes: Changes::define(&instance),
            instance,
            formats,
            root: root.to_owned(),
            returns: None,
        };
        let [entry, exit, start] = EVENTS;
        let of_function = format!("function=={estimator:#x}");
        for event in [entry, start] {
            pipes
                .instance
                .write(&format!("events/{event}/filter"), &of_function)?;
        }
        pipes.follow_cpus()?;
        // The return first, so that every run that is seen to begin is seen to end.
        for event in [exit, start, entry] {
            pipes
                .instance
                .write(&format!("events/{event}/enable"), "1")?;
        }
        Ok(pipes)
    }
}

/// Reads where a page keeps what: in one call, as the kernel has nothing more for a second one (`show_header`,
/// `kernel/trace/trace_events.c`).
pub fn page_layout(tracefs: &Path) -> io::Result<Layout> {
    let file = tracefs.join("events/header_page");
    let mut text = vec![0; 4096];
    let read = File::open(&file).and_then(|mut opened| opened.read(&mut text));
    let length = read.map_err(|error| in_file(&file, &error))?;
    let layout = Layout::parse(&String::from_utf8_lossy(&text[..length]));
    layout.ok_or_else(|| io::Error::other(format!("{} lacks a field", file.display())))
}

/// Opens the pages of a CPU, whose reader is never kept waiting.
pub fn open_pipe(instance: &Instance, cpu: u32) -> io::Result<File> {
    let file = instance.file(&format!("per_cpu/cpu{cpu}/trace_pipe_raw"));
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(&file);
    opened.map_err(|error| in_file(&file, &error))
}

/// Reads all pages that are there now.
pub fn read_pages(pipe: &mut File, layout: &Layout, mut into: impl FnMut(&[u8])) -> io::Result<()> {
    let mut page = vec![0; layout.page_bytes()];
    loop {
        match pipe.read(&mut page) {
            Ok(0) => return Ok(()),
            Ok(length) => into(&page[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Events for Pipes {
    fn follow_cpus(&mut self) -> io::Result<()> {
        // A CPU that went offline keeps its pages.
        let possible = fs::read_to_string(self.root.join("sys/devices/system/cpu/possible"))?;
        let possible = cpus::parse_list(&possible).unwrap_or_default();
        for cpu in possible {
            if !self.cpus.contains_key(&cpu) {
                match open_pipe(&self.instance, cpu) {
                    Ok(pipe) => drop(self.cpus.insert(cpu, pipe)),
                    // It was never online, and so has no buffer yet.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn reopen(&mut self, _: &BTreeSet<u32>) -> io::Result<()> {
        // Events of an instance are of no CPU.
        Ok(())
    }

    fn follow(&mut self, timers: &BTreeSet<u64>) -> io::Result<()> {
        let returns = filter::of_timers(timers);
        if self.returns == returns {
            return Ok(());
        }
        let [_, exit, _] = EVENTS;
        // With 0, the kernel removes a filter.
        let text = returns.as_deref().unwrap_or("0");
        self.instance
            .write(&format!("events/{exit}/filter"), text)?;
        self.returns = returns;
        Ok(())
    }

    fn changes(&mut self) -> io::Result<Option<u64>> {
        Ok(self.changes.as_ref().map(Changes::count))
    }

    fn read(&mut self, records: &mut Vec<Record>) -> io::Result<()> {
        for (cpu, pipe) in &mut self.cpus {
            let last_ns = self.last_ns.entry(*cpu).or_default();
            read_pages(pipe, &self.layout, |page| {
                self.layout.entries(page, |entry| match entry {
                    Entry::Missed => {
                        self.changes.iter_mut().for_each(Changes::missed);
                        records.push(Record {
                            time_ns: *last_ns,
                            cpu: *cpu,
                            tid: 0,
                            what: What::Lost,
                        });
                    }
                    Entry::Record(time_ns, record) => {
                        *last_ns = time_ns;
                        self.changes
                            .iter_mut()
                            .for_each(|changes| changes.read(record));
                        records.extend(self.formats.read_record(*cpu, time_ns, record));
                    }
                });
            })?;
        }
        Ok(())
    }
}
