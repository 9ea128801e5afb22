//! Debian's own kernels, by line: found, fetched, unpacked and kept by exact version.

pub mod headers;
mod line;
mod own;
mod release;
pub mod under_test;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result as AnyResult, anyhow, ensure};

use crate::cache;
use crate::packages::{Suite, unpack};
use crate::programs::command_path;
use release::Release;

pub use headers::fetch as headers;
pub use line::Line;
pub use own::OwnKernel;

/// How long a line's release is believed to be the newest.
const DAY: Duration = Duration::from_hours(24);

/// Modules that no guest of ours can use, and documentation: most of a kernel package.
const LEAVE_OUT: &[&str] = &[
    "./usr/share",
    "*/kernel/sound",
    "*/kernel/drivers/gpu",
    "*/kernel/drivers/media",
    "*/kernel/drivers/iio",
    "*/kernel/drivers/infiniband",
    "*/kernel/drivers/staging",
    "*/kernel/drivers/net/wireless",
    "*/kernel/drivers/net/ethernet",
];

/// A kernel at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The line it was asked for by; `None` for a kernel of one's own.
    pub line: Option<Line>,
    /// What `uname -r` says in it.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    /// Its modules with `modules.dep` and the other indexes; the last part of the path is the release.
    pub modules: PathBuf,
}

/// Why a kernel or its headers are not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine or its package archive cannot provide it: nothing to mend here, a test skips on it.
    #[error("{what} cannot be had here: {why}")]
    Unavailable {
        /// The kernel or headers meant.
        what: String,
        /// The reason, as a clause.
        why: String,
    },
    /// It should have worked.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Error {
    fn unavailable(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unavailable {
            what: what.to_string(),
            why: why.to_string(),
        }
    }
}

/// Where a release is kept and which suite it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    release: String,
    suite: String,
}

/// Gives the newest kernel of a line, from the cache where it was resolved within a day.
///
/// Without a reachable archive, a cached kernel of the line is good however old it is.
///
/// # Errors
/// [`Error::Unavailable`] when no kernel of the line is cached and no suite offers one.
pub fn fetch(line: &Line) -> Result<Kernel, Error> {
    let line = *line;
    if let Some(kernel) = known(line)?
        && is_fresh(line)?
    {
        return Ok(kernel);
    }
    let lock = cache::lock()?;
    // Another process may have fetched it while this one waited.
    let cached = known(line)?;
    if let Some(kernel) = &cached
        && is_fresh(line)?
    {
        return Ok(kernel.clone());
    }
    match (resolve(&lock, line), cached) {
        (Ok((suite, found)), _) => {
            if at(line, &found.release)?.is_none() {
                unpack_release(&lock, &suite, &found)?;
            }
            write_note(line, &found)?;
            at(line, &found.release)?.ok_or_else(|| {
                anyhow!("the kernel {} was fetched but is not whole", found.release).into()
            })
        }
        (Err(why), Some(kernel)) => {
            eprintln!("warning: {why}; using {} of the cache", kernel.release);
            postpone(line);
            Ok(kernel)
        }
        (Err(why), None) => Err(why),
    }
}

/// Returns whether [`fetch`] has a kernel of the line without looking for a newer one.
///
/// # Errors
/// When a stranger may have put it there.
pub fn is_at_hand(line: Line) -> AnyResult<bool> {
    Ok(known(line)?.is_some() && is_fresh(line)?)
}

/// Makes the next [`fetch`] of the line look for a newer release.
pub fn expire(line: Line) {
    set_age(line, DAY);
}

/// After a failed look: try again in an hour, not on every run.
fn postpone(line: Line) {
    set_age(line, DAY.saturating_sub(Duration::from_hours(1)));
}

fn set_age(line: Line, age: Duration) {
    let written = SystemTime::now() - age;
    let opened = note_of(line).map(|note| fs::File::options().append(true).open(note));
    // Without a note there is nothing whose age could matter.
    if let Ok(Ok(note)) = opened {
        let _ = note.set_modified(written);
    }
}

fn folder() -> AnyResult<PathBuf> {
    Ok(cache::root()?.join("kernels"))
}

/// The file that says which release a line stands for, and since when.
fn note_of(line: Line) -> AnyResult<PathBuf> {
    Ok(folder()?.join(format!("{line}.line")))
}

