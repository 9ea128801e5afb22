//! The command line: types and their help. No behaviour.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

use crate::headline::DEFAULT_MAX_NS;
use host::netns::NetnsName;
use livepatch::{step::StepKind, transaction::switch::SwitchedFrom};
use monitor::mechanism::Mechanism;

/// Measures how long the Linux IPVS estimator makes packets wait, and what a hotfix changes.
///
/// Exit codes: 0 fine; 1 a problem was found; 2 could not tell, or refused; 3 the host needs a person.
#[derive(Debug, Parser)]
#[command(version, name = "ipvs-latency")]
pub struct Cli {
    /// Also tell what the probes have to say inside the kernel.
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Colours in the output; the variable `NO_COLOR` switches them off too.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,

    /// Where the host's file system is [default: /host if /host/proc is there, as `kubectl debug node` has it, else /].
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Where `hotfix` keeps its journal and what is installed [default: /var/lib/ipvs-latency of the host].
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start here: what makes packets wait on this node, and what to do about it.
    Check(CheckArgs),
    /// Watch every run of the estimator: how long, on which CPU, for which network namespace.
    Watch(WatchArgs),
    /// Work with livepatches that replace the estimator.
    #[command(subcommand)]
    Hotfix(HotfixCommand),
}

/// The warnings of `hotfix inspect`, each of which can be accepted.
const WARNINGS: [&str; 5] = [
    "no-rearm",
    "rearm-some-paths",
    "rearm-unknown",
    "replaces-others",
    "crashed-here-before",
];

/// What to do with a hotfix.
#[derive(Debug, Subcommand)]
pub enum HotfixCommand {
    /// Tell what a hotfix is and does, and what speaks against it on this node; nothing is loaded.
    Inspect(InspectArgs),
    /// Measure, load a hotfix, measure again, and keep it only if it is better.
    Apply(ApplyArgs),
    /// Load a hotfix, wait until every task is through, and prove that it took.
    Load(LoadArgs),
    /// Take a hotfix back, prove that it is gone, and remove its module.
    Unload(UnloadArgs),
    /// Tell of every livepatch how far it is, and which tasks keep it.
    Status(ListArgs),
    /// List the livepatches that are loaded, and the hotfixes that are installed.
    List(ListArgs),
    /// Tell all that is known of one hotfix: its file, how it was installed, how it is loaded.
    Info(InfoArgs),
    /// Keep a hotfix, and have it loaded at every boot of this kernel; it is not loaded now.
    Install(InstallArgs),
    /// Have a hotfix no longer loaded at boot; what runs now goes on.
    Uninstall(UninstallArgs),
    /// One call into the kernel, in a process of its own that may be left behind.
    #[command(hide = true)]
    Step(StepArgs),
    /// Take the hotfix back if all who hold the other end of standard input die.
    #[command(hide = true)]
    Guard(GuardArgs),
    /// Note in the journal that the system is shut down in good order, where it is.
    #[command(hide = true)]
    ShutDown,
}

/// Options of `hotfix load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// The kernel module.
    #[arg(value_name = "FILE.ko", required_unless_present = "all")]
    pub file: Option<PathBuf>,

    /// Load all that are installed for this kernel, with the warnings that were accepted then.
    #[arg(long, conflicts_with_all = ["file", "accept"])]
    pub all: bool,

    /// Load it in spite of this warning (repeatable).
    #[arg(long, value_name = "WARNING", value_parser = WARNINGS)]
    pub accept: Vec<String>,

    /// One JSON document of what was done.
    #[arg(long)]
    pub json: bool,

    /// How long each wait may take [forms: 10s, 1m].
    #[arg(long, value_name = "DURATION", value_parser = some_duration, default_value = "30s")]
    pub timeout: Duration,
}

/// Options of `hotfix unload`.
#[derive(Debug, clap::Args)]
pub struct UnloadArgs {
    /// The hotfix, as `hotfix list` names it, or the file that it was loaded from.
    #[arg(value_name = "NAME|FILE.ko", required_unless_present = "all")]
    pub name: Option<OsString>,

    /// Take back every livepatch that replaces a function of `ip_vs`, and every one that was loaded by `load`.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,

    /// One JSON document of what was done.
    #[arg(long)]
    pub json: bool,

