//! The line mode for kernel threads: a line a run, and the sums at the end.

use std::io::{self, Write};

use super::period::ThreadPeriod;
use crate::{
    columns, kernel_threads,
    watch::{
        bars,
        marks::{Colour, DURATION_COLUMNS, marked},
        namespace_name::netns_name,
        text::{NETNS_COLUMNS, notice},
    },
};
use model::{
    durations::readable,
    threads::{ThreadOutput, ThreadRun, ThreadSums},
};

/// What runs on this kernel do not do.
pub const STATEMENT: &str =
    "Kernel threads estimate here: a run can delay tasks on its CPU, but no softirq.";

/// Rows that fit a screen.
const MAX_ROWS: usize = 20;

const TITLES: [&str; 12] = [
    "thread",
    "netns",
    "tid",
    "estimators",
    "ticks",
    "runs",
    "p50",
    "p99",
    "max",
    "of a CPU",
    "nice",
    "last CPU",
];

/// Columns of words.
const WORDS: usize = 2;

/// Writes lines for reading.
#[derive(Debug, Clone, Copy)]
pub struct ThreadLines {
    /// Whether marks are coloured.
    pub colour: Colour,
    /// Inode number of the root network namespace.
    pub root_netns: u32,
}

impl ThreadLines {
    /// Writes one thing that happened.
    pub fn output(self, out: &mut impl Write, output: &ThreadOutput) -> io::Result<()> {
        match output {
            ThreadOutput::Notice(one) => notice(out, one),
            ThreadOutput::Run(run) => self.run(out, run),
        }
    }

    fn run(self, out: &mut impl Write, run: &ThreadRun) -> io::Result<()> {
        writeln!(
            out,
            "{} |  {}  cpu {:>3}  netns {:<NETNS_COLUMNS$}  thread {:>2} tid {} tick {:>2}  {}",
            marked(run.duration_ns, self.colour),
            run.at.time_of_day(),
            run.cpu,
            netns_name(run.netns, self.root_netns),
            run.thread,
            run.tid,
            run.tick,
            chain(run.estimators),
        )
    }

    /// Writes the sums of the session: a histogram, what it says, and a table by thread.
    pub fn summary(self, out: &mut impl Write, period: &ThreadPeriod) -> io::Result<()> {
        writeln!(out)?;
        if period.sums.all.recorded > 0 {
            bars::draw(out, &period.sums.histogram)?;
            writeln!(out)?;
        }
        for sentence in sentences(&period.sums) {
            writeln!(out, "{sentence}")?;
        }
        for remark in period.remarks() {
            writeln!(out, "{remark}")?;
        }
        self.table(out, period)
    }

    fn table(self, out: &mut impl Write, period: &ThreadPeriod) -> io::Result<()> {
        let threads = &period.seen.threads;
        if threads.is_empty() {
            return Ok(());
        }
        let (shown, rest) = threads.split_at(threads.len().min(MAX_ROWS));
        let mut rows = vec![TITLES.map(str::to_owned)];
        rows.extend(shown.iter().map(|thread| self.row(thread, period)));
        writeln!(out)?;
        columns::write(out, &rows, WORDS)?;
        if !rest.is_empty() {
            writeln!(out, "and {} more (all of them: --json)", rest.len())?;
        }
        Ok(())
    }

    fn row(self, thread: &kernel_threads::Thread, period: &ThreadPeriod) -> [String; TITLES.len()] {
        let known = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let runs = period.runs_of(thread);
        let summary = runs.map(|runs| &runs.summary);
        let duration = |duration_ns: Option<u64>| known(duration_ns.map(readable));
        [
            thread.shown(),
            netns_name(thread.netns, self.root_netns),
            known(thread.tid.map(|tid| tid.to_string())),
            thread.estimators.to_string(),
            runs.map_or(0, |runs| runs.ticks).to_string(),
            summary.map_or(0, |summary| summary.calls).to_string(),
            duration(summary.and_then(|summary| summary.p50_ns)),
            duration(summary.and_then(|summary| summary.p99_ns)),
            duration(summary.and_then(|summary| summary.max_ns)),
            known(thread.share.map(|share| format!("{:.2} %", share * 100.0))),
            known(thread.nice.map(|nice| nice.to_string())),
            known(thread.last_cpu.map(|cpu| cpu.to_string())),
        ]
    }
}

/// Says how long a chain is.
pub fn chain(estimators: Option<u32>) -> String {
    match estimators {
        Some(1) => "1 estimator".into(),
        Some(number) => format!("{number} estimators"),
        None => "? estimators".into(),
    }
}

/// Returns what the sums say.
pub fn sentences(sums: &ThreadSums) -> Vec<String> {
    let all = &sums.all;
    let observed = readable(sums.observed_ns);
    let s = if all.calls == 1 { "" } else { "s" };
    let mut sentences = vec![match (all.min_ns, all.max_ns) {
        (Some(min_ns), Some(max_ns)) => {
            let percentiles = [("p50", all.p50_ns), ("p99", all.p99_ns)];
            let percentiles = percentiles.into_iter().filter_map(|(name, value)| {
                let value = readable(value?);
                Some(format!("  {name} {value}"))
            });
            format!(
                "{} run{s} in {observed}: min {}{}  max {}",
                all.calls,
                readable(min_ns),
                percentiles.collect::<String>(),
                readable(max_ns)
            )
        }
        _ if all.calls > 0 => format!("{} run{s} in {observed}, none with a record", all.calls),
        _ => format!("No run in {observed}"),
    }];
    if let Some(busy_ns) = all.stall_ns_per_s {
        let at_least = if all.is_partial() { "at least " } else { "" };
        let longest = all.max_at.map_or(String::new(), |at| {
            format!("; the longest at {} UTC", at.time_of_day())
        });
        sentences.push(format!(
            "All runs took {at_least}{} per second on average{longest}",
            readable(busy_ns)
        ));
    }
    if all.lost > 0 {
        sentences.push(format!("lost {}: the ring buffer was full", all.lost));
    }
    if all.missed > 0 {
        sentences.push(format!(
            "missed {}: the probes saw the start and not the end, or had no room for the thread",
            all.missed
        ));
    }
    sentences
}

/// The titles of the columns.
pub fn header(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{STATEMENT}")?;
    writeln!(
        out,
        "{:<DURATION_COLUMNS$} |  {:<12}  {:<7}  {:<24}  {:<24}  LENGTH OF CHAIN",
        "  DURATION", "TIME (UTC)", "CPU", "NETWORK NAMESPACE", "THREAD",
    )
}

/// Writes the sums of an interval, in one line.
pub fn interval(out: &mut impl Write, sums: &ThreadSums) -> io::Result<()> {
    let all = &sums.all;
    let s = if all.calls == 1 { "" } else { "s" };
    write!(
        out,
        "{:<DURATION_COLUMNS$} |  {}  {} run{s} in {}",
        "interval",
        sums.at.time_of_day(),
        all.calls,
        readable(sums.observed_ns),
    )?;
    if let (Some(max_ns), Some(busy_ns)) = (all.max_ns, all.stall_ns_per_s) {
        let (longest, busy) = (readable(max_ns), readable(busy_ns));
        write!(out, ", longest {longest}, all runs {busy} per second")?;
    }
    writeln!(out, ", lost {}, missed {}", all.lost, all.missed)
}
