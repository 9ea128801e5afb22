//! The kernel's console: read to the end, for what it says when it dies.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// How much is kept, and how many of the last lines are shown.
const KEPT: usize = 1 << 20;
const SHOWN: usize = 40;

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

/// The last lines.
pub fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.trim_end().lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_forty_lines() {
        let console: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let tail = tail(&console);
        assert_eq!((tail.lines().count(), tail.lines().next(), tail.lines().last()), (40, Some("line 60"), Some("line 99")));
    }

    #[test]
    fn a_warning_is_no_panic() {
        assert!(!has_panicked("[ 3.0] WARNING: CPU: 0 PID: 1 at net/core.c:1\n"));
        assert!(has_panicked("[ 3.0] Kernel panic - not syncing: sysrq triggered crash\n"));
    }
}
