//! A process that holds what cannot be let go of yet: a probe is taken away when the last process that has it open closes
//! it, and that waits for every CPU.

use std::{fs::OpenOptions, io, path::Path, process, thread::sleep, time::Duration};

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Leaves a copy of this process behind, which holds all that is open until the file is gone, and nothing else.
pub fn until_gone(file: &Path) {
    // SAFETY: this process has one thread, so that no lock is held by one that the copy lacks.
    if let Ok(ForkResult::Child) = unsafe { fork() } {
        // Whoever waits for the end of our output, or of our session, is not to wait for the copy.
        let _ = no_terminal();
        while file.exists() {
            sleep(BETWEEN_LOOKS);
        }
        process::exit(0);
    }
}

fn no_terminal() -> io::Result<()> {
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
