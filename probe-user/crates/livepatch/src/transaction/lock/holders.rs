//! Who holds a lock, by the kernel's own account of each open file (`/proc/PID/fdinfo`, which has the lines of
//! `/proc/locks` that the file stands for): the content of a file names only a former holder, and the process that
//! `/proc/locks` names may be gone while one that it handed the open file to is not.

use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use host::{
    instances::{are_able, has_argument, is_ours, users},
    netns_owners::{bounded, pids},
};
use model::printable::printable;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    pid: u32,
    comm: String,
    /// The user who started it; `None` if that is unknown.
    user: Option<u32>,
    /// Whether it may be one of ours.
    is_ours: bool,
}

/// The processes that hold a lock, as far as they can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders(Vec<Holder>);

impl Holders {
    /// Returns those that hold a lock on the file that is open as `lock`.
    ///
    /// # Errors
    ///
    /// When the file cannot be looked at.
    pub fn of(root: &Path, lock: &File) -> io::Result<Self> {
        let meta = lock.metadata()?;
        let inode = (meta.dev(), meta.ino());
        let holding = pids(root)
            .into_iter()
            .filter(|pid| holds(root, *pid, inode));
        Ok(Self(holding.map(|pid| Holder::of(root, pid)).collect()))
    }

    /// Returns whether some are seen, and none may be one of ours.
    #[must_use]
    pub fn are_strangers(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|holder| !holder.is_ours)
    }

    /// Returns the process that changes this node; `None` where strangers alone hold the lock.
    #[must_use]
    pub fn changer(&self) -> Option<String> {
        match self.ours() {
            Some(holder) => Some(holder.pid.to_string()),
            None if self.0.is_empty() => Some("(unknown)".into()),
            None => None,
        }
    }

    /// Each of them.
    pub fn named(&self) -> String {
        let shown: Vec<String> = self.0.iter().map(Holder::to_string).collect();
        shown.join(" and ")
    }

    fn ours(&self) -> Option<&Holder> {
        self.0.iter().find(|holder| holder.is_ours)
    }
}

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(holder) = self.ours() {
            return write!(
                f,
                "{holder} is changing this node's livepatches, and there is one change at a time: wait until it has \
                 ended, and see `ipvs-latency hotfix status`"
            );
        }
        if self.0.is_empty() {
            return f.write_str(
                "another process holds the lock, and cannot be seen from here: wait until it has ended, or look for it \
                 on the host with `lslocks`",
            );
        }
        write!(
            f,
            "{} holds the lock, and is no ipvs-latency\nhint: end that process; `ipvs-latency hotfix unload` does not \
             wait for it",
            self.named()
        )
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid, comm, user, ..
        } = self;
        match user {
            _ if self.is_ours => write!(f, "process {pid} ({comm})"),
            Some(user) => write!(f, "process {pid} ({comm}, of user {user})"),
            None => write!(f, "process {pid} ({comm})"),
        }
    }
}

impl Holder {
    fn of(root: &Path, pid: u32) -> Self {
        let comm = bounded(root, pid, "comm").unwrap_or_default();
        let users = users(root, pid);
        Self {
            pid,
            comm: printable(String::from_utf8_lossy(comm.trim_ascii_end()).as_ref()),
            user: users.map(|[real, _]| real),
            is_ours: may_be_ours(root, pid, users),
        }
    }
}

/// Returns whether a process has a file open through which this inode is locked, whatever name it was opened by.
fn holds(root: &Path, pid: u32, inode: (u64, u64)) -> bool {
    let folder = root.join(format!("proc/{pid}"));
    let mut open = fs::read_dir(folder.join("fdinfo"))
        .into_iter()
        .flatten()
        .flatten();
    open.any(|entry| {
        // The account comes first: a look at a file may wait, as for a server that is away.
        let info = fs::read_to_string(entry.path());
        info.is_ok_and(|info| has_lock(&info, inode.1))
            && fs::metadata(folder.join("fd").join(entry.file_name()))
                .is_ok_and(|meta| (meta.dev(), meta.ino()) == inode)
    })
}

/// Returns whether the account of an open file has a line as `lock: 1: FLOCK  ADVISORY  WRITE 99 00:15:7 0 EOF` for
/// this inode number, the 7 here (`proc_pid_fdinfo(5)`).
fn has_lock(info: &str, inode: u64) -> bool {
    let ending = format!(":{inode}");
    info.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("lock:")
            && words.any(|word| word == "FLOCK")
            && words.any(|word| word.ends_with(&ending))
    })
}

/// Returns whether a process may be one of ours, whatever it calls itself. A user who is neither root nor us could not
/// have opened the file that ours open, and may hand an open file to a program that runs with root's rights, such as `su`.
fn may_be_ours(root: &Path, pid: u32, users: Option<[u32; 2]>) -> bool {
    // What cannot be looked at may be anything.
    users.is_none_or(are_able)
        && is_ours(root, pid).is_none_or(|is_ours| {
            // Another version may have another name.
            is_ours || has_argument(root, pid, "hotfix")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_of_the_file_with_that_number_alone() {
        let info = "pos:\t0\nflags:\t0100000\nmnt_id:\t29\nino:\t17\n\
                    lock:\t1: FLOCK  ADVISORY  WRITE 99 00:15:7 0 EOF\n";
        assert!(has_lock(info, 7));
        assert!(!has_lock(info, 17) && !has_lock(info, 5));
        assert!(!has_lock(&info.replace("FLOCK", "POSIX"), 7));
    }
}
