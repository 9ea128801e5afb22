//! The kernel as QEMU starts it fastest: unpacked already.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::initrd::keep;
use crate::cache;
use crate::kernel::Kernel;

/// The kernel's image without its compression.
///
/// Unpacking itself takes an emulated kernel several seconds, every time; the host does it once. Such a kernel starts
/// at its PVH entry, and is not moved to a random address. Where the format is none we know, it is the image as it is.
pub fn unpacked(kernel: &Kernel) -> Result<PathBuf> {
    let place = cache::root()?
        .join("lab")
        .join(format!("vmlinux-{}", kernel.release));
    if cache::is_there(&place)? {
        return Ok(place);
    }
    let image = fs::read(&kernel.image)
        .with_context(|| format!("cannot read {}", kernel.image.display()))?;
    match payload(&image).and_then(unpack) {
        Some(vmlinux) => {
            keep(&place, |file| {
                Ok(std::io::Write::write_all(file, &vmlinux)?)
            })?;
            Ok(place)
        }
        None => Ok(kernel.image.clone()),
    }
}

/// The compressed kernel inside the image, by the fields of the boot protocol's header.
fn payload(image: &[u8]) -> Option<&[u8]> {
    const SETUP_SECTORS: usize = 0x1f1;
    const MAGIC: usize = 0x202;
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24c;
    let number = |at: usize| {
        image
            .get(at..at + 4)
            .and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize))
    };
    (image.get(MAGIC..MAGIC + 4)? == b"HdrS").then_some(())?;
    let start = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * 512 + number(PAYLOAD_OFFSET)?;
    image.get(start..start + number(PAYLOAD_LENGTH)?)
}

fn unpack(payload: &[u8]) -> Option<Vec<u8>> {
    let mut vmlinux = Vec::new();
    lzma_rust2::XzReader::new(payload, false)
        .read_to_end(&mut vmlinux)
        .ok()?;
    vmlinux.starts_with(b"\x7fELF").then_some(vmlinux)
}
