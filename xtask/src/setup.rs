//! What this machine needs before anything can be built or booted, and how it gets there.

pub mod linker;
mod system;
pub mod toolchain;

use std::ffi::OsString;
use std::fmt;

use anyhow::{Context, Result, ensure};

use self::toolchain::Toolchain;
use crate::emulator::Emulator;
use crate::programs::{folders_of, has};
use crate::{
    kernel::{self, Line},
    packages, userland,
};

/// Something that a build, a test or the lab needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A compiler for the eBPF programs.
    EbpfToolchain,
    /// Lints for the eBPF programs, of that compiler.
    EbpfLints,
    /// bpf-linker, built for the LLVM of that compiler.
    Linker,
    /// A machine emulator.
    Qemu(Emulator),
    /// A kernel to boot.
    Kernel(Line),
    /// Kernel headers, and the compiler and make that build a module with them.
    Headers(Line),
    /// The guest's programs.
    Userland,
    /// bpftrace for the guest, to compare with.
    Bpftrace,
    /// systemd for guests in which it is PID 1.
    Systemd,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EbpfToolchain => f.write_str("a compiler for eBPF"),
            Self::EbpfLints => f.write_str("lints for eBPF"),
            Self::Linker => f.write_str("bpf-linker"),
            Self::Qemu(emulator) => write!(f, "QEMU for {emulator}"),
            Self::Kernel(line) => write!(f, "kernel {line}"),
            Self::Headers(line) => write!(f, "headers of kernel {line}"),
            Self::Userland => f.write_str("the guest's programs"),
            Self::Bpftrace => f.write_str("bpftrace for the guest"),
            Self::Systemd => f.write_str("systemd for the guest"),
        }
    }
}

/// Why a machine could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Packages must be installed and this user may not: these commands do it.
    #[error("this user may not install packages: run these commands as root, then try again\n\n{}\n", .0.join("\n"))]
    NeedsRoot(Vec<String>),
    /// A kernel line that this machine's archives do not offer.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// Anything else, in a sentence.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl Error {
    /// The whole story, causes included.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Failed(error) | Self::Kernel(kernel::Error::Failed(error)) => {
                format!("{error:#}")
            }
            told => told.to_string(),
        }
    }
}

/// `cargo xtask setup`: everything that building, testing and the lab need, on these kernels; with `refresh`, what lists say is
/// asked for again.
///
/// # Errors
/// As [`ensure`].
pub fn run(refresh: bool, kernels: &[Line]) -> Result<(), Error> {
    if refresh {
        packages::expire();
        for line in kernels {
            kernel::expire(*line);
        }
    }
    let mut needs = vec![
        Need::EbpfToolchain,
        Need::EbpfLints,
        Need::Linker,
        Need::Userland,
    ];
    needs.extend(Emulator::ALL.map(Need::Qemu));
    needs.extend(
        kernels
            .iter()
            .flat_map(|&line| [Need::Kernel(line), Need::Headers(line)]),
    );
    ensure(&needs)?;
    for need in needs {
        eprintln!("ready: {need}");
    }
    Ok(())
}

/// Installs and fetches what is missing, saying what and why; instant when nothing is.
///
/// # Errors
/// [`Error::NeedsRoot`] when packages must be installed and this user may not; otherwise what went wrong.
pub fn ensure(needs: &[Need]) -> Result<(), Error> {
    let bpf = needs
        .iter()
        .any(|need| matches!(need, Need::EbpfToolchain | Need::Linker));
    let mut toolchain = if bpf { toolchain::ebpf()? } else { None };
    let mut left = Vec::new();
    for need in needs {
        if !need.is_met(toolchain.as_ref())? {
            left.push(*need);
        }
    }
    let progress = Progress::of(&left);
    let mut missing = packages_for(needs);
    if bpf && toolchain.is_none() && !toolchain::debian_is_installed() {
        missing.extend(
            toolchain::DEBIAN_PACKAGES
                .iter()
                .map(|name| system::Missing::new(*name, toolchain::WHY)),
        );
    }
    if left.contains(&Need::EbpfLints) {
        missing.push(system::Missing::new(
            toolchain::DEBIAN_LINTS,
            "to lint the eBPF programs",
        ));
    }
    for need in left.iter().filter(|need| need.is_packages()) {
        progress.tell(*need);
    }
    system::install(&missing)?;
    if bpf && toolchain.is_none() {
        toolchain = Some(toolchain::link_debian()?);
    }
    for need in left.iter().filter(|need| !need.is_packages()) {
        progress.tell(*need);
        match (need, &toolchain) {
            (Need::Linker, Some(toolchain)) => linker::ensure(toolchain)?,
            // There by now.
            (Need::Linker | Need::EbpfToolchain | Need::EbpfLints, _) => {}
            (Need::Qemu(emulator), _) => emulator.provide()?,
            (Need::Kernel(line), _) => drop(kernel::fetch(line)?),
            (Need::Headers(line), _) => drop(kernel::headers(line)?),
            (Need::Userland, _) => drop(userland::root()?),
            (Need::Bpftrace, _) => drop(userland::bpftrace_root()?),
            (Need::Systemd, _) => drop(userland::systemd_root()?),
        }
    }
    Ok(())
}