    /// How long each wait may take [forms: 10s, 1m].
    #[arg(long, value_name = "DURATION", value_parser = some_duration, default_value = "30s")]
    pub timeout: Duration,
}

/// Options of `hotfix apply`.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line are")]
#[command(group = clap::ArgGroup::new("change").required(true))]
pub struct ApplyArgs {
    /// The kernel module.
    #[arg(value_name = "FILE.ko", group = "change")]
    pub file: Option<PathBuf>,

    /// Instead of a hotfix, switch the sysctl `net.ipv4.vs.run_estimation`.
    #[arg(long, value_name = "off", group = "change")]
    pub run_estimation: Option<RunEstimation>,

    /// Runs to measure before and after, fixed beforehand; under 4 no difference could be told from chance.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(4..=1000))]
    pub runs: u32,

    /// Take it back in any case, and measure that too.
    #[arg(long)]
    pub trial: bool,

    /// Keep a hotfix that changes nothing, or of which nothing can be told; never one that makes it worse.
    #[arg(long, conflicts_with = "trial")]
    pub keep: bool,

    /// How long each wait may take [forms: 10s, 1m].
    #[arg(long, value_name = "DURATION", value_parser = some_duration, default_value = "30s")]
    pub timeout: Duration,

    /// How long measuring may take on each side [forms: 10s, 1m].
    #[arg(long, value_name = "DURATION", value_parser = some_duration, default_value = "5m")]
    pub max_wait: Duration,

    /// Ask nothing.
    #[arg(short, long)]
    pub yes: bool,

    /// Load it in spite of this warning (repeatable).
    #[arg(long, value_name = "WARNING", value_parser = WARNINGS, conflicts_with = "run_estimation")]
    pub accept: Vec<String>,

    /// With --run-estimation: only in this network namespace (repeatable): inode number, path, name of the
    /// file that it is mounted on, or pid:N [default: all with more than one estimator].
    #[arg(
        long,
        value_name = "NETNS",
        requires = "run_estimation",
        conflicts_with = "file"
    )]
    pub netns: Vec<NetnsName>,

    /// What is too little to matter, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = percent)]
    pub min_effect: f64,

    /// One JSON document.
    #[arg(long)]
    pub json: bool,
}

/// What to do with `run_estimation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunEstimation {
    /// Set it to 0.
    Off,
}

/// Options of `hotfix status` and `hotfix list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// One JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Options of `hotfix info`.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// A hotfix as `hotfix list` names it, or a kernel module's file.
    #[arg(value_name = "NAME|FILE.ko")]
    pub hotfix: OsString,

    /// One JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Options of `hotfix install`.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// The kernel module.
    #[arg(value_name = "FILE.ko")]
    pub file: PathBuf,

    /// Install and load it in spite of this warning (repeatable).
    #[arg(long, value_name = "WARNING", value_parser = WARNINGS)]
    pub accept: Vec<String>,
}

/// Options of `hotfix uninstall`.
#[derive(Debug, clap::Args)]
pub struct UninstallArgs {
    /// The hotfix, as `hotfix list` names it.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// For this kernel [default: the one that runs].
    #[arg(long, value_name = "RELEASE", conflicts_with = "all_kernels")]
    pub kernel: Option<String>,

    /// For every kernel.
    #[arg(long)]
    pub all_kernels: bool,
}

/// Options of `hotfix step`.
#[derive(Debug, clap::Args)]
pub struct StepArgs {
    /// What to ask of the kernel.
    pub what: StepKind,

    /// Of which module.
    pub name: OsString,
}

/// Options of `hotfix guard`.
#[derive(Debug, clap::Args)]
pub struct GuardArgs {
    /// The hotfix.
    pub name: Option<OsString>,

    /// A switch `run_estimation` that is to be set back: the namespace's inode number, its file, and the value.
    #[arg(long, value_name = "NETNS:FILE=VALUE")]
    pub switch: Vec<SwitchedFrom>,
}

