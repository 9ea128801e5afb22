//! `net.ipv4.vs.run_estimation`: every network namespace has one (`net/netfilter/ipvs/ip_vs_ctl.c`, Linux 5.16 to 6.1).

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    process, thread,
};

use nix::sched::{CloneFlags, setns};

/// The switch of one namespace, which is held on to until this is dropped.
#[derive(Debug)]
pub struct Switch {
    /// A file that stands for the namespace.
    pub namespace: PathBuf,
    /// What it was set to when it was found.
    pub found: i32,
    opened: File,
    file: PathBuf,
}

impl Switch {
    /// Finds it.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, which needs `CAP_SYS_ADMIN`, or the kernel has no such switch.
    pub fn find(root: &Path, namespace: &Path) -> io::Result<Self> {
        let mut switch = Self::of(root, namespace, 0)?;
        switch.found = switch.get()?;
        Ok(switch)
    }

    /// The switch of a namespace where it was found to be set to `found`.
    ///
    /// # Errors
    ///
    /// When there is no such namespace.
    pub fn of(root: &Path, namespace: &Path, found: i32) -> io::Result<Self> {
        Ok(Self {
            namespace: namespace.to_owned(),
            found,
            opened: File::open(namespace)?,
            file: root.join("proc/sys/net/ipv4/vs/run_estimation"),
        })
    }

    /// Inode number of the namespace.
    pub fn netns(&self) -> Option<u32> {
        u32::try_from(self.opened.metadata().ok()?.ino()).ok()
    }

    /// A file by which another process can have the namespace, as long as this process has it.
    pub fn held_as(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.opened.as_raw_fd()).into()
    }

    /// What it is set to.
    ///
    /// # Errors
    ///
    /// As [`Self::find`].
    pub fn get(&self) -> io::Result<i32> {
        let text = self.inside(|file| fs::read_to_string(file))?;
        text.trim().parse().map_err(io::Error::other)
    }

    /// Sets it to 0, if it is as it was found.
    ///
    /// # Errors
    ///
    /// As [`Self::find`], and when somebody else has set it meanwhile.
    pub fn switch_off(&self) -> io::Result<()> {
        let now = self.get()?;
        if now != self.found {
            return Err(io::Error::other(format!(
                "somebody else set it from {} to {now} meanwhile",
                self.found
            )));
        }
        self.set(0)
    }

    fn set(&self, value: i32) -> io::Result<()> {
        self.inside(|file| fs::write(file, value.to_string()))
    }

    /// Does something in the namespace, in a thread of its own: `/proc/sys/net` shows that of whoever looks.
    fn inside<T: Send>(&self, act: impl FnOnce(&Path) -> io::Result<T> + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let actor = scope.spawn(|| {
                setns(&self.opened, CloneFlags::CLONE_NEWNET)?;
                act(&self.file)
            });
            let panicked = |_| Err(io::Error::other("the thread in that namespace panicked"));
            actor.join().unwrap_or_else(panicked)
        })
    }
}

/// Sets switches back to what they were found at; the first error, once all were tried. With `ip_vs` they are gone, and
/// there is nothing to set back.
///
/// # Errors
///
/// When one could not be set.
pub fn set_back(switches: &[Switch]) -> io::Result<()> {
    let mut first = Ok(());
    for switch in switches {
        let done = switch.set(switch.found);
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        first = first.and(done.or_else(|error| is_gone(&error).then_some(()).ok_or(error)));
    }
    first
}
