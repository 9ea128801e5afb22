//! The stream of JSON records, one a line.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, Write},
};

use serde::{Serialize, Serializer};

use super::beginning::Beginning;
use crate::record::{Source, WorstStall};
use host::{estimation::Kind, netns_owners::Named};
use model::{
    NamespaceReport, Notice, Operation, Output, Report, State, Summary, Topic, WallTime, Worst,
    known_netns,
};
use monitor::mechanism::{Lacking, Mechanism};

/// Who lives in each namespace that is known, and where it opens, by inode number.
pub type Names = BTreeMap<u32, Named>;

/// The version of these records' fields.
pub const SCHEMA: u32 = 1;

/// With more namespaces than this, a record is longer than a pipe can take at once (64 KiB, `pipe(7)`).
const NAMESPACES_AT_ONCE: usize = 256;

/// A record: its `type` comes first.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record<'a> {
    Start {
        schema: u32,
        start_ns: u64,
        #[serde(serialize_with = "displayed")]
        at: WallTime,
        #[serde(flatten)]
        source: Source,
        kernel: &'a str,
        estimator: Kind,
        mechanism: Mechanism,
        cannot: &'static [Lacking],
        root_netns: Option<u32>,
    },
    Call {
        schema: u32,
        start_ns: u64,
        #[serde(serialize_with = "displayed")]
        at: WallTime,
        duration_ns: u64,
        cpu: u32,
        netns: Option<u32>,
        #[serde(flatten)]
        named: &'a Named,
        estimators: Option<u32>,
        interrupted_pid: u32,
        interrupted_comm: Option<&'a str>,
        blackout_ns: Option<u64>,
    },
    LockWait {
        schema: u32,
        start_ns: u64,
        #[serde(serialize_with = "displayed")]
        at: WallTime,
        duration_ns: u64,
        cpu: u32,
        netns: Option<u32>,
        #[serde(flatten)]
        named: &'a Named,
        operation: &'static str,
        pid: u32,
    },
    State {
        schema: u32,
        start_ns: u64,
        #[serde(serialize_with = "displayed")]
        at: WallTime,
        netns: u32,
        #[serde(flatten)]
        named: &'a Named,
        from: Option<State>,
        to: State,
        why: &'a str,
    },
    Notice {
        schema: u32,
        start_ns: u64,
        #[serde(serialize_with = "displayed")]
        at: WallTime,
        #[serde(serialize_with = "displayed")]
        topic: Topic,
        text: &'a str,
    },
    Interval(Period<'a>),
    Summary {
        #[serde(flatten)]
        period: Period<'a>,
        worst: Option<WorstStall>,
    },
}

/// The sums of a time, over all namespaces and by namespace.
#[derive(Debug, Serialize)]
struct Period<'a> {
    schema: u32,
    #[serde(serialize_with = "displayed")]
    at: WallTime,
    observed_ns: u64,
    #[serde(flatten)]
    all: Sums,
    max_blackout_ns: Option<u64>,
    lock_waits: u64,
    lock_wait_ns: u64,
    lock_wait_max_ns: Option<u64>,
    operations_lost: u64,
    namespaces: Namespaces<'a>,
}

/// The sums of each namespace.
#[derive(Debug)]
struct Namespaces<'a> {
    reports: &'a [NamespaceReport],
    names: &'a Names,
}

#[derive(Debug, Serialize)]
struct NamespaceSums<'a> {
    netns: u32,
    #[serde(flatten)]
    named: &'a Named,
    #[serde(serialize_with = "displayed_if_known")]
    state: Option<State>,
    estimators: Option<u32>,
    run_estimation: Option<i32>,
    #[serde(flatten)]
    sums: Sums,
}

/// What some runs came to, under the names that all documents have for it; durations in nanoseconds, `None` for what
/// cannot be told.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as the fields of `Summary`")]
pub struct Sums {
    pub calls: u64,
    pub recorded: u64,
    pub expected: u64,
    pub min_ns: Option<u64>,
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: Option<u64>,
    #[serde(serialize_with = "displayed_if_known")]
    pub max_at: Option<WallTime>,
    pub stall_ns_per_s: Option<u64>,
    pub lost: u64,
    pub missed: u64,
}

impl From<&Summary> for Sums {
    fn from(summary: &Summary) -> Self {
        Self {
            calls: summary.calls,
            recorded: summary.recorded,
            expected: summary.expected,
            min_ns: summary.min_ns,
            p50_ns: summary.p50_ns,
            p90_ns: summary.p90_ns,
            p99_ns: summary.p99_ns,
            max_ns: summary.max_ns,
            max_at: summary.max_at,
            stall_ns_per_s: summary.stall_ns_per_s.filter(|_| !summary.is_partial()),
            lost: summary.lost,
            missed: summary.missed,
        }
    }
}

impl<'a> NamespaceSums<'a> {
    fn of(namespace: &NamespaceReport, names: &'a Names) -> Self {
        Self {
            netns: namespace.netns,
            named: named(names, namespace.netns),
            state: namespace.state,
            estimators: namespace.estimators,
            run_estimation: namespace.run_estimation,
            sums: Sums::from(&namespace.summary),
        }
    }
}

