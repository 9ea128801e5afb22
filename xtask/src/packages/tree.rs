//! Packages unpacked together into a folder of the cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Suite, unpack};
use crate::cache;

/// Makes a folder by filling `root` of a stage, unless it is there.
///
/// # Errors
/// When it cannot be filled.
pub fn provide(place: &Path, fill: impl FnOnce(&cache::Lock, &Path) -> Result<()>) -> Result<()> {
    if cache::is_there(place)? {
        return Ok(());
    }
    let lock = cache::lock()?;
    if cache::is_there(place)? {
        return Ok(());
    }
    let stage = lock.stage()?;
    fill(&lock, stage.path())?;
    lock.publish(&stage.path().join("root"), place)
}

/// Unpacks packages into `root` of a stage, but for paths that match a pattern of `leave_out`.
///
/// # Errors
/// When they cannot be fetched or unpacked.
pub fn fill(
    suite: &Suite,
    packages: &BTreeSet<String>,
    leave_out: &[&str],
    stage: &Path,
) -> Result<()> {
    let debs = stage.join("debs");
    fs::create_dir_all(&debs)?;
    for deb in suite.download(packages.iter().map(String::as_str), &debs)? {
        unpack(&deb, &stage.join("root"), leave_out)?;
    }
    Ok(())
}
