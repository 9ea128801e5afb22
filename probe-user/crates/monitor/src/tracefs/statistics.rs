//! Where the kernel keeps the statistics of each namespace, by a probe of tracefs on the function that shows them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

use host::{netns_owners::NetnsOwners, tracefs};
use nix::unistd::gettid;

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
        // This thread alone reads the namespaces.
        let filter = format!("common_pid=={}", own_task(root));
        let probe = Probe::enable(&instance, PROBE, STATISTICS, &fetch, Some(&filter))?;
        let mut reader = Reader::open(&instance, &probe)?;
        statistics::of_all(root, owners, || reader.last())
    };
    statistics::in_a_thread(read, meanwhile)
}

/// Returns the number of this thread, as the `/proc` of the host has it.
fn own_task(root: &Path) -> u32 {
    let link = fs::read_link(root.join("proc/thread-self"));
    let told = link
        .ok()
        .and_then(|link| link.file_name()?.to_str()?.parse().ok());
    told.unwrap_or_else(|| gettid().as_raw().unsigned_abs())
}

/// What reads the probe's records.
struct Reader {
    pipes: Vec<File>,
    layout: Layout,
    from: tracefs::Field,
}

impl Reader {
    fn open(instance: &Instance, probe: &Probe) -> io::Result<Self> {
        let from = probe.format().field("from");
        let folders = fs::read_dir(instance.file("per_cpu"))?;
        let cpus = folders.filter_map(|folder| {
            let name = folder.ok()?.file_name();
            name.to_str()?.strip_prefix("cpu")?.parse().ok()
        });
        let pipes = cpus.map(|cpu| open_pipe(instance, cpu));
        Ok(Self {
            pipes: pipes.collect::<io::Result<_>>()?,
            layout: page_layout(instance.tracefs())?,
            from: from.ok_or_else(|| io::Error::other("the probe has no field"))?,
        })
    }

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
