//! The folder where fetched and built things live between runs, and how they get there whole.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// `$IPVS_LATENCY_CACHE`, else `$XDG_CACHE_HOME/ipvs-latency`, else `~/.cache/ipvs-latency`.
#[must_use]
pub fn root() -> PathBuf {
    root_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn root_from(var: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let chosen = match (
        var("IPVS_LATENCY_CACHE"),
        var("XDG_CACHE_HOME"),
        var("HOME"),
    ) {
        (Some(cache), _, _) => PathBuf::from(cache),
        (None, Some(xdg), _) => Path::new(&xdg).join("ipvs-latency"),
        (None, None, Some(home)) => Path::new(&home).join(".cache/ipvs-latency"),
        (None, None, None) => std::env::temp_dir().join("ipvs-latency"),
    };
    // Paths of the cache end up in makefiles and in other processes' folders.
    std::path::absolute(&chosen).unwrap_or(chosen)
}

/// The right to change the cache; given back when dropped.
///
/// Only one process has it. Take it once: asking again in the same process waits for ever.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Waits for the right to change the cache, with a word when another process has it.
///
/// # Errors
/// When the cache folder cannot be made or locked.
pub fn lock() -> Result<Lock> {
    let root = root();
    fs::create_dir_all(&root).with_context(|| {
        format!(
            "cannot make the cache folder {}: set IPVS_LATENCY_CACHE to another",
            root.display()
        )
    })?;
    let path = root.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!(
                "waiting for another `cargo xtask` to finish with {}",
                root.display()
            );
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    // Whatever lies here was left by a process that was killed: nobody else can be at work. What resists is in
    // nobody's way, as every stage is a folder of its own.
    let _ = fs::remove_dir_all(staging_root());
    Ok(Lock { _file: file })
}

/// Whether a file was written less than `max_age` ago.
#[must_use]
pub fn fresh(file: &Path, max_age: Duration) -> bool {
    let age = fs::metadata(file)
        .and_then(|meta| meta.modified())
        .map(|written| written.elapsed());
    // A time stamp in the future is a clock that was set back: as good as none.
    matches!(age, Ok(Ok(age)) if age < max_age)
}

fn staging_root() -> PathBuf {
    root().join("staging")
}

impl Lock {
    /// An empty folder to build something in, on the same file system as the cache.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self) -> Result<TempDir> {
        let parent = staging_root();
        fs::create_dir_all(&parent)
            .and_then(|()| tempfile::tempdir_in(&parent))
            .with_context(|| format!("cannot make a folder in {}", parent.display()))
    }

    /// Puts a finished folder in its place, all at once; what was there before goes.
    ///
    /// # Errors
    /// When the folder cannot be moved.
    pub fn publish(&self, finished: &Path, place: &Path) -> Result<()> {
        let failed = || format!("cannot move {} to {}", finished.display(), place.display());
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        if place.exists() {
            let old = self.stage()?;
            fs::rename(place, old.path().join("old")).with_context(failed)?;
        }
        fs::rename(finished, place).with_context(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_first_of_three_variables_that_is_set() {
        let table = [
            (vec![("HOME", "/h")], "/h/.cache/ipvs-latency"),
            (
                vec![("HOME", "/h"), ("XDG_CACHE_HOME", "/x")],
                "/x/ipvs-latency",
            ),
            (
                vec![
                    ("HOME", "/h"),
                    ("XDG_CACHE_HOME", "/x"),
                    ("IPVS_LATENCY_CACHE", "/c"),
                ],
                "/c",
            ),
        ];
        for (vars, expected) in table {
            let var = |name: &str| {
                vars.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| OsString::from(value))
            };
            assert_eq!(root_from(var), Path::new(expected));
        }
    }
}