impl Need {
    /// Returns whether nothing is left to do for it.
    fn is_met(self, toolchain: Option<&Toolchain>) -> Result<bool> {
        match self {
            Self::EbpfToolchain => Ok(toolchain.is_some()),
            // Those of a toolchain that is not Debian's are not ours to install: without them, the lints are skipped.
            Self::EbpfLints => {
                Ok(toolchain.is_some_and(|one| !one.is_debians() || one.has_lints()))
            }
            Self::Linker => toolchain.map_or(Ok(false), |one| linker::is_there(one.llvm)),
            Self::Qemu(emulator) => emulator.is_there(),
            Self::Kernel(line) => kernel::is_at_hand(line),
            Self::Userland => userland::is_there(userland::BASE),
            Self::Bpftrace => userland::is_there(userland::BPFTRACE),
            Self::Systemd => userland::is_there(userland::SYSTEMD),
            // Whether they fit is looked at where they are fetched.
            Self::Headers(_) => Ok(false),
        }
    }

    /// Returns whether it is no more than packages of the system.
    fn is_packages(self) -> bool {
        matches!(self, Self::EbpfToolchain | Self::EbpfLints)
    }

    /// Returns whether it takes time. Headers are looked at each time, and mostly there.
    fn is_slow(self) -> bool {
        !matches!(self, Self::Headers(_))
    }
}

/// How much of a set-up is left.
struct Progress {
    steps: Vec<Need>,
}

impl Progress {
    /// Lists the steps that are left, if there are several.
    fn of(left: &[Need]) -> Self {
        let steps: Vec<Need> = left.iter().copied().filter(|one| one.is_slow()).collect();
        if steps.len() > 1 {
            let names: Vec<String> = steps.iter().map(Need::to_string).collect();
            eprintln!("setting up: {}", names.join(", "));
        }
        Self { steps }
    }

    /// Tells which step begins.
    fn tell(&self, need: Need) {
        if let Some(place) = self.steps.iter().position(|step| *step == need)
            && self.steps.len() > 1
        {
            eprintln!("[{} of {}] {need}", place + 1, self.steps.len());
        }
    }
}

/// What to set in the environment of a cargo that builds the product: where the eBPF compiler and linker are.
///
/// # Errors
/// When the eBPF toolchain or its linker is not there: [`ensure`] them first.
pub fn build_env() -> Result<Vec<(String, OsString)>> {
    let toolchain =
        toolchain::ebpf()?.context("there is no compiler for eBPF: run `cargo xtask setup`")?;
    let tools = linker::folder(toolchain.llvm)?;
    ensure!(
        linker::is_there(toolchain.llvm)?,
        "there is no bpf-linker: run `cargo xtask setup`"
    );
    let folders = std::iter::once(tools).chain(folders_of(std::env::var_os("PATH")));
    let path = std::env::join_paths(folders)
        .context("the cache folder's name has a colon in it: set IPVS_LATENCY_CACHE to another")?;
    Ok(vec![
        (
            "IPVS_LATENCY_BPF_TOOLCHAIN".to_owned(),
            toolchain.name.into(),
        ),
        ("PATH".to_owned(), path),
    ])
}

/// The system packages missing for the needs, but for those that bring a compiler.
fn packages_for(needs: &[Need]) -> Vec<system::Missing> {
    let mut missing = Vec::new();
    let mut want = |present: bool, package: &str, why: &'static str| {
        if !present {
            missing.push(system::Missing::new(package, why));
        }
    };
    // Headers are those of a fetched kernel.
    if needs
        .iter()
        .any(|need| matches!(need, Need::Kernel(_) | Need::Headers(_)))
    {
        want(
            has("depmod"),
            "kmod",
            "to index the modules of fetched kernels",
        );
    }
    if needs.iter().any(|need| matches!(need, Need::Headers(_))) {
        want(
            has("make"),
            "make",
            "to build modules for the lab's kernels",
        );
        want(has("gcc"), "gcc", "to build modules for the lab's kernels");
        want(
            system::has_library("libelf.so.1"),
            "libelf1",
            "for the tools that come with kernel headers",
        );
    }
    missing
}
