//! kpatch, which people load livepatches with: a script, and the one program that no guest has yet.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{LEAVE_OUT, SUITE, folder, unpack_all};
use crate::lab::Copy;
use crate::packages::{Suite, tree};

/// The first release that has it is Debian 13.
const KPATCH_SUITE: &str = "trixie";

/// `readelf` and what it is linked to; the script's other programs are in every guest.
const READELF_PACKAGES: [&str; 3] = ["binutils-x86-64-linux-gnu", "libbinutils", "libctf-nobfd0"];

/// What of all these packages a guest gets, and where.
const FILES: [(&str, &str); 4] = [
    ("usr/sbin/kpatch", "/usr/sbin/kpatch"),
    ("usr/bin/x86_64-linux-gnu-readelf", "/usr/bin/readelf"),
    (
        "usr/lib/x86_64-linux-gnu/libctf-nobfd.so.0",
        "/usr/lib/x86_64-linux-gnu/libctf-nobfd.so.0",
    ),
    (
        "usr/lib/x86_64-linux-gnu/libsframe.so.0",
        "/usr/lib/x86_64-linux-gnu/libsframe.so.0",
    ),
];

/// Gives what a guest needs copied to have `kpatch`, fetching it first where needed.
///
/// # Errors
/// When the packages cannot be fetched or unpacked.
pub fn kpatch() -> Result<Vec<Copy>> {
    let place = folder("kpatch")?;
    tree::provide(&place, |lock, stage| {
        let unpacked = stage.join("unpacked");
        for (suite, packages) in [
            (KPATCH_SUITE, ["kpatch"].as_slice()),
            (SUITE, &READELF_PACKAGES),
        ] {
            let suite = Suite::open(lock, suite)?;
            let packages = packages.iter().map(|name| (*name).to_owned()).collect();
            let part = unpacked.join(suite.name());
            unpack_all(&suite, &packages, LEAVE_OUT, &part)?;
            keep(&part.join("root"), &stage.join("root"))?;
        }
        Ok(())
    })?;
    Ok(FILES.map(|(from, to)| copy(place.join(from), to)).into())
}

fn copy(source: PathBuf, destination: &str) -> Copy {
    Copy {
        source,
        destination: Some(destination.into()),
    }
}

/// Copies those of the files that are there, links as what they point at.
fn keep(unpacked: &Path, root: &Path) -> Result<()> {
    for (file, _) in FILES {
        let (from, to) = (unpacked.join(file), root.join(file));
        if from.exists() {
            fs::create_dir_all(to.parent().unwrap_or(root))?;
            fs::copy(&from, &to).with_context(|| format!("cannot keep {}", from.display()))?;
        }
    }
    Ok(())
}
