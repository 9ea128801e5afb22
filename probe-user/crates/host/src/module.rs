//! Whether a module is loaded, and whether it is still the one that was.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use livepatch_image::Name;
use nix::errno::Errno;

const FOLDER: &str = "sys/module";

/// One loading of a module: the inode number of its folder in sysfs, which a later loading does not get
/// again (`kernfs_next_generation` and the cyclic numbers of `fs/kernfs/dir.c`, Linux 4.14 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loading(u64);

impl Loading {
    /// Returns the number, which says nothing after the next boot.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// One loading of a module, recognised on every kernel for as long as this is held: Linux 3.10 uses inode numbers again. What
/// reads a file of sysfs that was opened before the module was unloaded gets `ENODEV` (`fs/sysfs/file.c` of Linux 3.10,
/// `fs/kernfs/file.c` of 3.14 on). It does not keep the module from being unloaded.
#[derive(Debug)]
pub struct HeldLoading {
    /// The module's `initstate`; `None` where it is part of the kernel.
    state: Option<File>,
}

impl HeldLoading {
    /// Holds the present loading of a module; `None` where it is not loaded.
    ///
    /// # Errors
    ///
    /// As [`look`].
    pub fn of(root: &Path, name: &Name) -> io::Result<Option<Self>> {
        match File::open(folder(root, name).join("initstate")) {
            Ok(file) => Ok(Some(Self { state: Some(file) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(look(root, name)?.map(|_| Self { state: None }))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether the module was unloaded since. What cannot be read is not gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|file| {
            let read = file.read_at(&mut [0; 16], 0);
            read.is_err_and(|error| error.raw_os_error() == Some(Errno::ENODEV as i32))
        })
    }
}

/// Returns whether a module is seen to be loaded.
#[must_use]
pub fn is_loaded(root: &Path, name: &Name) -> bool {
    matches!(look(root, name), Ok(Some(_)))
}

/// Returns where sysfs has a module.
#[must_use]
pub fn folder(root: &Path, name: &Name) -> PathBuf {
    root.join(FOLDER).join(name.folder())
}

/// Looks for a module: its present loading, or `None` where it is not loaded.
///
/// # Errors
///
/// When that is unknown. A module that cannot be seen is not one that is gone.
pub fn look(root: &Path, name: &Name) -> io::Result<Option<Loading>> {
    if name.is_hidden() {
        return Err(io::Error::other("no path of sysfs leads to that name"));
    }
    match fs::symlink_metadata(folder(root, name)) {
        Ok(found) => Ok(Some(Loading(found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Without sysfs no module is found, however many are loaded.
            all(root).map(|_| None)
        }
        Err(error) => Err(error),
    }
}

/// Lists the modules that have a folder in sysfs, in the order of their bytes.
///
/// # Errors
///
/// When they cannot be listed.
pub fn all(root: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER))? {
        let entry = entry?;
        // `compression` is a file (`kernel/module/decompress.c` of Linux 6.12), and no module.
        if entry.file_type()?.is_dir() {
            names.push(Name::from(entry.file_name()));
        }
    }
    if names.is_empty() {
        // Every kernel has parts of its own there.
        return Err(io::Error::other("it is empty: is sysfs mounted there?"));
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns the name by which the kernel itself knows a module: sysfs shows `!` for `/`.
///
/// # Errors
///
/// When the kernel's list of modules cannot be read.
pub fn kernels_name(root: &Path, name: &Name) -> io::Result<Name> {
    if !name.bytes().contains(&b'!') {
        return Ok(name.clone());
    }
    let modules = fs::read(root.join("proc/modules"))?;
    let folder = name.folder();
    let lines = modules.split(|byte| *byte == b'\n');
    let mut names = lines.filter_map(|line| {
        let (name, rest) = line.split_at_checked(name.bytes().len())?;
        rest.starts_with(b" ").then(|| Name::of(name))
    });
    Ok(names
        .find(|one| one.folder() == folder)
        .unwrap_or_else(|| name.clone()))
}

/// Returns the note that tells builds of a module apart; `None` where it has none, or is not loaded.
///
/// # Errors
///
/// When that is unknown.
pub fn build_id(root: &Path, name: &Name) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder(root, name).join("notes/.note.gnu.build-id")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        note => note.map(Some),
    }
}

/// Returns whether a module is a livepatch: its taint has a K (`TAINT_LIVEPATCH`,
/// `Documentation/admin-guide/tainted-kernels.rst`).
///
/// # Errors
///
/// When that is unknown.
pub fn is_livepatch(root: &Path, name: &Name) -> io::Result<bool> {
    match fs::read_to_string(folder(root, name).join("taint")) {
        Ok(taint) => Ok(taint.contains('K')),
        // What is part of the kernel has none, nor has a module that is gone meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_found_again_that_sysfs_shows_as_another_character() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc")).unwrap();
        let modules = "est_skip 1 0 - Live 0x0\nest/skipper 1 0 - Live 0x0\nest/skip 16384 1 - Live 0x0 (OEK)\na!b 1 0 - Live 0x0\n";
        fs::write(root.path().join("proc/modules"), modules).unwrap();
        for (shown, kernels) in [
            ("est!skip", "est/skip"),
            ("est_skip", "est_skip"),
            ("a!b", "a!b"),
            ("gone!", "gone!"),
        ] {
            let found = kernels_name(root.path(), &shown.into()).unwrap();
            assert_eq!(found, Name::from(kernels));
        }
    }

    #[test]
    fn a_loading_that_is_held_is_there_until_the_kernel_says_that_it_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let name = Name::from("ip_vs");
        assert!(HeldLoading::of(root.path(), &name).is_err(), "no sysfs");
        fs::create_dir_all(root.path().join("sys/module/kernel")).unwrap();
        assert!(HeldLoading::of(root.path(), &name).unwrap().is_none());
        let module = root.path().join("sys/module/ip_vs");
        fs::create_dir(&module).unwrap();
        let part_of_the_kernel = HeldLoading::of(root.path(), &name).unwrap().unwrap();
        fs::write(module.join("initstate"), "live\n").unwrap();
        let loading = HeldLoading::of(root.path(), &name).unwrap().unwrap();
        for held in [part_of_the_kernel, loading] {
            assert!(!held.is_gone());
        }
        let unreadable = HeldLoading {
            state: Some(File::open(module).unwrap()),
        };
        assert!(!unreadable.is_gone(), "EISDIR");
    }

    #[test]
    fn a_module_is_there_or_not_there_or_that_cannot_be_told() {
        let root = tempfile::tempdir().unwrap();
        let name = Name::from("est/skip");
        let error = look(root.path(), &name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "no sysfs");
        assert!(all(root.path()).is_err());
        fs::create_dir_all(root.path().join("sys/module")).unwrap();
        assert!(look(root.path(), &name).is_err(), "something in its place");
        fs::write(root.path().join("sys/module/compression"), "xz\n").unwrap();
        assert!(all(root.path()).is_err(), "a file is no module");
        fs::create_dir_all(root.path().join("sys/module/ip_vs")).unwrap();
        assert_eq!(look(root.path(), &name).unwrap(), None);
        assert!(!is_livepatch(root.path(), &name).unwrap());
        let module = root.path().join("sys/module/est!skip");
        fs::create_dir_all(&module).unwrap();
        assert!(look(root.path(), &name).unwrap().is_some());
        fs::write(module.join("taint"), "OEK\n").unwrap();
        assert!(is_livepatch(root.path(), &name).unwrap());
        assert_eq!(
            all(root.path()).unwrap(),
            [Name::from("est!skip"), Name::from("ip_vs")]
        );
        for name in [".", "..", ""] {
            assert!(look(root.path(), &name.into()).is_err(), "{name:?}");
        }
        let long = Name::from("x".repeat(300));
        assert!(look(root.path(), &long).is_err(), "ENAMETOOLONG");
        fs::remove_file(module.join("taint")).unwrap();
        fs::create_dir(module.join("taint")).unwrap();
        assert!(is_livepatch(root.path(), &name).is_err(), "EISDIR");
    }
}
