//! The kernel of a made node: its calls are answered as a test says, and other processes act on it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::Path,
    rc::Rc,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use super::{
    kernel_state::{Answer, CallState, MadeCall},
    livepatches::livepatch,
    world::{Action, World},
};
use crate::{
    ports::{Call, Kernel, Log, Program},
    step::StepKind,
    transaction::left_behind::Awaited,
};
use livepatch_image::Name;

/// Returns a program that stands in for a guard: it says that it is up, waits at the end of the pipe, and writes to a file
/// whether it was dismissed or left alone. With a file of that name and `.none` it ends at once.
#[must_use]
pub fn guard(said: &Path) -> Program {
    const STAND_IN: &str = "[ ! -e \"$0.none\" ] || exit 1; printf +; if read -r -n1 word || [ -n \"$word\" ]; then echo dismissed; else echo alone; fi > \"$0\"";
    Program {
        path: "/bin/bash".into(),
        args: vec!["-c".into(), STAND_IN.into(), said.into()],
    }
}

impl World {
    /// Says what becomes of the next call of this kind, or of the one after those of which it was said before.
    pub fn next_call(&self, kind: StepKind, answer: Answer) {
        self.kernel.borrow_mut().answers.push_back((kind, answer));
    }

    /// Says how long transitions take; `None`: they are never over.
    pub fn transitions_take(&self, patching: Option<Duration>, unpatching: Option<Duration>) {
        let mut kernel = self.kernel.borrow_mut();
        (kernel.patching, kernel.unpatching) = (patching, unpatching);
    }

    /// Has livepatches take the place of all others from now on.
    pub fn replace_others(&self) {
        self.kernel.borrow_mut().replaces_others = true;
    }

    /// Has every guard end before it is up from now on.
    pub fn no_guard_comes_up(&self) {
        self.write("guard.said.none", "");
    }

    /// Has the kernel write a line to its log.
    pub fn log_line(&self, text: &str) {
        let mut kernel = self.kernel.borrow_mut();
        let record = format!("4,{},1,-;{text}\n", kernel.records.len());
        kernel.records.push(record);
    }

    /// Keeps the log from being read.
    pub fn hide_log(&self) {
        self.kernel.borrow_mut().hides_log = true;
    }

    /// Returns the kinds of the calls that have begun.
    #[must_use]
    pub fn calls(&self) -> Vec<StepKind> {
        let kernel = self.kernel.borrow();
        kernel.calls.iter().map(|call| call.kind).collect()
    }

    /// Returns how often a process was left behind.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        self.kernel.borrow().left_behind
    }

    /// Returns why the node crashed, if it did.
    #[must_use]
    pub fn crash(&self) -> Option<String> {
        self.kernel.borrow().crash.clone()
    }

    /// Returns whether a livepatch is enabled, and whether it is in transition; `None` where the kernel has none of that name.
    #[must_use]
    pub fn livepatch(&self, name: &str) -> Option<(bool, bool)> {
        let flag = |file: &str| {
            let text = fs::read_to_string(self.root.join(livepatch(name, file))).ok()?;
            // What a test writes there does not change what it is.
            Some(text.trim() != "0")
        };
        Some((flag("enabled")?, flag("transition")?))
    }

    /// Returns whether a module is loaded.
    #[must_use]
    pub fn is_loaded(&self, name: &str) -> bool {
        self.root.join(format!("sys/module/{name}")).is_dir()
    }

    /// Returns where the code of a module lies.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<u64> {
        self.kernel.borrow().places.get(name).copied()
    }

    /// Has a livepatch that replaces a function of an object loaded, enabled, and its transition over.
    pub fn enable(&self, name: &str, object: &str) {
        self.load_module(name);
        self.show(name, object);
        self.write(&livepatch(name, "transition"), "0");
    }

    /// Has another process write to the file `enabled` of a livepatch.
    pub fn switch_livepatch(&self, name: &str, enabled: bool) {
        let _ = self.write_enabled(name, enabled);
    }

    /// Has another process remove a module.
    pub fn remove_module(&self, name: &str) {
        let _ = self.unload_module(name);
    }

    /// Ends the transition of a livepatch, if one is under way.
    pub fn let_go(&self, name: &str) {
        let transition = self.kernel.borrow().transitions.get(name).copied();
        if let Some(transition) = transition {
            self.settle(name, transition);
        }
    }

    /// Kills every guard that this node's commands posted, and waits until they are dead. A process that dies loses its
    /// command line before its parent can see its end, so its end is what this waits for, and leaves for the engine to see.
    pub fn kill_guard(&self) {
        let said = self.root.join("guard.said");
        for pid in guards(&said).into_iter().map(Pid::from_raw) {
            kill(pid, Signal::SIGKILL).unwrap();
            let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            waitid(Id::Pid(pid), ended).unwrap();
        }
    }

    fn carry_out(&self, kind: StepKind, name: &str) -> Result<(), Errno> {
        match kind {
            StepKind::Insert => self.insert(name),
            StepKind::Remove => self.unload_module(name),
            StepKind::Enable => self.write_enabled(name, true),
            StepKind::Disable => self.write_enabled(name, false),
        }
    }

    /// Has the kernel answer a call.
    pub(super) fn answer(&self, number: usize) {
        let (kind, name, will) = {
            let call = &self.kernel.borrow().calls[number];
            (call.kind, call.name.clone(), call.will)
        };
        let state = match will {
            Answer::Does(_) => CallState::Answered(self.carry_out(kind, &name)),
            Answer::Refuses(errno) => CallState::Answered(Err(errno)),
            Answer::Dies => CallState::Dead,
            Answer::Never | Answer::CannotBegin => return,
        };
        self.kernel.borrow_mut().calls[number].state = state;
    }

    fn next_answer(&self, kind: StepKind) -> Answer {
        let answers = &mut self.kernel.borrow_mut().answers;
        let next = answers.iter().position(|(of, _)| *of == kind);
        let next = next.and_then(|index| answers.remove(index));
        next.map_or(Answer::Does(Duration::ZERO), |(_, answer)| answer)
    }
}