/// Options of `hotfix inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// The kernel module.
    #[arg(value_name = "FILE.ko")]
    pub file: PathBuf,

    /// One JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// One JSON document: the same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// The form of the answer. A monitoring plugin (nagios) ends with 0 OK, 1 WARNING, 2 CRITICAL or 3 UNKNOWN.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub format: CheckFormat,

    /// A run or blackout longer than this is a problem [forms: 500us, 5ms; default: 10ms].
    #[arg(long, value_name = "DURATION", value_parser = some_duration)]
    pub max: Option<Duration>,

    /// With --format nagios: WARNING over this [default: a tenth of CRITICAL's].
    #[arg(short, long, value_name = "DURATION", value_parser = some_duration)]
    pub warning: Option<Duration>,

    /// With --format nagios: CRITICAL over this [default: --max].
    #[arg(short, long, value_name = "DURATION", value_parser = some_duration, conflicts_with = "max")]
    pub critical: Option<Duration>,

    /// Measure by this mechanism alone: bpf, perf or tracefs [default: the best that this node allows].
    #[arg(long, value_name = "MECHANISM")]
    pub via: Option<Mechanism>,

    /// How long to measure [forms: 10s, 1m; default: 2.6s, and up to 0.8s more for a run that is due then].
    #[arg(long, value_name = "DURATION", value_parser = some_duration)]
    pub duration: Option<Duration>,
}

/// The forms of what `check` finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// A page for people.
    Text,
    /// One JSON document.
    Json,
    /// A line with performance data, as Nagios and those that followed it read it.
    Nagios,
}

/// Options of `watch`.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// A line a call, on a terminal too.
    #[arg(long)]
    pub plain: bool,

    /// Draw the screen with ASCII alone, as for a serial console.
    #[arg(long, conflicts_with_all = ["plain", "json"])]
    pub ascii: bool,

    /// A stream of JSON records, one a line.
    #[arg(long, conflicts_with = "plain")]
    pub json: bool,

    /// End after this time [forms: 500ms, 30s, 2m].
    #[arg(long, value_name = "DURATION", value_parser = some_duration)]
    pub duration: Option<Duration>,

    /// Sum up every so often [forms: 10s, 1m; default with --json: 10s].
    #[arg(long, value_name = "DURATION", value_parser = tick_or_more)]
    pub interval: Option<Duration>,

    /// Show only calls of at least this length; all are counted [forms: 500us, 1ms].
    #[arg(long, value_name = "DURATION", value_parser = some_duration)]
    pub slow: Option<Duration>,

    /// Call a wait longer than this a stall: on the screen, and for `worst` in the summary of --json [forms: 5ms, 20ms; default: 10ms].
    #[arg(long, value_name = "DURATION", value_parser = some_duration)]
    pub max: Option<Duration>,

    /// Only this network namespace (repeatable): inode number, path, name of the file that it is mounted on,
    /// or pid:N.
    #[arg(long, value_name = "NETNS")]
    pub netns: Vec<NetnsName>,

    /// Measure by this mechanism alone: bpf, perf or tracefs [default: the best that this node allows].
    #[arg(long, value_name = "MECHANISM")]
    pub via: Option<Mechanism>,
}

impl WatchArgs {
    /// Returns what `--slow` says, in nanoseconds.
    #[must_use]
    pub fn slow_ns(&self) -> Option<u64> {
        self.slow.map(nanoseconds)
    }

    /// Returns what `--max` says or leaves to the default, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max.map_or(DEFAULT_MAX_NS, nanoseconds)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration that is not nothing.
fn some_duration(text: &str) -> Result<Duration, String> {
    let forms = "write a number and a unit, as in 500us, 30s or 2m";
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; {forms}"))?;
    if duration > Duration::from_hours(24 * 365) {
        return Err(format!("it is over a year; {forms}"));
    }
    if duration.is_zero() {
        return Err(format!("it is zero; {forms}"));
    }
    Ok(duration)
}

/// A share above nothing.
fn percent(text: &str) -> Result<f64, String> {
    let form = "write a number from 0.1 to 1000, as in 5 or 2.5";
    let percent: f64 = text.parse().map_err(|_| form.to_owned())?;
    if !(0.1..=1000.0).contains(&percent) {
        return Err(form.into());
    }
    Ok(percent)
}

/// A duration of at least the second in which records are read.
fn tick_or_more(text: &str) -> Result<Duration, String> {
    let duration = some_duration(text)?;
    if duration < monitor::TICK {
        return Err("it is under 1s, the rhythm in which calls are read; use 1s or more".into());
    }
    Ok(duration)
}
