//! Doors: the paths by which network namespaces can be opened.
//!
//! A namespace may live without a process, as long as it is mounted on a file: `ip netns`, CNI and podman have such files
//! in `/run/netns`, docker in `/run/docker/netns`. `/proc/PID/mountinfo` lists them for the mount namespace of that
//! process, and `/proc/PID/root` leads to what is mounted there alone.

mod mounts;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use self::mounts::Mount;
use super::{NetnsError, inode_of, inside, open, own_inode};
use model::printable::{is_plain, printable};

/// How many processes of a namespace are kept as doors.
const PROCESSES: usize = 2;

/// The doors of all network namespaces, by the inode number of the namespace.
#[derive(Debug, Clone, Default)]
pub struct Doors {
    root: PathBuf,
    own: Option<u32>,
    given: BTreeMap<u32, Vec<PathBuf>>,
    mounts: BTreeMap<u32, Vec<Mount>>,
    processes: BTreeMap<u32, Vec<u32>>,
}

/// A network namespace that was opened, which keeps it for as long as this exists.
#[derive(Debug)]
pub struct Opened {
    /// The path that it was opened by.
    pub path: PathBuf,
    /// The open namespace.
    pub file: File,
}

impl Doors {
    /// Returns the doors that are mounts, in every mount namespace that a process under `root` lives in.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            own: own_inode(root),
            mounts: mounts::read(root),
            ..Self::default()
        }
    }

    /// Adds a process that lives in a namespace. Not this one, which ends before its user can go through it.
    pub fn add_process(&mut self, netns: u32, pid: u32) {
        let processes = self.processes.entry(netns).or_default();
        if processes.len() < PROCESSES {
            processes.push(pid);
        }
    }

    /// Adds a path that a user gave. It comes before all others.
    ///
    /// # Errors
    ///
    /// When it stands for no network namespace.
    pub fn add_given(&mut self, path: &Path) -> Result<(), NetnsError> {
        let netns = inode_of(path)?;
        self.given.entry(netns).or_default().push(path.to_owned());
        Ok(())
    }

    /// Returns the first process of a namespace; `None` where none is known.
    #[must_use]
    pub fn process(&self, netns: u32) -> Option<u32> {
        self.processes.get(&netns)?.first().copied()
    }

    /// Returns the inode numbers of all namespaces that have a mount.
    pub fn mounted(&self) -> impl Iterator<Item = u32> + '_ {
        self.mounts.keys().copied()
    }

    /// Returns what a namespace is called by the file that it is mounted on, fit for a terminal.
    #[must_use]
    pub fn name(&self, netns: u32) -> Option<String> {
        let mount = self.mounts.get(&netns)?.first()?;
        let name = printable(&mount.name());
        let is_docker = mount.point.iter().any(|part| part == "docker");
        Some(if is_docker {
            format!("{name} (docker)")
        } else {
            name
        })
    }

    /// Returns the inode numbers of the namespaces that are mounted on a file of this name, in sight of this process if
    /// there are any: elsewhere, any user can mount a namespace under any name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<u32> {
        let named = |is_seen: bool| -> Vec<u32> {
            let fits = |mount: &Mount| mount.is_seen() == is_seen && mount.name() == name;
            let named = self
                .mounts
                .iter()
                .filter(|(_, mounts)| mounts.iter().any(fits));
            named.map(|(netns, _)| *netns).collect()
        };
        let seen = named(true);
        if seen.is_empty() { named(false) } else { seen }
    }

    /// Opens a namespace by the first of its doors that leads there: a path that a user gave, the host's first process,
    /// a mount, any other process, this one.
    ///
    /// # Errors
    ///
    /// With that of the first door, where none leads there.
    pub fn open(&self, netns: u32) -> io::Result<Opened> {
        let own = (self.own == Some(netns)).then(|| self.root.join("proc/self/ns/net"));
        let mut first = None;
        for path in self.paths(netns).into_iter().chain(own) {
            match open(&path, netns) {
                Ok(file) => return Ok(Opened { path, file }),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.map_or_else(
            || io::Error::other("no process lives there, and it is mounted on no file in sight"),
            io::Error::other,
        ))
    }

    /// Returns the path that opens a namespace for others than this process too; `None` without one.
    #[must_use]
    pub fn path(&self, netns: u32) -> Option<PathBuf> {
        self.leading(netns).next()
    }

    /// Returns such a path that a shell reads as nothing but that path.
    #[must_use]
    pub fn plain(&self, netns: u32) -> Option<String> {
        let paths = self.leading(netns);
        // A person types it in a folder of their own.
        let paths = paths.filter_map(|path| std::path::absolute(path).ok());
        let mut texts = paths.filter_map(|path| path.into_os_string().into_string().ok());
        texts.find(|text| text.split('/').skip(1).all(is_plain))
    }

    /// Does something in a namespace, in a thread of its own.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be opened or entered, which needs `CAP_SYS_ADMIN` unless this process lives there, and
    /// when what is done fails.
    pub fn inside<T: Send>(
        &self,
        netns: u32,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        if self.own == Some(netns) {
            return act();
        }
        inside(&self.open(netns)?.file, act)
    }

    fn leading(&self, netns: u32) -> impl Iterator<Item = PathBuf> {
        let paths = self.paths(netns).into_iter();
        paths.filter(move |path| inode_of(path).is_ok_and(|found| found == netns))
    }

    /// Returns every path that may open a namespace, the best first: those that stay before those that may end.
    fn paths(&self, netns: u32) -> Vec<PathBuf> {
        let none = Vec::new();
        let given = self.given.get(&netns).unwrap_or(&none).iter().cloned();
        let link = |pid: &u32| self.root.join(format!("proc/{pid}/ns/net"));
        let processes = self.processes.get(&netns);
        let processes = || processes.into_iter().flatten();
        let first = processes().filter(|pid| **pid == 1).map(link);
        let mounts = self.mounts.get(&netns).into_iter().flatten();
        let mounts = mounts.flat_map(|mount| mount.paths(&self.root));
        let others = processes().filter(|pid| **pid != 1).map(link);
        given.chain(first).chain(mounts).chain(others).collect()
    }
}

/// Returns the number of this process as `/proc` under `root` has it; `None` where that is another's.
#[must_use]
pub fn own_pid(root: &Path) -> Option<u32> {
    let link = fs::read_link(root.join("proc/self")).ok()?;
    link.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
