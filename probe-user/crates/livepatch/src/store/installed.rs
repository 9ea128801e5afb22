//! Hotfixes that are kept on this node, to be loaded at every boot of the kernel that each was built for:
//! `STATE_DIR/hotfixes/RELEASE/NAME.ko`, and beside it `NAME.json`, which is what makes it one.

pub mod systemd;
pub mod trusted;
pub mod units;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use nix::sys::stat::SFlag;

use super::{folder::Folder, state_dir, walk::kind};
use crate::{
    site::Site,
    transaction::{cure, lock::Lock},
};
use livepatch_image::{Digest, file};
use model::printable::is_plain;

const FOLDER: &str = "hotfixes";

const SCHEMA: u32 = 1;

/// A record of ours has at most a hundredth of it.
const MOST_BYTES: u64 = 1 << 20;

/// Which hotfix, for which kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The kernel's release, as `uname -r` tells it.
    pub release: String,
    /// The module's name.
    pub name: String,
}

/// What was written down when it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema: u32,
    /// The file.
    pub sha256: Digest,
    /// Where it came from.
    pub file: String,
    /// The warnings that were accepted, by name.
    pub accepted: Vec<String>,
    /// The boot that ended in the crash that was accepted: a later crash was not.
    pub accepted_crash: Option<String>,
    /// When: RFC 3339.
    pub at: String,
}

impl Record {
    /// One of this moment.
    #[must_use]
    pub fn now(
        sha256: Digest,
        file: String,
        accepted: Vec<String>,
        accepted_crash: Option<String>,
    ) -> Self {
        let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
        Self {
            schema: SCHEMA,
            sha256,
            file,
            accepted,
            accepted_crash,
            at: now.to_string(),
        }
    }

    /// Returns what none of our programs would have written, if the record has that.
    fn flaw(&self) -> Option<&'static str> {
        let has_control = |text: &String| text.contains(char::is_control);
        match () {
            () if !self.sha256.is_whole() => Some("it has no SHA-256"),
            () if has_control(&self.at) => Some("its time is not one"),
            () if self.accepted.iter().any(has_control) => {
                Some("what was accepted is not the name of a warning")
            }
            () if self.accepted_crash.as_ref().is_some_and(has_control) => {
                Some("its boot id is not one")
            }
            () => None,
        }
    }
}

/// What every schema has.
#[derive(Debug, Deserialize)]
struct Head {
    schema: u64,
}

/// A hotfix that is installed, or what is left of one.
#[derive(Debug)]
pub struct Installed {
    /// Which.
    pub place: Place,
    /// What was written down.
    pub record: Result<Record, StoreError>,
}

/// Why the kept hotfixes cannot be had.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum StoreError {
    #[error(
        "{0} cannot be written ({1}){cure}",
        cure = cure::of_state(.1)
    )]
    Write(PathBuf, io::Error),
    #[error("{0} cannot be read ({1}){cure}", cure = cure::of_write(.1))]
    Read(PathBuf, io::Error),
    #[error("{0} is damaged ({1}): uninstall the hotfix, and install it again")]
    Damaged(PathBuf, String),
    #[error(
        "{0} is of schema {1}, and this program knows {SCHEMA} alone: use the version of ipvs-latency that wrote it, or \
         uninstall the hotfix, and install it again"
    )]
    Schema(PathBuf, u64),
    #[error("{0} cannot be removed ({1}): remove it by hand")]
    Remove(PathBuf, io::Error),
}

