//! The disk that outlives the guest.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

const DEVICE: &str = "/dev/vda";
const TARGET: &str = "/disk";

/// Mounts the disk on `/disk`.
pub fn mount_disk() -> Result<()> {
    for _ in 0..1_000 {
        if Path::new(DEVICE).exists() {
            std::fs::create_dir_all(TARGET).with_context(|| format!("cannot make {TARGET}"))?;
            return mount(
                Some(DEVICE),
                TARGET,
                Some("ext4"),
                MsFlags::empty(),
                None::<&str>,
            )
            .context("cannot mount the disk: is the file an ext4 image, or empty?");
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("the guest has no {DEVICE}")
}

/// Unmounts the disk, so that all of it is on the host.
pub fn unmount_disk() -> Result<()> {
    nix::unistd::sync();
    match umount2(TARGET, MntFlags::empty()) {
        // The command may have unmounted it itself.
        Ok(()) | Err(nix::Error::EINVAL) => Ok(()),
        Err(error) => Err(error).context("cannot unmount the disk"),
    }
}
