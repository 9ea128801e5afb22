//! The folder of what `hotfix` remembers, which belongs to root alone. It is opened part by part at each use, and all
//! that is in it is reached through what was opened.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, SFlag};

use super::{
    folder::{self, Folder, NEW},
    walk::{kind, walk},
};

/// The mode of every folder of it.
pub const FOLDER: Mode = Mode::S_IRWXU;

/// The mode of every file of it.
pub const FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// What it has in it. A folder with something else in it is shared with others, and stays as open as it is.
const OURS: [&str; 5] = ["lock", "lock.past", "journal.json", "hotfixes", "built"];

/// How deep folders are in it.
const DEPTH: u32 = 3;

/// Returns the folder's path with its links followed, as the host under `root` follows them: this path is recorded, and
/// opened at each use. If it is unknown, or others could change a part of it, the path as given: each use then fails in
/// the same way, and says so.
#[must_use]
pub fn resolved(root: &Path, state_dir: &Path) -> PathBuf {
    let Ok(state_dir) = std::path::absolute(state_dir) else {
        return state_dir.to_owned();
    };
    let (top, inside) = match state_dir.strip_prefix(root) {
        Ok(inside) => (root, inside),
        Err(_) => (Path::new("/"), state_dir.as_path()),
    };
    match walk(top, inside) {
        Ok(walked) if walked.lasting.is_none() => folder::shown(top, &walked.path),
        _ => state_dir,
    }
}

/// Opens it; `None` where it is not there.
///
/// # Errors
///
/// When it cannot be opened, or others than root and this process's user could change it.
pub fn open(path: &Path) -> io::Result<Option<Folder>> {
    Folder::open(Path::new("/"), &std::path::absolute(path)?)
}

/// Opens the folder, and makes it if it is not there. Removes read access that an earlier version left to others.
///
/// # Errors
///
/// When it cannot be made, opened or given its mode, or others could change it.
pub fn make(path: &Path) -> io::Result<Folder> {
    let folder = Folder::make(Path::new("/"), &std::path::absolute(path)?, FOLDER)?;
    tighten(&folder, DEPTH)?;
    Ok(folder)
}

/// Returns the content of a file of it; `None` where there is none.
///
/// # Errors
///
/// When it cannot be opened or read, has more than `most` bytes, or others could change it.
pub fn read(path: &Path, file: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    match open(path)? {
        Some(folder) => folder.read(file, most),
        None => Ok(None),
    }
}

/// Writes a file of the folder: the whole file is there or none of it, and it is on disk when this returns.
///
/// # Errors
///
/// When it cannot be written: what was there is there still.
pub fn put(path: &Path, file: &str, content: &[u8]) -> io::Result<()> {
    make(path)?.put(file, FILE, content)
}

fn tighten(folder: &Folder, depth: u32) -> io::Result<()> {
    let names = folder.names()?;
    let is_ours = |name: &OsStr| {
        let known = OURS.iter().any(|ours| name == *ours);
        known || name.to_string_lossy().starts_with(NEW)
    };
    let is_below = depth < DEPTH;
    if is_below || names.iter().all(|name| is_ours(name)) {
        folder.tighten(FOLDER)?;
    }
    for name in names.iter().filter(|name| is_below || is_ours(name)) {
        match folder.look(name)?.as_ref().map(kind) {
            Some(SFlag::S_IFDIR) if depth > 1 => {
                if let Some(inner) = folder.folder(name)? {
                    tighten(&inner, depth - 1)?;
                }
            }
            // What others could change is not read: whoever would read it says so.
            Some(SFlag::S_IFREG) if name != "lock" => {
                if let Ok(Some(file)) = folder.file(name) {
                    folder::tighten(&file, FILE)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
