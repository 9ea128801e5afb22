//! What was done to this node with which file, on disk before it is done: so that after a crash the file is
//! recognised, whatever it is called by then.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{cannot_write::way_out, digest::Digest, state_dir};
use crate::kernel::{
    boot::{self, Boot},
    module::Name,
};

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
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

impl Entry {
    /// Whether the node went down under it: in another boot than this one, and not in good order.
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
    pub fn aftermath_ends_s(&self) -> u64 {
        self.since_s.saturating_add(AFTERMATH_S)
    }

    /// When its phase began: RFC 3339.
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
        "the journal {0} cannot be written ({1}): {hint}, or name another folder with --state-dir",
        hint = way_out(.1)
    )]
    Write(PathBuf, io::Error),
    #[error("the journal {0} cannot be read ({1}): run this as root")]
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
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last that was done with a file.
    pub fn of(&self, file: &Digest) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.sha256 == *file)
    }

    /// Returns what was loaded under that name in this boot, if it was by us: of several, the last that is not noted as
    /// gone.
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
            module: Mark::default(),
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
        let weeks = boot("two", 2_000_000, &[1_999_990]);
        let minutes = boot("two", 2_000_000, &[10_299]);
        for (phase, boot, went_down) in [
            (Loading, &same, false),
            (Loading, &cut, true),
            (Unloading, &cut, true),
            (Loading, &orderly, true),
            (Loading, &weeks, false),
            (Unloading, &weeks, false),
            (Loading, &minutes, true),
            (Unloading, &late, true),
            (InForce, &cut, true),
            (InForce, &late, true),
            (InForce, &orderly, false),
            (Left, &cut, true),
            (Left, &late, false),
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
    fn a_name_means_what_is_there_and_else_what_was_noted_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::read(folder.path()).unwrap();
        let named = |journal: &Journal| {
            let found = journal.named("est_skip", &boot("one", 0, &[]));
            found.unwrap().sha256.clone()
        };
        journal.note(entry(b"a", Phase::Left)).unwrap();
        journal.note(entry(b"b", Phase::Loading)).unwrap();
        assert_eq!(named(&journal), Digest::of(b"b"));
        journal.advance(&Digest::of(b"a"), Phase::Gone).unwrap();
        assert_eq!(named(&journal), Digest::of(b"b"), "a is gone");
        journal.advance(&Digest::of(b"b"), Phase::Gone).unwrap();
        assert_eq!(named(&journal), Digest::of(b"b"), "so is b");
        journal.note(entry(b"a", Phase::InForce)).unwrap();
        journal.advance(&Digest::of(b"b"), Phase::Gone).unwrap();
        assert_eq!(named(&journal), Digest::of(b"a"));
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

    /// Returns the journal of one entry, with a value of that entry, or of the document, replaced.
    fn made(key: &str, value: &serde_json::Value) -> Result<Vec<Entry>, JournalError> {
        let mut document = serde_json::json!({
            "schema": SCHEMA,
            "entries": [entry(b"a", Phase::InForce)],
        });
        if document.get(key).is_some() {
            document[key] = value.clone();
        } else {
            document["entries"][0][key] = value.clone();
        }
        entries(Path::new("/journal"), document.to_string().as_bytes())
    }

    #[test]
    fn what_no_program_of_ours_wrote_is_damage_and_never_a_panic() {
        use serde_json::json;
        assert_eq!(made("pid", &json!(7)).unwrap().len(), 1);
        let whole = Digest::of(b"a").to_string();
        for (key, value) in [
            ("since_s", json!(u64::MAX)),
            ("since_s", json!(LAST_S + 1)),
            ("since_s", json!(-1)),
            ("since_s", json!(1e300)),
            ("since_s", json!("1")),
            ("pid", json!(u64::MAX)),
            ("sha256", json!("")),
            ("sha256", json!(whole.to_uppercase())),
            ("name", json!("")),
            ("name", json!("..")),
            ("name", json!("a/b")),
            ("name", json!("a\u{1b}[2J")),
            ("name", json!("a".repeat(1_000))),
            ("boot_id", json!("a\nb")),
            ("boot_id", json!("a".repeat(1_000))),
            ("phase", json!("dancing")),
            ("module", json!(7)),
            ("module", json!({"loading": -1})),
            ("entries", json!({})),
            (
                "entries",
                json!([entry(b"a", Phase::Gone), entry(b"a", Phase::InForce)]),
            ),
            ("schema", json!("1")),
            ("schema", json!(-1)),
        ] {
            let error = made(key, &value).unwrap_err();
            assert!(
                matches!(error, JournalError::Damaged(..)),
                "{key} {value}: {error}"
            );
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
        let many: Vec<Entry> = (0..=MOST)
            .map(|number| entry(&number.to_le_bytes(), Phase::Gone))
            .collect();
        assert!(made("entries", &json!(many)).is_err());
        for bytes in [
            &b""[..],
            b"\xff",
            b"[1]",
            b"{\"schema\":1}",
            &b"[".repeat(100_000),
        ] {
            let error = entries(Path::new("/journal"), bytes).unwrap_err();
            assert!(matches!(error, JournalError::Damaged(..)), "{error}");
        }
    }

    #[test]
    fn numbers_at_their_limits_are_told_without_a_panic() {
        let mut late = entry(b"a", Phase::Gone);
        for since_s in [0, LAST_S, LAST_S + 1, u64::MAX] {
            late.since_s = since_s;
            assert!(late.since().ends_with('Z'));
            for began_s in [0, u64::MAX] {
                let is_soon = began_s <= since_s.saturating_add(AFTERMATH_S);
                assert_eq!(late.went_down(&boot("two", began_s, &[])), is_soon);
            }
        }
    }

    #[test]
    fn one_of_another_schema_is_told_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let text = "{\"schema\": 9, \"of\": \"a later version\"}";
        fs::write(&file, text).unwrap();
        let error = Journal::read(folder.path()).unwrap_err();
        assert!(matches!(error, JournalError::Schema(_, 9)), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }

    #[test]
    fn what_is_no_file_or_too_large_is_neither_waited_for_nor_read_whole() {
        use nix::{sys::stat::Mode, unistd::mkfifo};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        mkfifo(&file, Mode::S_IRWXU).unwrap();
        let error = Journal::read(folder.path()).unwrap_err();
        assert!(matches!(error, JournalError::Read(..)), "{error}");
        fs::remove_file(&file).unwrap();
        let huge = fs::File::create(&file).unwrap();
        huge.set_len(1 << 40).unwrap();
        let error = Journal::read(folder.path()).unwrap_err();
        assert!(matches!(error, JournalError::Damaged(..)), "{error}");
    }

    #[test]
    fn a_path_cannot_write_to_the_terminal_and_an_entry_of_before_is_read() {
        let told = made("file", &serde_json::json!("/a\u{1b}[2J\n/b\u{fc}")).unwrap();
        assert_eq!(told[0].file, "/a?[2J?/b\u{fc}");
        let mut document = serde_json::json!({"schema": 1, "entries": [entry(b"a", Phase::Left)]});
        let old = document["entries"][0].as_object_mut().unwrap();
        old.remove("module").unwrap();
        let told = entries(Path::new("/journal"), document.to_string().as_bytes()).unwrap();
        assert_eq!(told, [entry(b"a", Phase::Left)]);
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