/// Returns the processes that stand in for guards, and write to that file.
fn guards(said: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|one| one.file_name().to_str()?.parse().ok());
    let is_one = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.any(|word| word == said.as_os_str().as_bytes())
    };
    pids.filter(is_one).collect()
}

impl Kernel for World {
    fn now(&self) -> Duration {
        self.time()
    }

    fn begin(
        &self,
        kind: StepKind,
        name: &Name,
        _: &[u8],
        lifeline: Option<OwnedFd>,
    ) -> io::Result<Box<dyn Call>> {
        self.turn();
        let will = self.next_answer(kind);
        if will == Answer::CannotBegin {
            return Err(Errno::EAGAIN.into());
        }
        let number = {
            let calls = &mut self.kernel.borrow_mut().calls;
            calls.push(MadeCall {
                kind,
                name: name.to_string(),
                will,
                state: CallState::Open {
                    _lifeline: lifeline,
                },
            });
            calls.len() - 1
        };
        match will {
            Answer::Does(wait) if !wait.is_zero() => self.schedule(wait, Action::Answer(number)),
            _ => self.answer(number),
        }
        self.has_begun(kind);
        let world = self.me.upgrade().unwrap();
        Ok(Box::new(Begun { world, number }))
    }

    fn log(&self) -> io::Result<Box<dyn Log>> {
        let kernel = self.kernel.borrow();
        if kernel.hides_log {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Box::new(MadeLog {
            world: self.me.upgrade().unwrap(),
            read: kernel.records.len(),
        }))
    }

    fn run_estimation(&self, namespace: &File) -> io::Result<i32> {
        let value = self.switch(inode(namespace)?);
        value.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn set_run_estimation(&self, namespace: &File, value: i32) -> io::Result<()> {
        self.turn();
        self.set_switch(inode(namespace)?, value)
    }

    fn guard(&self, _: Vec<OsString>) -> Program {
        guard(&self.root.join("guard.said"))
    }

    fn leave_behind(&self, _: &[Awaited]) -> io::Result<()> {
        self.kernel.borrow_mut().left_behind += 1;
        Ok(())
    }
}

fn inode(file: &File) -> io::Result<u32> {
    u32::try_from(file.metadata()?.ino()).map_err(io::Error::other)
}

/// A call, as the engine has it.
struct Begun {
    world: Rc<World>,
    number: usize,
}

impl Call for Begun {
    fn pid(&self) -> u32 {
        7_000 + u32::try_from(self.number).unwrap()
    }

    fn answer(&mut self) -> io::Result<Option<Result<(), Errno>>> {
        match self.world.kernel.borrow().calls[self.number].state {
            CallState::Open { .. } => Ok(None),
            CallState::Answered(answer) => Ok(Some(answer)),
            CallState::Dead => Err(io::Error::other(
                "the process that asked the kernel was ended (signal: 9)",
            )),
        }
    }
}

/// The log, as one process reads it.
struct MadeLog {
    world: Rc<World>,
    read: usize,
}

impl Log for MadeLog {
    fn next(&mut self, record: &mut [u8]) -> io::Result<usize> {
        self.world.turn();
        let kernel = self.world.kernel.borrow();
        let next = kernel.records.get(self.read);
        let next = next.ok_or(io::ErrorKind::WouldBlock)?;
        self.read += 1;
        record[..next.len()].copy_from_slice(next.as_bytes());
        Ok(next.len())
    }
}
