//! The signals that ask a command to end: a change of this node turns back, a measurement tells what it saw.

use std::{io, mem::MaybeUninit, ptr};

use nix::{errno::Errno, libc};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Returns those that ask to end. Whoever started this under `nohup` has it go on without its terminal.
///
/// # Errors
///
/// When the kernel does not say what this process does with a signal: heeding one that is to be ignored would roll a
/// change back.
pub fn ending() -> io::Result<Vec<i32>> {
    let mut signals = vec![SIGINT, SIGTERM];
    let is_ignored = is_ignored(SIGHUP).map_err(|error| {
        let why = format!("cannot read whether SIGHUP is ignored (sigaction): {error}");
        io::Error::new(error.kind(), why)
    })?;
    if !is_ignored {
        signals.push(SIGHUP);
    }
    Ok(signals)
}

/// Asks the kernel, and not `/proc`, which may be hidden or another process's.
fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action this changes nothing, and `action` has room for the present one.
    Errno::result(unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, and so it was written.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

    use super::*;

    #[test]
    fn a_hangup_that_is_ignored_stays_so() {
        let action = |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler of ours runs.
        let set = |handler| unsafe { sigaction(Signal::SIGHUP, &action(handler)) }.unwrap();
        let before = set(SigHandler::SigIgn);
        let ignored = ending().unwrap();
        set(SigHandler::SigDfl);
        let heeded = ending().unwrap();
        set(before.handler());
        assert_eq!(ignored, [SIGINT, SIGTERM]);
        assert_eq!(heeded, [SIGINT, SIGTERM, SIGHUP]);
        let error = is_ignored(0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "no such signal");
    }
}
