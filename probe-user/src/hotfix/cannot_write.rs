//! What a person can do where a file cannot be written.

use std::io::{self, ErrorKind};

/// Returns what helps against an error of writing below a folder, as the end of a sentence.
#[must_use]
pub fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
        ErrorKind::ReadOnlyFilesystem => "it is mounted read-only: mount it writable",
        ErrorKind::PermissionDenied => "run this as root",
        _ => "find out why with `stat` and `dmesg`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_needs_room() {
        for (errno, words) in [
            (nix::errno::Errno::ENOSPC, "make room there"),
            (nix::errno::Errno::EDQUOT, "make room there"),
            (
                nix::errno::Errno::EROFS,
                "it is mounted read-only: mount it writable",
            ),
            (nix::errno::Errno::EACCES, "run this as root"),
            (
                nix::errno::Errno::EIO,
                "find out why with `stat` and `dmesg`",
            ),
        ] {
            assert_eq!(way_out(&io::Error::from(errno)), words);
        }
    }
}
