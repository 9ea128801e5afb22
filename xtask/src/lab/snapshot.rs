//! Guests kept as they were while PID 1 waited for an order, so that the next of the same kind need not get there.
//!
//! A snapshot is QEMU's migration stream. Everything that could make two guests differ at that point is in its name:
//! one is taken after the boot, another after IPVS has been filled with much. What a run brings along comes later.
//! Guests of one snapshot share what is random in a boot: the boot id, the kernel's seeds.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::event::Stage;
use super::initrd::keep;
use crate::cache;
use crate::wire::Fill;

/// So many bytes are kept: a kind of guest that is used often stays.
const KEPT: u64 = 6 << 30;
/// No draft takes so long to write.
const ABANDONED: Duration = Duration::from_hours(1);

/// So many estimators or namespaces take long enough to make for a snapshot of their own.
const MANY_ESTIMATORS: u64 = 1_000;
const MANY_NAMESPACES: u32 = 20;

/// What guests have in common that can start from the same snapshot.
pub struct Common<'a> {
    /// Their kernel's release.
    pub release: &'a str,
    /// The QEMU that runs them.
    pub qemu: &'a Path,
    /// How it is told to.
    pub arguments: &'a [String],
    /// Whether they have a disk.
    pub disk: bool,
    /// The archives they start from, whose names tell their content.
    pub parts: &'a [PathBuf],
    /// Their PID 1, which is built anew under the same name.
    pub init: &'a Path,
}

/// The snapshots of a guest: those to look for, and those to make of it.
pub struct Wanted {
    booted: Option<Snapshot>,
    filled: Option<Snapshot>,
}

impl Wanted {
    /// Those of a guest that has this in `common` with others and is to hold `fill`.
    pub fn of(common: &Common, fill: Fill) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        (common.arguments, common.disk, common.parts).hash(&mut hasher);
        fs::read(common.init)
            .with_context(|| format!("cannot read {}", common.init.display()))?
            .hash(&mut hasher);
        let qemu = fs::metadata(common.qemu)
            .with_context(|| format!("cannot find {}", common.qemu.display()))?;
        (qemu.len(), qemu.modified()?).hash(&mut hasher);
        let folder = folder()?;
        let named = |hasher: &DefaultHasher| {
            Snapshot(folder.join(format!("{}-{:016x}", common.release, hasher.finish())))
        };
        let booted = Some(named(&hasher));
        fill.hash(&mut hasher);
        let estimators = u64::from(fill.services) * (1 + u64::from(fill.destinations));
        let much = estimators >= MANY_ESTIMATORS || fill.namespaces >= MANY_NAMESPACES;
        Ok(Self {
            booted,
            filled: much.then(|| named(&hasher)),
        })
    }

    /// Returns those of a guest that is to boot each time, as another boot with another boot id.
    pub fn none() -> Self {
        Self {
            booted: None,
            filled: None,
        }
    }

    /// Takes out the snapshot of a guest that is about to enter `stage`.
    pub fn take(&mut self, stage: Stage) -> Option<Snapshot> {
        match stage {
            Stage::Fill => self.booted.take(),
            Stage::Ready => self.filled.take(),
            Stage::Boot | Stage::Command => None,
        }
    }
}

/// Where a guest's snapshot is, or would be.
pub struct Snapshot(PathBuf);

impl Snapshot {
    /// The snapshot to start from, if there is one.
    pub fn open(&self) -> Option<File> {
        // One that a stranger may have written is as good as none.
        let file = cache::is_there(&self.0)
            .ok()?
            .then(|| File::open(&self.0).ok())??;
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

fn folder() -> Result<PathBuf> {
    Ok(cache::root()?.join("lab").join("snapshots"))
}

/// Removes all but the most recently used, and drafts whose writer must have been killed.
fn prune() -> Result<()> {
    let mut found: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder()?)? {
        let entry = entry?;
        // Another process may have removed it by now.
        let Ok(meta) = entry.metadata() else { continue };
        let used = meta.modified()?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push((used, meta.len(), entry.path()));
        } else if used.elapsed().is_ok_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
    found.sort();
    let mut sum = 0;
    for (_, size, path) in found.iter().rev() {
        sum += size;
        if sum > KEPT {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}
