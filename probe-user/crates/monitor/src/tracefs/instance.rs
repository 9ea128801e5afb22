//! An instance of tracefs, which is there for as long as its process.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use host::{netns::doors::own_pid, netns_owners::started, tracefs};

/// What the names of our instances begin with; the number of a process, when it started, and the purpose follow.
const NAME: &str = "ipvs-latency";

/// An instance.
#[derive(Debug)]
pub struct Instance {
    folder: PathBuf,
    tracefs: PathBuf,
    /// The process, as names have it.
    process: String,
}

impl Instance {
    /// Makes one for a purpose, which is a word.
    ///
    /// # Errors
    ///
    /// When the kernel does not let this user make one.
    pub fn make(root: &Path, purpose: &str) -> io::Result<Self> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "no tracefs is in sight");
        let tracefs = tracefs::folder(root).ok_or_else(none)?;
        let own = own_pid(root).and_then(|pid| Some((pid, started(root, pid)?)));
        let (pid, started) =
            own.ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        let process = format!("{pid}_{started}");
        let folder = tracefs
            .join("instances")
            .join(format!("{NAME}_{process}_{purpose}"));
        if let Err(error) = fs::create_dir(&folder) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            // It could not be removed before.
            remove(&folder);
            fs::create_dir(&folder)?;
        }
        Ok(Self {
            folder,
            tracefs,
            process,
        })
    }

    /// Returns a file of the instance.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file of the instance.
    ///
    /// # Errors
    ///
    /// When the kernel does not take it; the error names the file.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let file = self.file(name);
        fs::write(&file, text).map_err(|error| in_file(&file, &error))
    }

    /// Returns the folder of tracefs.
    #[must_use]
    pub fn tracefs(&self) -> &Path {
        &self.tracefs
    }

    /// Returns the group for probes of this process: a word.
    #[must_use]
    pub fn group(&self) -> String {
        group(&self.process)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Says which file an error is about.
pub fn in_file(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn group(process: &str) -> String {
    format!("{}_{process}", NAME.replace('-', "_"))
}

/// Events first: as long as they are enabled, the instance is in use. What cannot be removed is removed by the next process.
fn remove(folder: &Path) {
    let _ = fs::write(folder.join("events/enable"), "0");
    if let Err(error) = fs::remove_dir(folder) {
        log::debug!("{}: {error}", folder.display());
    }
}

/// Removes the instances and probes of processes that are gone.
pub fn remove_stale(root: &Path) {
    if let Some(tracefs) = tracefs::folder(root) {
        remove_stale_in(root, &tracefs);
    }
}

fn remove_stale_in(root: &Path, tracefs: &Path) {
    let is_gone = |process: &str| {
        let mut numbers = process.split('_');
        let pid: u32 = numbers.next()?.parse().ok()?;
        let began: u64 = numbers.next()?.parse().ok()?;
        Some(started(root, pid) != Some(began))
    };
    let instances = fs::read_dir(tracefs.join("instances"));
    for instance in instances.into_iter().flatten().flatten() {
        let name = instance.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME)?.strip_prefix('_'));
        if process.and_then(is_gone) == Some(true) {
            // One that is used is of a process that this /proc does not show: the kernel keeps it.
            let removed = fs::remove_dir(instance.path());
            log::debug!(
                "{} is of a process that is gone: {removed:?}",
                instance.path().display()
            );
        }
    }
    let probes = fs::read_to_string(tracefs.join("kprobe_events")).unwrap_or_default();
    for line in probes.lines() {
        let event = line
            .split_whitespace()
            .next()
            .and_then(|first| first.split_once(':'));
        let group = event
            .and_then(|(_, event)| event.split_once('/'))
            .map(|(group, _)| group);
        let process = group.and_then(|group| group.strip_prefix("ipvs_latency_"));
        if let (Some((_, event)), Some(true)) = (event, process.and_then(is_gone)) {
            define(tracefs, &format!("-:{event}"))
                .unwrap_or_else(|error| log::debug!("probe {event}: {error}"));
        }
    }
}

/// Adds a line to the definitions of probes, and changes no other.
///
/// # Errors
///
/// When the kernel does not take it.
pub fn define(tracefs: &Path, line: &str) -> io::Result<()> {
    let file = tracefs.join("kprobe_events");
    let opened = fs::OpenOptions::new().append(true).open(&file);
    opened
        .and_then(|mut opened| io::Write::write_all(&mut opened, line.as_bytes()))
        .map_err(|error| in_file(&file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node where process 7 runs since 900.
    fn node() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("proc/7");
        fs::create_dir_all(&process).unwrap();
        let stat = format!("7 (ipvs latency) S {} 900 0", "0 ".repeat(18).trim_end());
        fs::write(process.join("stat"), stat).unwrap();
        for folder in ["events", "instances"] {
            fs::create_dir_all(root.path().join("sys/kernel/tracing").join(folder)).unwrap();
        }
        root
    }

    #[test]
    fn an_instance_has_the_name_of_its_process_and_goes_with_it() {
        let root = node();
        std::os::unix::fs::symlink("7", root.path().join("proc/self")).unwrap();
        let instance = Instance::make(root.path(), "timers").unwrap();
        let folder = root
            .path()
            .join("sys/kernel/tracing/instances/ipvs-latency_7_900_timers");
        assert!(folder.is_dir());
        assert_eq!(instance.group(), "ipvs_latency_7_900");
        drop(instance);
        assert!(!folder.exists());
    }

    #[test]
    fn what_is_of_a_process_that_is_gone_is_removed_and_nothing_else() {
        let root = node();
        let tracefs = root.path().join("sys/kernel/tracing");
        let names = [
            "ipvs-latency_7_900_timers",
            "ipvs-latency_7_800_timers",
            "ipvs-latency_9_900_statistics",
            "ipvs-latency_x",
            "trace-cmd",
        ];
        for name in names {
            fs::create_dir(tracefs.join("instances").join(name)).unwrap();
        }
        let probes = "p:ipvs_latency_7_900/statistics ip_vs:f\np:ipvs_latency_7_800/statistics ip_vs:f\n\
                      p:other/statistics ip_vs:f\n";
        fs::write(tracefs.join("kprobe_events"), probes).unwrap();
        remove_stale_in(root.path(), &tracefs);
        let left = names.map(|name| tracefs.join("instances").join(name).exists());
        assert_eq!(left, [true, false, false, true, true]);
        let written = fs::read_to_string(tracefs.join("kprobe_events")).unwrap();
        assert_eq!(
            written.strip_prefix(probes),
            Some("-:ipvs_latency_7_800/statistics")
        );
    }

    #[test]
    fn without_tracefs_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        let error = Instance::make(root.path(), "timers").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
