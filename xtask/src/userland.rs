//! The guest's programs: Debian packages unpacked into a folder, never installed.

mod kpatch;
mod systemd;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::packages::{Suite, tree};

pub use kpatch::kpatch;
pub use systemd::systemd_root;

/// Raise it when anything in this file changes what the folders hold.
const RECIPE: u32 = 4;

/// The programs run under every kernel line, and this suite's tools know the oldest and the newest of them.
const SUITE: &str = "bookworm";

/// The folder that holds the guest's programs.
pub const BASE: &str = "base";
/// The folder that bpftrace is in.
pub const BPFTRACE: &str = "bpftrace";
/// The folder that systemd is in.
pub const SYSTEMD: &str = "systemd";

/// What scripts in a guest may count on.
const PROGRAMS: &[&str] = &[
    "bash",
    "bsdutils",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "grep",
    "iproute2",
    "iputils-ping",
    "ipvsadm",
    "kmod",
    "libcap2-bin",
    "mawk",
    "mount",
    "ncurses-bin",
    "procps",
    "sed",
    "util-linux",
    // Said aloud, or apt solves for the package that merges /usr, and that is written in Perl.
    "usr-is-merged",
];

/// Dependencies of the packages' installation scripts, which never run, and of programs left out below.
const SKIPPED_PACKAGES: &[&str] = &[
    "debconf",
    "dpkg",
    "gcc-12-base",
    "init-system-helpers",
    "libdb5.3",
    "perl-base",
    "sysvinit-utils",
    "tar",
    "usr-is-merged",
];

/// Files that no guest reads.
const LEAVE_OUT: &[&str] = &[
    "./usr/share",
    "./etc/cron*",
    "./etc/init.d",
    "./etc/default",
    "./lib/systemd",
    "./usr/lib/systemd",
    "./usr/lib/tmpfiles.d",
    "./usr/lib/x86_64-linux-gnu/gconv",
    "./usr/lib/x86_64-linux-gnu/audit",
    "./usr/lib/x86_64-linux-gnu/perl*",
    "./usr/sbin/arpd",
    "./var/cache",
    "./var/lib/dpkg",
];

/// Links that the packages' installation scripts would have made, as link and target.
const LINKS: &[(&str, &str)] = &[
    ("usr/bin/awk", "mawk"),
    ("usr/bin/sh", "dash"),
    ("usr/bin/which", "which.debianutils"),
    ("etc/mtab", "../proc/self/mounts"),
];

/// Folders every root has, though no package here brings them.
const FOLDERS: &[&str] = &["dev", "etc", "proc", "root", "run", "sys", "tmp", "var/lib"];

/// Gives the folder that holds the guest's programs and all they need, fetching it first where needed.
///
/// # Errors
/// When the packages cannot be fetched or unpacked.
pub fn root() -> Result<PathBuf> {
    let place = base()?;
    tree::provide(&place, |lock, stage| {
        let suite = Suite::open(lock, SUITE)?;
        unpack_all(&suite, &base_packages(&suite)?, LEAVE_OUT, stage)?;
        finish(&stage.join("root"))
    })?;
    Ok(place)
}

/// Gives a second folder, to lay over [`root`]: bpftrace and those of its libraries that the first lacks.
///
/// # Errors
/// When the packages cannot be fetched or unpacked.
pub fn bpftrace_root() -> Result<PathBuf> {
    let base = root()?;
    let place = folder(BPFTRACE)?;
    tree::provide(&place, |lock, stage| {
        let suite = Suite::open(lock, SUITE)?;
        let packages = suite
            .closure(&["bpftrace"])?
            .difference(&base_packages(&suite)?)
            .cloned()
            .collect();
        unpack_all(&suite, &packages, LEAVE_OUT, stage)?;
        remove_known(&stage.join("root"), &base)
    })?;
    Ok(place)
}

fn base_packages(suite: &Suite) -> Result<BTreeSet<String>> {
    let mut packages = suite.closure(PROGRAMS)?;
    packages.retain(|name| !SKIPPED_PACKAGES.contains(&name.as_str()));
    Ok(packages)
}

fn base() -> Result<PathBuf> {
    folder(BASE)
}

/// Returns whether one of the folders is there: [`BASE`], [`BPFTRACE`] or [`SYSTEMD`].
///
/// # Errors
/// When a stranger may have put it there.
pub fn is_there(name: &str) -> Result<bool> {
    cache::is_there(&folder(name)?)
}

fn folder(name: &str) -> Result<PathBuf> {
    let name = format!("{name}-{SUITE}-{RECIPE}");
    Ok(cache::root()?.join("userland").join(name))
}

fn unpack_all(
    suite: &Suite,
    packages: &BTreeSet<String>,
    leave_out: &[&str],
    stage: &Path,
) -> Result<()> {
    eprintln!(
        "fetching {} packages of {} for the guest",
        packages.len(),
        suite.name()
    );
    tree::fill(suite, packages, leave_out, stage)
}

fn finish(root: &Path) -> Result<()> {
    for name in FOLDERS {
        fs::create_dir_all(root.join(name))
            .with_context(|| format!("cannot make /{name} for the guest"))?;
    }
    for (link, target) in LINKS {
        let path = root.join(link);
        let _ = fs::remove_file(&path);
        symlink(target, &path).with_context(|| format!("cannot make /{link} for the guest"))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    Ok(())
}

/// Removes what the base has too, and the folders that are then empty.
fn remove_known(folder: &Path, base: &Path) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let (path, twin) = (entry.path(), base.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            remove_known(&path, &twin)?;
            // Refused while anything is left in it.
            let _ = fs::remove_dir(&path);
        } else if twin.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_base_lacks_is_laid_over_it() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (base, over) = (dir.path().join("base"), dir.path().join("over"));
        for path in ["base/lib", "over/lib", "over/bin"] {
            fs::create_dir_all(dir.path().join(path))?;
        }
        for path in ["base/lib/a.so", "over/lib/a.so", "over/bin/tool"] {
            fs::write(dir.path().join(path), "")?;
        }
        remove_known(&over, &base)?;
        assert!(!over.join("lib").exists() && over.join("bin/tool").exists());
        Ok(())
    }
}
