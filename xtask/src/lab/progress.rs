//! The one line on the terminal that says what a guest is at, until its command speaks.

use std::io::{IsTerminal, Write, stderr};

/// Shows the line, or nothing where standard error is no terminal.
pub struct Progress {
    shown: bool,
    wanted: bool,
}

impl Progress {
    /// A line on standard error, if that is a terminal.
    pub fn on_terminal() -> Self {
        Self {
            shown: false,
            wanted: stderr().is_terminal(),
        }
    }

    /// Replaces the line.
    pub fn say(&mut self, text: &str) {
        if self.wanted {
            self.shown = true;
            // Nothing is lost with a progress line that cannot be shown.
            let _ = write!(stderr(), "\r\x1b[K{text}");
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
