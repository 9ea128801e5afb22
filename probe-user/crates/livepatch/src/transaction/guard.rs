//! The guard, as seen by the process that it watches: a small process beside the one that changes this node. It outlives that one, and should that one die half way,
//! takes the change back in its place.
//!
//! It waits at the end of a pipe whose other end is with us and with every call into the kernel that we began: only
//! when all of these are gone does it know that nobody changes anything any more. Where the kernel does not answer a
//! call, the guard waits for that too, and finishes when the kernel lets go.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs::File,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::fd::OwnedFd,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    rc::Rc,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{
    lock::Lock,
    switch::{Switch, SwitchedFrom},
};
use crate::{ports::Program, site::Site};
use livepatch_image::Name;

/// What tells it that all is done.
pub const DISMISSED: u8 = b'.';
/// What it tells when it is up.
pub const READY: u8 = b'+';

/// How long the end of a guard may take that was dismissed, and how often it is looked for.
const DISMISSAL: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// Between two tries where the kernel refuses, as while another livepatch is in transition.
pub const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What is to be taken back.
#[derive(Debug, Clone, Copy)]
pub enum Guarded<'a> {
    /// A livepatch, by the name of its module.
    Hotfix(&'a Name),
    /// Switches, to what they were found at.
    Switches(&'a [Switch]),
}

impl Guarded<'_> {
    fn args(self) -> Vec<OsString> {
        match self {
            Self::Hotfix(name) => vec!["--".into(), name.as_os_str().to_owned()],
            Self::Switches(switches) => {
                let flag = |switch: &Switch| {
                    // Not by its name: that may soon stand for another namespace.
                    let from = SwitchedFrom {
                        netns: switch.netns(),
                        namespace: switch.held_as(),
                        value: switch.found,
                    };
                    format!("--switch={from}").into()
                };
                switches.iter().map(flag).collect()
            }
        }
    }

    /// Says what a person has to do if no guard is there.
    fn by_hand(self) -> String {
        match self {
            Self::Hotfix(name) => {
                format!(
                    "once the kernel lets go, type `ipvs-latency hotfix unload {}`",
                    name.typed()
                )
            }
            Self::Switches(switches) => {
                let one =
                    |switch: &Switch| format!("to {} in netns {}", switch.found, switch.netns());
                let all: Vec<String> = switches.iter().map(one).collect();
                format!("set net.ipv4.vs.run_estimation {}", all.join(", "))
            }
        }
    }
}

/// How a guard is started.
#[derive(Debug)]
struct Orders {
    program: Program,
    by_hand: String,
    /// Passed on to each guard that is started.
    lock: Option<File>,
}

/// What a look at the guard found.
#[derive(Debug)]
pub enum Looked {
    /// It is there.
    There,
    /// It was lost, and another was started: a sentence.
    Replaced(String),
    /// No guard is there, for this reason.
    Missing(String),
    /// It was dismissed: there is nothing left to guard.
    Dismissed,
}

/// The guard, as seen by the process that it watches. Clones share it, and share a guard that replaces it.
#[derive(Debug, Clone)]
pub struct Guard(Rc<RefCell<Post>>);

/// The place of a guard, and the guard in it.
#[derive(Debug)]
struct Post {
    orders: Orders,
    child: Child,
    lifeline: PipeWriter,
    /// Kept open, so that the next guard waits for the same calls as the lost one.
    reader: PipeReader,
    is_dismissed: bool,
    /// The last start of a guard, and its result.
    tried: Instant,
    failed: Option<String>,
}

impl Guard {
    /// Posts one, which has the lock too.
    ///
    /// # Errors
    ///
    /// When the process cannot be made, or does not come up.
    pub fn post(site: &Site, guarded: Guarded<'_>, lock: Option<&Lock>) -> io::Result<Self> {
        let mut args: Vec<OsString> = vec!["--root".into(), (&site.root).into()];
        args.extend(["--state-dir".into(), (&site.state_dir).into()]);
        args.extend(["hotfix".into(), "guard".into()]);
        args.extend(guarded.args());
        Self::of(Orders {
            program: site.kernel().guard(args),
            by_hand: guarded.by_hand(),
            lock: lock.map(Lock::to_hand_on).transpose()?,
        })
    }

