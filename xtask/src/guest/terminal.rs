//! The run's terminal in the guest.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{self, InputFlags, LocalFlags, OutputFlags, SetArg};

use crate::wire::{self, Size};

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(set_controlling, libc::TIOCSCTTY);
nix::ioctl_read_bad!(get_foreground, libc::TIOCGPGRP, libc::pid_t);

/// Both ends of a pseudoterminal.
pub struct Pair {
    /// The lab's end.
    pub master: File,
    /// The command's end.
    pub slave: OwnedFd,
}

/// Makes the terminal that `wanted` describes.
pub fn make(wanted: wire::Terminal) -> Result<Pair> {
    let size = winsize(wanted.size);
    let pair = openpty(&size, None).context("cannot make a terminal")?;
    for end in [pair.master.as_fd(), pair.slave.as_fd()] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .context("cannot keep the terminal from being inherited")?;
    }
    let mut settings =
        termios::tcgetattr(&pair.slave).context("cannot read the terminal's settings")?;
    settings.input_flags |= InputFlags::IUTF8;
    if !wanted.raw {
        // The host's own terminal echoes and ends the lines.
        settings.local_flags -= LocalFlags::ECHO;
        settings.output_flags -= OutputFlags::OPOST;
    }
    termios::tcsetattr(&pair.slave, SetArg::TCSANOW, &settings)
        .context("cannot set up the terminal")?;
    Ok(Pair {
        master: pair.master.into(),
        slave: pair.slave,
    })
}

/// Gives the terminal another size; its foreground processes get SIGWINCH.
pub fn resize(master: &File, size: Size) -> io::Result<()> {
    let size = winsize(size);
    // SAFETY: the descriptor is open for the length of the borrow, and `size` is the structure that TIOCSWINSZ reads.
    unsafe { set_size(master.as_raw_fd(), &raw const size) }?;
    Ok(())
}

/// Makes `slave` the controlling terminal of the calling process, which must lead a session that has none.
pub fn control(slave: i32) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a plain integer and touches no memory of ours.
    unsafe { set_controlling(slave, 0) }?;
    Ok(())
}

/// The process group in the foreground of the terminal.
pub fn foreground(master: &File) -> io::Result<libc::pid_t> {
    let mut group = 0;
    // SAFETY: the descriptor is open for the length of the borrow, and `group` is what TIOCGPGRP writes.
    unsafe { get_foreground(master.as_raw_fd(), &raw mut group) }?;
    Ok(group)
}

fn winsize(size: Size) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