/// All that are kept.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Those of this folder of state.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join(FOLDER),
        }
    }

    /// Takes the right to change them, after the whole folder of state has its modes: the folder of the hotfixes alone has
    /// names in it that this program cannot tell from foreign ones.
    ///
    /// # Errors
    ///
    /// When another process changes them, or a folder cannot be written.
    pub fn lock(&self, site: &Site) -> anyhow::Result<Lock> {
        if let Some(state_dir) = self.folder.parent() {
            let unwritable = |error| StoreError::Write(state_dir.to_owned(), error);
            state_dir::make(state_dir).map_err(unwritable)?;
        }
        Ok(Lock::of_folder(site, &self.folder)?)
    }

    /// The module's file.
    #[must_use]
    pub fn module(&self, place: &Place) -> PathBuf {
        self.file(place, "ko")
    }

    fn file(&self, place: &Place, kind: &str) -> PathBuf {
        let folder = self.folder.join(&place.release);
        folder.join(format!("{}.{kind}", place.name))
    }

    /// All of them, in the order in which they were installed: the last one loaded is the one in force on a function.
    ///
    /// # Errors
    ///
    /// When the folders cannot be read.
    pub fn all(&self) -> Result<Vec<Installed>, StoreError> {
        let mut all = Vec::new();
        let unreadable = |error| StoreError::Read(self.folder.clone(), error);
        let Some(folder) = state_dir::open(&self.folder).map_err(unreadable)? else {
            return Ok(all);
        };
        for release in entries(&folder)? {
            if !is_plain(&release) || !is_folder(&folder, &release).map_err(unreadable)? {
                continue;
            }
            let Some(folder) = folder.folder(&release).map_err(unreadable)? else {
                continue;
            };
            for file in entries(&folder)? {
                let name = file.strip_suffix(".json").filter(|name| is_name(name));
                let Some(name) = name else { continue };
                let place = Place {
                    release: release.clone(),
                    name: name.to_owned(),
                };
                // It may be uninstalled meanwhile.
                if let Some(record) = self.read(&place).transpose() {
                    all.push(Installed { place, record });
                }
            }
        }
        let at = |one: &Installed| one.record.as_ref().ok().map(|record| record.at.clone());
        all.sort_by_cached_key(|one| (at(one), one.place.clone()));
        Ok(all)
    }

    /// One of them; `None` where it is not installed.
    ///
    /// # Errors
    ///
    /// When what was written down cannot be read, or is damaged.
    pub fn read(&self, place: &Place) -> Result<Option<Record>, StoreError> {
        let file = self.file(place, "json");
        match self.bytes(place, "json", MOST_BYTES) {
            Ok(Some(bytes)) => record(&file, &bytes).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(StoreError::Read(file, error)),
        }
    }

    /// Reads the bytes of the module: what was checked is loaded, not what the name may mean later.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or others could change them.
    pub fn content(&self, place: &Place) -> Result<Vec<u8>, StoreError> {
        let bytes = self.bytes(place, "ko", file::MOST);
        let bytes = bytes.and_then(|bytes| bytes.ok_or_else(|| io::ErrorKind::NotFound.into()));
        bytes.map_err(|error| StoreError::Read(self.module(place), error))
    }

    fn bytes(&self, place: &Place, kind: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let name = format!("{}.{kind}", place.name);
        state_dir::read(&self.folder.join(&place.release), &name, most)
    }

    /// Keeps a module. It is installed when all of it is on disk, and not before.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn put(&self, place: &Place, module: &[u8], record: &Record) -> Result<(), StoreError> {
        let (file, beside) = (self.module(place), self.file(place, "json"));
        let failed = |error| StoreError::Write(file.clone(), error);
        let text = serde_json::to_string_pretty(record).map_err(io::Error::from);
        let text = text.map_err(failed)? + "\n";
        let folder = state_dir::make(&self.folder).map_err(failed)?;
        let folder = folder
            .make_in(&place.release, state_dir::FOLDER)
            .map_err(failed)?;
        let put = |kind: &str, bytes: &[u8]| {
            folder.put(format!("{}.{kind}", place.name), state_dir::FILE, bytes)
        };
        put("ko", module).map_err(failed)?;
        put("json", text.as_bytes()).map_err(|error| StoreError::Write(beside.clone(), error))
    }

    /// Forgets one.
    ///
    /// # Errors
    ///
    /// When a file of it cannot be removed.
    pub fn remove(&self, place: &Place) -> Result<(), StoreError> {
        let at = self.folder.join(&place.release);
        let failed = |error| StoreError::Remove(at.clone(), error);
        let Some(all) = state_dir::open(&self.folder).map_err(failed)? else {
            return Ok(());
        };
        let Some(folder) = all.folder(&place.release).map_err(failed)? else {
            return Ok(());
        };
        for kind in ["json", "ko"] {
            let removed = folder.remove(format!("{}.{kind}", place.name));
            removed.map_err(|error| StoreError::Remove(self.file(place, kind), error))?;
        }
        // Others may be left for this kernel.
        let fine = [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotFound];
        match all.remove_folder(&place.release) {
            Err(error) if !fine.contains(&error.kind()) => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

/// Returns a record that one of our programs would have written.
fn record(file: &Path, bytes: &[u8]) -> Result<Record, StoreError> {
    let damaged = |why: String| StoreError::Damaged(file.to_owned(), why);
    let head: Head = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if head.schema != u64::from(SCHEMA) {
        return Err(StoreError::Schema(file.to_owned(), head.schema));
    }
    let mut record: Record =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if let Some(flaw) = record.flaw() {
        return Err(damaged(flaw.into()));
    }
    // A path may have any character, and this one is for people alone.
    record.file = record.file.replace(char::is_control, "?");
    Ok(record)
}

/// Returns the names in a folder that are text.
fn entries(folder: &Folder) -> Result<Vec<String>, StoreError> {
    let names = folder.names();
    let names = names.map_err(|error| StoreError::Read(folder.path().to_owned(), error))?;
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}

fn is_folder(folder: &Folder, name: &str) -> io::Result<bool> {
    let stat = folder.look(name)?;
    Ok(stat.is_some_and(|stat| kind(&stat) == SFlag::S_IFDIR))
}

/// Whether a module may be called so, and a file like it: the kernel's build makes `_` of every other character.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(fits)
}

/// The name of a module, however it is written: `modprobe` too takes `-` for `_`.
#[must_use]
pub fn name_of(written: &str) -> String {
    written.replace('-', "_")
}

/// Whether what was written on a command line is meant as a file's path, and not as a name.
#[must_use]
pub fn is_path(written: &OsStr) -> bool {
    let text = written.to_string_lossy();
    text.contains(['/', '.'])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place(release: &str, name: &str) -> Place {
        Place {
            release: release.into(),
            name: name.into(),
        }
    }

    fn record(content: &[u8], at: &str) -> Record {
        Record {
            at: at.into(),
            ..Record::now(Digest::of(content), "/a.ko".into(), Vec::new(), None)
        }
    }

    #[test]
    fn what_is_kept_is_told_in_the_order_of_installation_until_it_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::of(state.path());
        assert_eq!(store.all().unwrap().len(), 0);
        let (first, second) = (place("6.1", "z"), place("6.1", "a"));
        let other = place("5.10", "z");
        for (place, at) in [(&second, "2"), (&first, "1"), (&other, "3")] {
            store.put(place, b"module", &record(b"module", at)).unwrap();
        }
        // What a cut off installation leaves behind, and what else people put there.
        fs::write(store.folder.join("6.1/half.ko"), "").unwrap();
        fs::write(store.folder.join("6.1/.new-x.json"), "").unwrap();
        fs::write(store.folder.join("6.1/a b.json"), "").unwrap();
        fs::write(store.folder.join("lock"), "").unwrap();
        let places = || -> Vec<Place> {
            let all = store.all().unwrap().into_iter();
            all.map(|one| one.place).collect()
        };
        assert_eq!(places(), [first.clone(), second.clone(), other.clone()]);
        assert_eq!(fs::read(store.module(&first)).unwrap(), b"module");
        assert_eq!(store.read(&first).unwrap(), Some(record(b"module", "1")));
        store.remove(&other).unwrap();
        assert!(!store.folder.join("5.10").exists());
        store.remove(&first).unwrap();
        assert_eq!(places(), [second]);
        assert_eq!(store.read(&first).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_kept_read_or_removed_is_told() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::of(state.path());
        let place = place("6.1", "a");
        let file = store.file(&place, "json");
        fs::create_dir_all(&file).unwrap();
        let told = |error: StoreError| error.to_string();
        let error = store.put(&place, b"", &record(b"", "1")).unwrap_err();
        assert!(told(error).contains("cannot be written"));
        let error = store.read(&place).unwrap_err();
        assert!(told(error).contains("cannot be read"));
        // No folder can be removed by this name.
        let error = store.remove(&super::Place {
            release: ".".into(),
            ..place.clone()
        });
        assert!(told(error.unwrap_err()).contains("cannot be removed"));
        let error = store.remove(&place).unwrap_err();
        assert!(told(error).contains("cannot be removed"));
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "{\"schema\": 1, ").unwrap();
        let all = store.all().unwrap();
        let error = all[0].record.as_ref().unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
        fs::write(state.path().join("file"), "").unwrap();
        let error = Store::of(&state.path().join("file")).all().unwrap_err();
        assert!(told(error).contains("cannot be read"));
    }

    #[test]
    fn what_none_of_our_programs_wrote_is_refused_and_nothing_a_terminal_obeys_is_told() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::of(state.path());
        let place = place("6.1", "a");
        store.put(&place, b"", &record(b"", "1")).unwrap();
        let good = serde_json::to_value(record(b"", "1")).unwrap();
        let read = |field: &str, value: serde_json::Value| {
            let mut text = good.clone();
            text[field] = value;
            let folder = state_dir::open(&store.folder.join("6.1")).unwrap().unwrap();
            let bytes = text.to_string();
            folder
                .put("a.json", state_dir::FILE, bytes.as_bytes())
                .unwrap();
            store.read(&place)
        };
        for (field, value, words) in [
            ("schema", 9.into(), "is of schema 9"),
            ("sha256", "abc".into(), "is damaged (it has no SHA-256)"),
            ("at", "1\u{1b}[2J".into(), "is damaged (its time"),
            ("accepted", vec!["a\u{1b}"].into(), "is damaged (what was"),
            ("accepted_crash", "\n".into(), "is damaged (its boot id"),
        ] {
            let error = read(field, value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let told = read("file", "/ä\u{1b}[2J.ko".into()).unwrap().unwrap();
        assert_eq!(told.file, "/ä?[2J.ko");
    }

    #[test]
    fn names_are_those_of_modules_and_no_way_out_of_the_folder() {
        assert!(is_name("est_skip") && is_name(&name_of("livepatch-est-1")));
        for bad in ["", "..", "a/b", "a b", "a.b", "a\n"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_path(OsStr::new("est.ko")) && is_path(OsStr::new("./est")));
        assert!(!is_path(OsStr::new("est-skip")));
    }
}
