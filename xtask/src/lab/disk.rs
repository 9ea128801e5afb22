//! The disk that outlives the guest, as a raw image on the host.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::programs::find_program;

/// Size of an image made here; it takes room on the host only as it fills.
const SIZE: u64 = 256 * 1024 * 1024;

/// Makes `image` an empty ext4 file system, unless something is in it already.
pub fn provide(image: &Path) -> Result<()> {
    if image.metadata().is_ok_and(|meta| meta.len() > 0) {
        return Ok(());
    }
    let mkfs = find_program("mkfs.ext4")
        .context("there is no mkfs.ext4 for the disk: install e2fsprogs")?;
    let file =
        File::create(image).with_context(|| format!("cannot make the disk {}", image.display()))?;
    file.set_len(SIZE)
        .with_context(|| format!("cannot make the disk {}", image.display()))?;
    let output = Command::new(mkfs)
        .args(["-q", "-F"])
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .context("cannot run mkfs.ext4")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "mkfs.ext4 cannot format {}: {}",
        image.display(),
        said.trim()
    );
    Ok(())
}
