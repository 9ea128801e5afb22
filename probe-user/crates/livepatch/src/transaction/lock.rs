//! One change of this node's livepatches at a time: a lock on a file, held by who changes and by its guard.

mod holders;

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    sys::stat::{FileStat, Mode},
};
use thiserror::Error;

use super::cure;
use crate::{
    site::Site,
    store::{folder::Folder, state_dir},
};
pub use holders::Holders;

const FILE: &str = "lock";

/// The file that a process locks while it replaces a lock: one process at a time.
const PAST: &str = "lock.past";

const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Why it cannot be had.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum LockError {
    #[error("{0}")]
    Held(Holders),
    #[error("the lock {0} cannot be had ({1}){cure}", cure = cure::of_state(.1))]
    Unavailable(PathBuf, io::Error),
}

/// The lock, as long as this, or a process that it was handed to, is there.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// When another process has it, or the folder cannot be written.
    pub fn take(site: &Site) -> Result<Self, LockError> {
        Self::of_folder(site, &site.state_dir)
    }

    /// Takes the lock of another folder.
    ///
    /// # Errors
    ///
    /// As [`Self::take`].
    pub fn of_folder(site: &Site, folder: &Path) -> Result<Self, LockError> {
        Self::taken(site, folder, false)
    }

    /// Takes the lock, also if processes hold it that are proven to be no `ipvs-latency`.
    ///
    /// # Errors
    ///
    /// As [`Self::take`].
    pub fn take_past_strangers(site: &Site) -> Result<Self, LockError> {
        Self::taken(site, &site.state_dir, true)
    }

    fn taken(site: &Site, folder: &Path, past: bool) -> Result<Self, LockError> {
        let root = &*site.root;
        let path = folder.join(FILE);
        let unavailable = |error| LockError::Unavailable(path.clone(), error);
        let folder = state_dir::make(folder).map_err(unavailable)?;
        let mut left = TRIES;
        loop {
            let file = opened(&folder, FILE).map_err(unavailable)?;
            left -= 1;
            match file.try_lock() {
                Ok(()) if is_in_place(&folder, &file).map_err(unavailable)? => {
                    return own(&folder, file).map(Self).map_err(unavailable);
                }
                // Another lock replaced it meanwhile; or a process that only asks who holds the lock holds it for a
                // moment.
                Ok(()) | Err(TryLockError::WouldBlock) if left > 0 => sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(unavailable(error)),
                Ok(()) | Err(TryLockError::WouldBlock) => {
                    let holders = Holders::of(root, &file).map_err(unavailable)?;
                    if !past || !holders.are_strangers() {
                        return Err(LockError::Held(holders));
                    }
                    let passed = pass(root, &folder, &file).map_err(unavailable)?;
                    let Some(fresh) = passed else {
                        let holders = Holders::of(root, &file).map_err(unavailable)?;
                        return Err(LockError::Held(holders));
                    };
                    site.say(&format!(
                        "warning: {} held the lock, and is no ipvs-latency: another lock is in its place now",
                        holders.named()
                    ));
                    return Ok(Self(fresh));
                }
            }
        }
    }

    /// The lock that was handed to this process.
    #[must_use]
    pub fn inherited(file: File) -> Self {
        Self(file)
    }

    /// Returns where it has to be, in that folder; `None` if that cannot be seen.
    #[must_use]
    pub fn place(&self, folder: &Path) -> Option<Place> {
        let own = self.0.metadata().ok()?;
        Some(Place {
            path: folder.join(FILE),
            device: own.dev(),
            inode: own.ino(),
        })
    }

    /// The open file, to be handed to another process.
    ///
    /// # Errors
    ///
    /// When it cannot be duplicated.
    pub fn to_hand_on(&self) -> io::Result<File> {
        self.0.try_clone()
    }
}

/// Where a lock that this process holds has to be, for others to meet it.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Returns whether another file is there, or none, so that the lock keeps no other process away. What cannot be seen
    /// may be there.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self.path.symlink_metadata() {
            Ok(there) => (there.dev(), there.ino()) != (self.device, self.inode),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the process that changes this node now, or rolls back what another left: `(unknown)` if that cannot be seen,
/// and `None` if there is none.
#[must_use]
pub fn held_by(site: &Site) -> Option<String> {
    match try_held_by(site) {
        Ok(holder) => holder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some("(unknown)".into()),
    }
}

fn try_held_by(site: &Site) -> io::Result<Option<String>> {
    let Some(folder) = state_dir::open(&site.state_dir)? else {
        return Ok(None);
    };
    let Some(file) = folder.regular(FILE, OFlag::O_RDONLY, Mode::empty())? else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Holders::of(&site.root, &file)
            .map_err(io::Error::other)?
            .changer()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn opened(folder: &Folder, name: &str) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT;
    let file = folder.regular(name, flags, state_dir::FILE)?;
    file.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns whether the file is still what its name stands for.
fn is_in_place(folder: &Folder, file: &File) -> io::Result<bool> {
    let there = folder.look(FILE)?;
    let own = file.metadata()?;
    let is_own = |there: FileStat| (there.st_dev, there.st_ino) == (own.dev(), own.ino());
    Ok(there.is_some_and(is_own))
}

/// Returns a lock that no other user can have open: an earlier version let everybody read the file, and so lock it.
fn own(folder: &Folder, file: File) -> io::Result<File> {
    let meta = file.metadata()?;
    let loose = Mode::from_bits_truncate(meta.mode()) & !state_dir::FILE;
    if loose.is_empty() {
        // What an earlier version wrote there names a process that is long gone.
        file.set_len(0)?;
        return Ok(file);
    }
    let (name, fresh) = folder.new_file(state_dir::FILE)?;
    fresh.try_lock()?;
    folder.rename(&name, OsStr::new(FILE))?;
    Ok(fresh)
}

/// Replaces a lock that strangers hold, and takes the new one; `None` if one of ours came first.
fn pass(root: &Path, folder: &Folder, file: &File) -> io::Result<Option<File>> {
    let turn = opened(folder, PAST)?;
    if turn.try_lock().is_err() || !is_in_place(folder, file)? {
        return Ok(None);
    }
    let (name, fresh) = folder.new_file(state_dir::FILE)?;
    fresh.try_lock()?;
    folder.exchange(&name, OsStr::new(FILE))?;
    // A stranger may have released the lock just before, and one of ours taken it.
    let is_ours = file.try_lock().is_err() && !Holders::of(root, file)?.are_strangers();
    if is_ours {
        folder.exchange(&name, OsStr::new(FILE))?;
    }
    folder.remove(&name)?;
    Ok((!is_ours).then_some(fresh))
}

#[cfg(test)]
mod tests;
