//! Whether the `ip_vs` that is loaded is the one on disk, for whose kernel package a hotfix was built.

use std::{
    fs,
    path::{Path, PathBuf},
};

use livepatch_image::{Module, file};

/// How they compare, by the notes that tell builds apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnDisk {
    /// They are the same.
    Same,
    /// They are not.
    Other(PathBuf),
    /// That cannot be told, for the reason given.
    Unknown(String),
    /// It is not loaded, or is part of the kernel itself: there is nothing to compare.
    #[default]
    Nothing,
}

impl OnDisk {
    /// Compares them.
    #[must_use]
    pub fn read(root: &Path, release: &str) -> Self {
        if !root.join("sys/module/ip_vs/initstate").exists() {
            return Self::Nothing;
        }
        let Ok(loaded) = fs::read(root.join("sys/module/ip_vs/notes/.note.gnu.build-id")) else {
            return Self::Unknown(
                "the one that is loaded has no build-id in /sys/module/ip_vs/notes".into(),
            );
        };
        let modules = Path::new("lib/modules").join(release);
        let index = fs::read_to_string(root.join(&modules).join("modules.dep")).unwrap_or_default();
        let Some(path) = path_of_ip_vs(&index) else {
            return Self::Unknown(format!("/{}/modules.dep names no ip_vs", modules.display()));
        };
        let path = modules.join(path);
        let shown = Path::new("/").join(&path);
        let unknown = |why: String| Self::Unknown(format!("{} {why}", shown.display()));
        let bytes = match file::read(&root.join(&path)) {
            Ok(bytes) => bytes,
            Err(error) => return unknown(error.to_string()),
        };
        match Module::parse(&bytes).map(|module| module.build_id) {
            Ok(Some(id)) if id == loaded => Self::Same,
            Ok(Some(_)) => Self::Other(shown),
            Ok(None) => unknown("has no build-id".into()),
            Err(error) => unknown(error.to_string()),
        }
    }
}

/// Where `modprobe` takes `ip_vs` from, under the folder of modules.
fn path_of_ip_vs(index: &str) -> Option<&str> {
    let mut paths = index
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0));
    paths.find(|path| {
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split_once('.')
            .is_some_and(|(name, rest)| name == "ip_vs" && rest.starts_with("ko"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_tells_where_ip_vs_is() {
        let index =
            "kernel/net/ip_vs_rr.ko: kernel/net/ip_vs.ko\nupdates/ip_vs.ko.xz: kernel/lib/a.ko\n";
        assert_eq!(path_of_ip_vs(index), Some("updates/ip_vs.ko.xz"));
        assert_eq!(path_of_ip_vs("kernel/net/ip_vs_rr.ko:\n"), None);
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let told = || match OnDisk::read(root.path(), "6.1") {
            OnDisk::Unknown(why) => why,
            other => format!("{other:?}"),
        };
        assert_eq!(told(), "Nothing");
        write("sys/module/ip_vs/initstate", b"live\n");
        assert!(told().contains("no build-id"), "{}", told());
        write("sys/module/ip_vs/notes/.note.gnu.build-id", b"note");
        assert!(told().contains("names no ip_vs"), "{}", told());
        write("lib/modules/6.1/modules.dep", b"kernel/ip_vs.ko.xz:\n");
        assert!(told().contains("cannot be opened"), "{}", told());
        write("lib/modules/6.1/kernel/ip_vs.ko.xz", b"\xfd7zXZ\0");
        assert!(told().contains("compressed with xz"), "{}", told());
    }
}
