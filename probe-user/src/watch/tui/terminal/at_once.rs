//! The terminal given back from a signal handler, by a process that ends there and then: nothing here takes a
//! lock, allocates or waits.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{FlushArg, SetArg, Termios, tcflush, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp, write},
};

/// Pasting as before, styles off, the cursor to be seen, the ordinary screen: what crossterm writes for them. It ends what was
/// written halfway, too.
const RESET: &[u8] = b"\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";

/// The terminal is not as it was found.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// The terminal as it was found.
static FOUND: OnceLock<Found> = OnceLock::new();

struct Found {
    settings: libc::termios,
    keys: OwnedFd,
    out: File,
}

/// To be called before the terminal is changed.
pub fn is_about_to_change() -> io::Result<()> {
    if FOUND.get().is_none() {
        let keys = io::stdin().as_fd().try_clone_to_owned()?;
        let settings = tcgetattr(&keys)?.into();
        let out = output_that_never_waits()?;
        FOUND.get_or_init(|| Found {
            settings,
            keys,
            out,
        });
    }
    CHANGED.store(true, Ordering::SeqCst);
    Ok(())
}

/// Standard output, opened anew: the shell has it, too, and is not to find it changed.
fn output_that_never_waits() -> io::Result<File> {
    let anew = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open("/proc/self/fd/1");
    // A terminal from outside a container may not be there to be opened.
    anew.or_else(|_| Ok(io::stdout().as_fd().try_clone_to_owned()?.into()))
}

/// To be called when the terminal has been given back.
pub fn is_as_found() {
    CHANGED.store(false, Ordering::SeqCst);
}

/// Gives the terminal back if it is changed. Async-signal-safe.
pub fn give_back() {
    if !CHANGED.load(Ordering::SeqCst) {
        return;
    }
    let Some(found) = FOUND.get() else {
        return;
    };
    let (keys, out) = (found.keys.as_fd(), found.out.as_fd());
    // The terminal is someone else's now, and would stop us.
    if tcgetpgrp(keys).is_ok_and(|foreground| foreground != getpgrp()) {
        return;
    }
    let _gone = tcsetattr(keys, SetArg::TCSANOW, &Termios::from(found.settings));
    if !has_room(out) {
        // What waits there is for a screen that goes.
        let _gone = tcflush(out, FlushArg::TCOFLUSH);
    }
    if has_room(out) {
        let _gone: Result<usize, Errno> = write(out, RESET);
    }
}

fn has_room(out: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(out, PollFlags::POLLOUT)];
    let ready = poll(&mut polled, PollTimeout::ZERO);
    ready.is_ok_and(|ready| ready == 1)
        && polled[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLOUT))
}
