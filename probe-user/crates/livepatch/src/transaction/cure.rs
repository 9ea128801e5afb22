//! What a person can do where a file of the state folder, or a unit, cannot be read or written.

use std::io::{self, ErrorKind};

use nix::unistd::geteuid;

/// Returns what helps against an error of writing, as the end of a sentence: `: run this as root`. Nothing for a folder that
/// was refused: that error has no errno, and says what to do.
#[must_use]
pub fn of_write(error: &io::Error) -> String {
    cure(error, "")
}

/// Returns the same for a file that may also be in another folder of state.
#[must_use]
pub fn of_state(error: &io::Error) -> String {
    // For another user no other folder helps, and root alone may load.
    let or_else = match error.kind() {
        ErrorKind::PermissionDenied => "",
        _ => "; or give --state-dir FOLDER, in this and every later command",
    };
    cure(error, or_else)
}

fn cure(error: &io::Error, or_else: &str) -> String {
    if error.raw_os_error().is_none() {
        return String::new();
    }
    let cure = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
        ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only: mount it writable",
        ErrorKind::PermissionDenied => permission(),
        _ => "find out why with `stat` and `dmesg`",
    };
    format!(": {cure}{or_else}")
}

/// Returns what helps where the kernel does not permit something.
#[must_use]
pub fn permission() -> &'static str {
    if geteuid().is_root() {
        "root may not do it either: look for an immutable flag (`lsattr`) or a security module (`dmesg`)"
    } else {
        "run this as root"
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn only_a_full_disk_needs_room_and_a_refused_folder_says_all_itself() {
        let elsewhere = "; or give --state-dir FOLDER, in this and every later command";
        for (errno, words, or_else) in [
            (Errno::ENOSPC, "make room there", elsewhere),
            (Errno::EDQUOT, "make room there", elsewhere),
            (
                Errno::EROFS,
                "its file system is mounted read-only: mount it writable",
                elsewhere,
            ),
            (Errno::EACCES, permission(), ""),
            (
                Errno::EIO,
                "find out why with `stat` and `dmesg`",
                elsewhere,
            ),
        ] {
            assert_eq!(of_write(&errno.into()), format!(": {words}"));
            assert_eq!(of_state(&errno.into()), format!(": {words}{or_else}"));
        }
        let refused = io::Error::new(ErrorKind::PermissionDenied, "its group can write to it");
        assert_eq!(
            (of_write(&refused), of_state(&refused)),
            (String::new(), String::new())
        );
    }
}
