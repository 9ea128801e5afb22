//! The signals by which a change of this node is asked to turn back.

use std::{fs, path::Path};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Those that ask to end. Whoever started this under `nohup` has it go on without its terminal.
pub fn ending(root: &Path) -> Vec<i32> {
    let status = fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    let mut signals = vec![SIGINT, SIGTERM];
    if !ignores(&status, SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether a process ignores a signal, by its `/proc/PID/status`.
fn ignores(status: &str, signal: i32) -> bool {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_that_is_ignored_stays_so() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ending(root.path()), [SIGINT, SIGTERM, SIGHUP]);
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        for (mask, expected) in [
            ("0000000000000001", &[SIGINT, SIGTERM][..]),
            ("0000000000001006", &[SIGINT, SIGTERM, SIGHUP]),
        ] {
            let status = format!("Name:\ta\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
            fs::write(root.path().join("proc/self/status"), status).unwrap();
            assert_eq!(ending(root.path()), expected, "{mask}");
        }
    }
}