    fn of(orders: Orders) -> io::Result<Self> {
        let (reader, lifeline) = io::pipe()?;
        let child = orders.start(&reader)?;
        Ok(Self(Rc::new(RefCell::new(Post {
            orders,
            child,
            lifeline,
            reader,
            is_dismissed: false,
            tried: Instant::now(),
            failed: None,
        }))))
    }

    /// What each call into the kernel has to hold for as long as it lasts.
    ///
    /// # Errors
    ///
    /// When it cannot be duplicated.
    pub fn lifeline(&self) -> io::Result<OwnedFd> {
        Ok(self.0.borrow().lifeline.try_clone()?.into())
    }

    /// Checks that the guard is there, and starts another if it is not: at once if a person sees the answer, otherwise
    /// at most once a second.
    #[must_use]
    pub fn look(&self, at_once: bool) -> Looked {
        self.0.borrow_mut().look(at_once)
    }

    /// Returns whether it ended without being dismissed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let mut post = self.0.borrow_mut();
        !post.is_dismissed && !matches!(post.child.try_wait(), Ok(None))
    }

    /// Its process, as of the last look.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.borrow().child.id()
    }

    /// Says in a clause what a person has to do if no guard is there.
    #[must_use]
    pub fn by_hand(&self) -> String {
        self.0.borrow().orders.by_hand.clone()
    }

    /// Dismisses the guard, for which nothing is left to take back, and waits a moment for its end. Returns its process
    /// where it has not ended by then: it holds the lock until it does.
    #[must_use]
    pub fn dismiss(self) -> Option<u32> {
        let mut post = self.0.borrow_mut();
        post.is_dismissed = true;
        // One that is gone already needs no word.
        if post.lifeline.write_all(&[DISMISSED]).is_err() {
            return None;
        }
        let deadline = Instant::now() + DISMISSAL;
        while matches!(post.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                return Some(post.child.id());
            }
            post.go_on();
            sleep(BETWEEN_LOOKS);
        }
        None
    }
}

impl Orders {
    /// Starts a guard at the end of that pipe, and waits until it is up.
    fn start(&self, reader: &PipeReader) -> io::Result<Child> {
        let (mut ready, stdout) = io::pipe()?;
        let lock = match &self.lock {
            Some(lock) => Stdio::from(lock.try_clone()?),
            None => Stdio::null(),
        };
        let mut command = Command::new(&self.program.path);
        let mut child = command
            .args(&self.program.args)
            .stdin(reader.try_clone()?)
            .stdout(stdout)
            .stderr(lock)
            // Neither Ctrl-C nor the end of a terminal is for it.
            .process_group(0)
            .spawn()?;
        // Its own end of the pipe would keep us waiting for the word of one that is dead.
        drop(command);
        let mut word = [0];
        match ready.read(&mut word)? {
            0 => {
                let status = child.wait()?;
                Err(io::Error::other(format!("it ended at once ({status})")))
            }
            _ => Ok(child),
        }
    }
}

impl Post {
    /// Continues a guard that a signal stopped, for it could roll back nothing. It is our child and was not waited for: its
    /// number is its own.
    fn go_on(&self) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        let look = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if let Ok(WaitStatus::Stopped(..)) = waitid(Id::Pid(pid), look) {
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    fn look(&mut self, at_once: bool) -> Looked {
        if self.is_dismissed {
            return Looked::Dismissed;
        }
        // Asks for our child, not for its number, which another process may have by now.
        let ended = match self.child.try_wait() {
            Ok(None) => {
                self.go_on();
                return Looked::There;
            }
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        if let Some(failed) = &self.failed
            && !at_once
            && self.tried.elapsed() < BETWEEN_TRIES
        {
            return Looked::Missing(failed.clone());
        }
        let lost = self.child.id();
        self.tried = Instant::now();
        let lost = format!("process {lost}, which guards this change, ended ({ended})");
        match self.orders.start(&self.reader) {
            Ok(child) => {
                self.child = child;
                self.failed = None;
                let pid = self.child.id();
                Looked::Replaced(format!("{lost}; process {pid} guards it now"))
            }
            Err(error) => {
                let failed = format!("{lost}, and no other can be started ({error})");
                self.failed = Some(failed.clone());
                Looked::Missing(failed)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
