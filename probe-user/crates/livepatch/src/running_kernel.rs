//! The kernel that runs, as the engine asks it: each call in a process of its own, because a process whose thread hangs in
//! the kernel does not end. Where the kernel never answers, that process is left behind, and this one goes on.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    time::{ClockId, clock_gettime},
};

use crate::{
    ports::{Call, Kernel, Log, Program},
    step::StepKind,
    transaction::left_behind::{self, Awaited},
};
use host::netns;
use livepatch_image::Name;

/// This program, whatever has become of its file.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The kernel of the host whose files are under a root folder.
#[derive(Debug)]
pub struct RunningKernel {
    root: PathBuf,
}

impl RunningKernel {
    /// Returns it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    fn run_estimation_file(&self) -> PathBuf {
        self.root.join("proc/sys/net/ipv4/vs/run_estimation")
    }
}

impl Kernel for RunningKernel {
    fn now(&self) -> Duration {
        // No Linux lacks this clock (`clock_gettime(2)`).
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
    }

    fn begin(
        &self,
        kind: StepKind,
        name: &Name,
        module: &[u8],
        lifeline: Option<OwnedFd>,
    ) -> io::Result<Box<dyn Call>> {
        let mut child = Command::new(OWN_PROGRAM)
            .arg("--root")
            .arg(&self.root)
            .args(["hotfix", "step", &kind.to_string(), "--"])
            .arg(name.as_os_str())
            .stdin(Stdio::piped())
            .stdout(lifeline.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null())
            // Ctrl-C is for us, who then turn back in an orderly way.
            .process_group(0)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(module)?;
        }
        Ok(Box::new(Process(child)))
    }

    fn log(&self) -> io::Result<Box<dyn Log>> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(self.root.join("dev/kmsg"))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(Records(file)))
    }

    fn run_estimation(&self, namespace: &File) -> io::Result<i32> {
        let file = self.run_estimation_file();
        let text = netns::inside(namespace, || fs::read_to_string(&file))?;
        text.trim().parse().map_err(io::Error::other)
    }

    fn set_run_estimation(&self, namespace: &File, value: i32) -> io::Result<()> {
        let file = self.run_estimation_file();
        netns::inside(namespace, || fs::write(&file, value.to_string()))
    }

    fn guard(&self, wanted: Vec<OsString>) -> Program {
        Program {
            path: OWN_PROGRAM.into(),
            args: wanted,
        }
    }

    fn leave_behind(&self, awaited: &[Awaited]) -> io::Result<()> {
        left_behind::until_gone(awaited)
    }
}

/// A process that makes one call; its exit code is the kernel's errno.
struct Process(Child);

impl Call for Process {
    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn answer(&mut self) -> io::Result<Option<Result<(), Errno>>> {
        match self.0.try_wait()? {
            Some(status) => told(status).map(Some),
            None => Ok(None),
        }
    }
}

fn told(status: ExitStatus) -> io::Result<Result<(), Errno>> {
    match status.code() {
        Some(0) => Ok(Ok(())),
        Some(code) => Ok(Err(Errno::from_raw(code))),
        None => Err(io::Error::other(format!(
            "the process that asked the kernel was ended ({status})"
        ))),
    }
}

/// `/dev/kmsg`, which gives a record a read.
struct Records(File);

impl Log for Records {
    fn next(&mut self, record: &mut [u8]) -> io::Result<usize> {
        self.0.read(record)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_switch_is_that_of_the_host_under_its_root() {
        let kernel = RunningKernel::new(Path::new("/host"));
        let file = kernel.run_estimation_file();
        assert_eq!(file, Path::new("/host/proc/sys/net/ipv4/vs/run_estimation"));
    }

    #[test]
    fn a_call_is_a_process_of_its_own() {
        let child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let mut call = Process(child);
        assert_eq!(call.pid(), pid);
        let answer = loop {
            if let Some(answer) = call.answer().unwrap() {
                break answer;
            }
        };
        assert_eq!(answer, Ok(()));
    }

    #[test]
    fn the_exit_code_of_a_call_is_the_kernels_errno_and_a_signal_is_no_answer() {
        let code = |code: i32| told(ExitStatus::from_raw(code << 8)).unwrap();
        assert_eq!(code(0), Ok(()));
        assert_eq!(code(Errno::EBUSY as i32), Err(Errno::EBUSY));
        let killed = told(ExitStatus::from_raw(9)).unwrap_err().to_string();
        assert!(killed.contains("was ended (signal: 9"), "{killed}");
    }
}
