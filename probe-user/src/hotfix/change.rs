//! What surrounds a change of this node: the lock, the journal and the guard.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{
    admission::Admitted,
    drive::say,
    ending::Ending,
    guard::{Guard, Guarded},
    journal::{Entry, Journal, JournalError, Phase},
    lock::{Lock, LockError},
    switch::Switch,
};
use crate::kernel::boot::{self, Boot};

/// A change under way, from before the first call into the kernel to after the last.
pub struct Change {
    root: PathBuf,
    state_dir: PathBuf,
    /// The hotfix, where it is one.
    name: Option<String>,
    guard: Guard,
    /// Held until the end.
    _lock: Option<Lock>,
}

impl Change {
    /// Before a file is loaded: it is in the journal when this returns, and a guard is there.
    ///
    /// # Errors
    ///
    /// When either cannot be: nothing is to be changed then.
    pub fn of_file(
        root: &Path,
        state_dir: &Path,
        lock: Lock,
        hotfix: &Admitted,
    ) -> anyhow::Result<Self> {
        let path = std::path::absolute(&hotfix.file).unwrap_or_else(|_| hotfix.file.clone());
        let mut journal = Journal::read(state_dir)?;
        journal.note(Entry {
            sha256: hotfix.sha256.clone(),
            name: hotfix.name.clone(),
            file: path.display().to_string(),
            boot_id: Boot::read(root).id,
            pid: std::process::id(),
            phase: Phase::Loading,
            since_s: boot::now_s(),
        })?;
        let change = Self::guarded(root, state_dir, Some(lock), Guarded::Hotfix(&hotfix.name));
        if change.is_err() {
            // Nothing has happened under it.
            journal.advance(&hotfix.sha256, Phase::Gone)?;
        }
        change
    }

    /// Before what is loaded is taken back. That must be possible with a full or read-only disk, too: then without
    /// journal and lock, and said so.
    ///
    /// # Errors
    ///
    /// When somebody else is changing this node, or no guard can be posted.
    pub fn of_loaded(root: &Path, state_dir: &Path, name: &str) -> anyhow::Result<Self> {
        let lock = match Lock::take(state_dir) {
            Ok(lock) => Some(lock),
            Err(held @ LockError::Held(_)) => return Err(held.into()),
            Err(unavailable) => {
                say(&format!("warning: {unavailable}; going on without"));
                None
            }
        };
        let noted = advance(root, state_dir, name, Phase::Unloading).unwrap_or_else(|error| {
            say(&format!("warning: {error}; going on without"));
            None
        });
        let change = Self::guarded(root, state_dir, lock, Guarded::Hotfix(name));
        if let (Err(_), Some(before)) = (&change, noted) {
            // Nothing has happened to it.
            note_again(state_dir, before);
        }
        change
    }

    /// Before switches are set.
    ///
    /// # Errors
    ///
    /// When no guard can be posted.
    pub fn of_switches(
        root: &Path,
        state_dir: &Path,
        lock: Lock,
        switches: &[Switch],
    ) -> anyhow::Result<Self> {
        Self::guarded(root, state_dir, Some(lock), Guarded::Switches(switches))
    }

    fn guarded(
        root: &Path,
        state_dir: &Path,
        lock: Option<Lock>,
        guarded: Guarded<'_>,
    ) -> anyhow::Result<Self> {
        let guard = Guard::post(root, state_dir, guarded, lock.as_ref())
            .context("nothing was changed, for no process could be made to guard the change")?;
        let name = match guarded {
            Guarded::Hotfix(name) => Some(name.to_owned()),
            Guarded::Switches(_) => None,
        };
        Ok(Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
            name,
            guard,
            _lock: lock,
        })
    }

    /// Notes that it is in place.
    pub fn is_in_place(&self) {
        if let Some(name) = &self.name {
            settle(&self.root, &self.state_dir, name);
        }
    }

    /// Notes that it is being taken back.
    pub fn is_on_its_way_back(&self) {
        if let Some(name) = &self.name
            && let Err(error) = advance(&self.root, &self.state_dir, name, Phase::Unloading)
        {
            say(&format!("warning: {error}; going on without"));
        }
    }

    /// The guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// After the last call: the journal is brought up to date and the guard let go, unless it has to finish what
    /// could not be.
    pub fn end(self, ending: &Ending) {
        if ending.is_left() {
            return;
        }
        if let Some(name) = &self.name {
            settle(&self.root, &self.state_dir, name);
        }
        self.guard.dismiss();
    }
}

/// Notes in the journal how far a hotfix is, as the kernel shows it.
pub fn settle(root: &Path, state_dir: &Path, name: &str) {
    let phase = if root.join("sys/kernel/livepatch").join(name).exists() {
        Phase::InForce
    } else if root.join("sys/module").join(name).exists() {
        Phase::Left
    } else {
        Phase::Gone
    };
    if let Err(error) = advance(root, state_dir, name, phase) {
        say(&format!(
            "warning: {error}; what it says of {name} is out of date"
        ));
    }
}

/// Notes how far a hotfix is; what was noted before. Nothing where somebody else loaded it.
fn advance(
    root: &Path,
    state_dir: &Path,
    name: &str,
    phase: Phase,
) -> Result<Option<Entry>, JournalError> {
    let mut journal = Journal::read(state_dir)?;
    let before = journal.named(name, &Boot::read(root)).cloned();
    if let Some(before) = &before {
        journal.advance(&before.sha256, phase)?;
    }
    Ok(before)
}

fn note_again(state_dir: &Path, entry: Entry) {
    let name = entry.name.clone();
    let noted = Journal::read(state_dir).and_then(|mut journal| journal.note(entry));
    if let Err(error) = noted {
        say(&format!(
            "warning: {error}; what it says of {name} is out of date"
        ));
    }
}
