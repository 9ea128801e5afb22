//! A small process beside the one that changes this node. It outlives that one, and should that one die half way,
//! takes the change back in its place.
//!
//! It waits at the end of a pipe whose other end is with us and with every call into the kernel that we began: only
//! when all of these are gone does it know that nobody changes anything any more. Where the kernel does not answer a
//! call, the guard waits for that too, and finishes when the kernel lets go.

use std::{
    fs::File,
    io::{self, PipeWriter, Read as _, Write as _},
    os::fd::OwnedFd,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread::sleep,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::{
    change,
    drive::Drive,
    lock::Lock,
    reason::Messages,
    switch::{self, Switch},
    unload::{self, Removed},
};
use crate::{
    cli::{GuardArgs, SwitchedFrom},
    kernel::module::Name,
};

/// What tells it that all is done, and what it tells when it is up.
const DISMISSED: u8 = b'.';
const READY: u8 = b'+';

/// Between two tries where the kernel refuses, as while another livepatch is in transition.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What is to be taken back.
#[derive(Debug, Clone, Copy)]
pub enum Guarded<'a> {
    /// A livepatch, by the name of its module.
    Hotfix(&'a Name),
    /// Switches, to what they were found at.
    Switches(&'a [Switch]),
}

impl Guarded<'_> {
    fn told_to(self, command: &mut Command) {
        match self {
            Self::Hotfix(name) => {
                command.arg("--").arg(name.as_os_str());
            }
            Self::Switches(switches) => {
                let flag = |switch: &Switch| {
                    // Not by its name: that may soon stand for another namespace.
                    let namespace = switch.held_as();
                    let from = SwitchedFrom {
                        namespace,
                        value: switch.found,
                    };
                    format!("--switch={from}")
                };
                command.args(switches.iter().map(flag));
            }
        }
    }
}

/// The guard, as seen by the process that it watches.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    lifeline: PipeWriter,
}

impl Guard {
    /// Posts one, which has the lock too.
    ///
    /// # Errors
    ///
    /// When the process cannot be made, or does not come up.
    pub fn post(
        root: &Path,
        state_dir: &Path,
        guarded: Guarded<'_>,
        lock: Option<&Lock>,
    ) -> io::Result<Self> {
        let (reader, lifeline) = io::pipe()?;
        let (mut ready, stdout) = io::pipe()?;
        let lock = match lock {
            Some(lock) => Stdio::from(lock.to_hand_on()?),
            None => Stdio::null(),
        };
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("--root")
            .arg(root)
            .arg("--state-dir")
            .arg(state_dir)
            .args(["hotfix", "guard"]);
        guarded.told_to(&mut command);
        let child = command
            .stdin(reader)
            .stdout(stdout)
            .stderr(lock)
            // Neither Ctrl-C nor the end of a terminal is for it.
            .process_group(0)
            .spawn()?;
        // Its own end of the pipe would keep us waiting for the word of one that is dead.
        drop(command);
        let mut guard = Self { child, lifeline };
        let mut word = [0];
        match ready.read(&mut word)? {
            0 => {
                let status = guard.child.wait()?;
                Err(io::Error::other(format!("it ended at once ({status})")))
            }
            _ => Ok(guard),
        }
    }

    /// What each call into the kernel has to hold for as long as it lasts.
    ///
    /// # Errors
    ///
    /// When it cannot be duplicated.
    pub fn lifeline(&self) -> io::Result<OwnedFd> {
        Ok(self.lifeline.try_clone()?.into())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go: there is nothing that it would have to take back.
    pub fn dismiss(mut self) {
        // One that is gone already needs no word.
        if self.lifeline.write_all(&[DISMISSED]).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// Stands guard. On standard error it is handed the lock, if there is one.
pub fn run(args: &GuardArgs, root: &Path, state_dir: &Path) -> ExitCode {
    match watch(args, root, state_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn watch(args: &GuardArgs, root: &Path, state_dir: &Path) -> anyhow::Result<()> {
    // Who ends the tool by name, or the session by its process group, is not to end what clears up after it.
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let messages = Messages::as_found(root);
    // Held open from here on: whoever lives there may go meanwhile.
    let switches = args.switch.iter();
    let switches = switches.map(|from| Switch::of(root, &from.namespace, from.value));
    let switches: Vec<Switch> = switches.collect::<io::Result<_>>()?;
    // Whom this is for may be dead already.
    let mut ready = io::stdout().lock();
    let _ = ready.write_all(&[READY]).and_then(|()| ready.flush());
    if is_dismissed() {
        return Ok(());
    }
    let lock = nix::unistd::dup(io::stderr())?;
    let _lock = Lock::inherited(lock.into());
    // What is said from here on must not end up in the lock's file.
    nix::unistd::dup2_stderr(File::open("/dev/null")?)?;
    set_back(&switches);
    if let Some(name) = &args.name {
        let name = Name::from(name.clone());
        take_back(root, &name);
        drop(messages);
        change::settle(root, state_dir, &name);
    }
    Ok(())
}

/// Waits for the word, or for the end of all who could give it.
fn is_dismissed() -> bool {
    let mut word = [0];
    loop {
        match io::stdin().read(&mut word) {
            Ok(length) => return length > 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Sets the switches back, however often that has to be tried.
fn set_back(switches: &[Switch]) {
    while switch::set_back(switches).is_err() {
        sleep(BETWEEN_TRIES);
    }
}

/// Takes the hotfix back, however long the kernel needs, and whatever this process lacks meanwhile.
fn take_back(root: &Path, name: &Name) {
    loop {
        let mut drive = Drive::unattended(root.to_owned(), name.clone());
        while let Ok(is_over) = try_once(&mut drive) {
            if is_over {
                return;
            }
            sleep(BETWEEN_TRIES);
        }
        sleep(BETWEEN_TRIES);
    }
}

/// Whether nothing is left to do.
fn try_once(drive: &mut Drive) -> anyhow::Result<bool> {
    if unload::out_of_force(drive, false)?.is_some() {
        return Ok(false);
    }
    Ok(match unload::remove_unless_called(drive)? {
        Removed::Yes | Removed::Kept(_) => true,
        Removed::NotYet(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Here `/proc/self/exe` is the test's own program, which ends at once with such arguments.
    #[test]
    fn a_guard_that_does_not_come_up_is_an_error_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let posted = Guard::post(
            folder.path(),
            folder.path(),
            Guarded::Hotfix(&"x".into()),
            None,
        );
        let error = posted.unwrap_err().to_string();
        assert!(error.starts_with("it ended at once"), "{error}");
    }
}
