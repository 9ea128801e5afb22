//! Kernel threads that estimate, for people.

use std::io::{self, Write};

use super::{columns, name};
use crate::check::page::{SeenThreads, Thread};

/// Rows that fit a screen.
const MAX_ROWS: usize = 20;

const TITLES: [&str; 8] = [
    "thread",
    "netns",
    "tid",
    "estimators",
    "at most",
    "of a CPU",
    "nice",
    "last CPU",
];

/// Columns of words.
const WORDS: usize = 2;

/// Returns what they come to.
pub fn sum(threads: &SeenThreads) -> String {
    let counted = |count: u32, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("in {count} namespace{plural} {what}"))
    };
    let running = threads.threads.iter().filter(|one| one.tid.is_some());
    let count = running.clone().count();
    let plural = if count == 1 { "" } else { "s" };
    let mut parts = vec![format!("{count} run{}", if count == 1 { "s" } else { "" })];
    let shares: Vec<f64> = running.filter_map(|one| one.share).collect();
    if !shares.is_empty() {
        let percent = shares.iter().sum::<f64>() * 100.0;
        parts.push(format!(
            "the thread{plural} took {percent:.2} % of the time of a CPU"
        ));
    }
    let calibrating = "the first thread measures how long a chain may be";
    parts.extend(counted(threads.calibrating, calibrating));
    let stopped = "the kernel has stopped them: run_estimation is 0, or est_cpulist is empty";
    parts.extend(counted(threads.stopped, stopped));
    parts.join("; ")
}

/// Writes the first threads, and how many more there are.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, threads: &[Thread], root_netns: Option<u32>) -> io::Result<()> {
    if threads.is_empty() {
        return Ok(());
    }
    let (shown, rest) = threads.split_at(threads.len().min(MAX_ROWS));
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(shown.iter().map(|thread| row(thread, root_netns)));
    writeln!(out)?;
    columns::write(out, &rows, WORDS)?;
    if !rest.is_empty() {
        writeln!(out, "and {} more (all of them: --json)", rest.len())?;
    }
    Ok(())
}

fn row(thread: &Thread, root_netns: Option<u32>) -> [String; TITLES.len()] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        thread.name.clone().unwrap_or_else(|| "stopped".into()),
        name(Some(thread.netns), root_netns),
        known(thread.tid.map(|tid| tid.to_string())),
        thread.estimators.to_string(),
        thread.estimators_max.to_string(),
        known(thread.share.map(|share| format!("{:.2} %", share * 100.0))),
        known(thread.nice.map(|nice| nice.to_string())),
        known(thread.last_cpu.map(|cpu| cpu.to_string())),
    ]
}
