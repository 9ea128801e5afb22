//! A process that holds what cannot be let go of yet: a probe is taken away when the last process that has it open closes
//! it, and that waits for every CPU.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
    thread::sleep,
    time::Duration,
};

use nix::{
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid},
};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Something whose end a process waits for. Its name alone does not identify it: it may soon mean something else.
#[derive(Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A process, by its folder in `/proc`, and when it began.
    Process(PathBuf, String),
    /// A folder of sysfs, which never gives an inode number twice.
    Folder(PathBuf, u64),
}

impl Awaited {
    /// Returns a process of this host; `None` where it has ended already.
    #[must_use]
    pub fn process(root: &Path, pid: u32) -> Option<Self> {
        let folder = root.join(format!("proc/{pid}"));
        let began = began(&folder).ok().flatten()?;
        Some(Self::Process(folder, began))
    }

    /// Returns a folder of sysfs; `None` where it is gone already.
    #[must_use]
    pub fn folder(path: PathBuf) -> Option<Self> {
        let inode = fs::metadata(&path).ok()?.ino();
        Some(Self::Folder(path, inode))
    }

    /// Returns whether it is still there. What cannot be seen may still be there.
    fn is_there(&self) -> bool {
        let seen = match self {
            Self::Process(folder, began) => {
                self::began(folder).map(|now| now.as_ref() == Some(began))
            }
            Self::Folder(path, inode) => fs::metadata(path).map(|now| now.ino() == *inode),
        };
        seen.unwrap_or_else(|error| error.kind() != io::ErrorKind::NotFound)
    }
}

/// When a process began, in ticks since the node did (`proc_pid_stat(5)`, the 22nd field); `None` for one that has ended
/// and is only not collected yet.
fn began(folder: &Path) -> io::Result<Option<String>> {
    let stat = fs::read(folder.join("stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    // The second field is a name that may hold anything.
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return Err(io::Error::other("it is not the stat of a process"));
    };
    let mut fields = rest.split_ascii_whitespace();
    let has_ended = fields.next().is_none_or(|state| matches!(state, "Z" | "X"));
    Ok(fields.nth(18).filter(|_| !has_ended).map(str::to_owned))
}

/// Leaves a copy of this process behind, which holds all that is open until these are gone, and does nothing else.
///
/// # Errors
///
/// When no copy can be made.
pub fn until_gone(awaited: &[Awaited]) -> io::Result<()> {
    // SAFETY: this process has one thread, so that no lock is held by one that the copy lacks.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // Whoever waits for the end of our output, or of our session, is not to wait for the copy; and it can be
            // ended like any other process.
            let _ = no_terminal();
            while awaited.iter().any(Awaited::is_there) {
                sleep(BETWEEN_LOOKS);
            }
            process::exit(0);
        }
        Ok(ForkResult::Parent { .. }) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn no_terminal() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action runs no code of ours.
        unsafe { sigaction(signal, &default) }?;
    }
    setsid()?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_got_the_number_of_another_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/7");
        fs::create_dir_all(&folder).unwrap();
        let put = |comm: &str, state: &str, began: &str| {
            let zeros = "0 ".repeat(18);
            let stat = format!("7 ({comm}) {state} {zeros}{began} 0 0\n");
            fs::write(folder.join("stat"), stat).unwrap();
        };
        put("a) S 1 (b", "D", "55");
        let awaited = Awaited::process(root.path(), 7).unwrap();
        assert!(awaited.is_there());
        put("a", "S", "56");
        assert!(!awaited.is_there(), "another process");
        put("a", "Z", "55");
        assert!(!awaited.is_there(), "it has ended");
        assert_eq!(Awaited::process(root.path(), 7), None);
        fs::write(folder.join("stat"), "7\n").unwrap();
        assert!(awaited.is_there(), "that is unknown");
        fs::remove_dir_all(&folder).unwrap();
        assert!(!awaited.is_there());
    }

    #[test]
    fn a_folder_that_was_made_again_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("est_skip");
        assert_eq!(Awaited::folder(folder.clone()), None);
        fs::create_dir(&folder).unwrap();
        let awaited = Awaited::folder(folder.clone()).unwrap();
        assert!(awaited.is_there());
        // Made before the first one is removed, so that it cannot get its number.
        let next = root.path().join("next");
        fs::create_dir(&next).unwrap();
        fs::remove_dir(&folder).unwrap();
        assert!(!awaited.is_there());
        fs::rename(&next, &folder).unwrap();
        assert!(!awaited.is_there(), "another folder");
    }
}
