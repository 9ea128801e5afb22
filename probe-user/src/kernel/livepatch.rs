//! Livepatches in force, from `/sys/kernel/livepatch`
//! (`Documentation/ABI/testing/sysfs-kernel-livepatch` of Linux 6.1).

use std::{fs, path::Path};

use serde::Serialize;

use super::printable::printable;

/// One livepatch that the kernel has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Livepatch {
    /// Name of its module.
    pub name: String,
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

/// The livepatches under `root`, by name; `None` where the kernel has no livepatching.
#[must_use]
pub fn read(root: &Path) -> Option<Vec<Livepatch>> {
    let folder = root.join("sys/kernel/livepatch");
    let names = folders(&folder)?;
    Some(
        names
            .into_iter()
            .map(|name| patch(&folder, &name))
            .collect(),
    )
}

fn patch(folder: &Path, name: &str) -> Livepatch {
    let folder = folder.join(name);
    let objects = folders(&folder).unwrap_or_default();
    Livepatch {
        enabled: switch(&folder.join("enabled")),
        transition: switch(&folder.join("transition")),
        objects: objects
            .into_iter()
            .map(|name| object(&folder, &name))
            .collect(),
        name: printable(name),
    }
}

fn object(folder: &Path, name: &str) -> Object {
    let folder = folder.join(name);
    // A function's folder is called `name,sympos`.
    let functions = folders(&folder).unwrap_or_default().into_iter();
    let functions = functions.map(|function| match function.split_once(',') {
        Some((name, _sympos)) => name.to_owned(),
        None => function,
    });
    Object {
        patched: switch(&folder.join("patched")),
        functions: functions.map(|name| printable(&name)).collect(),
        name: printable(name),
    }
}

/// Names of the folders in a folder, sorted; `None` where there is no such folder.
fn folders(folder: &Path) -> Option<Vec<String>> {
    let entries = fs::read_dir(folder).ok()?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    Some(names)
}

fn switch(file: &Path) -> Option<bool> {
    match fs::read_to_string(file).ok()?.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_told_with_what_it_replaces_where() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path()), None, "no livepatching");
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
        assert_eq!(read(root.path()), Some(vec![expected.clone()]));
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
        let found = read(root.path()).unwrap().remove(0);
        assert_eq!((found.name.as_str(), found.enabled), ("a?[2J", Some(true)));
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
        assert_eq!(read(root.path()), Some(vec![]));
    }
}
