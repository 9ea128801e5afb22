//! A load that the kernel was not asked for yet: what the journal says of it, and what it said before.

use std::path::Path;

use crate::transaction::journal::{Entry, Journal, JournalError, Phase};
use host::boot::{self, Boot};

/// The entry of such a load, and the entries that it makes out of date.
pub struct Unasked {
    entry: Entry,
    /// What was noted of the same file, which the new entry replaces.
    same_file: Option<Entry>,
    /// Other files that were loaded under the name in this boot. A module of theirs may still be there: it is removed
    /// just before the kernel is asked.
    same_name: Vec<Entry>,
}

impl Unasked {
    /// Notes a load, and leaves what the journal says of other files.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read or written: nothing is to be loaded then.
    pub fn note(state_dir: &Path, entry: Entry, boot: &Boot) -> Result<Self, JournalError> {
        let mut journal = Journal::read(state_dir)?;
        let same_name = journal.loaded_as(&entry.name, boot).into_iter();
        let unasked = Self {
            same_file: journal.entry_of(&entry.sha256).cloned(),
            same_name: same_name
                .filter(|other| other.sha256 != entry.sha256)
                .collect(),
            entry: entry.clone(),
        };
        journal.note(entry)?;
        Ok(unasked)
    }

    /// Notes that the kernel was asked: what was loaded under the name before is gone.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read or written.
    pub fn asked(self, state_dir: &Path) -> Result<(), JournalError> {
        if self.same_name.is_empty() {
            return Ok(());
        }
        let mut journal = Journal::read(state_dir)?;
        for before in self.same_name {
            journal.advance(&before.sha256, Phase::Gone)?;
        }
        Ok(())
    }

    /// Notes that the kernel was not asked: nothing was loaded, and what was there before is as it was.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read or written.
    pub fn withdrawn(self, state_dir: &Path) -> Result<(), JournalError> {
        let mut journal = Journal::read(state_dir)?;
        journal.note(self.same_file.unwrap_or_else(|| Entry {
            phase: Phase::Gone,
            since_s: boot::now_s(),
            ..self.entry
        }))
    }
}
