//! Guests kept as they were just after their boot, so that the next of the same kind need not boot.
//!
//! A snapshot is QEMU's migration stream, taken while PID 1 waits for its first order. Everything that could make two
//! boots differ is in its name; what a run brings along comes after it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::initrd::keep;
use crate::cache;

/// So many are kept: a kind of guest that is used often stays.
const KEPT: usize = 8;

/// Where a guest's snapshot is, or would be.
pub struct Snapshot(PathBuf);

impl Snapshot {
    /// The one for guests of this kernel that have the rest in common: QEMU, how it is started, what it starts from.
    pub fn of(release: &str, qemu: &Path, arguments: &[String], parts: &[PathBuf], init: &Path) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        // The names of the parts tell their content; PID 1 is built anew under the same name.
        (arguments, parts).hash(&mut hasher);
        fs::read(init).with_context(|| format!("cannot read {}", init.display()))?.hash(&mut hasher);
        let qemu = fs::metadata(qemu).with_context(|| format!("cannot find {}", qemu.display()))?;
        (qemu.len(), qemu.modified()?).hash(&mut hasher);
        Ok(Self(folder().join(format!("{release}-{:016x}", hasher.finish()))))
    }

    /// The snapshot to start from, if there is one.
    pub fn open(&self) -> Option<File> {
        let file = File::open(&self.0).ok()?;
        // Marks it as used; on a file system that cannot, it is only given up earlier.
        let _ = file.set_modified(SystemTime::now());
        Some(file)
    }

    /// Makes the snapshot from what `save` writes into the file it is told.
    pub fn make(&self, save: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        keep(&self.0, |file| save(file.path()))?;
        prune()
    }

    /// Throws away one that does not work.
    pub fn discard(&self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn folder() -> PathBuf {
    cache::root().join("lab").join("snapshots")
}

/// Removes all but the most recently used.
fn prune() -> Result<()> {
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder())? {
        let entry = entry?;
        // One that another process is writing, or has just removed, is none of ours.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if let Ok(used) = entry.metadata().and_then(|meta| meta.modified()) {
            kept.push((used, entry.path()));
        }
    }
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT);
    for (_, path) in &kept[..surplus] {
        let _ = fs::remove_file(path);
    }
    Ok(())
}
