//! `net.ipv4.vs.run_estimation`: every network namespace has one (`net/netfilter/ipvs/ip_vs_ctl.c`, Linux 5.16 to 6.1).

use std::{
    fmt,
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process,
    str::FromStr,
};

use crate::{ports::Kernel, site::Site};
use host::netns;

/// What a namespace's switch is to be set back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchedFrom {
    /// Inode number of the namespace.
    pub netns: u32,
    /// A file that stands for the namespace.
    pub namespace: PathBuf,
    /// What the switch was set to.
    pub value: i32,
}

impl fmt::Display for SwitchedFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.display();
        write!(f, "{}:{namespace}={}", self.netns, self.value)
    }
}

impl FromStr for SwitchedFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(netns, rest)| {
            let (file, value) = rest.rsplit_once('=')?;
            Some((netns.parse().ok()?, file, value.parse().ok()?))
        });
        let (netns, file, value) =
            parsed.ok_or("it is not NETNS:FILE=VALUE, as in 4026531840:/proc/1/ns/net=1")?;
        Ok(Self {
            netns,
            namespace: file.into(),
            value,
        })
    }
}

/// The switch of one namespace, which is held on to until this is dropped.
#[derive(Debug)]
pub struct Switch {
    /// A file that stands for the namespace.
    pub namespace: PathBuf,
    /// What it was set to when it was found.
    pub found: i32,
    /// Inode number of the open namespace, which keeps it for as long as this exists.
    netns: u32,
    opened: File,
}

impl Switch {
    /// Finds that of the namespace with this inode number, behind a file that stands for it.
    ///
    /// # Errors
    ///
    /// When the file stands for another namespace by now, when that cannot be entered, which needs `CAP_SYS_ADMIN`, or
    /// when the kernel has no such switch.
    pub fn find(site: &Site, namespace: &Path, netns: u32) -> io::Result<Self> {
        let mut switch = Self::of(namespace, netns, 0)?;
        switch.found = switch.get(site.kernel())?;
        Ok(switch)
    }

    /// Returns the switch of a namespace where it was found to be set to `found`.
    ///
    /// # Errors
    ///
    /// When there is no such namespace, or the file stands for another one.
    pub fn of(namespace: &Path, netns: u32, found: i32) -> io::Result<Self> {
        Ok(Self {
            namespace: namespace.to_owned(),
            found,
            opened: netns::open(namespace, netns).map_err(io::Error::other)?,
            netns,
        })
    }

    /// Returns the inode number of the namespace.
    #[must_use]
    pub fn netns(&self) -> u32 {
        self.netns
    }

    /// Returns a file by which another process can have the namespace, as long as this process has it.
    #[must_use]
    pub fn held_as(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.opened.as_raw_fd()).into()
    }

    /// Returns what it is set to.
    ///
    /// # Errors
    ///
    /// As [`Self::find`].
    pub fn get(&self, kernel: &dyn Kernel) -> io::Result<i32> {
        kernel.run_estimation(&self.opened)
    }

    /// Sets it to 0, if it is as it was found.
    ///
    /// # Errors
    ///
    /// As [`Self::find`], and when another process has set it meanwhile.
    pub fn switch_off(&self, kernel: &dyn Kernel) -> io::Result<()> {
        let now = self.get(kernel)?;
        if now != self.found {
            return Err(io::Error::other(format!(
                "somebody else set it from {} to {now} meanwhile",
                self.found
            )));
        }
        self.set(kernel, 0)
    }

    fn set(&self, kernel: &dyn Kernel, value: i32) -> io::Result<()> {
        kernel.set_run_estimation(&self.opened, value)
    }
}

/// Sets switches back to what they were found at; the first error, once all were tried. With `ip_vs` they are gone, and
/// there is nothing to set back.
///
/// # Errors
///
/// When one could not be set.
pub fn set_back(kernel: &dyn Kernel, switches: &[Switch]) -> io::Result<()> {
    let mut first = Ok(());
    for switch in switches {
        let done = switch.set(kernel, switch.found);
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        first = first.and(done.or_else(|error| is_gone(&error).then_some(()).ok_or(error)));
    }
    first
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::*;

    fn inode(file: &str) -> u32 {
        u32::try_from(fs::metadata(file).unwrap().ino()).unwrap()
    }

    #[test]
    fn a_switch_is_of_the_namespace_that_is_meant_or_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/7/ns");
        fs::create_dir_all(&folder).unwrap();
        let door = folder.join("net");
        let own = inode("/proc/self/ns/net");
        symlink("/proc/self/ns/net", &door).unwrap();
        let switch = Switch::of(&door, own, 1).unwrap();
        assert_eq!((switch.netns(), switch.found), (own, 1));
        // The process goes to another namespace, for which the stand-in is one of another kind.
        fs::remove_file(&door).unwrap();
        symlink("/proc/self/ns/uts", &door).unwrap();
        let error = Switch::of(&door, own, 1).unwrap_err();
        let error = error.to_string();
        for words in [own.to_string(), inode("/proc/self/ns/uts").to_string()] {
            assert!(error.contains(&words), "no {words} in {error}");
        }
        // What was opened before is the namespace still.
        let again = Switch::of(&switch.held_as(), own, 1).unwrap();
        assert_eq!(again.netns(), own);
    }

    #[test]
    fn a_file_that_is_no_namespace_is_none_whatever_its_number() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("net");
        fs::write(&file, "").unwrap();
        let number = inode(file.to_str().unwrap());
        let error = Switch::of(&file, number, 1).unwrap_err();
        assert!(
            error.to_string().contains("is no network namespace"),
            "{error}"
        );
    }
}
