//! Package files, unpacked into a folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Folders that packages still ship beside `/usr` and that are one with it on every machine.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// Unpacks a package file below `root`, with merged `/usr`, leaving out paths that match a pattern.
///
/// Patterns are those of GNU tar, from `./` on. Owners are not kept.
///
/// # Errors
/// When the file is damaged, or the folder cannot be written.
pub fn unpack(package: &Path, root: &Path, leave_out: &[&str]) -> Result<()> {
    let failed = || format!("cannot unpack {} to {}", package.display(), root.display());
    merge_usr(root).with_context(failed)?;
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    let stream = reader.stdout.take().with_context(failed)?;
    let status = Command::new("tar")
        .args([
            "-x",
            "-p",
            "--no-same-owner",
            "--keep-directory-symlink",
            "--wildcards",
            "--anchored",
        ])
        .args(
            leave_out
                .iter()
                .map(|pattern| format!("--exclude={pattern}")),
        )
        .arg("-C")
        .arg(root)
        .stdin(stream)
        .status();
    let read = reader.wait().with_context(failed)?;
    ensure!(
        status.with_context(failed)?.success() && read.success(),
        "{}",
        failed()
    );
    Ok(())
}

fn merge_usr(root: &Path) -> std::io::Result<()> {
    for name in MERGED {
        fs::create_dir_all(root.join("usr").join(name))?;
        let link = root.join(name);
        if !link.exists() {
            symlink(Path::new("usr").join(name), link)?;
        }
    }
    Ok(())
}
