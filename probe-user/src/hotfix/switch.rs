//! `net.ipv4.vs.run_estimation`: every network namespace has one (`net/netfilter/ipvs/ip_vs_ctl.c`, Linux 5.16 to 6.1).

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process,
};

use host::netns;

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
    file: PathBuf,
}

impl Switch {
    /// Finds that of the namespace with this inode number, behind a file that stands for it.
    ///
    /// # Errors
    ///
    /// When the file stands for another namespace by now, when that cannot be entered, which needs `CAP_SYS_ADMIN`, or
    /// when the kernel has no such switch.
    pub fn find(root: &Path, namespace: &Path, netns: u32) -> io::Result<Self> {
        let mut switch = Self::of(root, namespace, netns, 0)?;
        switch.found = switch.get()?;
        Ok(switch)
    }

    /// The switch of a namespace where it was found to be set to `found`.
    ///
    /// # Errors
    ///
    /// When there is no such namespace, or the file stands for another one.
    pub fn of(root: &Path, namespace: &Path, netns: u32, found: i32) -> io::Result<Self> {
        Ok(Self {
            namespace: namespace.to_owned(),
            found,
            opened: netns::open(namespace, netns).map_err(io::Error::other)?,
            netns,
            file: root.join("proc/sys/net/ipv4/vs/run_estimation"),
        })
    }

    /// Inode number of the namespace.
    pub fn netns(&self) -> u32 {
        self.netns
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
        netns::inside(&self.opened, || act(&self.file))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

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
        let switch = Switch::of(root.path(), &door, own, 1).unwrap();
        assert_eq!((switch.netns(), switch.found), (own, 1));
        // The process goes to another namespace, for which the stand-in is one of another kind.
        fs::remove_file(&door).unwrap();
        symlink("/proc/self/ns/uts", &door).unwrap();
        let error = Switch::of(root.path(), &door, own, 1).unwrap_err();
        let error = error.to_string();
        for words in [own.to_string(), inode("/proc/self/ns/uts").to_string()] {
            assert!(error.contains(&words), "no {words} in {error}");
        }
        // What was opened before is the namespace still.
        let again = Switch::of(root.path(), &switch.held_as(), own, 1).unwrap();
        assert_eq!(again.netns(), own);
    }

    #[test]
    fn a_file_that_is_no_namespace_is_none_whatever_its_number() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("net");
        fs::write(&file, "").unwrap();
        let number = inode(file.to_str().unwrap());
        let error = Switch::of(root.path(), &file, number, 1).unwrap_err();
        assert!(
            error.to_string().contains("is no network namespace"),
            "{error}"
        );
    }
}
