//! What was done to this node with which file, on disk before it is done: so that after a crash the file is
//! recognised, whatever it is called by then.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::cure;
use crate::store::state_dir;
use host::boot::{self, Boot};
use livepatch_image::Digest;
use livepatch_image::Name;

const FILE: &str = "journal.json";

const SCHEMA: u32 = 1;

/// Files that are remembered; a file that did no harm is forgotten first.
const MOST: usize = 64;

/// More than that many entries need.
const MOST_BYTES: u64 = 1 << 20;

/// The last second that RFC 3339 has a form for.
const LAST_S: u64 = 253_402_300_799;

/// The most bytes of a boot's name: more than any has.
const LONGEST_BOOT_ID: usize = 64;

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
    /// The warnings that were accepted, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// The boot in which it was.
    pub boot_id: String,
    /// The process that did it.
    pub pid: u32,
    /// How far it came.
    pub phase: Phase,
    /// Since when, in seconds since 1970 UTC.
    pub since_s: u64,
    /// What tells the module from another one of that name.
    #[serde(default)]
    pub module: Mark,
}

/// What is known of a loaded module beside its name, which others may use for theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The file's note that tells builds apart, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The number of its loading, which is good for that boot alone; `None` until it is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loading: Option<u64>,
}

impl Mark {
    /// Returns that of a file.
    pub fn of(build_id: Option<&[u8]>) -> Self {
        Self {
            build_id: build_id.map(hexadecimal),
            loading: None,
        }
    }
}

/// Writes bytes as two digits each.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

impl Entry {
    /// Whether the node went down under it: in another boot than this one, and not in good order.
    #[must_use]
    pub fn went_down(&self, boot: &Boot) -> bool {
        if self.boot_id == boot.id || boot.id.is_empty() {
            return false;
        }
        let was_orderly = boot.had_orderly_shutdown_since(self.since_s);
        match self.phase {
            // Who shut it down soon had reason to; a change that was cut off long before is no reason.
            Phase::Loading | Phase::Unloading => {
                !boot.had_orderly_shutdown_since(self.aftermath_ends_s())
            }
            Phase::InForce => !was_orderly,
            Phase::Left | Phase::Gone => {
                let soon = self.aftermath_ends_s();
                !was_orderly && boot.began_s.is_some_and(|began_s| began_s <= soon)
            }
            Phase::ShutDown => false,
        }
    }

    /// Returns the second from which on what happens is not put down to the beginning of its phase.
    #[must_use]
    pub fn aftermath_ends_s(&self) -> u64 {
        self.since_s.saturating_add(AFTERMATH_S)
    }

    /// When its phase began: RFC 3339.
    #[must_use]
    pub fn since(&self) -> String {
        let since_s = self.since_s.min(LAST_S);
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(since_s);
        humantime::format_rfc3339_seconds(at).to_string()
    }

    /// Returns what none of our programs would have written, if an entry has that.
    fn flaw(&self) -> Option<&'static str> {
        let name = Name::from(self.name.as_str());
        let is_boot_id = |id: &str| {
            id.len() <= LONGEST_BOOT_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match () {
            () if !self.sha256.is_whole() => Some("an entry has no SHA-256"),
            () if name.trouble().is_some() => Some("an entry's name is not the name of a module"),
            () if !is_boot_id(&self.boot_id) => Some("an entry's boot id is not one"),
            () if self.since_s > LAST_S => Some("an entry's time is after the year 9999"),
            () => None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    schema: u32,
    entries: Vec<Entry>,
}

/// What every schema has.
#[derive(Debug, Deserialize)]
struct Head {
    schema: u64,
}

/// Why there is no journal.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum JournalError {
    #[error(
        "the journal {0} cannot be written ({1}){cure}",
        cure = cure::of_state(.1)
    )]
    Write(PathBuf, io::Error),
    #[error("the journal {0} cannot be read ({1}){cure}", cure = cure::of_write(.1))]
    Read(PathBuf, io::Error),
    #[error("the journal {0} is damaged ({1}): look at what it says of crashes, then move it away")]
    Damaged(PathBuf, String),
    #[error(
        "the journal {0} is of schema {1}, and this program knows {SCHEMA} alone: use the version of ipvs-latency that \
         wrote it, or move it away"
    )]
    Schema(PathBuf, u64),
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
    /// When it cannot be read, is damaged, or is of another schema.
    pub fn read(folder: &Path) -> Result<Self, JournalError> {
        let file = folder.join(FILE);
        let entries = match state_dir::read(folder, FILE, MOST_BYTES) {
            Ok(Some(bytes)) => entries(&file, &bytes)?,
            Ok(None) => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(JournalError::Damaged(file, error.to_string()));
            }
            Err(error) => return Err(JournalError::Read(file, error)),
        };
        Ok(Self {
            folder: folder.to_owned(),
            entries,
        })
    }

    /// All that is remembered, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last that was done with a file.
    #[must_use]
    pub fn entry_of(&self, file: &Digest) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.sha256 == *file)
    }

    /// Returns what was loaded under that name in this boot, if it was by us: of several, the last that is not noted as
    /// gone.
    #[must_use]
    pub fn named(&self, name: &str, boot: &Boot) -> Option<&Entry> {
        let entries = || {
            let entries = self.entries.iter().rev();
            entries.filter(|entry| {
                entry.name == name && entry.boot_id == boot.id && !boot.id.is_empty()
            })
        };
        let there = entries().find(|entry| entry.phase != Phase::Gone);
        there.or_else(|| entries().next())
    }

    /// Returns the entries of this boot under that name that are not noted as gone.
    #[must_use]
    pub fn loaded_as(&self, name: &str, boot: &Boot) -> Vec<Entry> {
        let entries = self.entries.iter().filter(|entry| {
            entry.name == name && entry.boot_id == boot.id && entry.phase != Phase::Gone
        });
        entries.cloned().collect()
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

    /// Notes that a file has come so far, now.
    ///
    /// # Errors
    ///
    /// As [`Self::note`].
    pub fn advance(&mut self, file: &Digest, phase: Phase) -> Result<(), JournalError> {
        let Some(entry) = self.entry_of(file).cloned() else {
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

/// Checks every entry: what none of our programs would have written is damage.
fn entries(file: &Path, bytes: &[u8]) -> Result<Vec<Entry>, JournalError> {
    let damaged = |why: String| JournalError::Damaged(file.to_owned(), why);
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(damaged(format!("it has more than {MOST_BYTES} bytes")));
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if head.schema != u64::from(SCHEMA) {
        return Err(JournalError::Schema(file.to_owned(), head.schema));
    }
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut entries = document.entries;
    if entries.len() > MOST {
        return Err(damaged(format!("it has more than {MOST} entries")));
    }
    if let Some(flaw) = entries.iter().find_map(Entry::flaw) {
        return Err(damaged(flaw.into()));
    }
    let files: BTreeSet<&Digest> = entries.iter().map(|entry| &entry.sha256).collect();
    if files.len() < entries.len() {
        return Err(damaged("two entries are of one file".into()));
    }
    for entry in &mut entries {
        // A path may have any character, and this one is for people alone.
        entry.file = entry.file.replace(char::is_control, "?");
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
