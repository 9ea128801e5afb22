//! What a person can do where a file of the state folder, or a unit, cannot be read or written.

use std::io::{self, ErrorKind};

/// Returns what helps against an error of writing, as the end of a sentence: `: run this as root`. Nothing for a folder that
/// was refused: that error has no errno, and says what to do.
#[must_use]
pub fn of_write(error: &io::Error) -> String {
    of(error, "")
}

/// Returns the same for a file that may also be in another folder of state.
#[must_use]
pub fn of_state(error: &io::Error) -> String {
    of(error, ", or name another folder with --state-dir")
}

fn of(error: &io::Error, or_else: &str) -> String {
    if error.raw_os_error().is_none() {
        return String::new();
    }
    let cure = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
        ErrorKind::ReadOnlyFilesystem => "it is mounted read-only: mount it writable",
        ErrorKind::PermissionDenied => "run this as root",
        _ => "find out why with `stat` and `dmesg`",
    };
    format!(": {cure}{or_else}")
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn only_a_full_disk_needs_room_and_a_refused_folder_says_all_itself() {
        for (errno, words) in [
            (Errno::ENOSPC, ": make room there"),
            (Errno::EDQUOT, ": make room there"),
            (Errno::EROFS, ": it is mounted read-only: mount it writable"),
            (Errno::EACCES, ": run this as root"),
            (Errno::EIO, ": find out why with `stat` and `dmesg`"),
        ] {
            assert_eq!(of_write(&errno.into()), words);
            let elsewhere = format!("{words}, or name another folder with --state-dir");
            assert_eq!(of_state(&errno.into()), elsewhere);
        }
        let refused = io::Error::new(ErrorKind::PermissionDenied, "its group can write to it");
        assert_eq!(
            (of_write(&refused), of_state(&refused)),
            (String::new(), String::new())
        );
    }
}
