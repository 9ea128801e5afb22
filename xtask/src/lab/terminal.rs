//! The user's terminal: its size, and its raw mode while the guest's terminal does the work.

use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use nix::libc;
use nix::pty::Winsize;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::wire::{Kind, Size, Terminal};

nix::ioctl_read_bad!(get_size, libc::TIOCGWINSZ, Winsize);

/// What this process's standard streams are.
pub fn kinds() -> [Kind; 3] {
    [
        stdin().is_terminal(),
        stdout().is_terminal(),
        stderr().is_terminal(),
    ]
    .map(|terminal| if terminal { Kind::Terminal } else { Kind::Pipe })
}

/// The terminal the guest is to have for streams like these.
pub fn wanted(kinds: [Kind; 3]) -> Option<Terminal> {
    let raw = kinds[..2] == [Kind::Terminal; 2];
    kinds
        .contains(&Kind::Terminal)
        .then(|| Terminal { size: size(), raw })
}

/// Size of the terminal this process writes on; 24 by 80 where it has none that knows.
pub fn size() -> Size {
    let known = |size: &Winsize| size.ws_row > 0 && size.ws_col > 0;
    let size = [
        stdout().as_raw_fd(),
        stderr().as_raw_fd(),
        stdin().as_raw_fd(),
    ]
    .into_iter()
    .filter_map(size_of)
    .find(known);
    size.map_or(
        Size {
            rows: 24,
            columns: 80,
        },
        |size| Size {
            rows: size.ws_row,
            columns: size.ws_col,
        },
    )
}

fn size_of(descriptor: i32) -> Option<Winsize> {
    let mut size = Winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the standard streams are open for as long as the process lives, and `size` is what TIOCGWINSZ writes.
    unsafe { get_size(descriptor, &raw mut size) }.ok()?;
    Some(size)
}

/// Undoes on the user's terminal what a program of the guest may have done and can undo no more: the normal screen, a
/// cursor, no colours.
pub fn leave_screen() {
    let mut terminal = stdout();
    let _ = terminal.write_all(b"\x1b[?1049l\x1b[?25h\x1b[0m");
    let _ = terminal.flush();
}

/// Keeps standard input's terminal raw; puts it back when dropped.
pub struct Raw(Termios);

impl Raw {
    /// Makes the terminal raw.
    pub fn enter() -> Result<Self> {
        let before = tcgetattr(stdin().as_fd()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin().as_fd(), SetArg::TCSADRAIN, &raw)
            .context("cannot make the terminal raw")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin().as_fd(), SetArg::TCSADRAIN, &self.0);
    }
}