/// Returns whether a line's release is still believed to be the newest.
fn is_fresh(line: Line) -> AnyResult<bool> {
    Ok(cache::fresh(&note_of(line)?, DAY))
}

fn read_note(line: Line) -> Option<Found> {
    let text = fs::read_to_string(note_of(line).ok()?).ok()?;
    let (release, suite) = text.trim().split_once(' ')?;
    Some(Found {
        release: release.to_owned(),
        suite: suite.to_owned(),
    })
}

fn write_note(line: Line, found: &Found) -> AnyResult<()> {
    let (note, draft) = (note_of(line)?, folder()?.join(format!("{line}.line.new")));
    fs::write(&draft, format!("{} {}\n", found.release, found.suite))
        .and_then(|()| fs::rename(&draft, &note))
        .with_context(|| format!("cannot write {}", note.display()))
}

fn known(line: Line) -> AnyResult<Option<Kernel>> {
    match read_note(line) {
        Some(found) => at(line, &found.release),
        None => Ok(None),
    }
}

/// The kernel of a release, if the cache has it.
fn at(line: Line, release: &str) -> AnyResult<Option<Kernel>> {
    let root = folder()?.join(release);
    let modules = root.join("lib/modules").join(release);
    let Some(image) = image_in(&root, release) else {
        return Ok(None);
    };
    let ours = cache::is_there(&image)? && cache::is_there(&modules)?;
    Ok(ours.then(|| Kernel {
        line: Some(line),
        release: release.to_owned(),
        image,
        modules,
    }))
}

/// Older packages have the image in `/boot`, newer ones beside the modules.
fn image_in(root: &Path, release: &str) -> Option<PathBuf> {
    let places = [
        format!("boot/vmlinuz-{release}"),
        format!("lib/modules/{release}/vmlinuz"),
    ];
    places
        .iter()
        .map(|place| root.join(place))
        .find(|path| path.is_file())
}

fn resolve(lock: &cache::Lock, line: Line) -> Result<(Suite, Found), Error> {
    let mut whys = Vec::new();
    for group in line.suites() {
        let mut best: Option<(Release, Suite)> = None;
        for name in *group {
            let suite = match Suite::open(lock, name) {
                Ok(suite) => suite,
                Err(why) => {
                    whys.push(format!("{why:#}"));
                    continue;
                }
            };
            let newest = suite
                .names("linux-image-")?
                .iter()
                .filter_map(|name| line.release(name))
                .max();
            match newest {
                Some(release) if best.as_ref().is_none_or(|(highest, _)| release > *highest) => {
                    best = Some((release, suite));
                }
                Some(_) => {}
                None => whys.push(format!("{name} has no image of it")),
            }
        }
        if let Some((release, suite)) = best {
            let found = Found {
                release: release.to_string(),
                suite: suite.name().to_owned(),
            };
            return Ok((suite, found));
        }
    }
    Err(Error::unavailable(
        format_args!("kernel {line}"),
        whys.join("; "),
    ))
}

fn unpack_release(lock: &cache::Lock, suite: &Suite, found: &Found) -> AnyResult<()> {
    let release = &found.release;
    eprintln!("fetching kernel {release} from {}", found.suite);
    let stage = lock.stage()?;
    let (debs, root) = (stage.path().join("debs"), stage.path().join("root"));
    fs::create_dir(&debs)?;
    // Since 7.0 the image package is empty and depends on others of the same release.
    let image = format!("linux-image-{release}");
    let packages = suite.with_dependencies(&[image], |name| {
        name.starts_with("linux-") && name.ends_with(release.as_str())
    })?;
    let names = packages.iter().map(|package| package.name.as_str());
    for deb in suite.download(names, &debs)? {
        unpack(&deb, &root, LEAVE_OUT)?;
    }
    let indexed = Command::new("depmod")
        .env("PATH", command_path())
        .arg("-b")
        .arg(&root)
        .arg(release)
        .status()
        .context("cannot run depmod: install the package kmod")?;
    ensure!(
        indexed.success(),
        "depmod cannot index the modules of {release}"
    );
    ensure!(
        image_in(&root, release).is_some(),
        "the package of {release} holds no kernel image"
    );
    lock.publish(&root, &folder()?.join(release))
}
