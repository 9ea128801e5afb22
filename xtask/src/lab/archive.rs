//! Files and folders as a cpio archive, the format the kernel and PID 1 unpack.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use cpio::newc::{Builder, ModeFileType, trailer};

/// An archive being written.
pub struct Archive<W: Write> {
    to: Option<W>,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// An empty one.
    pub fn new(to: W) -> Self {
        Self {
            to: Some(to),
            entries: 0,
        }
    }

    /// Adds the file, folder or link `source` as `name`, a path of the guest; a folder with everything in it.
    pub fn add(&mut self, source: &Path, name: &str) -> Result<()> {
        self.add_entry(source, name)
            .with_context(|| format!("cannot pack {}", source.display()))
    }

    /// Adds an empty folder.
    pub fn add_folder(&mut self, name: &str) -> Result<()> {
        self.write(name, ModeFileType::Directory, 0o755, &[])
    }

    fn add_entry(&mut self, source: &Path, name: &str) -> Result<()> {
        let meta = fs::symlink_metadata(source)?;
        if meta.is_symlink() {
            let target = fs::read_link(source)?;
            return self.write(
                name,
                ModeFileType::Symlink,
                meta.mode(),
                target.as_os_str().as_bytes(),
            );
        }
        if meta.is_file() {
            return self.add_file(&File::open(source)?, &meta, name);
        }
        if !meta.is_dir() {
            bail!("it is {}", what(&meta));
        }
        self.write(name, ModeFileType::Directory, meta.mode(), &[])?;
        let mut children: Vec<_> = fs::read_dir(source)?.collect::<io::Result<_>>()?;
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            let Ok(file_name) = child.file_name().into_string() else {
                bail!("the name of {} is not UTF-8", child.path().display())
            };
            self.add(
                &child.path(),
                &format!("{}/{file_name}", name.trim_end_matches('/')),
            )?;
        }
        Ok(())
    }

    fn add_file(&mut self, mut file: &File, meta: &Metadata, name: &str) -> Result<()> {
        let size = u32::try_from(meta.len())
            .context("it is too large for the archive's format (4 GiB)")?;
        let mut entry = self
            .header(name, ModeFileType::Regular, meta.mode())
            .write(self.take()?, size);
        io::copy(&mut file, &mut entry)?;
        self.to = Some(entry.finish().context("it changed while it was read")?);
        Ok(())
    }

    fn write(&mut self, name: &str, kind: ModeFileType, mode: u32, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len())?;
        let mut entry = self.header(name, kind, mode).write(self.take()?, size);
        entry.write_all(content)?;
        self.to = Some(entry.finish()?);
        Ok(())
    }

    fn header(&mut self, name: &str, kind: ModeFileType, mode: u32) -> Builder {
        self.entries += 1;
        // Every entry is a file of its own: the same inode number would make them hard links.
        Builder::new(name.trim_start_matches('/'))
            .ino(self.entries)
            .mode(mode & 0o7777)
            .set_mode_file_type(kind)
    }

    fn take(&mut self) -> Result<W> {
        self.to
            .take()
            .context("an earlier file could not be packed")
    }

    /// Writes what marks the end, and gives back what was written to.
    pub fn finish(mut self) -> Result<W> {
        Ok(trailer(self.take()?)?)
    }
}

fn what(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}
