//! Kernel threads that estimate, for people.

use std::io::{self, Write};

use super::name;
use crate::{
    columns,
    kernel_threads::{SeenThreads, Thread},
};

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
    let running = threads.threads.iter().filter(|one| one.tid.is_some());
    let mut parts = vec![format!("{} running", running.clone().count())];
    let shares: Vec<f64> = running.filter_map(|one| one.share).collect();
    if !shares.is_empty() {
        let percent = shares.iter().sum::<f64>() * 100.0;
        parts.push(format!("together {percent:.2} % of the time of a CPU"));
    }
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
        thread.shown(),
        name(Some(thread.netns), root_netns),
        known(thread.tid.map(|tid| tid.to_string())),
        thread.estimators.to_string(),
        thread.estimators_max.to_string(),
        known(thread.share.map(|share| format!("{:.2} %", share * 100.0))),
        known(thread.nice.map(|nice| nice.to_string())),
        known(thread.last_cpu.map(|cpu| cpu.to_string())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::netns_owners::Named;

    fn thread(tid: Option<u32>, share: Option<f64>) -> Thread {
        Thread {
            netns: 7,
            generation: 0,
            number: 0,
            named: Named::default(),
            tid,
            name: tid.map(|_| "ipvs-e:0:0".into()),
            estimators: 30_001,
            estimators_max: 324_000,
            share,
            nice: Some(0),
            cpus: None,
            isolated_cpus: None,
            last_cpu: Some(1),
        }
    }

    #[test]
    fn the_sum_counts_running_threads_and_their_share() {
        let seen = |threads| SeenThreads {
            observed_ns: 2_600_000_000,
            calibrating: 0,
            stopped: 0,
            abandoned: 0,
            threads,
        };
        let running = vec![thread(Some(1), Some(0.01)), thread(Some(2), Some(0.005))];
        let text = sum(&seen(running));
        assert_eq!(text, "2 running; together 1.50 % of the time of a CPU");
        assert_eq!(sum(&seen(vec![thread(None, None)])), "0 running");
        assert_eq!(sum(&seen(Vec::new())), "0 running");
    }

    #[test]
    fn the_table_has_a_row_for_each_thread() {
        let mut out = Vec::new();
        let threads = [thread(Some(131), Some(0.0149)), thread(None, None)];
        write(&mut out, &threads, Some(7)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let running = [
            "ipvs-e:0:0",
            "7",
            "(root)",
            "131",
            "30001",
            "324000",
            "1.49",
            "%",
            "0",
            "1",
        ];
        assert_eq!(rows[2], running);
        assert_eq!(rows[3][..4], ["no", "task", "7", "(root)"]);
    }
}
