//! Livepatches in force, from `/sys/kernel/livepatch`
//! (`Documentation/ABI/testing/sysfs-kernel-livepatch` of Linux 6.1).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use livepatch_image::Name;
use model::printable::printable;

const FOLDER: &str = "sys/kernel/livepatch";

/// One livepatch that the kernel has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Livepatch {
    /// Name of its module.
    pub name: Name,
    /// It is in force, or on the way to be; `None` where the kernel does not say.
    pub enabled: Option<bool>,
    /// Tasks are still on their way from one code to the other.
    pub transition: Option<bool>,
    /// What it replaces.
    pub objects: Vec<Object>,
}

impl Livepatch {
    /// Whether it replaces that function, in whatever object.
    #[must_use]
    pub fn replaces(&self, function: &str) -> bool {
        self.objects.iter().any(|object| object.has(function))
    }

    /// Whether it replaces that function of that object.
    #[must_use]
    pub fn replaces_in(&self, object: &str, function: &str) -> bool {
        let mut objects = self.objects.iter();
        objects.any(|one| one.name == object && one.has(function))
    }
}

/// The functions that a livepatch replaces in one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Name of a module, or `vmlinux`.
    pub name: String,
    /// The object is loaded and patched; `None` before Linux 6.1, which does not say.
    pub patched: Option<bool>,
    /// Names of the functions replaced.
    pub functions: Vec<String>,
}

impl Object {
    /// Whether that function is among those replaced.
    #[must_use]
    pub fn has(&self, function: &str) -> bool {
        self.functions.iter().any(|name| name == function)
    }
}

/// Reads the livepatches under `root`, by name; `None` where the kernel has no livepatching.
///
/// # Errors
///
/// When they cannot be listed. Where one of them cannot be read, its `enabled` and `transition` are `None`.
pub fn read(root: &Path) -> io::Result<Option<Vec<Livepatch>>> {
    let names = match folders(&root.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Without sysfs it is not known.
            fs::metadata(root.join("sys/kernel"))?;
            return Ok(None);
        }
        names => names?,
    };
    let mut patches = Vec::new();
    for name in names {
        // It may be gone since.
        patches.extend(look(root, &name)?);
    }
    Ok(Some(patches))
}

/// Looks for the livepatch of one module; `None` where it has none.
///
/// # Errors
///
/// When that is unknown. A livepatch that cannot be seen is not one that is gone.
pub fn look(root: &Path, name: &Name) -> io::Result<Option<Livepatch>> {
    if !is_there(root, name)? {
        return Ok(None);
    }
    let unknown = Livepatch {
        name: name.clone(),
        enabled: None,
        transition: None,
        objects: Vec::new(),
    };
    match patch(&folder(root, name), name) {
        Ok(patch) => Ok(Some(patch)),
        // Its files go before its folder does.
        Err(_) if !is_there(root, name)? => Ok(None),
        Err(_) => Ok(Some(unknown)),
    }
}

/// Returns where sysfs has the livepatch of a module.
#[must_use]
pub fn folder(root: &Path, name: &Name) -> PathBuf {
    root.join(FOLDER).join(name.folder())
}

