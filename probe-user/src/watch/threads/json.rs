//! The stream of JSON records about kernel threads, one a line.

use std::io::{self, Write};

use serde::Serialize;

use super::period::ThreadPeriod;
use crate::{
    kernel_threads::Thread,
    watch::json::{Names, SCHEMA, displayed, displayed_if_known, named, notice},
};
use host::{estimation::Kind, estimator_threads::Estimation, netns_owners::Named};
use model::{
    Summary, WallTime, known_netns,
    threads::{ThreadOutput, ThreadReport, ThreadRun},
};

/// A record: its `type` comes first.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record<'a> {
    ChainRun {
        schema: u32,
        start_ns: u64,
        #[serde(serialize_with = "displayed")]
        at: WallTime,
        duration_ns: u64,
        cpu: u32,
        netns: Option<u32>,
        #[serde(flatten)]
        named: &'a Named,
        thread: u32,
        tid: u32,
        tick: u32,
        estimators: Option<u32>,
    },
    Interval(Period<'a>),
    Summary(Period<'a>),
}

/// The sums of a time, over all threads, by thread and by namespace.
#[derive(Debug, Serialize)]
struct Period<'a> {
    schema: u32,
    estimator: Kind,
    #[serde(serialize_with = "displayed")]
    at: WallTime,
    observed_ns: u64,
    #[serde(flatten)]
    all: Sums,
    threads: Vec<ThreadSums<'a>>,
    namespaces: Vec<Namespace<'a>>,
}

/// What some runs came to. Durations in nanoseconds; `None` for what is not known.
#[derive(Debug, Serialize)]
struct Sums {
    runs: u64,
    recorded: u64,
    expected: u64,
    min_ns: Option<u64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: Option<u64>,
    #[serde(serialize_with = "displayed_if_known")]
    max_at: Option<WallTime>,
    /// What runs took of each second observed.
    busy_ns_per_s: Option<u64>,
    lost: u64,
    missed: u64,
}

impl From<&Summary> for Sums {
    fn from(summary: &Summary) -> Self {
        Self {
            runs: summary.calls,
            recorded: summary.recorded,
            expected: summary.expected,
            min_ns: summary.min_ns,
            p50_ns: summary.p50_ns,
            p90_ns: summary.p90_ns,
            p99_ns: summary.p99_ns,
            max_ns: summary.max_ns,
            max_at: summary.max_at,
            busy_ns_per_s: summary.stall_ns_per_s.filter(|_| !summary.is_partial()),
            lost: summary.lost,
            missed: summary.missed,
        }
    }
}

/// One thread: what the kernel says of it, and what its runs came to.
#[derive(Debug, Serialize)]
struct ThreadSums<'a> {
    #[serde(flatten)]
    thread: &'a Thread,
    /// Of the 50 ticks of its round, those in which a run was seen.
    ticks: u32,
    /// Estimators in the chain of its longest run.
    longest_run_estimators: Option<u32>,
    #[serde(flatten)]
    sums: Sums,
}

#[derive(Debug, Serialize)]
struct Namespace<'a> {
    netns: u32,
    #[serde(flatten)]
    named: &'a Named,
    run_estimation: i32,
    stopped: bool,
    calibrating: bool,
    chain_max: u32,
    threads: usize,
    estimators: u64,
}

impl<'a> Period<'a> {
    fn of(period: &'a ThreadPeriod, names: &'a Names) -> Self {
        let threads = period.seen.threads.iter();
        let namespaces = period.read.namespaces.iter();
        Self {
            schema: SCHEMA,
            estimator: Kind::Kthread,
            at: period.sums.at,
            observed_ns: period.sums.observed_ns,
            all: Sums::from(&period.sums.all),
            threads: threads.map(|thread| joined(thread, period)).collect(),
            namespaces: namespaces.map(|one| namespace(one, names)).collect(),
        }
    }
}

fn joined<'a>(thread: &'a Thread, period: &ThreadPeriod) -> ThreadSums<'a> {
    let none = Summary::default();
    let runs = period.runs_of(thread);
    ThreadSums {
        thread,
        ticks: runs.map_or(0, |runs| runs.ticks),
        longest_run_estimators: runs.and_then(longest).and_then(|run| run.estimators),
        sums: Sums::from(runs.map_or(&none, |runs| &runs.summary)),
    }
}

fn longest(runs: &ThreadReport) -> Option<ThreadRun> {
    runs.longest
}

fn namespace<'a>(one: &Estimation, names: &'a Names) -> Namespace<'a> {
    let running = one.threads.iter().filter(|thread| thread.tid.is_some());
    Namespace {
        netns: one.netns,
        named: named(names, one.netns),
        run_estimation: one.run_estimation,
        stopped: one.is_stopped,
        calibrating: one.is_calibrating,
        chain_max: one.chain_max,
        threads: running.count(),
        estimators: one
            .threads
            .iter()
            .map(|thread| u64::from(thread.estimators))
            .sum(),
    }
}

/// Writes one thing that happened.
pub fn output(out: &mut impl Write, output: &ThreadOutput, names: &Names) -> io::Result<()> {
    match output {
        ThreadOutput::Notice(one) => notice(out, one),
        ThreadOutput::Run(run) => line(
            out,
            &Record::ChainRun {
                schema: SCHEMA,
                start_ns: run.start_ns,
                at: run.at,
                duration_ns: run.duration_ns,
                cpu: run.cpu,
                netns: known_netns(run.netns),
                named: named(names, run.netns),
                thread: run.thread,
                tid: run.tid,
                tick: run.tick,
                estimators: run.estimators,
            },
        ),
    }
}

/// Writes the sums of an interval.
pub fn interval(out: &mut impl Write, period: &ThreadPeriod, names: &Names) -> io::Result<()> {
    line(out, &Record::Interval(Period::of(period, names)))
}

/// Writes the sums of the session.
pub fn summary(out: &mut impl Write, period: &ThreadPeriod, names: &Names) -> io::Result<()> {
    line(out, &Record::Summary(Period::of(period, names)))
}

/// One write a record, so that a reader never sees half of one where the pipe can take it whole.
fn line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let mut text = serde_json::to_vec(record)?;
    text.push(b'\n');
    out.write_all(&text)
}
