//! Changes of this node that were begun in this boot and are not over, by the journal.

use std::fmt;

use serde::Serialize;

use super::{
    journal::{Entry, Journal, JournalError, Phase},
    lock, settle,
};
use crate::site::Site;
use host::boot::Boot;
use livepatch_image::Digest;
use model::printable::printable;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The hotfix.
    pub name: String,
    /// The digest of its file.
    pub sha256: Digest,
    /// Where its file was.
    #[serde(skip)]
    pub file: String,
    /// What was begun.
    pub phase: Phase,
    /// When: RFC 3339.
    pub since: String,
    /// The process that changes this node now, or takes back what another left; `None` where nobody does.
    pub process: Option<String>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.phase {
            Phase::Loading => "its load",
            _ => "its removal",
        };
        write!(f, "{}: {what}, begun at {}, ", self.name, self.since)?;
        if let Some(pid) = &self.process {
            return write!(f, "is not over: process {pid} works on it");
        }
        let name = &self.name;
        match self.phase {
            Phase::Loading => write!(
                f,
                "was cut off, or its end could not be recorded, and no process works on it: `ipvs-latency hotfix unload {name}` \
                 rolls it back; if it is in force, loading the same file again, {}, completes the record",
                self.file
            ),
            _ => write!(
                f,
                "was cut off, and no process works on it: `ipvs-latency hotfix unload {name}` completes it"
            ),
        }
    }
}

/// Those of this boot that left something behind.
///
/// # Errors
///
/// When the journal cannot be read.
pub fn read(site: &Site) -> Result<Vec<Unfinished>, JournalError> {
    let journal = Journal::read(&site.state_dir)?;
    let boot = Boot::read(&site.root);
    let process = lock::held_by(site);
    // What cannot be seen may be there.
    let is_there = |entry: &Entry| !matches!(settle::phase(&site.root, entry), Ok(Phase::Gone));
    let open = journal.entries().iter().filter(|entry| {
        entry.boot_id == boot.id
            && matches!(entry.phase, Phase::Loading | Phase::Unloading)
            && (process.is_some() || is_there(entry))
    });
    let told = open.map(|entry| Unfinished {
        name: entry.name.clone(),
        sha256: entry.sha256.clone(),
        file: printable(&entry.file),
        phase: entry.phase,
        since: entry.since(),
        process: None,
    });
    let mut told: Vec<Unfinished> = told.collect();
    // There is one change at a time: the one that was noted last.
    if let Some(last) = told.last_mut() {
        last.process.clone_from(&process);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::made_node;
    use crate::transaction::{journal::Mark, lock::Lock};

    #[test]
    fn what_was_cut_off_is_told_from_what_somebody_is_at() {
        let root = tempfile::tempdir().unwrap();
        let state_dir = root.path().join("state");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/sys/kernel/random/boot_id", "this\n");
        write("sys/module/left/taint", "OEK\n");
        let mut journal = Journal::read(&state_dir).unwrap();
        for (name, boot_id, phase) in [
            ("left", "this", Phase::Loading),
            ("gone", "this", Phase::Unloading),
            ("before", "last", Phase::Loading),
            ("kept", "this", Phase::InForce),
        ] {
            journal
                .note(Entry {
                    sha256: Digest::of(name.as_bytes()),
                    name: name.into(),
                    file: "/a.ko".into(),
                    boot_id: boot_id.into(),
                    pid: 7,
                    phase,
                    since_s: 0,
                    accepted: Vec::new(),
                    module: Mark::default(),
                })
                .unwrap();
        }
        let told = || -> Vec<String> {
            let unfinished = read(&made_node::site(root.path(), &state_dir)).unwrap();
            unfinished.iter().map(Unfinished::to_string).collect()
        };
        let lines = told();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("left: its load, begun at 1970-01-01T00:00:00Z, was cut off"),
            "{lines:?}"
        );
        let lock = Lock::take(&made_node::site(root.path(), &state_dir)).unwrap();
        let lines = told();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains("gone: its removal"), "{lines:?}");
        assert!(lines[0].contains("no process works on it"), "{lines:?}");
        assert!(lines[1].contains("works on it"), "{lines:?}");
        drop(lock);
    }
}
