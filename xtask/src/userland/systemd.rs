//! systemd, for guests in which it is PID 1: Debian's, with the units that need neither D-Bus nor udev.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{SUITE, SYSTEMD, base_packages, folder, remove_known, root, unpack_all};
use crate::packages::{Suite, tree};

/// Where its program is.
const PROGRAM: &str = "usr/lib/systemd/systemd";

/// What no guest reads, and what would wait for a device, a bus or a login that no guest has: the boot would never be
/// complete.
const LEAVE_OUT: &[&str] = &[
    "./etc/init.d",
    "./lib/systemd/system-generators/systemd-getty-generator",
    "./lib/systemd/system/*/systemd-logind.service",
    "./lib/systemd/system/*/getty*",
    "./lib/systemd/system/*/ldconfig.service",
    "./lib/systemd/system/*/systemd-ask-password*",
    "./lib/systemd/system/*/systemd-firstboot.service",
    "./lib/systemd/system/*/systemd-hwdb-update.service",
    "./lib/systemd/system/*/systemd-journal-catalog-update.service",
    "./usr/lib/systemd/catalog",
    "./usr/lib/x86_64-linux-gnu/gconv",
    "./usr/lib/x86_64-linux-gnu/audit",
    "./usr/lib/x86_64-linux-gnu/perl*",
    "./usr/share",
    "./var/cache",
    "./var/lib/dpkg",
];

/// What its package's installation script would have made, as path and content. Without a machine id it would take every
/// boot for the first one.
const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "lab\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    (
        "etc/group",
        "root:x:0:\nadm:x:4:\ntty:x:5:\nutmp:x:43:\nsystemd-journal:x:101:\n",
    ),
];

/// Returns a folder to lay over [`root`]: systemd and those of its libraries that the first lacks.
///
/// # Errors
/// When the packages cannot be fetched or unpacked.
pub fn systemd_root() -> Result<PathBuf> {
    let base = root()?;
    let place = folder(SYSTEMD)?;
    tree::provide(&place, |lock, stage| {
        let suite = Suite::open(lock, SUITE)?;
        let packages = suite
            .closure(&["systemd", "usr-is-merged"])?
            .difference(&base_packages(&suite)?)
            .filter(|name| !super::SKIPPED_PACKAGES.contains(&name.as_str()))
            .cloned()
            .collect();
        unpack_all(&suite, &packages, LEAVE_OUT, stage)?;
        let root = stage.join("root");
        remove_known(&root, &base)?;
        finish(&root)
    })?;
    Ok(place)
}

fn finish(root: &Path) -> Result<()> {
    // The folder for an administrator's units, which was removed with the files that the base has too.
    fs::create_dir_all(root.join("etc/systemd/system"))?;
    for (path, content) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    fs::metadata(root.join(PROGRAM))
        .map(|_| ())
        .with_context(|| format!("the packages of systemd have no /{PROGRAM}"))
}
