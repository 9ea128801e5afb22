//! Whether somebody else than root could change what root runs at every boot.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{
    sys::statfs::{self, FsType, TMPFS_MAGIC},
    unistd::Uid,
};

/// `include/uapi/linux/magic.h`.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Why not to trust what is at `path` of the host under `root`, or what will be; `None` where nothing speaks against it.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn why_not(root: &Path, path: &Path) -> io::Result<Option<String>> {
    let top = fs::canonicalize(root)?;
    let there = nearest(&root.join(inside(path)))?;
    for part in there.ancestors() {
        if !part.starts_with(&top) {
            return Ok((part == there).then(|| "leads out of this host's files".to_owned()));
        }
        let shown = Path::new("/").join(part.strip_prefix(&top).unwrap_or(part));
        let shown = shown.display();
        let meta = fs::metadata(part)?;
        let owner = Uid::from_raw(meta.uid());
        if !owner.is_root() && owner != Uid::effective() {
            return Ok(Some(format!(
                "can be changed by user {owner}, whose {shown} is"
            )));
        }
        if meta.mode() & 0o002 != 0 {
            return Ok(Some(format!(
                "can be changed by everybody, by way of {shown}"
            )));
        }
    }
    Ok(None)
}

/// Whether what is at `path` is in memory alone, and gone after a reboot.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    let there = nearest(path)?;
    let kind = statfs::statfs(&there)?.filesystem_type();
    Ok([TMPFS_MAGIC, RAMFS_MAGIC].contains(&kind))
}

/// The path without its leading `/`, to be looked for under another root.
pub fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// The path, or what is there of it, with links resolved.
fn nearest(path: &Path) -> io::Result<PathBuf> {
    let mut missing = io::ErrorKind::NotFound.into();
    for part in path.ancestors() {
        match fs::canonicalize(part) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing = error,
            resolved => return resolved,
        }
    }
    Err(missing)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn what_others_could_change_or_what_is_elsewhere_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("tool"), "").unwrap();
        let why = |path: &str| why_not(root.path(), Path::new(path)).unwrap();
        let open =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(why("/usr/bin/tool"), None);
        assert_eq!(why("/usr/bin/not/there/yet"), None);
        open(&bin, 0o1777);
        let told = why("/usr/bin/tool").unwrap();
        assert!(told.contains("by everybody, by way of /usr/bin"), "{told}");
        assert_eq!(why("/usr/bin/not/there/yet"), Some(told));
        open(&bin, 0o755);
        open(&bin.join("tool"), 0o777);
        assert!(why("/usr/bin/tool").is_some());
        symlink("/", root.path().join("out")).unwrap();
        let told = why("/out").unwrap();
        assert!(told.contains("out of this host"), "{told}");
    }

    #[test]
    fn what_is_in_memory_is_told_from_what_is_on_a_disk() {
        assert!(is_in_memory(Path::new("/dev/shm")).unwrap());
        assert!(!is_in_memory(Path::new("/proc/self")).unwrap());
    }
}
