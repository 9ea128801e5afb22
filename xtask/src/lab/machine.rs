//! The emulated machine: QEMU, as a child that never outlives this process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde_json::json;

use super::LabSpec;
use super::qmp::Qmp;
use crate::emulator::Emulator;
use crate::wire;

/// What the kernel is told in every guest: where to write, and that a crash ends it. Nothing here changes how the
/// estimator, timers or probes work. A warning (WARN) is no crash.
const PARAMETERS: [&str; 12] = [
    "console=ttyS0",
    "quiet",
    "panic=-1",
    "oops=panic",
    "softlockup_panic=1",
    "nmi_watchdog=panic",
    "sysctl.kernel.panic_on_rcu_stall=1",
    // Shorter to boot: entropy and the clock are as good as this machine has them anyhow.
    "random.trust_cpu=on",
    "tsc=reliable",
    "no_timer_check",
    // The kernel's own tests of its ciphers.
    "cryptomgr.notests",
    "raid=noautodetect",
];

/// This side of the connections to a guest.
pub struct Lines {
    /// The serial console.
    pub console: UnixStream,
    /// Messages.
    pub control: UnixStream,
    /// Standard input.
    pub stdin: UnixStream,
    /// The archive of files.
    pub files: UnixStream,
}

/// What a machine starts from.
pub enum Start<'a> {
    /// The kernel, with this initrd.
    Cold(&'a File),
    /// A snapshot.
    Warm(&'a File),
}

impl Start<'_> {
    fn source(&self) -> RawFd {
        match self {
            Self::Cold(file) | Self::Warm(file) => file.as_raw_fd(),
        }
    }

    fn arguments(&self) -> [String; 2] {
        let source = self.source();
        match self {
            Self::Cold(_) => ["-initrd".to_owned(), format!("/dev/fd/{source}")],
            Self::Warm(_) => ["-incoming".to_owned(), format!("fd:{source}")],
        }
    }
}

/// QEMU at work; killed when dropped.
pub struct Machine {
    child: Child,
    complaints: File,
    qmp: Qmp,
}

impl Machine {
    /// Starts a machine for `spec`, which runs at once.
    pub fn start(spec: &LabSpec, kernel: &Path, start: &Start) -> Result<(Self, Lines)> {
        let [qmp, console, control, stdin, files] = [(); 5].map(|()| UnixStream::pair());
        let pairs = [qmp?, console?, control?, stdin?, files?];
        let descriptors: Vec<RawFd> = pairs.iter().map(|(_, theirs)| theirs.as_raw_fd()).collect();
        let complaints = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut command = Command::new(Emulator::of(spec.deterministic).program()?);
        command
            .args(machine_arguments(spec))
            .arg("-kernel")
            .arg(kernel)
            .args(start.arguments())
            .args(line_arguments(&descriptors))
            .args(disk_arguments(spec.disk.as_deref()))
            .stdin(Stdio::null())
            .stdout(complaints.try_clone()?)
            .stderr(complaints.try_clone()?);
        detach(&mut command, [descriptors, vec![start.source()]].concat());
        let child = command.spawn().context("cannot start QEMU")?;
        let [qmp, console, control, stdin, files] = pairs.map(|(ours, _)| ours);
        drop(command);
        let mut machine = Self {
            child,
            complaints,
            qmp: Qmp::new(qmp)?,
        };
        let greeted = machine.qmp.greet().and_then(|()| match start {
            Start::Cold(_) => Ok(()),
            // It was paused when it was saved.
            Start::Warm(_) => machine
                .qmp
                .wait_for("query-status", "paused")
                .and_then(|()| machine.proceed()),
        });
        greeted.with_context(|| format!("QEMU does not start: {}", machine.complaints()))?;
        Ok((
            machine,
            Lines {
                console,
                control,
                stdin,
                files,
            },
        ))
    }

    /// Saves the machine as it is now into `file`; it goes on afterwards.
    pub fn save(&mut self, file: &Path) -> Result<()> {
        let target = file.to_string_lossy().replace('\'', r"'\''");
        self.qmp.order("stop", &json!({}))?;
        // As fast as it can: by itself QEMU is considerate of a network.
        let saved = self
            .qmp
            .order(
                "migrate-set-parameters",
                &json!({ "max-bandwidth": 1_u64 << 40 }),
            )
            .and_then(|_| {
                self.qmp.order(
                    "migrate",
                    &json!({ "uri": format!("exec:cat >'{target}'") }),
                )
            })
            .and_then(|_| self.qmp.wait_for("query-migrate", "completed"))
            // Told as completed a moment before QEMU is done with it.
            .and_then(|()| self.qmp.wait_for("query-status", "postmigrate"));
        self.proceed()?;
        saved
    }

