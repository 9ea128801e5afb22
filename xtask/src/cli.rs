//! The command line of `cargo xtask`: types and their help, no behaviour.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::kernel::{Line, OwnKernel};
use crate::lab::{Copy, Cpus, LabSpec};

/// Everything a contributor runs: set-up, the lab, kernel headers.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands of `cargo xtask`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install and fetch what building, testing and the lab need; instant when all is there.
    Setup(SetupArgs),
    /// Boot a distribution's kernel under QEMU and run a command in it.
    Lab(LabArgs),
    /// Print the folder of kernel headers that matches the kernel `lab` boots.
    Headers(HeadersArgs),
    /// Build the hotfixes of `hotfix/` for the kernel `lab` boots, and print their folder.
    Hotfixes(HeadersArgs),
    /// Measure in the lab what the probes cost the estimator, beside what other tools cost it.
    Bench(BenchArgs),
    /// Watch a kernel with 30,001 estimators, on a terminal until `q`; sets up what is missing first.
    Demo(KernelArgs),
    /// Run the tests: all that CI runs, or a tier.
    Test(TestArgs),
    /// Fuzz the readers of foreign bytes: all of them, or those that are named.
    Fuzz(FuzzArgs),
    /// Change the code in ways that unit tests should notice, and tell what none does.
    Mutants,
    /// Boot each line of kernels, and print what the tool measures on it as a table.
    Kernels,
    /// Check form, lints and licences.
    Lint,
    /// Build the binary as users get it, and print where it is.
    Build,
}

/// Arguments of `cargo xtask setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Kernel line to fetch (as `lab` takes it); repeat for more.
    #[arg(long = "kernel", value_name = "LINE", default_value = "6.1")]
    pub kernels: Vec<Line>,
    /// Look for newer packages even where the cached ones are less than a day old.
    #[arg(long)]
    pub refresh: bool,
}

/// Arguments of `cargo xtask headers` and `hotfixes`.
#[derive(Debug, Args)]
pub struct HeadersArgs {
    /// Kernel line (as `lab` takes it).
    #[arg(long, value_name = "LINE", default_value = "6.1")]
    pub kernel: Line,
}

/// Which kernel a guest boots.
#[derive(Debug, Clone, Args)]
pub struct KernelArgs {
    /// Kernel line of Debian: MAJOR.MINOR or newest, followed by -rt or -cloud for that flavour [default: 6.1].
    #[arg(long, value_name = "LINE", conflicts_with = "kernel_image")]
    pub kernel: Option<Line>,
    /// Image of your own kernel.
    #[arg(long, value_name = "FILE", requires = "modules")]
    pub kernel_image: Option<PathBuf>,
    /// Modules of that kernel: lib/modules/RELEASE, with modules.dep in it, or a folder that holds it.
    #[arg(long, value_name = "DIR", requires = "kernel_image")]
    pub modules: Option<PathBuf>,
}

impl KernelArgs {
    /// Returns the flags that name it, each after a blank; nothing where none was named.
    #[must_use]
    pub fn flags(&self) -> String {
        let line = self.kernel.map(|line| format!(" --kernel {line}"));
        let path = |flag: &str, path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            Some(format!(" {flag} {}", path.display()))
        };
        let own = [
            path("--kernel-image", &self.kernel_image),
            path("--modules", &self.modules),
        ];
        line.into_iter().chain(own.into_iter().flatten()).collect()
    }

    /// Returns the kernel of one's own that was named.
    #[must_use]
    pub fn own(&self) -> Option<OwnKernel> {
        let image = self.kernel_image.clone();
        let both = image.zip(self.modules.clone());
        both.map(|(image, modules)| OwnKernel { image, modules })
    }
}

