//! Where the kernel keeps the statistics of each namespace, by a probe of tracefs on the function that shows them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use host::{netns_owners::NetnsOwners, tracefs::Field};

use super::{
    instance::Instance,
    page::{Entry, Layout},
    pipes::{open_pipe, page_layout, read_pages},
    probe::Probe,
};
use crate::{statistics, traced::STATISTICS};

/// The probe's name in the group of this process.
const PROBE: &str = "statistics";

/// The register that has a function's second argument.
const SECOND_ARGUMENT: &str = if cfg!(target_arch = "x86_64") {
    "%si"
} else {
    "%x1"
};

/// Returns the address of the statistics of every namespace that can be read, with its inode number.
///
/// # Errors
///
/// When the kernel does not let this user define or enable the probe.
pub fn read(
    root: &Path,
    owners: &NetnsOwners,
    meanwhile: &mut dyn FnMut(),
) -> io::Result<BTreeMap<u64, u32>> {
    let read = || {
        let instance = Instance::make(root, "statistics")?;
        instance.write("trace_clock", "mono")?;
        let fetch = format!("from={SECOND_ARGUMENT}:u64");
        let mut pipes = open_pipes(&instance)?;
        let layout = page_layout(instance.tracefs())?;
        // This thread alone reads the namespaces.
        let filter = format!("common_pid=={}", own_task(&instance, &mut pipes, &layout)?);
        let probe = Probe::enable(&instance, PROBE, STATISTICS, &fetch, Some(&filter))?;
        let from = probe.format().field("from");
        let from = from.ok_or_else(|| io::Error::other("the records of the probe lack a field"))?;
        let mut reader = Reader {
            pipes,
            layout,
            from,
        };
        statistics::of_all(root, owners, || reader.last())
    };
    statistics::in_a_thread(read, meanwhile)
}

fn open_pipes(instance: &Instance) -> io::Result<Vec<File>> {
    let folders = fs::read_dir(instance.file("per_cpu"))?;
    let cpus = folders.filter_map(|folder| {
        let name = folder.ok()?.file_name();
        name.to_str()?.strip_prefix("cpu")?.parse().ok()
    });
    cpus.map(|cpu| open_pipe(instance, cpu)).collect()
}

/// Where every record has the task (`struct trace_entry`, `include/linux/trace_events.h`).
const TASK: Field = Field { offset: 4, size: 4 };

/// Returns the number of this thread as the kernel has it, which that of its process namespace may not be: a mark has it.
fn own_task(instance: &Instance, pipes: &mut [File], layout: &Layout) -> io::Result<u64> {
    instance.write("trace_marker", "own task")?;
    let mut task = None;
    for pipe in pipes {
        read_pages(pipe, layout, |page| {
            layout.entries(page, |entry| {
                if let Entry::Record(_, record) = entry {
                    task = TASK.of(record);
                }
            });
        })?;
    }
    task.ok_or_else(|| io::Error::other("the mark of this thread was not seen"))
}

/// What reads the probe's records.
struct Reader {
    pipes: Vec<File>,
    layout: Layout,
    from: Field,
}

impl Reader {
    /// Returns the argument of the latest record.
    fn last(&mut self) -> io::Result<Option<u64>> {
        let mut last: Option<(u64, u64)> = None;
        for pipe in &mut self.pipes {
            read_pages(pipe, &self.layout, |page| {
                self.layout.entries(page, |entry| {
                    if let Entry::Record(time_ns, record) = entry
                        && let Some(from) = self.from.of(record)
                    {
                        last = last.max(Some((time_ns, from)));
                    }
                });
            })?;
        }
        Ok(last.map(|(_, from)| from))
    }
}