    fn proceed(&mut self) -> Result<()> {
        self.qmp.order("cont", &json!({})).map(|_| ())
    }

    /// What QEMU says of a machine that does not get on: whether it runs, and where its CPUs are.
    pub fn whereabouts(&mut self) -> String {
        let status = self.qmp.order("query-status", &json!({}));
        let registers = self.qmp.order(
            "human-monitor-command",
            &json!({ "command-line": "info registers -a" }),
        );
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let registers = registers.map_or_else(
            |error| error.to_string(),
            |text| text.as_str().unwrap_or_default().replace('\r', ""),
        );
        let telling = |line: &&str| ["CPU#", "RIP="].iter().any(|word| line.contains(word));
        let lines: Vec<&str> = registers.lines().filter(telling).collect();
        format!("{status}\n{}", lines.join("\n"))
    }

    /// Stops the machine, if it has not ended by itself.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        // Refused only where it has ended already.
        let _ = self.child.kill();
        self.child.wait().context("cannot wait for QEMU")
    }

    /// What QEMU had to say, which in a good run is nothing.
    pub fn complaints(&self) -> String {
        read_back(&self.complaints)
    }
}

fn read_back(mut complaints: &File) -> String {
    let mut said = Vec::new();
    let read = complaints
        .rewind()
        .and_then(|()| complaints.read_to_end(&mut said));
    read.map(|_| String::from_utf8_lossy(&said).trim().to_owned())
        .unwrap_or_default()
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Keeps the terminal's keys from the program, has it killed when this thread ends, and hands it the descriptors.
fn detach(command: &mut Command, handed: Vec<RawFd>) {
    // A key pressed on the terminal is the guest's business, not QEMU's.
    command.process_group(0);
    let prepare = move || {
        // Whatever happens to this process, the guest goes with it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        handed
            .iter()
            .try_for_each(|&descriptor| inherit(descriptor))
    };
    // SAFETY: between fork and exec only system calls are made that are safe there; nothing is allocated.
    unsafe { command.pre_exec(prepare) };
}

/// Lets the program started next keep a descriptor.
fn inherit(handed: RawFd) -> std::io::Result<()> {
    // SAFETY: the caller holds the descriptor open until the program has been started.
    let descriptor = unsafe { BorrowedFd::borrow_raw(handed) };
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// What is told to QEMU about the machine, other than where to find things.
pub fn machine_arguments(spec: &LabSpec) -> Vec<String> {
    let cpus = format!("{},maxcpus={}", spec.cpus.online, spec.cpus.possible);
    let memory = spec.memory.to_string();
    let mut arguments = vec!["-accel", "tcg", "-cpu", "max", "-smp", &cpus, "-m", &memory];
    if spec.deterministic {
        arguments.extend(["-icount", "shift=0,sleep=off"]);
    }
    let parameters = kernel_parameters(spec);
    arguments.extend([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-append",
        &parameters,
    ]);
    arguments.into_iter().map(str::to_owned).collect()
}

fn kernel_parameters(spec: &LabSpec) -> String {
    let own = spec.kernel_parameters.iter().map(String::as_str);
    PARAMETERS
        .into_iter()
        .chain(own)
        .collect::<Vec<_>>()
        .join(" ")
}

fn line_arguments(descriptors: &[RawFd]) -> Vec<String> {
    let ports = [wire::CONTROL, wire::STDIN, wire::FILES];
    let mut arguments = vec!["-device".to_owned(), "virtio-serial-pci".to_owned()];
    for (name, descriptor) in ["qmp", "console"].iter().chain(&ports).zip(descriptors) {
        arguments.extend([
            "-chardev".to_owned(),
            format!("socket,id={name},fd={descriptor}"),
        ]);
    }
    arguments.extend(["-mon".to_owned(), "chardev=qmp,mode=control".to_owned()]);
    arguments.extend(["-serial".to_owned(), "chardev:console".to_owned()]);
    for name in ports {
        arguments.extend([
            "-device".to_owned(),
            format!("virtserialport,chardev={name},name={name}"),
        ]);
    }
    arguments
}

fn disk_arguments(disk: Option<&Path>) -> Vec<OsString> {
    let Some(disk) = disk else { return Vec::new() };
    // A comma ends a value; a doubled one stands for itself.
    let name = disk.as_os_str().to_string_lossy().replace(',', ",,");
    let drive = format!("if=none,id=disk,format=raw,file={name}");
    ["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"]
        .iter()
        .map(OsStr::new)
        .map(OsStr::to_owned)
        .collect()
}
