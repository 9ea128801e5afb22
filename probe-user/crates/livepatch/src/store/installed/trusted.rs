//! Whether another user than root could change what root runs at every boot.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::sys::{
    stat::SFlag,
    statfs::{self, FsType, TMPFS_MAGIC},
};

use crate::store::walk::{kind, walk};

/// `include/uapi/linux/magic.h`.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Returns the path of the host under `root` with its links followed, if only root can change what is there or will be
/// there.
///
/// # Errors
///
/// When another user could, or the path cannot be read: a clause that says so.
pub fn resolved(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let walked = walk(root, path).map_err(|error| format!("cannot be looked at ({error})"))?;
    match walked.lasting {
        None => Ok(walked.path),
        Some(objection) => Err(objection.to_string()),
    }
}

/// Returns the same for a file that is there.
///
/// # Errors
///
/// As [`resolved`], and when it is not there.
pub fn file(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let walked = walk(root, path).map_err(|error| format!("cannot be looked at ({error})"))?;
    if !walked.missing.is_empty() || kind(&walked.stat) != SFlag::S_IFREG {
        return Err("is not there on this host".into());
    }
    resolved(root, path)
}

/// Whether what is at `path` is in memory alone, and gone after a reboot.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    let there = walk(Path::new("/"), &std::path::absolute(path)?)?;
    let kind = statfs::fstatfs(&there.opened)?.filesystem_type();
    Ok([TMPFS_MAGIC, RAMFS_MAGIC].contains(&kind))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn what_others_could_change_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("tool"), "").unwrap();
        let why = |path: &str| resolved(root.path(), Path::new(path)).err();
        let open =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        open(&bin.join("tool"), 0o755);
        for folder in [&bin, &root.path().join("usr")] {
            open(folder, 0o755);
        }
        assert_eq!(why("/usr/bin/tool"), None);
        assert_eq!(why("/usr/bin/not/there/yet"), None);
        open(&bin, 0o1777);
        let told = why("/usr/bin/tool").unwrap();
        assert!(told.contains("by everybody, by way of /usr/bin"), "{told}");
        assert_eq!(why("/usr/bin/not/there/yet"), Some(told));
        open(&bin, 0o775);
        let told = why("/usr/bin/tool").unwrap();
        assert!(told.contains("by group "), "{told}");
        open(&bin, 0o755);
        for mode in [0o777, 0o775] {
            open(&bin.join("tool"), mode);
            assert!(why("/usr/bin/tool").is_some());
        }
        open(&bin.join("tool"), 0o755);
        // The host's own root folder, wherever that is.
        symlink("/usr", root.path().join("link")).unwrap();
        let tool = file(root.path(), Path::new("/link/bin/tool"));
        assert_eq!(tool, Ok("/usr/bin/tool".into()));
        let error = file(root.path(), Path::new("/link/bin")).unwrap_err();
        assert!(error.contains("is not there"), "{error}");
    }

    #[test]
    fn what_is_in_memory_is_told_from_what_is_on_a_disk() {
        assert!(is_in_memory(Path::new("/dev/shm")).unwrap());
        assert!(!is_in_memory(Path::new("/proc/self")).unwrap());
    }
}