/// Makes the record of one namespace at a time: there may be very many.
impl Serialize for Namespaces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reports = self.reports.iter();
        serializer.collect_seq(reports.map(|report| NamespaceSums::of(report, self.names)))
    }
}

impl<'a> Period<'a> {
    fn of(report: &'a Report, names: &'a Names) -> Self {
        Self {
            schema: SCHEMA,
            at: report.at,
            observed_ns: report.observed_ns,
            all: Sums::from(&report.all),
            max_blackout_ns: report.max_blackout.map(|blackout| blackout.duration_ns),
            lock_waits: report.lock_waits.count,
            lock_wait_ns: report.lock_waits.total_ns,
            lock_wait_max_ns: (report.lock_waits.count > 0).then_some(report.lock_waits.longest_ns),
            operations_lost: report.lock_waits.unrecorded,
            namespaces: Namespaces {
                reports: &report.namespaces,
                names,
            },
        }
    }
}

impl<'a> Record<'a> {
    fn of(output: &'a Output, names: &'a Names) -> Self {
        match output {
            Output::Call(call) => Self::Call {
                schema: SCHEMA,
                start_ns: call.start_ns,
                at: call.at,
                duration_ns: call.duration_ns,
                cpu: call.cpu,
                netns: known_netns(call.netns),
                named: named(names, call.netns),
                estimators: call.estimators,
                interrupted_pid: call.interrupted_pid,
                interrupted_comm: call.interrupted_comm.as_deref(),
                blackout_ns: call.blackout.map(|blackout| blackout.duration_ns),
            },
            Output::LockWait(wait) => Self::LockWait {
                schema: SCHEMA,
                start_ns: wait.start_ns,
                at: wait.at,
                duration_ns: wait.duration_ns,
                cpu: wait.cpu,
                netns: known_netns(wait.netns),
                named: named(names, wait.netns),
                operation: match wait.operation {
                    Operation::Start => "start",
                    Operation::Stop => "stop",
                },
                pid: wait.pid,
            },
            Output::StateChange(change) => Self::State {
                schema: SCHEMA,
                start_ns: change.start_ns,
                at: change.at,
                netns: change.netns,
                named: named(names, change.netns),
                from: change.from,
                to: change.to,
                why: &change.why,
            },
            Output::Notice(notice) => Self::of_notice(notice),
        }
    }

    fn of_notice(notice: &'a Notice) -> Self {
        Self::Notice {
            schema: SCHEMA,
            start_ns: notice.start_ns,
            at: notice.at,
            topic: notice.topic,
            text: &notice.text,
        }
    }
}

/// Stands for a namespace of which nothing is known.
static UNNAMED: Named = Named {
    who: None,
    door: None,
};

/// Returns who lives in a namespace, as far as that is known.
pub fn named(names: &Names, netns: u32) -> &Named {
    names.get(&netns).unwrap_or(&UNNAMED)
}

/// Writes that the probes are in place, and on what.
pub fn start(out: &mut impl Write, start: &Beginning, estimator: Kind) -> io::Result<()> {
    let record = Record::Start {
        schema: SCHEMA,
        start_ns: start.start_ns,
        at: start.at,
        source: Source::of(&start.hostname),
        kernel: &start.release,
        estimator,
        mechanism: start.mechanism,
        cannot: start.mechanism.cannot(),
        root_netns: known_netns(start.root_netns),
    };
    line(out, &record)
}

/// Writes a notice.
pub fn notice(out: &mut impl Write, notice: &Notice) -> io::Result<()> {
    line(out, &Record::of_notice(notice))
}

/// Writes one thing that happened.
pub fn output(out: &mut impl Write, output: &Output, names: &Names) -> io::Result<()> {
    line(out, &Record::of(output, names))
}

/// Writes the sums of an interval.
pub fn interval(out: &mut impl Write, report: &Report, names: &Names) -> io::Result<()> {
    line(out, &Record::Interval(Period::of(report, names)))
}

/// Writes the sums of the session, and the worst stall in it.
pub fn summary(
    out: &mut impl Write,
    report: &Report,
    worst: Option<Worst>,
    names: &Names,
) -> io::Result<()> {
    let worst = worst.map(|worst| WorstStall::of(&worst, named(names, worst.netns).clone()));
    let period = Period::of(report, names);
    line(out, &Record::Summary { period, worst })
}

/// One write a record, so that a reader never sees half of one where the pipe can take it whole. The sums of many
/// namespaces are more than any pipe takes, and are written as they come.
fn line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    if let Record::Interval(period) | Record::Summary { period, .. } = record
        && period.namespaces.reports.len() > NAMESPACES_AT_ONCE
    {
        serde_json::to_writer(&mut *out, record)?;
        return out.write_all(b"\n");
    }
    let mut text = serde_json::to_vec(record)?;
    text.push(b'\n');
    out.write_all(&text)
}

/// Serializes a value as it is displayed.
pub fn displayed<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Serializes a value as it is displayed, if there is one.
#[allow(clippy::ref_option, reason = "the form that serde calls it in")]
pub fn displayed_if_known<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
