//! Tracefs: the kernel's trace events, and where their records keep which field.

mod format;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use format::{Field, Format};

/// Where tracefs is mounted, the first choice first: Linux before 4.1 has it in debugfs alone.
const FOLDERS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

/// Returns the folder of tracefs; `None` where none is in sight of this process.
#[must_use]
pub fn folder(root: &Path) -> Option<PathBuf> {
    let folders = FOLDERS.iter().map(|folder| root.join(folder));
    let mut mounted = folders.filter(|folder| folder.join("events").is_dir());
    mounted.next()
}

/// Reads the format of an event, as in `timer/timer_start`.
///
/// # Errors
///
/// When it cannot be read, or is no format.
pub fn format(tracefs: &Path, event: &str) -> io::Result<Format> {
    let file = tracefs.join("events").join(event).join("format");
    let text = fs::read_to_string(&file)?;
    let unknown = || io::Error::other(format!("{} is no format of an event", file.display()));
    Format::parse(&text).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_place_is_looked_at_where_the_newer_one_is_empty() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(folder(root.path()), None);
        fs::create_dir_all(root.path().join("sys/kernel/tracing")).unwrap();
        assert_eq!(folder(root.path()), None, "an empty mount point");
        let older = root.path().join("sys/kernel/debug/tracing");
        fs::create_dir_all(older.join("events")).unwrap();
        assert_eq!(folder(root.path()), Some(older));
        let newer = root.path().join("sys/kernel/tracing");
        fs::create_dir_all(newer.join("events")).unwrap();
        assert_eq!(folder(root.path()), Some(newer));
    }

    #[test]
    fn a_file_that_is_no_format_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let events = root.path().join("events/timer/timer_start");
        fs::create_dir_all(&events).unwrap();
        let error = |text: &str| {
            fs::write(events.join("format"), text).unwrap();
            format(root.path(), "timer/timer_start").is_err()
        };
        assert!(error("name: timer_start\n"));
        assert!(!error("name: timer_start\nID: 68\nformat:\n"));
        assert!(format(root.path(), "timer/timer_cancel").is_err());
    }
}
