//! The files that network namespaces are mounted on.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use crate::netns_owners::pids;

/// How much of all the lists of mounts together is read: some 100,000 mounts.
const READ_BYTES: u64 = 16 * 1024 * 1024;

/// How many mounts of a namespace are kept: one that is mounted where every container sees it has one a container.
const KEPT: usize = 4;

/// A network namespace mounted on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The file, as the processes of the mount namespace see it.
    pub point: PathBuf,
    /// The oldest process of that mount namespace; `None`: it is that of this process.
    through: Option<u32>,
}

impl Mount {
    /// Returns what the file is called; with its folder, where all are called alike.
    pub fn name(&self) -> Cow<'_, str> {
        let name = |part: &'_ Path| part.file_name().map(ToOwned::to_owned).unwrap_or_default();
        let file = name(&self.point);
        if !matches!(file.to_str(), Some("net" | "netns")) {
            return Cow::Owned(file.to_string_lossy().into_owned());
        }
        let folder = self.point.parent().map(name).unwrap_or_default();
        Cow::Owned(format!(
            "{}/{}",
            folder.to_string_lossy(),
            file.to_string_lossy()
        ))
    }

    /// Returns whether it is in sight of this process.
    pub fn is_seen(&self) -> bool {
        self.through.is_none()
    }

    /// Returns where it may be opened, the most lasting path first.
    pub fn paths(&self, root: &Path) -> Vec<PathBuf> {
        let Some(pid) = self.through else {
            return vec![self.point.clone()];
        };
        let below = self.point.strip_prefix("/").unwrap_or(&self.point);
        // What is mounted there is often mounted under this process's root too.
        let through = root.join(format!("proc/{pid}/root"));
        vec![root.join(below), through.join(below)]
    }
}

/// Returns the mounts of network namespaces by inode number, those in sight of this process first. Every mount namespace
/// is read once.
pub fn read(root: &Path) -> BTreeMap<u32, Vec<Mount>> {
    let mut found = BTreeMap::new();
    let mut left = READ_BYTES;
    let mut seen = HashSet::new();
    let mut look = |process: &str, through: Option<u32>| {
        let folder = root.join("proc").join(process);
        // A process that may not be looked at has no link, and its mounts may not be entered.
        let is_new = fs::read_link(folder.join("ns/mnt")).is_ok_and(|link| seen.insert(link));
        if !is_new {
            return;
        }
        let Ok(file) = File::open(folder.join("mountinfo")) else {
            return;
        };
        let mut lines = BufReader::new(file.take(left));
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            left = left.saturating_sub(line.len() as u64);
            if let Some((netns, point)) = namespace(&line) {
                let mounts: &mut Vec<Mount> = found.entry(netns).or_default();
                if mounts.len() < KEPT {
                    mounts.push(Mount { point, through });
                }
            }
            line.clear();
        }
    };
    look("self", None);
    for pid in pids(root) {
        look(&pid.to_string(), Some(pid));
    }
    found
}

/// Returns the namespace and the mount point of a line as `proc_pid_mountinfo(5)` has it, if a network namespace is
/// mounted: `ID PARENT DEVICE net:[INODE] POINT OPTIONS... - nsfs ...`.
fn namespace(line: &[u8]) -> Option<(u32, PathBuf)> {
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ').skip(3);
    let inode = words.next()?.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    let point = words.next()?;
    let system = words.skip_while(|word| *word != b"-").nth(1)?;
    let inode = std::str::from_utf8(inode).ok()?.parse().ok()?;
    (system == b"nsfs").then(|| (inode, unescaped(point)))
}

/// Spaces and the like are written as a backslash and three octal digits.
fn unescaped(point: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(point.len());
    let mut rest = point;
    while let Some((first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[3..] } else { behind };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_told_by_the_root_of_its_mount() {
        for (line, expected) in [
            (
                "345 28 0:4 net:[4026532281] /run/docker/netns/ingress_sbox rw shared:9 - nsfs nsfs rw\n",
                Some((4_026_532_281, "/run/docker/netns/ingress_sbox")),
            ),
            (
                "1 2 0:4 net:[7] /run/netns/a\\040b\\134c rw - nsfs nsfs rw",
                Some((7, "/run/netns/a b\\c")),
            ),
            ("1 2 0:4 mnt:[7] /run/mnt rw - nsfs nsfs rw", None),
            ("1 2 0:4 net:[7] /run/netns/a rw - tmpfs tmpfs rw", None),
            ("1 2 0:4 net:[x] /run/netns/a rw - nsfs nsfs rw", None),
            (
                "22 28 0:20 / /sys rw,relatime shared:7 - sysfs sysfs rw",
                None,
            ),
            ("1 2 0:4 net:[7] /run/netns/a rw", None),
            ("", None),
        ] {
            let expected = expected.map(|(netns, point)| (netns, point.into()));
            assert_eq!(namespace(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_file_is_called_with_its_folder_where_all_have_the_same_name() {
        for (point, name) in [
            ("/run/netns/cni-5f2a", "cni-5f2a"),
            ("/run/crio/ns/5f2a/net", "5f2a/net"),
        ] {
            let mount = Mount {
                point: point.into(),
                through: None,
            };
            assert_eq!(mount.name(), name);
        }
    }
}
