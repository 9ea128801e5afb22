//! What the kernel writes to its log from a moment on (`Documentation/ABI/testing/dev-kmsg` of Linux 6.1).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::fcntl::OFlag;

/// No record is longer (`CONSOLE_EXT_LOG_MAX`, `kernel/printk/printk.c`).
const RECORD: usize = 8_192;

/// Lines that are kept: a transition that is kept for hours writes one a second and more.
const MOST: usize = 1_000;

/// The log from the moment on in which this was opened.
#[derive(Debug)]
pub struct KernelLog {
    file: Option<File>,
    lines: Vec<String>,
    /// The first line by which the kernel complained of itself, kept or not.
    complaint: Option<String>,
    /// Why there is nothing to read, or not all of it.
    trouble: Option<String>,
}

impl KernelLog {
    /// Begins here. Where the log cannot be read, that is told in place of its lines.
    pub fn from_now(root: &Path) -> Self {
        let path = root.join("dev/kmsg");
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path);
        let opened = opened.and_then(|mut file| file.seek(SeekFrom::End(0)).map(|_| file));
        let trouble = opened.as_ref().err();
        Self {
            trouble: trouble.map(|error| format!("(/dev/kmsg cannot be read: {error})")),
            file: opened.ok(),
            lines: Vec::new(),
            complaint: None,
        }
    }

    /// Takes in what has come since.
    pub fn read(&mut self) {
        let mut record = vec![0; RECORD];
        while let Some(file) = &mut self.file {
            match file.read(&mut record) {
                Ok(length @ 1..) => self.keep(message(&record[..length])),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.trouble = Some("(older lines were overwritten)".into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn keep(&mut self, line: Option<String>) {
        if self.complaint.is_none() {
            self.complaint = line.clone().filter(|line| is_complaint(line));
        }
        self.lines.extend(line);
        if self.lines.len() > MOST {
            self.lines.drain(..MOST / 2);
            self.trouble = Some("(older lines are left out)".into());
        }
    }

    /// The lines so far, oldest first.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The first line by which the kernel complained of itself.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Why lines are missing, if some are.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// Words of a line by which the kernel says that something went wrong in it (`lib/bug.c`, `kernel/panic.c`,
/// `arch/x86/mm/fault.c`, `kernel/watchdog.c`, `kernel/rcu/tree_stall.h` of Linux 6.1).
const COMPLAINTS: [&str; 8] = [
    "WARNING: CPU:",
    "kernel BUG at",
    "BUG: ",
    "Oops: ",
    // Not that of a program, which is `general protection fault ip:`.
    "general protection fault,",
    "general protection fault:",
    "detected stalls on CPUs",
    "self-detected stall on CPU",
];

fn is_complaint(line: &str) -> bool {
    COMPLAINTS.iter().any(|words| line.contains(words))
}

/// The text of a record: `prefix,fields;text`, and lines that begin with a space for its dictionary.
fn message(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, rest) = record.split_once(';')?;
    Some(rest.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_by_its_text() {
        let record = b"6,339,5140900,-;livepatch: enabling patch 'a'; now\n SUBSYSTEM=pci\n";
        assert_eq!(
            message(record).as_deref(),
            Some("livepatch: enabling patch 'a'; now")
        );
        assert_eq!(message(b"no record"), None);
    }

    #[test]
    fn what_the_kernel_complains_of_is_told_from_what_it_tells() {
        for line in [
            "livepatch: enabling patch 'est_slow'",
            "est_slow: loading out-of-tree module taints kernel.",
        ] {
            assert!(!is_complaint(line), "{line}");
        }
        for line in [
            "BUG: unable to handle page fault for address: ffffffffc0a51000",
            "WARNING: CPU: 0 PID: 12 at kernel/livepatch/core.c:1234 klp_x+0x1/0x2",
            "Oops: 0010 [#1] PREEMPT SMP NOPTI",
            "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [hold_spin:97]",
        ] {
            assert!(is_complaint(line), "{line}");
        }
    }

    #[test]
    fn a_log_that_is_not_there_is_told_and_no_error() {
        let mut log = KernelLog::from_now(Path::new("/nowhere"));
        log.read();
        assert!(log.lines().is_empty());
        assert!(log.trouble().unwrap().contains("/dev/kmsg"));
    }
}
