//! What was done to this node with which file, on disk before it is done: so that after a crash the file is
//! recognised, whatever it is called by then.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{digest::Digest, state_dir};
use crate::kernel::boot::{self, Boot};

const FILE: &str = "journal.json";

const SCHEMA: u32 = 1;

/// A journal of ours has at most a hundredth of it.
const MOST_BYTES: u64 = 4 << 20;

/// Files that are remembered; a file that did no harm is forgotten first.
const MOST: usize = 64;

/// A crash so soon after a hotfix was removed is put down to it: code of it may have been called that was gone.
const AFTERMATH_S: u64 = 300;

/// How far a hotfix has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is being loaded, or its load was cut off.
    Loading,
    /// It is in force.
    InForce,
    /// It is being taken back, or that was cut off.
    Unloading,
    /// It is out of force, and its module is still loaded.
    Left,
    /// Its module is gone.
    Gone,
    /// The node was shut down in good order while it was in force, or after its module was removed.
    ShutDown,
}

/// The last that was done with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The file.
    pub sha256: Digest,
    /// The module's name.
    pub name: String,
    /// Where the file was.
    pub file: String,
    /// The boot in which it was.
    pub boot_id: String,
    /// The process that did it.
    pub pid: u32,
    /// How far it came.
    pub phase: Phase,
    /// Since when, in seconds since 1970 UTC.
    pub since_s: u64,
}

impl Entry {
    /// Whether the node went down under it: in another boot than this one, and not in good order.
    pub fn went_down(&self, boot: &Boot) -> bool {
        if self.boot_id == boot.id {
            return false;
        }
        let was_orderly = boot.had_orderly_shutdown_since(self.since_s);
        match self.phase {
            // Minutes at most: who shut it down then had reason to.
            Phase::Loading | Phase::Unloading => true,
            Phase::InForce | Phase::Left => !was_orderly,
            Phase::Gone => {
                let soon = self.since_s + AFTERMATH_S;
                !was_orderly && boot.began_s.is_some_and(|began_s| began_s <= soon)
            }
            Phase::ShutDown => false,
        }
    }

    /// When its phase began: RFC 3339.
    pub fn since(&self) -> String {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.since_s);
        humantime::format_rfc3339_seconds(at).to_string()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    schema: u32,
    entries: Vec<Entry>,
}

/// Why there is no journal.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum JournalError {
    #[error(
        "the journal {0} cannot be written ({1}): make room there, or name another folder with --state-dir"
    )]
    Write(PathBuf, io::Error),
    #[error("the journal {0} cannot be read ({1}): run this as root")]
    Read(PathBuf, io::Error),
    #[error("the journal {0} is damaged ({1}): look at what it says of crashes, then move it away")]
    Damaged(PathBuf, serde_json::Error),
}

/// The journal of a node.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    entries: Vec<Entry>,
}

