//! `cargo xtask bench`: what measuring the estimator costs it, in instructions.
//!
//! ```text
//! LabSpec -> guest.sh, with truth.sh -> transcript -> Row, Row, ... -> verdict | table | JSON
//! ```
//! In the deterministic lab guest time counts instructions, so the numbers are the same on any host. How long a run
//! takes is told by the kernel's own timer tracepoints (`ground_truth/truth.sh`), never by the tools compared. Idle time
//! alone passes without instructions; it is taken off where it can occur, between the start of a tool and its
//! attachment.

mod table;
mod threads;
mod transcript;
mod verdict;

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::cli::BenchArgs;
use crate::ground_truth;
use crate::kernel::{self, Line};
use crate::lab::Copy;
use crate::lab::{LabSpec, build};
use crate::setup::{self, Need};
pub use threads::ChainRow;
use transcript::{Attachment, Transcript};
pub use verdict::verdict;

/// Runs that a median is taken of, after the first one.
pub const RUNS: usize = 10;

/// How far apart two medians of the same thing may lie: the guest's clock interrupt shifts a run by so much.
pub const REPEATS_WITHIN: u64 = 40;

/// Services with two destinations each, beside which every namespace has one estimator for its total.
const SERVICES: [u32; 3] = [0, 1_000, MOST_SERVICES];
const MOST_SERVICES: u32 = 10_000;
const DESTINATIONS: u32 = 2;

const SCRIPT: &str = include_str!("bench/guest.sh");

/// Something attached to the estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Nothing: the baseline.
    Nothing,
    /// A kprobe and a kretprobe whose BPF programs do nothing.
    EmptyPair,
    /// Kprobe events of tracefs, enabled.
    TracefsEvents,
    /// bpftrace's `hist()` of a kprobe and a kretprobe.
    BpftraceHist,
    /// `ipvs-latency watch --json`.
    Watch,
    /// The same as on a kernel without `bpf_loop`.
    WatchWithoutLoop,
    /// The same as on a kernel without BTF of `ip_vs`.
    WatchWithoutModuleBtf,
    /// The same through `perf_event_open`, without eBPF.
    WatchViaPerf,
    /// The same through tracefs, without eBPF.
    WatchViaTracefs,
    /// The tracer behind `funcgraph`.
    FunctionGraph,
}

/// The bench's numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Bench {
    /// Version of these fields.
    pub schema: u32,
    /// Always `bench`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Release of the kernel they were taken on.
    pub kernel: String,
    /// One for everything attached, at every number of estimators.
    pub rows: Vec<Row>,
    /// Release of the kernel that the numbers of kernel threads were taken on; `None` where there is none.
    pub threads_kernel: Option<String>,
    /// One for everything attached where kernel threads estimate.
    pub chains: Vec<ChainRow>,
}

/// What one thing costs at one number of estimators. A run is one call of `estimation_timer`, from the tracepoint
/// before it to the one behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What is attached.
    pub attached: What,
    /// How many estimators a run goes over.
    pub estimators: u32,
    /// The median of the runs after the first.
    pub run_instructions: u64,
    /// What that is more than with nothing attached.
    pub added_instructions: i64,
    /// The shortest of the runs after the first.
    pub min_instructions: u64,
    /// The longest of the runs after the first.
    pub max_instructions: u64,
    /// The first run after attaching.
    pub first_instructions: u64,
    /// What the machine executed from the program's `exec` until its last probe was in place, to a thousand: the
    /// program itself, the kernel for it, threads of the kernel and interrupts; only waiting is left out. For
    /// programs only.
    pub start_to_attached_instructions: Option<u64>,
    /// The guest time of that, waiting included.
    pub start_to_attached_ns: Option<u64>,
    /// The median of what a run takes with what the softirq does before and behind it.
    pub softirq_instructions: u64,
    /// The median of what another timer takes so: what all others pay.
    pub other_softirq_instructions: u64,
}

impl Bench {
    /// The row of one thing at one number of estimators.
    #[must_use]
    pub fn row(&self, attached: What, estimators: u32) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.attached == attached && row.estimators == estimators)
    }

    /// The numbers of estimators measured at.
    #[must_use]
    pub fn sizes(&self) -> Vec<u32> {
        self.rows
            .iter()
            .filter(|row| row.attached == What::Nothing)
            .map(|row| row.estimators)
            .collect()
    }
}

/// Measures everything at every number of estimators.
///
/// # Errors
/// When a guest fails, or when what it says cannot be relied on: too few runs, or a run that does not get back to
/// what it was once everything is detached.
pub fn run() -> Result<Bench> {
    setup::ensure(&[Need::EbpfToolchain, Need::Linker, Need::Bpftrace])
        .map_err(|error| anyhow!(error.sentence()))?;
    let pair = build::empty_pair()?;
    let [small, middle, large] = SERVICES.map(|services| spec(services, &pair));
    // The large guest takes as long as the others one after the other.
    let (smaller, chains, large) = thread::scope(|scope| {
        let large = scope.spawn(|| measure(&large));
        let smaller = [&small, &middle].map(measure);
        (smaller, measure_threads(&pair), large.join())
    });
    let large = large
        .map_err(|_| anyhow!("the guest with the most estimators was not measured to its end"))?;
    let mut bench = Bench {
        schema: 1,
        kind: "bench",
        kernel: String::new(),
        rows: Vec::new(),
        threads_kernel: None,
        chains: Vec::new(),
    };
    if let Some((kernel, rows)) = chains? {
        bench.threads_kernel = Some(kernel);
        bench.chains = rows;
    }
    for part in smaller.into_iter().chain([large]) {
        let (kernel, rows) = part?;
        bench.kernel = kernel;
        bench.rows.extend(rows);
    }
    Ok(bench)
}

