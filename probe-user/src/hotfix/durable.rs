//! Files that are there whole or not at all, and on disk when that is said.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// Puts a file in its place, over an older one too.
///
/// # Errors
///
/// When it cannot be written: what was there is there still.
pub fn put(file: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(file)?;
    let mut written = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    written.write_all(content)?;
    written.as_file().sync_all()?;
    written.persist(file)?;
    sync(folder)
}

/// Removes a file, and tells whether it was there.
///
/// # Errors
///
/// When it cannot be removed.
pub fn remove(file: &Path) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => sync(folder_of(file)?).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a folder, with all above it, where nobody but its owner writes, whatever the umask.
///
/// # Errors
///
/// When one of them cannot be made, or is no folder.
pub fn folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path)?;
    folder(above)?;
    match DirBuilder::new().mode(0o755).create(path) {
        // Somebody else was faster.
        Err(error) if !(error.kind() == io::ErrorKind::AlreadyExists && path.is_dir()) => {
            Err(error)
        }
        _ => sync(above),
    }
}

/// Has the names in a folder on disk.
///
/// # Errors
///
/// When the disk fails.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    let none = || io::Error::new(io::ErrorKind::InvalidInput, "it is in no folder");
    path.parent().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_removed_once() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b");
        folder(&deep).unwrap();
        folder(&deep).unwrap();
        let file = deep.join("c");
        put(&file, 0o600, b"one").unwrap();
        put(&file, 0o600, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(&deep).unwrap().count(),
            1,
            "no temporary file is left"
        );
        assert!(remove(&file).unwrap());
        assert!(!remove(&file).unwrap());
    }

    #[test]
    fn what_is_in_the_way_stays_and_is_told() {
        let place = tempfile::tempdir().unwrap();
        let taken = place.path().join("taken");
        folder(&taken.join("inside")).unwrap();
        put(&taken, 0o600, b"x").unwrap_err();
        remove(&taken).unwrap_err();
        fs::write(place.path().join("file"), "").unwrap();
        folder(&place.path().join("file/folder")).unwrap_err();
        assert!(taken.join("inside").is_dir());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }
}
