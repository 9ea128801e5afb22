//! One change of this node's livepatches at a time: a lock on a file, held by who changes and by its guard.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process,
    thread::sleep,
    time::Duration,
};

use thiserror::Error;

const FILE: &str = "lock";

const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Why it cannot be had.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum LockError {
    #[error(
        "process {0} is changing this node's livepatches, and there is one change at a time: wait until it has ended, \
         and see `ipvs-latency hotfix status`"
    )]
    Held(String),
    #[error("the lock {0} cannot be had ({1}): name another folder with --state-dir")]
    Unavailable(PathBuf, io::Error),
}

/// The lock, as long as this, or a process that it was handed to, is there.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes it, and notes who has it.
    ///
    /// # Errors
    ///
    /// When somebody else has it, or the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        let unavailable = |error| LockError::Unavailable(path.clone(), error);
        fs::create_dir_all(folder).map_err(unavailable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unavailable)?;
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                // Whoever only asks who has it holds it for a moment.
                Err(TryLockError::WouldBlock) if left > 0 => sleep(BETWEEN_TRIES),
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(unavailable(error)),
            }
        }
        let mut lock = Self(file);
        lock.sign().map_err(unavailable)?;
        Ok(lock)
    }

    /// The lock that was handed to this process.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn inherited(file: File) -> io::Result<Self> {
        let mut lock = Self(file);
        lock.sign()?;
        Ok(lock)
    }

    /// The open file, to be handed to another process.
    ///
    /// # Errors
    ///
    /// When it cannot be duplicated.
    pub fn to_hand_on(&self) -> io::Result<File> {
        self.0.try_clone()
    }

    fn sign(&mut self) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        write!(self.0, "{}", process::id())
    }
}

/// The process that has it now; `None` where nobody does, or that cannot be told.
pub fn held_by(folder: &Path) -> Option<String> {
    let mut file = File::open(folder.join(FILE)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
        _ => None,
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // A process number is short.
    let read = file.take(20).read_to_string(&mut text);
    let number = text.trim();
    match read {
        Ok(_) if number.parse::<u32>().is_ok() => number.to_owned(),
        _ => "(unknown)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_when_all_who_had_it_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        assert_eq!(held_by(&place), None);
        let lock = Lock::take(&place).unwrap();
        let handed = lock.to_hand_on().unwrap();
        let error = Lock::take(&place).unwrap_err().to_string();
        let own = process::id().to_string();
        assert!(error.contains(&format!("process {own} ")), "{error}");
        assert_eq!(held_by(&place), Some(own));
        drop(lock);
        assert!(Lock::take(&place).is_err());
        drop(Lock::inherited(handed).unwrap());
        assert_eq!(held_by(&place), None);
        drop(Lock::take(&place).unwrap());
    }

    #[test]
    fn a_folder_that_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Lock::take(&file).unwrap_err();
        assert!(matches!(error, LockError::Unavailable(..)), "{error}");
    }
}
