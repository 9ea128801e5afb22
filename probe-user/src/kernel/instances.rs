//! Other instances of this tool.

use std::{fs, path::Path};

use super::inhabitants::{bounded, pids};

/// Process ids of the other `ipvs-latency watch` on this host, ascending.
#[must_use]
pub fn others(root: &Path) -> Vec<u32> {
    let own = own_pid(root);
    let others = pids(root).into_iter();
    others
        .filter(|pid| Some(*pid) != own && watches(root, *pid))
        .collect()
}

/// Our own number as `root` counts: a container may have process ids of its own.
fn own_pid(root: &Path) -> Option<u32> {
    let own = fs::read_link(root.join("proc/self")).ok()?;
    own.to_str()?.parse().ok()
}

fn watches(root: &Path, pid: u32) -> bool {
    let comm = bounded(root, pid, "comm").unwrap_or_default();
    comm.trim_ascii_end() == b"ipvs-latency"
        && bounded(root, pid, "cmdline")
            .is_some_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"watch"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn other_watches_are_found_and_neither_ourselves_nor_other_commands() {
        let root = tempfile::tempdir().unwrap();
        for (pid, comm, cmdline) in [
            (60, "ipvs-latency", &b"ipvs-latency\0watch\0"[..]),
            (61, "ipvs-latency", b"ipvs-latency\0check\0"),
            (
                62,
                "ipvs-latency",
                b"./ipvs-latency\0--color\0never\0watch\0",
            ),
            (63, "watch", b"watch\0ipvs-latency\0"),
        ] {
            let folder = root.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), comm).unwrap();
            fs::write(folder.join("cmdline"), cmdline).unwrap();
        }
        symlink("60", root.path().join("proc/self")).unwrap();
        assert_eq!(others(root.path()), [62]);
    }
}
