//! A file that is said to be a module, read whole but never more than a module can be.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use nix::fcntl::OFlag;
use thiserror::Error;

/// Ten times the biggest module of a distribution with its debug information.
pub const MOST: u64 = 64 << 20;

/// Why a file cannot be read as a module.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum FileError {
    #[error("cannot be opened ({0}): name a kernel module, a file that ends in .ko")]
    Open(io::Error),
    #[error("is {0} and no regular file: name a kernel module, a file that ends in .ko")]
    Kind(&'static str),
    #[error("is empty, so it is no kernel module: build or copy it again")]
    Empty,
    #[error(
        "has {0} bytes, and no kernel module has more than {MOST}: name a file that ends in .ko"
    )]
    Size(u64),
    #[error("cannot be read ({0}): copy it again")]
    Read(io::Error),
    #[error("is compressed with {0}: uncompress it first, with `{1}`")]
    Compressed(&'static str, &'static str),
}

/// The bytes of the file at `path`.
///
/// # Errors
///
/// When it is not a regular file of a module's size, or cannot be read. Never waits, for a writer of a
/// pipe least of all.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(FileError::Open)?;
    let bytes = regular(file)?;
    match compression(&bytes) {
        Some((name, undo)) => Err(FileError::Compressed(name, undo)),
        None => Ok(bytes),
    }
}

fn regular(file: File) -> Result<Vec<u8>, FileError> {
    let meta = file.metadata().map_err(FileError::Read)?;
    let kind = meta.file_type();
    let refused = [
        (kind.is_dir(), "a directory"),
        (kind.is_fifo(), "a pipe"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
    ];
    if let Some((_, what)) = refused.into_iter().find(|(is, _)| *is) {
        return Err(FileError::Kind(what));
    }
    let size = match meta.len() {
        0 => return Err(FileError::Empty),
        size if size > MOST => return Err(FileError::Size(size)),
        size => usize::try_from(size).unwrap_or_default(),
    };
    let mut bytes = Vec::new();
    // Room for a byte more keeps the vector from growing to twice its length at the end.
    bytes
        .try_reserve_exact(size + 1)
        .map_err(|error| FileError::Read(io::Error::other(error)))?;
    // It may grow while it is read.
    let read = file.take(MOST).read_to_end(&mut bytes);
    read.map_err(FileError::Read)?;
    Ok(bytes)
}

/// How a distribution compressed a module, and what undoes it.
fn compression(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let known: [(&[u8], _, _); 3] = [
        (b"\xfd7zXZ\0", "xz", "xz -dk FILE"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dk FILE"),
        (b"\x1f\x8b", "gzip", "gzip -dk FILE"),
    ];
    let found = known.iter().find(|(magic, ..)| bytes.starts_with(magic));
    found.map(|(_, name, undo)| (*name, *undo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};
    use std::fs;

    #[test]
    fn what_is_no_module_is_told_in_a_sentence_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::write(at("packed"), b"\xfd7zXZ\0\0").unwrap();
        let huge = File::create(at("huge")).unwrap();
        huge.set_len(1 << 30).unwrap();
        for (name, words) in [
            ("fifo", "a pipe"),
            ("", "a directory"),
            ("empty", "empty"),
            ("huge", "1073741824 bytes"),
            ("missing", "cannot be opened"),
            ("packed", "xz -dk"),
            ("../../dev/null", "a device"),
        ] {
            let path = if name.ends_with("null") {
                "/dev/null".into()
            } else {
                at(name)
            };
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{name}: {error}");
            assert!(!error.contains('\n'), "{name}: {error}");
        }
        fs::write(at("small"), "x").unwrap();
        assert_eq!(read(&at("small")).unwrap(), b"x");
    }
}