impl Journal {
    /// Reads it; one that is not there yet is empty.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Self, JournalError> {
        let file = folder.join(FILE);
        let entries = match state_dir::read(folder, FILE, MOST_BYTES) {
            Ok(Some(bytes)) => {
                serde_json::from_slice::<Document>(&bytes)
                    .map_err(|error| JournalError::Damaged(file, error))?
                    .entries
            }
            Ok(None) => Vec::new(),
            Err(error) => return Err(JournalError::Read(file, error)),
        };
        Ok(Self {
            folder: folder.to_owned(),
            entries,
        })
    }

    /// All that is remembered, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last that was done with a file.
    pub fn of(&self, file: &Digest) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.sha256 == *file)
    }

    /// What was loaded under that name in this boot, if it was by us.
    pub fn named(&self, name: &str, boot: &Boot) -> Option<&Entry> {
        let mut entries = self.entries.iter().rev();
        entries.find(|entry| entry.name == name && entry.boot_id == boot.id)
    }

    /// Notes an entry, in place of the last one of that file, and has it on disk when it returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written: the journal on disk is as it was.
    pub fn note(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.entries.retain(|old| old.sha256 != entry.sha256);
        self.entries.push(entry);
        while self.entries.len() > MOST {
            let harmless = |entry: &Entry| matches!(entry.phase, Phase::Gone | Phase::ShutDown);
            let oldest = self.entries.iter().position(harmless).unwrap_or(0);
            self.entries.remove(oldest);
        }
        self.write()
            .map_err(|error| JournalError::Write(self.folder.join(FILE), error))
    }

    /// Notes that a file has come so far.
    ///
    /// # Errors
    ///
    /// As [`Self::note`].
    pub fn advance(&mut self, file: &Digest, phase: Phase) -> Result<(), JournalError> {
        let Some(entry) = self.of(file).cloned() else {
            return Ok(());
        };
        self.note(Entry {
            phase,
            since_s: boot::now_s(),
            ..entry
        })
    }

    fn write(&self) -> io::Result<()> {
        let document = Document {
            schema: SCHEMA,
            entries: self.entries.clone(),
        };
        let text = serde_json::to_string_pretty(&document)? + "\n";
        state_dir::put(&self.folder, FILE, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(content: &[u8], phase: Phase) -> Entry {
        Entry {
            sha256: Digest::of(content),
            name: "est_skip".into(),
            file: "/root/est_skip.ko".into(),
            boot_id: "one".into(),
            pid: 7,
            phase,
            since_s: 10_000,
        }
    }

    fn boot(id: &str, began_s: u64, shutdowns_s: &[u64]) -> Boot {
        Boot {
            id: id.into(),
            began_s: Some(began_s),
            shutdowns_s: shutdowns_s.to_vec(),
        }
    }

    #[test]
    fn a_node_went_down_under_what_was_there_when_it_did() {
        use Phase::*;
        let same = boot("one", 9_000, &[]);
        let cut = boot("two", 10_100, &[]);
        let late = boot("two", 20_000, &[]);
        let orderly = boot("two", 10_100, &[10_050]);
        let before = boot("two", 10_100, &[9_999]);
        for (phase, boot, went_down) in [
            (Loading, &same, false),
            (Loading, &cut, true),
            (Unloading, &cut, true),
            (Loading, &orderly, true),
            (InForce, &cut, true),
            (InForce, &late, true),
            (InForce, &orderly, false),
            (Left, &cut, true),
            (Left, &orderly, false),
            (InForce, &before, true),
            (Gone, &cut, true),
            (Gone, &late, false),
            (Gone, &orderly, false),
            (ShutDown, &cut, false),
        ] {
            let entry = entry(b"a", phase);
            assert_eq!(entry.went_down(boot), went_down, "{phase:?} {boot:?}");
        }
    }

    #[test]
    fn what_was_noted_is_there_again_and_a_file_has_one_entry() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/er");
        let mut journal = Journal::read(&place).unwrap();
        assert_eq!(journal.entries(), []);
        journal.note(entry(b"a", Phase::Loading)).unwrap();
        journal.note(entry(b"b", Phase::Loading)).unwrap();
        journal.advance(&Digest::of(b"a"), Phase::InForce).unwrap();
        journal.advance(&Digest::of(b"c"), Phase::InForce).unwrap();
        let again = Journal::read(&place).unwrap();
        assert_eq!(again.entries(), journal.entries());
        assert_eq!(again.entries().len(), 2);
        let found = again.of(&Digest::of(b"a")).unwrap();
        assert_eq!(found.phase, Phase::InForce);
        assert!(found.since_s > 10_000, "{found:?}");
        assert_eq!(
            again.named("est_skip", &boot("one", 0, &[])).unwrap(),
            found
        );
        assert!(again.named("est_skip", &boot("two", 0, &[])).is_none());
        let files = fs::read_dir(&place).unwrap().count();
        assert_eq!(files, 1, "no temporary file is left");
    }

    #[test]
    fn it_stays_small_and_forgets_what_did_no_harm_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::read(folder.path()).unwrap();
        journal.note(entry(b"crash", Phase::Loading)).unwrap();
        for number in 0..=MOST {
            let content = number.to_le_bytes();
            journal.note(entry(&content, Phase::Gone)).unwrap();
        }
        assert_eq!(journal.entries().len(), MOST);
        assert!(journal.of(&Digest::of(b"crash")).is_some());
    }

    #[test]
    fn one_that_is_damaged_or_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{\"schema\": 1, \"entr").unwrap();
        let error = Journal::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut journal = Journal {
            folder: file,
            entries: Vec::new(),
        };
        let error = journal.note(entry(b"a", Phase::Loading)).unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
}