/// Measures on a kernel whose threads estimate; `None` where none is available.
fn measure_threads(pair: &Path) -> Result<Option<(String, Vec<ChainRow>)>> {
    let kernel = Line::V6_12;
    match kernel::fetch(&kernel) {
        Ok(_) => {}
        Err(kernel::Error::Failed(error)) => return Err(error),
        Err(unavailable) => {
            eprintln!("skipped: kernel threads: {unavailable}");
            return Ok(None);
        }
    }
    let spec = LabSpec {
        kernel,
        services: MOST_SERVICES,
        destinations: DESTINATIONS,
        copies: vec![copy(pair)],
        timeout: Duration::from_mins(20),
        ..LabSpec::deterministic()
    };
    let outcome = spec.run(&["sh", "-c", threads::SCRIPT])?;
    let complaints = String::from_utf8_lossy(&outcome.stderr);
    ensure!(
        outcome.code == 0,
        "the script for kernel threads ended with exit code {}: {}",
        outcome.code,
        complaints.trim_end()
    );
    threads::rows(&String::from_utf8_lossy(&outcome.stdout)).map(Some)
}

fn copy(pair: &Path) -> Copy {
    Copy {
        source: pair.to_owned(),
        destination: Some("/root/empty_pair".into()),
    }
}

fn spec(services: u32, pair: &Path) -> LabSpec {
    LabSpec {
        services,
        destinations: DESTINATIONS,
        bpftrace: true,
        copies: vec![ground_truth::script(), copy(pair)],
        timeout: Duration::from_mins(20),
        ..LabSpec::deterministic()
    }
}

/// Boots a guest and measures everything in it.
fn measure(spec: &LabSpec) -> Result<(String, Vec<Row>)> {
    let estimators = spec.services * (1 + spec.destinations) + 1;
    // The other ways at the most estimators alone, where their snapshots have most to do.
    let other_ways = if spec.services == MOST_SERVICES {
        "watch_without_loop watch_without_module_btf watch_via_perf watch_via_tracefs"
    } else {
        ""
    };
    let script = format!("OTHER_WAYS='{other_ways}'\n{SCRIPT}");
    let outcome = spec.run(&["sh", "-c", &script])?;
    let complaints = String::from_utf8_lossy(&outcome.stderr);
    ensure!(
        outcome.code == 0,
        "the bench's script ended with exit code {} at {}: {}",
        outcome.code,
        table::estimators(estimators),
        complaints.trim_end()
    );
    let transcript = String::from_utf8_lossy(&outcome.stdout);
    let transcript = transcript::parse(&transcript)?;
    let rows = rows(&transcript, estimators)
        .with_context(|| format!("at {}", table::estimators(estimators)))?;
    Ok((transcript.kernel, rows))
}

/// Turns what a guest said into rows, and checks that it can be relied on.
fn rows(transcript: &Transcript, estimators: u32) -> Result<Vec<Row>> {
    let baseline = transcript
        .attachments
        .iter()
        .find(|attachment| attachment.what == What::Nothing);
    let baseline = median(
        &baseline
            .context("nothing was measured without probes")?
            .rest()?,
    );
    transcript
        .attachments
        .iter()
        .map(|attachment| row(attachment, estimators, baseline))
        .collect()
}

fn row(attachment: &Attachment, estimators: u32, baseline: u64) -> Result<Row> {
    let rest = attachment.rest()?;
    let after = median(&attachment.after()?);
    ensure!(
        after.abs_diff(baseline) <= REPEATS_WITHIN,
        "a run took {after} instructions after {:?} was detached, and {baseline} before",
        attachment.what
    );
    let run_instructions = median(&rest);
    Ok(Row {
        attached: attachment.what,
        estimators,
        run_instructions,
        added_instructions: run_instructions.cast_signed() - baseline.cast_signed(),
        min_instructions: rest.iter().copied().min().unwrap_or(0),
        max_instructions: rest.iter().copied().max().unwrap_or(0),
        first_instructions: attachment.first()?,
        start_to_attached_instructions: attachment.start_to_attached.map(|start| start.busy_ns),
        start_to_attached_ns: attachment.start_to_attached.map(|start| start.elapsed_ns),
        softirq_instructions: median(&attachment.softirqs.runs),
        other_softirq_instructions: median(&attachment.softirqs.others),
    })
}

/// The median; of an even number, the mean of the middle two.
fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.get(middle.saturating_sub(1)..=middle) {
        Some(&[low, high]) if sorted.len().is_multiple_of(2) => u64::midpoint(low, high),
        _ => sorted.get(middle).copied().unwrap_or(0),
    }
}

/// `cargo xtask bench`: prints the numbers and whether they are as promised; the exit code is 1 when a promise is
/// broken and 2 when nothing could be measured.
#[must_use]
pub fn command(args: BenchArgs) -> ExitCode {
    eprintln!("measuring at 1, 3,001 and 30,001 estimators; this takes some minutes ...");
    match run().and_then(|bench| print(&bench, args.json)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Prints everything; returns whether all promises hold. Beside a JSON document the words go to standard error.
fn print(bench: &Bench, json: bool) -> Result<bool> {
    let broken = verdict(bench);
    let words = if broken.is_empty() {
        "every promise holds".to_owned()
    } else {
        format!("broken: {}", broken.join("\nbroken: "))
    };
    if json {
        println!("{}", serde_json::to_string(bench)?);
        eprintln!("{words}");
    } else {
        println!("{}\n{words}", table::table(bench));
    }
    Ok(broken.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        for (values, expected) in [
            (&[3, 1, 2][..], 2),
            (&[4, 1, 2, 3], 2),
            (&[10, 20], 15),
            (&[7], 7),
            (&[], 0),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }
}
