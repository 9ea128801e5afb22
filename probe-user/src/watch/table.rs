//! The table by namespace at the end of the line mode.

use std::io::{self, Write};

use super::namespace_name::netns_name;
use crate::columns;
use model::durations::readable;
use model::{NamespaceReport, Report, Summary};

/// Rows that fit a screen.
const MAX_ROWS: usize = 20;

const TITLES: [&str; 11] = [
    "netns",
    "state",
    "estimators",
    "calls",
    "expected",
    "min",
    "p50",
    "max",
    "stall/s",
    "lost",
    "missed",
];

/// Columns of words.
const WORDS: usize = 2;

/// One line, a cell to a title.
type Row = [String; TITLES.len()];

/// Draws the namespaces, the one that stalls most first, and all of them together.
pub fn draw(out: &mut impl Write, report: &Report, root_netns: u32) -> io::Result<()> {
    if report.namespaces.is_empty() {
        return Ok(());
    }
    let shown = report.namespaces.len().min(MAX_ROWS);
    let (top, rest) = report.namespaces.split_at(shown);
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(top.iter().map(|namespace| row(namespace, root_netns)));
    if !rest.is_empty() {
        rows.push(sums(rest));
    }
    rows.push(cells(
        "all".into(),
        String::new(),
        String::new(),
        &report.all,
    ));
    columns::write(out, &rows, WORDS)
}

fn row(namespace: &NamespaceReport, root_netns: u32) -> Row {
    let state = namespace
        .state
        .map_or("unknown".into(), |state| state.to_string());
    cells(
        netns_name(namespace.netns, root_netns),
        state,
        known(namespace.estimators),
        &namespace.summary,
    )
}

fn cells(netns: String, state: String, estimators: String, summary: &Summary) -> Row {
    let duration = |duration_ns: Option<u64>| duration_ns.map_or("-".into(), readable);
    [
        netns,
        state,
        estimators,
        summary.calls.to_string(),
        summary.expected.to_string(),
        duration(summary.min_ns),
        duration(summary.p50_ns),
        duration(summary.max_ns),
        duration(summary.stall_ns_per_s),
        summary.lost.to_string(),
        summary.missed.to_string(),
    ]
}

/// The namespaces that have no row of their own.
fn sums(rest: &[NamespaceReport]) -> Row {
    let sum = |field: fn(&Summary) -> u64| rest.iter().map(|one| field(&one.summary)).sum();
    let all = Summary {
        calls: sum(|summary| summary.calls),
        recorded: sum(|summary| summary.recorded),
        expected: sum(|summary| summary.expected),
        min_ns: rest.iter().filter_map(|one| one.summary.min_ns).min(),
        p50_ns: None,
        p90_ns: None,
        p99_ns: None,
        max_ns: rest.iter().filter_map(|one| one.summary.max_ns).max(),
        max_at: None,
        stall_ns_per_s: rest
            .iter()
            .filter_map(|one| one.summary.stall_ns_per_s)
            .reduce(|a, b| a + b),
        lost: sum(|summary| summary.lost),
        missed: sum(|summary| summary.missed),
    };
    cells(
        format!("and {} more", rest.len()),
        String::new(),
        String::new(),
        &all,
    )
}

fn known(number: Option<u32>) -> String {
    number.map_or("-".into(), |number| number.to_string())
}