fn is_there(root: &Path, name: &Name) -> io::Result<bool> {
    if name.is_hidden() {
        return Err(io::Error::other("no path of sysfs leads to that name"));
    }
    match fs::symlink_metadata(folder(root, name)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Without sysfs no livepatch is found, however many are loaded.
            fs::read_dir(root.join(FOLDER))?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn patch(folder: &Path, name: &Name) -> io::Result<Livepatch> {
    let objects = folders(folder)?;
    let objects = objects.iter().map(|name| object(folder, name));
    Ok(Livepatch {
        objects: objects.collect::<io::Result<_>>()?,
        enabled: switch(&folder.join("enabled"))?,
        transition: switch(&folder.join("transition"))?,
        name: name.clone(),
    })
}

fn object(folder: &Path, name: &Name) -> io::Result<Object> {
    let folder = folder.join(name.as_os_str());
    // A function's folder is called `name,sympos`.
    let functions = folders(&folder)?.into_iter().map(|function| {
        let function = function.as_os_str().to_string_lossy().into_owned();
        let name = function
            .split_once(',')
            .map_or(&*function, |(name, _)| name);
        printable(name)
    });
    Ok(Object {
        patched: match switch(&folder.join("patched")) {
            // Linux before 6.1 does not have it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            patched => patched?,
        },
        functions: functions.collect(),
        name: printable(&name.as_os_str().to_string_lossy()),
    })
}

/// Names of the folders in a folder, sorted.
fn folders(folder: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(Name::from(entry.file_name()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// `None` for what is neither 0 nor 1.
fn switch(file: &Path) -> io::Result<Option<bool>> {
    Ok(match fs::read_to_string(file)?.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_told_with_what_it_replaces_where() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).is_err(), "no sysfs");
        fs::create_dir_all(root.path().join("sys/kernel")).unwrap();
        assert_eq!(read(root.path()).unwrap(), None, "no livepatching");
        let patch = root.path().join("sys/kernel/livepatch/skip_walk");
        fs::create_dir_all(patch.join("ip_vs/estimation_timer,1")).unwrap();
        fs::create_dir_all(patch.join("vmlinux/do_it,0")).unwrap();
        for (file, text) in [
            ("enabled", "1\n"),
            ("transition", "0\n"),
            ("ip_vs/patched", "1\n"),
        ] {
            fs::write(patch.join(file), text).unwrap();
        }
        let object = |name: &str, patched, function: &str| Object {
            name: name.into(),
            patched,
            functions: vec![function.into()],
        };
        let expected = Livepatch {
            name: "skip_walk".into(),
            enabled: Some(true),
            transition: Some(false),
            objects: vec![
                object("ip_vs", Some(true), "estimation_timer"),
                object("vmlinux", None, "do_it"),
            ],
        };
        let name = Name::from("skip_walk");
        assert_eq!(look(root.path(), &name).unwrap().as_ref(), Some(&expected));
        assert_eq!(read(root.path()).unwrap(), Some(vec![expected.clone()]));
        assert!(expected.replaces("do_it") && !expected.replaces("do_something"));
        assert!(
            expected.replaces_in("vmlinux", "do_it") && !expected.replaces_in("ip_vs", "do_it")
        );
    }

    #[test]
    fn no_name_of_a_patch_can_write_to_the_terminal() {
        let root = tempfile::tempdir().unwrap();
        let patch = root.path().join("sys/kernel/livepatch/a\x1b[2J");
        fs::create_dir_all(patch.join("b\r/c\x07,1")).unwrap();
        fs::write(patch.join("enabled"), "1").unwrap();
        fs::write(patch.join("transition"), "0").unwrap();
        let found = read(root.path()).unwrap().unwrap().remove(0);
        let shown = found.name.to_string();
        assert_eq!((shown.as_str(), found.enabled), (r"a\x1b[2J", Some(true)));
        let object = &found.objects[0];
        assert_eq!(
            (object.name.as_str(), object.functions[0].as_str()),
            ("b?", "c?")
        );
    }

    #[test]
    fn a_kernel_with_livepatching_and_no_patch_is_told_from_one_without() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/kernel/livepatch")).unwrap();
        assert_eq!(read(root.path()).unwrap(), Some(vec![]));
    }

    #[test]
    fn a_livepatch_is_known_by_its_bytes_and_found_again_by_them() {
        let root = tempfile::tempdir().unwrap();
        let bytes = [
            &b"est_\xfc_p"[..],
            b"est_?_p",
            b"est!skip",
            "est_\u{fc}_p".as_bytes(),
        ];
        for name in bytes {
            let patch = folder(root.path(), &Name::of(name));
            fs::create_dir_all(&patch).unwrap();
            fs::write(patch.join("enabled"), "1").unwrap();
            fs::write(patch.join("transition"), "0").unwrap();
        }
        let patches = read(root.path()).unwrap().unwrap();
        assert_eq!(patches.len(), bytes.len());
        for patch in patches {
            assert_eq!(look(root.path(), &patch.name).unwrap(), Some(patch));
        }
        assert!(
            look(root.path(), &Name::from("est/skip"))
                .unwrap()
                .is_some()
        );
        assert_eq!(look(root.path(), &Name::from("est__p")).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_seen_is_not_gone() {
        let root = tempfile::tempdir().unwrap();
        let name = Name::from("est");
        assert!(look(root.path(), &name).is_err(), "no livepatching");
        fs::create_dir_all(root.path().join("sys/kernel")).unwrap();
        // Not a folder: the kernel's answer is an error that is not "there is none".
        fs::write(root.path().join(FOLDER), "").unwrap();
        assert!(read(root.path()).is_err() && look(root.path(), &name).is_err());
        fs::remove_file(root.path().join(FOLDER)).unwrap();
        let patch = folder(root.path(), &name);
        fs::create_dir_all(patch.join("ip_vs/estimation_timer,1")).unwrap();
        fs::create_dir_all(patch.join("enabled")).unwrap();
        let unknown = Livepatch {
            name: name.clone(),
            enabled: None,
            transition: None,
            objects: Vec::new(),
        };
        assert_eq!(look(root.path(), &name).unwrap(), Some(unknown.clone()));
        assert_eq!(read(root.path()).unwrap(), Some(vec![unknown]));
        for name in [".", "..", ""] {
            assert!(look(root.path(), &name.into()).is_err(), "{name:?}");
        }
        let long = Name::from("x".repeat(300));
        assert!(look(root.path(), &long).is_err(), "ENAMETOOLONG");
    }
}
