//! What a run brings along, unpacked into the guest's root.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, bail};
use cpio::newc::{Entry, Reader};
use nix::libc;

use super::port::Port;
use crate::wire::CHUNK;

/// Unpacks the archive that comes through `port`.
pub fn unpack(port: Port) -> Result<()> {
    unpack_below(
        Path::new("/"),
        BufReader::with_capacity(CHUNK, Source(port)),
    )
}

/// A port, owned: what reads from it needs no lifetime.
struct Source(Port);

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.spin()?;
        (&self.0).read(buffer)
    }
}

fn unpack_below(root: &Path, mut archive: impl Read) -> Result<()> {
    loop {
        let mut reader = Reader::new(archive).context("the archive of files broke off")?;
        if reader.entry().is_trailer() {
            return Ok(());
        }
        let entry = reader.entry().clone();
        let path = root.join(entry.name().trim_start_matches('/'));
        place(&entry, &path, &mut reader)
            .with_context(|| format!("cannot make {}", path.display()))?;
        archive = reader.finish()?;
    }
}

fn place(entry: &Entry, path: &Path, content: &mut impl Read) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match entry.mode() & libc::S_IFMT {
        libc::S_IFDIR => match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made?,
        },
        libc::S_IFLNK => {
            let mut target = Vec::new();
            content.read_to_end(&mut target)?;
            remove(path)?;
            return Ok(symlink(OsString::from_vec(target), path)?);
        }
        libc::S_IFREG => {
            remove(path)?;
            io::copy(content, &mut File::create(path)?)?;
        }
        _ => bail!("its type (mode {:o}) is none the lab carries", entry.mode()),
    }
    Ok(fs::set_permissions(
        path,
        Permissions::from_mode(entry.mode() & 0o7777),
    )?)
}

/// Makes way for a file: what is there already may be a link, or a program that runs.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
