//! Other instances of this tool, by what an unprivileged user cannot make up: who started a process, and the file of its
//! program. What a process calls itself proves nothing.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use nix::unistd::Uid;

use super::{
    netns::doors::own_pid,
    netns_owners::{bounded, pids},
};

/// The file name of our program, whatever its path.
const PROGRAM: &str = "ipvs-latency";

/// Process ids of the other `ipvs-latency watch` of root or this user on this host, ascending.
#[must_use]
pub fn others(root: &Path) -> Vec<u32> {
    let own = own_pid(root);
    let others = pids(root).into_iter();
    others
        .filter(|pid| Some(*pid) != own && watches(root, *pid))
        .collect()
}

fn watches(root: &Path, pid: u32) -> bool {
    if !has_argument(root, pid, "watch") || !users(root, pid).is_some_and(are_able) {
        return false;
    }
    is_ours(root, pid).unwrap_or_else(|| {
        // Root's, or this user's: they have no reason to call another program so.
        let comm = bounded(root, pid, "comm").unwrap_or_default();
        comm.trim_ascii_end() == PROGRAM.as_bytes()
    })
}

/// Returns whether a process was started with this argument.
#[must_use]
pub fn has_argument(root: &Path, pid: u32, argument: &str) -> bool {
    let command = bounded(root, pid, "cmdline").unwrap_or_default();
    command
        .split(|byte| *byte == 0)
        .any(|word| word == argument.as_bytes())
}

/// Returns the real and the effective user of a process (`proc_pid_status(5)`); `None` where that is unknown.
#[must_use]
pub fn users(root: &Path, pid: u32) -> Option<[u32; 2]> {
    users_of(&bounded(root, pid, "status")?)
}

/// Reads the line `Uid:` of a status.
fn users_of(status: &[u8]) -> Option<[u32; 2]> {
    let status = String::from_utf8_lossy(status);
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut users = users.split_whitespace().map(str::parse);
    Some([users.next()?.ok()?, users.next()?.ok()?])
}

/// Returns whether a process of such users may be an instance to heed: root's, or our own user's. Another user may start
/// a program that runs with root's rights, such as `su`, whose real user is then another.
#[must_use]
pub fn are_able(users: [u32; 2]) -> bool {
    let is_able = |user: u32| user == 0 || user == Uid::effective().as_raw();
    users.into_iter().all(is_able)
}

/// Returns whether a process runs this program, by the file or its name: another version has the name alone. `None` where
/// the file cannot be looked at.
#[must_use]
pub fn is_ours(root: &Path, pid: u32) -> Option<bool> {
    let program = root.join(format!("proc/{pid}/exe"));
    let link = fs::read_link(&program).ok()?;
    let inode = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let is_same =
        inode(&program).is_some_and(|its| Some(its) == inode(Path::new("/proc/self/exe")));
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    Some(is_same || name.starts_with(PROGRAM))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_that_runs_with_roots_rights_for_another_user_is_none_of_ours() {
        let own = Uid::effective().as_raw();
        let is_able = |line: &str| {
            let users = users_of(format!("Name:\tsu\nUid:\t{line}\n").as_bytes());
            users.map(are_able)
        };
        assert_eq!(is_able("4001\t0\t0\t0"), Some(false), "su, run by a user");
        assert_eq!(
            is_able("0\t4001\t4001\t4001"),
            Some(false),
            "rights given up"
        );
        assert_eq!(is_able("0\t0\t0\t0"), Some(true));
        assert_eq!(is_able(&format!("{own}\t{own}\t{own}\t{own}")), Some(true));
        assert_eq!(is_able("?"), None, "that is unknown");
    }

    #[test]
    fn other_watches_are_found_and_neither_ourselves_nor_other_commands_nor_what_is_only_called_so()
    {
        let root = tempfile::tempdir().unwrap();
        let own = Uid::effective();
        let ours = &*format!("{own}\t{own}\t{own}\t{own}");
        let watch = &b"ipvs-latency\0watch\0"[..];
        for (pid, users, exe, cmdline) in [
            (60, ours, "/usr/bin/ipvs-latency", watch),
            (61, ours, "/usr/bin/ipvs-latency", b"ipvs-latency\0check\0"),
            (
                62,
                ours,
                "/usr/bin/ipvs-latency",
                b"./ipvs-latency\0--color\0never\0watch\0",
            ),
            (63, ours, "/usr/bin/watch", b"watch\0ipvs-latency\0"),
            (64, "0\t0\t0\t0", "/root/ipvs-latency-0.2 (deleted)", watch),
            (65, "0\t0\t0\t0", "/proc/self/exe", watch),
            (
                66,
                "4001\t4001\t4001\t4001",
                "/home/one/ipvs-latency",
                watch,
            ),
            (67, "4001\t0\t0\t0", "/usr/bin/ipvs-latency", watch),
            (68, "?", "/usr/bin/ipvs-latency", watch),
            (69, ours, "", watch),
        ] {
            let folder = root.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), "ipvs-latency").unwrap();
            fs::write(folder.join("cmdline"), cmdline).unwrap();
            fs::write(folder.join("status"), format!("Name:\tx\nUid:\t{users}\n")).unwrap();
            if !exe.is_empty() {
                symlink(exe, folder.join("exe")).unwrap();
            }
        }
        symlink("60", root.path().join("proc/self")).unwrap();
        assert_eq!(others(root.path()), [62, 64, 65, 69]);
    }
}
