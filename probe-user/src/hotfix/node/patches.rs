//! Livepatches that the kernel has now (`Documentation/ABI/testing/sysfs-kernel-livepatch` of Linux 6.1).

use std::{fs, path::Path};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its module's name.
    pub name: String,
    /// Whether tasks are still on their way to it, or away from it.
    pub in_transition: bool,
    /// What it replaces: object and function.
    pub replaces: Vec<(String, String)>,
}

impl Patch {
    /// Whether it replaces a function of an object.
    pub fn has(&self, object: &str, function: &str) -> bool {
        self.replaces
            .iter()
            .any(|(of, name)| of == object && name == function)
    }
}

/// All of them, by name.
pub fn read(root: &Path) -> Vec<Patch> {
    let folder = root.join("sys/kernel/livepatch");
    let mut patches: Vec<Patch> = folders(&folder)
        .map(|name| patch(&folder.join(&name), name))
        .collect();
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    patches
}

fn patch(folder: &Path, name: String) -> Patch {
    let transition = fs::read_to_string(folder.join("transition"));
    let functions = |object: String| {
        let inside = folders(&folder.join(&object));
        inside.map(move |function| {
            // The name is followed by its position: estimation_timer,1.
            let plain = function
                .rsplit_once(',')
                .map_or(function.as_str(), |(name, _)| name);
            (object.clone(), plain.to_owned())
        })
    };
    Patch {
        name,
        in_transition: transition.is_ok_and(|value| value.trim() == "1"),
        replaces: folders(folder).flat_map(functions).collect(),
    }
}

fn folders(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_patch_is_told_with_what_it_replaces() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/kernel/livepatch");
        for path in ["b/ip_vs/estimation_timer,1", "a/vmlinux/do_it,2"] {
            fs::create_dir_all(folder.join(path)).unwrap();
        }
        fs::write(folder.join("a/transition"), "1\n").unwrap();
        fs::write(folder.join("b/transition"), "0\n").unwrap();
        let found = read(root.path());
        let names: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.in_transition))
            .collect();
        assert_eq!(names, [("a", true), ("b", false)]);
        assert!(found[0].has("vmlinux", "do_it"));
        assert!(found[1].has("ip_vs", "estimation_timer") && !found[1].has("ip_vs", "do_it"));
        assert_eq!(read(Path::new("/nowhere")), []);
    }
}
