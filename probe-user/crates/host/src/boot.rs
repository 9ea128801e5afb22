//! This boot of the host, and how the one before it ended.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use utmp_rs::{UtmpEntry, UtmpParser};

/// When this boot began, and how the host was shut down before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boot {
    /// What tells this boot from all others (`/proc/sys/kernel/random/boot_id`).
    pub id: String,
    /// When it began, in seconds since 1970 UTC; `None` where the kernel does not say.
    pub began_s: Option<u64>,
    /// The shutdowns in good order that are on record, in seconds since 1970 UTC; nothing where there is no record.
    pub shutdowns_s: Vec<u64>,
}

impl Boot {
    /// Reads what the host says.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let id = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id"));
        let stat = fs::read_to_string(root.join("proc/stat")).unwrap_or_default();
        Self {
            id: id.map(|id| id.trim().to_owned()).unwrap_or_default(),
            began_s: began(&stat),
            shutdowns_s: shutdowns(&root.join("var/log/wtmp")),
        }
    }

    /// Whether the host was shut down in good order at some time from `since_s` until this boot.
    #[must_use]
    pub fn had_orderly_shutdown_since(&self, since_s: u64) -> bool {
        let until_s = self.began_s.unwrap_or(u64::MAX);
        let mut shutdowns = self.shutdowns_s.iter();
        shutdowns.any(|at_s| (since_s..=until_s).contains(at_s))
    }
}

/// The wall clock, in seconds since 1970 UTC.
#[must_use]
pub fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or(Duration::ZERO).as_secs()
}

fn began(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// The records `shutdown` of `wtmp(5)`, which `systemd-update-utmp` and `shutdown(8)` write. A file that is not there,
/// or is cut off, has no more to say.
fn shutdowns(file: &Path) -> Vec<u64> {
    let Ok(records) = UtmpParser::from_path(file) else {
        return Vec::new();
    };
    let at = |record| match record {
        Ok(UtmpEntry::ShutdownTime { time, .. }) => u64::try_from(time.unix_timestamp()).ok(),
        _ => None,
    };
    records.filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct utmp` of glibc on 64-bit machines: 384 bytes; type at 0, line at 8, user at 44, seconds at
    /// 340.
    fn record(kind: u8, user: &str, at_s: u32) -> Vec<u8> {
        let mut record = vec![0; 384];
        record[0] = kind;
        record[8] = b'~';
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[340..344].copy_from_slice(&at_s.to_le_bytes());
        record
    }

    #[test]
    fn a_shutdown_in_good_order_is_on_record_and_a_power_cut_is_not() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        assert_eq!(Boot::read(root.path()), Boot::default());
        write("proc/sys/kernel/random/boot_id", b"b0-07\n");
        write("proc/stat", b"cpu 1 2\nbtime 5000\n");
        // Boot time is of type 2, a change of the run level of type 1.
        let records = [
            record(2, "reboot", 1_000),
            record(1, "runlevel", 1_001),
            record(1, "shutdown", 2_000),
            record(2, "reboot", 2_100),
        ]
        .concat();
        write("var/log/wtmp", &records);
        let boot = Boot::read(root.path());
        assert_eq!((boot.id.as_str(), boot.began_s), ("b0-07", Some(5_000)));
        assert_eq!(boot.shutdowns_s, [2_000]);
        assert!(boot.had_orderly_shutdown_since(1_500));
        assert!(!boot.had_orderly_shutdown_since(2_001));
        write("var/log/wtmp", &records[..1_000]);
        assert_eq!(Boot::read(root.path()).shutdowns_s, [0; 0]);
    }
}
