//! One call into the kernel, in a process of its own: where the kernel never answers, that process is left
//! behind, and this one goes on. A thread would not do: a process whose thread hangs in the kernel does not end.

use std::{
    ffi::CString,
    fs,
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
};

use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, delete_module, init_module},
    sys::prctl,
};

use crate::cli::{StepArgs, StepKind};
use host::{livepatch, module};
use livepatch_image::Name;

/// A process that makes one call.
#[derive(Debug)]
pub struct Step {
    child: Child,
    kind: StepKind,
}

impl Step {
    /// Begins. The bytes of a module to insert are handed over here, so that what is loaded is what was inspected. The
    /// `lifeline` to the guard is held until the kernel has answered.
    ///
    /// # Errors
    ///
    /// When the process cannot be made.
    pub fn begin(
        root: &Path,
        kind: StepKind,
        name: &Name,
        module: &[u8],
        lifeline: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let word = match kind {
            StepKind::Insert => "insert",
            StepKind::Remove => "remove",
            StepKind::Enable => "enable",
            StepKind::Disable => "disable",
        };
        let mut child = Command::new("/proc/self/exe")
            .arg("--root")
            .arg(root)
            .args(["hotfix", "step", word, "--"])
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
        Ok(Self { child, kind })
    }

    /// What it asks for.
    pub fn kind(&self) -> StepKind {
        self.kind
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the kernel answered, if it has.
    ///
    /// # Errors
    ///
    /// When the process cannot be asked, or ended without an answer.
    pub fn answer(&mut self) -> io::Result<Option<Result<(), Errno>>> {
        match self.child.try_wait()? {
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

/// Makes the call; the exit code is the kernel's errno.
pub fn run(args: &StepArgs, root: &Path) -> ExitCode {
    // The kernel's log names who was refused, and would say `exe`.
    let _ = prctl::set_name(c"ipvs-latency");
    let code = match call(args, root) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(nix::libc::EIO),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn call(args: &StepArgs, root: &Path) -> io::Result<()> {
    let name = Name::from(args.name.clone());
    let switch = |value: &str| fs::write(livepatch::folder(root, &name).join("enabled"), value);
    match args.what {
        StepKind::Insert => {
            let mut module = Vec::new();
            io::stdin().read_to_end(&mut module)?;
            Ok(init_module(&module, c"")?)
        }
        StepKind::Remove => {
            let name = CString::new(module::kernels_name(root, &name)?.bytes())?;
            Ok(delete_module(&name, DeleteModuleFlags::O_NONBLOCK)?)
        }
        StepKind::Enable => switch("1"),
        StepKind::Disable => switch("0"),
    }
}
