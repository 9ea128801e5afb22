//! A process that holds what cannot be let go of yet: a probe is taken away when the last process that has it open closes
//! it, and that waits for every CPU.

use std::{fs::OpenOptions, io, path::PathBuf, process, thread::sleep, time::Duration};

use nix::{
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid},
};

use super::drive::say;

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Leaves a copy of this process behind, which holds all that is open until these files are gone, and does nothing else.
pub fn until_gone(files: &[PathBuf]) {
    // SAFETY: this process has one thread, so that no lock is held by one that the copy lacks.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // Whoever waits for the end of our output, or of our session, is not to wait for the copy; and it can be
            // ended like any other process.
            let _ = no_terminal();
            while files.iter().any(|file| file.try_exists().unwrap_or(true)) {
                sleep(BETWEEN_LOOKS);
            }
            process::exit(0);
        }
        Ok(ForkResult::Parent { .. }) => {}
        Err(error) => say(&format!(
            "warning: this process ends once every CPU has yielded, for no other can hold its probes ({error})"
        )),
    }
}

fn no_terminal() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action runs no code of ours.
        unsafe { sigaction(signal, &default) }?;
    }
    setsid()?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
