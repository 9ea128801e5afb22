//! The folder where fetched and built things live between runs, and how they get there whole.

mod ownership;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use ownership::Owners;

/// Returns the cache folder, without links: `$IPVS_LATENCY_CACHE`, else `$XDG_CACHE_HOME/ipvs-latency`, else
/// `~/.cache/ipvs-latency`. It need not exist yet.
///
/// Its programs are run, also by root. So another user may neither own nor change it or a folder above it.
///
/// # Errors
/// When there is no such folder, or a stranger could put something there.
pub fn root() -> Result<PathBuf> {
    static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = ROOT.get_or_init(|| {
        // From now on, no other user may write there.
        umask(umask(Mode::all()) | Mode::S_IWGRP | Mode::S_IWOTH);
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        checked_root(set, home).map_err(|error| format!("{error:#}"))
    });
    found.clone().map_err(|error| anyhow!(error))
}

fn checked_root(
    var: impl Fn(&str) -> Option<OsString>,
    home: impl FnOnce() -> Result<PathBuf>,
) -> Result<PathBuf> {
    let chosen = root_from(var, home)?;
    // Paths of the cache end up in makefiles and in other processes' folders.
    let chosen = std::path::absolute(&chosen).unwrap_or(chosen);
    let found = Owners::now()
        .follow(&chosen)
        .with_context(|| format!("cannot use the cache folder {}", chosen.display()));
    Ok(found.map_err(|error| anyhow!("{error:#}\n{HINT}"))?.path)
}

/// The hint for a folder that cannot be used.
const HINT: &str = "hint: set IPVS_LATENCY_CACHE to a folder that you alone may change, or remove the right of others with `chmod go-w`";

fn root_from(
    var: impl Fn(&str) -> Option<OsString>,
    home: impl FnOnce() -> Result<PathBuf>,
) -> Result<PathBuf> {
    if let Some(cache) = var("IPVS_LATENCY_CACHE") {
        return Ok(cache.into());
    }
    // A relative one is to be ignored (XDG Base Directory Specification).
    if let Some(xdg) = var("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|xdg| xdg.is_absolute())
    {
        return Ok(xdg.join("ipvs-latency"));
    }
    let home = var("HOME").map_or_else(home, |home| Ok(home.into()))?;
    Ok(home.join(".cache/ipvs-latency"))
}

/// Returns the home of whoever runs this, by the list of users.
fn home() -> Result<PathBuf> {
    let user = Uid::effective();
    let entry = User::from_uid(user).ok().flatten().map(|entry| entry.dir);
    entry.filter(|home| home.is_absolute() && home != Path::new("/")).with_context(|| {
        format!(
            "cannot choose a cache folder: HOME is not set, and the list of users has no home for the number {user}\n{HINT}"
        )
    })
}

/// Returns whether something is at a place of the cache, and is ours to use or run.
///
/// # Errors
/// When a stranger owns it or may change it.
pub fn is_there(place: &Path) -> Result<bool> {
    let found = Owners::now()
        .follow(place)
        .with_context(|| format!("cannot use {}", place.display()));
    let found = found
        .map_err(|error| anyhow!("{error:#}\nhint: remove it, and it is fetched or built again"))?;
    Ok(found.exists)
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
    let root = root()?;
    fs::create_dir_all(&root).with_context(|| {
        format!(
            "cannot make the cache folder {}: set IPVS_LATENCY_CACHE to another",
            root.display()
        )
    })?;
    // It may be made by us only now.
    ensure!(
        is_there(&root)?,
        "the cache folder {} was removed just now",
        root.display()
    );
    let path = root.join("lock");
    // Whoever may read a file may lock it, and so keep us waiting: this one is for its owner alone.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .with_context(|| format!("cannot keep {} to yourself", path.display()))?;
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
    let _ = fs::remove_dir_all(staging_root()?);
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

fn staging_root() -> Result<PathBuf> {
    Ok(root()?.join("staging"))
}

/// Makes a folder that others cannot enter: what packages bring along has folders that everybody may write to.
fn private_folder(folder: &Path) -> Result<()> {
    let whose = root()?;
    if folder != whose {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

impl Lock {
    /// An empty folder to build something in, on the same file system as the cache.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self) -> Result<TempDir> {
        let parent = staging_root()?;
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
            private_folder(parent).with_context(failed)?;
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

    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        }
    }

    #[test]
    fn the_root_is_the_first_of_three_variables_that_is_set_and_else_in_the_home_of_the_list_of_users()
     {
        let table: [(&[(&str, &str)], &str); 5] = [
            (&[], "/listed/.cache/ipvs-latency"),
            (&[("HOME", "/h")], "/h/.cache/ipvs-latency"),
            (
                &[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")],
                "/x/ipvs-latency",
            ),
            (
                &[("HOME", "/h"), ("XDG_CACHE_HOME", "x")],
                "/h/.cache/ipvs-latency",
            ),
            (
                &[
                    ("HOME", "/h"),
                    ("XDG_CACHE_HOME", "/x"),
                    ("IPVS_LATENCY_CACHE", "/c"),
                ],
                "/c",
            ),
        ];
        for (set, expected) in table {
            let found = root_from(variables(set), || Ok("/listed".into())).unwrap();
            assert_eq!(found, Path::new(expected));
        }
    }

    #[test]
    fn without_any_home_no_folder_is_made_up() {
        let error = root_from(variables(&[]), || Err(anyhow!("no home"))).unwrap_err();
        assert_eq!(error.to_string(), "no home");
        // The user who runs this test is in the list, or the error has a hint.
        match home() {
            Ok(home) => assert!(home.is_absolute()),
            Err(error) => assert!(
                error.to_string().contains("\nhint: set IPVS_LATENCY_CACHE"),
                "{error}"
            ),
        }
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_with_a_hint_and_one_that_is_missing_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let set = [("IPVS_LATENCY_CACHE", cache.to_str().unwrap())];
        let found = || checked_root(variables(&set), || Ok("/".into()));
        assert_eq!(found().unwrap(), cache);
        fs::create_dir(&cache).unwrap();
        fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
        let error = found().unwrap_err().to_string();
        assert!(
            error.contains("may be changed by everybody (mode 777)\nhint: set"),
            "{error}"
        );
    }
}