/// Arguments of `cargo xtask lab`.
#[derive(Debug, Clone, Args)]
pub struct LabArgs {
    /// Which kernel to boot.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// CPUs online, and how many are possible if that is more [default: 2].
    #[arg(long, value_name = "ONLINE[,POSSIBLE]")]
    pub cpus: Option<Cpus>,
    /// Memory of the guest, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: u32,
    /// Let guest time count instructions (one guest ns each), on a single CPU: the same run gives the same numbers.
    #[arg(long)]
    pub deterministic: bool,
    /// IPVS services to create, in the first network namespace.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub services: u32,
    /// Destinations of each service.
    #[arg(long, value_name = "M", default_value_t = 0)]
    pub destinations: u32,
    /// Further network namespaces to create, without services: lab1, lab2 and so on for `ip netns`.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub netns: u32,
    /// File or folder to copy into the guest; a folder copied to DST becomes DST.
    #[arg(long = "copy", value_name = "SRC[:DST]")]
    pub copies: Vec<Copy>,
    /// Storage that outlives the guest, mounted at /disk; created when it does not exist.
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,
    /// Make Debian's systemd PID 1 before the command starts; all that it changes is kept on the disk.
    #[arg(long, requires = "disk", conflicts_with_all = ["services", "netns"])]
    pub systemd: bool,
    /// Wall time after which the guest is stopped, in seconds.
    #[arg(long, value_name = "S", default_value_t = 600)]
    pub timeout: u64,
    /// Command to run in the guest, with its arguments; an interactive shell when left out.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Arguments of `cargo xtask test`.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Only what needs no guest.
    #[arg(long, conflicts_with_all = ["soak", "kernel", "kernel_image"])]
    pub fast: bool,
    /// Only what takes long: run once before an issue is closed.
    #[arg(long, conflicts_with_all = ["kernel", "kernel_image"])]
    pub soak: bool,
    /// Only kernels: check and watch on one of Debian's lines, or on all that are tested, against the kernel's own trace.
    #[arg(long, value_name = "LINE|all", conflicts_with = "kernel_image")]
    pub kernel: Option<Lines>,
    /// The same on an image of your own kernel.
    #[arg(long, value_name = "FILE", requires = "modules")]
    pub kernel_image: Option<PathBuf>,
    /// Modules of that kernel: lib/modules/RELEASE, with modules.dep in it, or a folder that holds it.
    #[arg(long, value_name = "DIR", requires = "kernel_image")]
    pub modules: Option<PathBuf>,
}

/// Which of Debian's lines are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// All of [`Line::TESTED`].
    All,
    /// This one.
    One(Line),
}

impl FromStr for Lines {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            line => line.parse().map(Self::One),
        }
    }
}

impl TestArgs {
    /// Returns the kernels that were named; none where all else is tested.
    #[must_use]
    pub fn kernels(&self) -> Vec<KernelArgs> {
        let of = |kernel| KernelArgs {
            kernel,
            kernel_image: self.kernel_image.clone(),
            modules: self.modules.clone(),
        };
        match self.kernel {
            Some(Lines::All) => Line::TESTED.map(|line| of(Some(line))).into(),
            Some(Lines::One(line)) => vec![of(Some(line))],
            None if self.kernel_image.is_some() => vec![of(None)],
            None => Vec::new(),
        }
    }
}

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, Clone, Args)]
pub struct FuzzArgs {
    /// How long each target is run.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub minutes: u64,
    /// Targets of `fuzz/fuzz_targets`.
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
}

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Clone, Copy, Args)]
pub struct BenchArgs {
    /// Print one JSON document in place of the table.
    #[arg(long)]
    pub json: bool,
}

impl From<LabArgs> for LabSpec {
    fn from(args: LabArgs) -> Self {
        let usual = if args.deterministic {
            Self::deterministic()
        } else {
            Self::default()
        };
        Self {
            own_kernel: args.kernel.own(),
            kernel: args.kernel.kernel.unwrap_or(usual.kernel),
            cpus: args.cpus.unwrap_or(usual.cpus),
            memory: args.memory,
            services: args.services,
            destinations: args.destinations,
            netns: args.netns,
            copies: args.copies,
            disk: args.disk,
            systemd: args.systemd,
            timeout: Duration::from_secs(args.timeout),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
