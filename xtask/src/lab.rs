//! The lab: boots a distribution's kernel under QEMU, loads and fills IPVS, and runs a command in it.
//!
//! ```text
//! LabArgs or a test -> LabSpec -> Session { machine: QEMU, ports, console } <-> PID 1 of the guest (crate::guest)
//! ```
//! The two sides speak [`crate::wire`]. Guests are emulated (TCG), never virtualised: only so does guest time count
//! instructions, and the machine the lab runs on need not offer anything.

mod archive;
pub mod build;
mod console;
mod conversation;
mod disk;
mod event;
mod image;
mod initrd;
mod machine;
mod modules;
mod parts;
mod progress;
mod qmp;
mod session;
mod snapshot;
mod streams;
mod terminal;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};

pub use parts::{Copy, Cpus};

use crate::kernel::{Line, OwnKernel, under_test};

/// Exit code: the time limit was reached.
pub const TIME_LIMIT: u8 = 124;
/// Exit code: the lab itself failed.
pub const LAB_FAILED: u8 = 125;
/// Exit code: the guest's kernel panicked or locked up.
pub const KERNEL_PANIC: u8 = 126;

/// A guest to boot; the default is one of kernel 6.1 with 2 CPUs, 2048 MiB, no services and 600 s.
#[derive(Clone, Debug)]
pub struct LabSpec {
    /// Which kernel.
    pub kernel: Line,
    /// Booted in place of a kernel of the line.
    pub own_kernel: Option<OwnKernel>,
    /// How many CPUs.
    pub cpus: Cpus,
    /// Memory in MiB.
    pub memory: u32,
    /// Whether guest time counts instructions; needs a single CPU.
    pub deterministic: bool,
    /// IPVS services in the first network namespace.
    pub services: u32,
    /// Destinations of each service.
    pub destinations: u32,
    /// Further network namespaces, without services: `lab1` onwards.
    pub netns: u32,
    /// Files and folders of the host to have in the guest.
    pub copies: Vec<Copy>,
    /// Raw image that outlives the guest, mounted at `/disk`; made where it does not exist.
    pub disk: Option<PathBuf>,
    /// Wall time the whole run may take.
    pub timeout: Duration,
    /// Added to the kernel's command line.
    pub kernel_parameters: Vec<String>,
    /// Whether bpftrace is to be had in the guest.
    pub bpftrace: bool,
    /// Whether Debian's systemd is PID 1 while the command runs. The disk then keeps every change of the root, and
    /// `ip_vs` is not loaded yet. Where the command ends, the machine loses its power, unless the command had systemd shut
    /// it down or start it again: then the lab waits for that, and the exit code is 0.
    pub systemd: bool,
}

impl Default for LabSpec {
    fn default() -> Self {
        Self {
            kernel: under_test::line(),
            own_kernel: under_test::own(),
            cpus: Cpus {
                online: 2,
                possible: 2,
            },
            memory: 2048,
            deterministic: false,
            services: 0,
            destinations: 0,
            netns: 0,
            copies: Vec::new(),
            disk: None,
            timeout: Duration::from_mins(10),
            kernel_parameters: Vec::new(),
            bpftrace: false,
            systemd: false,
        }
    }
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit code, 128 and the signal's number where one ended it, or [`TIME_LIMIT`], [`KERNEL_PANIC`].
    pub code: u8,
    /// What the lab has to say of a run that was cut short.
    pub notice: Option<String>,
    /// What the command wrote on standard output.
    pub stdout: Vec<u8>,
    /// What the command wrote on standard error.
    pub stderr: Vec<u8>,
    /// What the kernel wrote on its console.
    pub console: String,
    /// Guest time it took to make the services and destinations.
    pub filled_in: Duration,
}

impl LabSpec {
    /// A guest with one CPU whose time counts instructions.
    #[must_use]
    pub fn deterministic() -> Self {
        Self {
            deterministic: true,
            cpus: Cpus {
                online: 1,
                possible: 1,
            },
            ..Self::default()
        }
    }

    /// Runs `command` in a guest of its own and keeps what it writes; its standard input is empty.
    ///
    /// # Errors
    /// When the lab itself fails; a time limit or a kernel panic is an [`Outcome`].
    pub fn run<S: AsRef<str>>(&self, command: &[S]) -> Result<Outcome> {
        let command = command
            .iter()
            .map(|word| word.as_ref().to_owned())
            .collect();
        streams::capture(self, command)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.deterministic || self.cpus.online == 1,
            "--deterministic means one CPU, not {}: guest time can count the instructions of one alone",
            self.cpus.online
        );
        ensure!(
            self.memory >= 256,
            "{} MiB are too little for a guest: give it 256 or more",
            self.memory
        );
        ensure!(
            self.services == 0 || self.destinations <= 65_536,
            "{} destinations are more than a service can have here: 65536 are the most",
            self.destinations
        );
        ensure!(
            !self.systemd || self.disk.is_some(),
            "--systemd needs a disk that keeps what it changes: add --disk FILE"
        );
        ensure!(
            !self.systemd || (self.services == 0 && self.netns == 0),
            "--systemd takes no services and no namespaces: its units load ip_vs"
        );
        Ok(())
    }
}

/// `cargo xtask lab`: runs the command with this process's own streams and returns its exit code.
#[must_use]
pub fn run(spec: &LabSpec, command: Vec<String>) -> ExitCode {
    match streams::inherit(spec, command) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("lab: {error:#}");
            LAB_FAILED.into()
        }
    }
}
