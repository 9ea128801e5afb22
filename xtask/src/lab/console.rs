//! The kernel's console: read to the end, for what it says when it dies.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// How much is kept.
const KEPT: usize = 1 << 20;
/// How many of the last lines are shown; more, up to so many, where a crash began before them.
const SHOWN: usize = 40;
const SHOWN_OF_CRASH: usize = 120;
/// How a crash begins.
const CRASHES: [&str; 6] = [
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "Kernel panic",
    "watchdog: ",
    "detected stalls on CPU",
];

/// A console being read.
pub struct Console(JoinHandle<Vec<u8>>);

impl Console {
    /// Reads from `line` until the machine has stopped.
    pub fn read(mut line: UnixStream) -> Self {
        Self(thread::spawn(move || {
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(bytes) = line.read(&mut buffer) {
                if bytes == 0 {
                    break;
                }
                text.extend_from_slice(&buffer[..bytes]);
                // What was said last tells most.
                if text.len() > 2 * KEPT {
                    text.drain(..text.len() - KEPT);
                }
            }
            text
        }))
    }

    /// Everything that was said; call it when the machine has stopped.
    pub fn text(self) -> String {
        let text = self.0.join().unwrap_or_default();
        String::from_utf8_lossy(&text).replace('\r', "")
    }
}

/// Whether the kernel says that it has crashed.
pub fn has_panicked(console: &str) -> bool {
    console.contains("Kernel panic - not syncing")
}

/// Returns whether the kernel says that it was shut down or started again in good order.
pub fn has_shut_down(console: &str) -> bool {
    ["reboot: Power down", "reboot: Restarting system"]
        .iter()
        .any(|words| console.contains(words))
}

/// The last lines; with a crash, from its beginning on.
pub fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.trim_end().lines().collect();
    let usual = lines.len().saturating_sub(SHOWN);
    let crash = lines
        .iter()
        .position(|line| CRASHES.iter().any(|crash| line.contains(crash)));
    let start = crash.map_or(usual, |crash| {
        usual
            .min(crash)
            .max(lines.len().saturating_sub(SHOWN_OF_CRASH))
    });
    lines[start..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(lines: usize) -> Vec<String> {
        (0..lines).map(|line| format!("line {line}")).collect()
    }

    #[test]
    fn the_tail_is_the_last_forty_lines() {
        let lines = numbered(100);
        assert_eq!(tail(&lines.join("\n")), lines[60..].join("\n"));
    }

    #[test]
    fn the_tail_of_a_crash_begins_with_it_unless_it_is_endless() {
        for (at, first) in [(30, 30), (2, 80), (190, 160)] {
            let mut lines = numbered(200);
            if at == 30 {
                lines.truncate(100);
            }
            lines[at] = "Kernel panic - not syncing: test".into();
            assert_eq!(tail(&lines.join("\n")), lines[first..].join("\n"), "{at}");
        }
    }

    #[test]
    fn a_machine_that_was_shut_down_is_told_from_one_that_only_stopped() {
        for (console, shut_down) in [
            ("[   12.3] reboot: Restarting system\n", true),
            ("[   12.3] reboot: Power down\n", true),
            (
                "[   12.3] systemd[1]: Reached target reboot.target\n",
                false,
            ),
        ] {
            assert_eq!(has_shut_down(console), shut_down, "{console}");
        }
    }

    #[test]
    fn a_warning_is_no_panic() {
        assert!(!has_panicked(
            "[ 3.0] WARNING: CPU: 0 PID: 1 at net/core.c:1\n"
        ));
        assert!(has_panicked(
            "[ 3.0] Kernel panic - not syncing: sysrq triggered crash\n"
        ));
    }
}
