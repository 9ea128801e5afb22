//! What the engine asks for: the node's kernel, the estimators, and the person or program that follows what happens. It
//! knows nothing else of the world but the files under the node's folders, so that tests can stand in for all three.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use nix::errno::Errno;

use super::step::StepKind;
use crate::transaction::left_behind::Awaited;
use host::netns_owners::NetnsOwners;
use livepatch_image::Name;
use model::{Course, Output, Overview, Report, Timer};

/// The three, as a node has them.
#[derive(Clone)]
pub struct Ports {
    /// The kernel.
    pub kernel: Rc<dyn Kernel>,
    /// The estimators.
    pub estimators: Rc<dyn Estimators>,
    /// Who follows what happens.
    pub progress: Rc<dyn Progress>,
}

/// The kernel of a node: each call that may block, its log, and its clock. What it shows of itself in sysfs and procfs is
/// read under the node's root folder.
pub trait Kernel {
    /// Returns the time since the node's boot (`CLOCK_MONOTONIC`).
    fn now(&self) -> Duration;

    /// Begins a call that may never return. The bytes of a module to insert are handed over here. The `lifeline` to the guard
    /// is held until the kernel has answered.
    ///
    /// # Errors
    ///
    /// When the call cannot begin.
    fn begin(
        &self,
        kind: StepKind,
        name: &Name,
        module: &[u8],
        lifeline: Option<OwnedFd>,
    ) -> io::Result<Box<dyn Call>>;

    /// Opens the kernel's log behind its last record.
    ///
    /// # Errors
    ///
    /// When this user cannot read it.
    fn log(&self) -> io::Result<Box<dyn Log>>;

    /// Returns `net.ipv4.vs.run_estimation` of an open network namespace.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, or has no such switch.
    fn run_estimation(&self, namespace: &File) -> io::Result<i32>;

    /// Sets it.
    ///
    /// # Errors
    ///
    /// As [`Self::run_estimation`].
    fn set_run_estimation(&self, namespace: &File, value: i32) -> io::Result<()>;

    /// Returns the program that stands guard, and its arguments; `wanted` are those of the hidden command `hotfix guard`.
    fn guard(&self, wanted: Vec<OsString>) -> Program;

    /// Leaves a copy of this process behind, which holds all that is open until these are gone.
    ///
    /// # Errors
    ///
    /// When no process can be made.
    fn leave_behind(&self, awaited: &[Awaited]) -> io::Result<()>;
}

/// A program and its arguments.
#[derive(Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// What it is started with.
    pub args: Vec<OsString>,
}

/// A call into the kernel that has begun.
pub trait Call {
    /// Returns the process that waits for the answer.
    fn pid(&self) -> u32;

    /// Returns what the kernel answered; `None` while it has not.
    ///
    /// # Errors
    ///
    /// When the process ended without an answer.
    fn answer(&mut self) -> io::Result<Option<Result<(), Errno>>>;
}

/// The kernel's log from a moment on.
pub trait Log {
    /// Reads the next record, as `/dev/kmsg` gives it, into `record`; returns its length, and 0 or `WouldBlock` where there is
    /// none yet.
    ///
    /// # Errors
    ///
    /// As a read of `/dev/kmsg`: `BrokenPipe` where records were overwritten.
    fn next(&mut self, record: &mut [u8]) -> io::Result<usize>;
}

/// The estimators of a node.
pub trait Estimators {
    /// Returns an error if probes cannot be attached on this node, or by this user.
    ///
    /// # Errors
    ///
    /// That is the error.
    fn can_be_probed(&self) -> anyhow::Result<()>;

    /// Looks at each timer, without any probe; there is none without `ip_vs`.
    ///
    /// # Errors
    ///
    /// When they cannot be seen on this node, or by this user.
    fn timers(&self) -> anyhow::Result<Vec<Timer>>;

    /// Attaches probes to the runs, and returns what the first look brought too.
    ///
    /// # Errors
    ///
    /// When this node cannot be measured.
    fn attach(&self) -> anyhow::Result<(Box<dyn Probes>, Vec<Output>)>;

    /// Measures the time that each CPU spends in the softirq of timers.
    ///
    /// # Errors
    ///
    /// When that cannot be measured on this node.
    fn softirq(&self) -> anyhow::Result<Box<dyn SoftirqTime>>;
}

/// Probes on the runs of the estimators. Runs that began before a snapshot have their records in what is returned with it.
pub trait Probes {
    /// Reads everything once, and returns what is new, in the order of the beginnings.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    fn tick(&mut self) -> anyhow::Result<Vec<Output>>;

    /// Forgets the sums so far, and returns what is new.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    fn reset(&mut self) -> anyhow::Result<Vec<Output>>;

    /// Returns what was held back, at the end.
    fn flush(&mut self) -> Vec<Output>;

    /// Returns the sums since the last reset.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    fn summary(&self) -> anyhow::Result<Report>;

    /// Returns how the estimators are now.
    ///
    /// # Errors
    ///
    /// Where the clock cannot be read.
    fn overview(&self) -> anyhow::Result<Overview>;

    /// Returns whether the last look had every network namespace.
    fn has_seen_all(&self) -> bool;

    /// Returns the inode number of the root network namespace; 0 where it is hidden.
    fn root_netns(&self) -> u32;

    /// Returns who lives in which namespace, as last looked up.
    fn owners(&self) -> &NetnsOwners;

    /// Returns who lives in which namespace, looked up again if it is time to. For those who show it: it takes a look at
    /// every process.
    fn new_names(&mut self) -> Option<&NetnsOwners>;

    /// Returns when the probes were attached, in nanoseconds of `CLOCK_MONOTONIC`.
    fn started_ns(&self) -> u64;
}

/// The time that each CPU spent in the softirq of timers.
pub trait SoftirqTime {
    /// Returns it for each possible CPU, in nanoseconds since the measurement began.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn totals_ns(&self) -> anyhow::Result<Vec<u64>>;
}

/// The person or program that follows what happens, and may ask to end.
pub trait Progress {
    /// Says one line. A line that cannot be written is no error: it must not end a change half way.
    fn say(&self, text: &str);

    /// Reports a sentence of the result.
    fn report(&self, sentence: &str);

    /// Reports a line of the result that a person may copy, as a command.
    fn report_line(&self, line: &str);

    /// Asks whether to go on.
    ///
    /// # Errors
    ///
    /// When the answer is no, or there is no person to answer.
    fn ask(&self, question: &str) -> anyhow::Result<()>;

    /// From here on, signals that would end this process ask to end instead.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    fn listen(&self) -> io::Result<()>;

    /// Returns whether a key or a signal asked to end.
    fn is_stopped(&self) -> bool;

    /// Lets time pass.
    fn wait(&self, time: Duration);

    /// Shows what the probes see from here on, where there is room for it.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be used.
    fn open(&self, root: &Path, probes: &dyn Probes) -> anyhow::Result<()>;

    /// Returns whether what the probes see is shown.
    fn is_shown(&self) -> bool;

    /// Shows what a look at the probes brought, the sums, and who lives where, if that is new.
    fn show(&self, outputs: &[Output], overview: Overview, names: Option<&NetnsOwners>);

    /// Shows what is being measured, and how far it is.
    fn course(&self, course: Course);

    /// Ends what [`Self::open`] began.
    fn close(&self);
}
