//! The report for people: what a change board reads.

use std::io::{self, Write};

use super::{
    counters::Statistics,
    document::{Document, Host, NamespaceDocument, SideDocument},
    picture,
    verdict::percent,
};
use crate::{watch::durations::readable, width};

/// Namespaces with a table of their own.
const TABLES: usize = 4;

/// Writes it.
pub fn write(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let name = document.name.as_deref().unwrap_or("the hotfix");
    let verdict = document.verdict.to_string().to_uppercase();
    sentence(out, &format!("{verdict}: {name}. {}", document.why))?;
    sentence(out, &format!("The node: {}", told_host(document)))?;
    for warning in &document.warnings {
        sentence(out, &format!("WARNING: {warning}"))?;
    }
    write_tables(document, out)?;
    write_picture(document, out)?;
    write_tests(document, out)?;
    for effect in &document.side_effects {
        sentence(out, &format!("Side effect: {effect}"))?;
    }
    Ok(())
}

fn sentence(out: &mut impl Write, text: &str) -> io::Result<()> {
    let options = textwrap::Options::new(width::columns()).subsequent_indent("  ");
    writeln!(out, "{}", textwrap::fill(text, options))
}

fn told_host(document: &Document) -> String {
    let back = document.back.as_deref();
    let told = |text: &str| match back {
        Some(back) => format!("{text} {back}."),
        None => text.to_owned(),
    };
    match document.host {
        Host::Unchanged => "nothing was changed.".into(),
        Host::Patched => "it stays in place.".into(),
        Host::GivenBack => told("it is taken back."),
        Host::NeedsPerson => told("it needs a person."),
    }
}

fn sides(document: &Document) -> Vec<(&'static str, &SideDocument)> {
    let sides = [
        ("before", &document.before),
        ("after", &document.after),
        ("rolled back", &document.rolled_back),
    ];
    let there = sides.into_iter();
    there
        .filter_map(|(name, side)| Some((name, side.as_ref()?)))
        .collect()
}

/// The namespace that the verdict rests on first, then those that stalled most before.
fn shown(document: &Document) -> Vec<u32> {
    let before = document.before.iter().flat_map(|side| &side.namespaces);
    let mut shown: Vec<u32> = document.netns.into_iter().collect();
    for namespace in before {
        if !shown.contains(&namespace.netns) {
            shown.push(namespace.netns);
        }
    }
    shown
}

fn write_tables(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let sides = sides(document);
    if sides.is_empty() {
        return Ok(());
    }
    let shown = shown(document);
    for netns in shown.iter().take(TABLES) {
        write_table(*netns, &sides, out)?;
    }
    let more = shown.len().saturating_sub(TABLES);
    if more > 0 {
        writeln!(out, "\nand {more} more network namespaces: see --json")?;
    }
    write_softirq(&sides, out)
}

/// What all timers together take from each CPU: seen all the time, and not only at single runs.
fn write_softirq(sides: &[(&'static str, &SideDocument)], out: &mut impl Write) -> io::Result<()> {
    let times = |side: &SideDocument| side.timer_softirq.clone().unwrap_or_default();
    let mut cpus: Vec<usize> = sides
        .iter()
        .flat_map(|(_, side)| times(side))
        .map(|time| time.cpu)
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    if cpus.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nsoftirq of timers, all of them, per second")?;
    for cpu in cpus {
        write!(out, "{:<24}", format!("cpu {cpu}"))?;
        for (_, side) in sides {
            let time = times(side).into_iter().find(|time| time.cpu == cpu);
            write!(out, "{:>22}", duration(time.map(|time| time.ns_per_s)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

type Column = fn(&NamespaceDocument) -> String;

const ROWS: [(&str, Column); 13] = [
    ("state", |one| {
        one.state
            .map_or("unknown".into(), |state| state.to_string())
    }),
    ("runs seen of expected", |one| {
        format!("{} of {}", one.sums.calls, one.sums.expected)
    }),
    ("period", |one| duration(one.period_ns)),
    ("shortest", |one| duration(one.sums.min_ns)),
    ("median", |one| duration(one.sums.p50_ns)),
    ("p90", |one| quantile(one, one.sums.p90_ns)),
    ("p99", |one| quantile(one, one.sums.p99_ns)),
    ("longest", |one| duration(one.sums.max_ns)),
    ("stall per second", |one| duration(one.sums.stall_ns_per_s)),
    ("share of a CPU", |one| share(one.sums.stall_ns_per_s)),
    ("estimators", |one| number(one.estimators)),
    ("run_estimation", |one| {
        one.run_estimation
            .map_or("-".into(), |value| value.to_string())
    }),
    ("statistics", |one| {
        match one.statistics {
            Some(Statistics::Live) => "live",
            Some(Statistics::Frozen) => "frozen",
            None => "no traffic to tell by",
        }
        .into()
    }),
];

fn write_table(
    netns: u32,
    sides: &[(&'static str, &SideDocument)],
    out: &mut impl Write,
) -> io::Result<()> {
    let cell = |side: &SideDocument, column: Column| {
        side.of_netns(netns).map_or_else(|| "-".into(), column)
    };
    write!(out, "\n{:<24}", format!("netns {netns}"))?;
    for (name, _) in sides {
        write!(out, "{name:>22}")?;
    }
    writeln!(out)?;
    for (title, column) in ROWS {
        write!(out, "{title:<24}")?;
        for (_, side) in sides {
            write!(out, "{:>22}", cell(side, column))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn duration(ns: Option<u64>) -> String {
    ns.map_or("-".into(), readable)
}

/// What too few runs say nothing of, the longest stands for.
fn quantile(one: &NamespaceDocument, ns: Option<u64>) -> String {
    match (ns, one.sums.max_ns) {
        (Some(ns), _) => readable(ns),
        (None, Some(max_ns)) => format!("max of {}: {}", one.sums.recorded, readable(max_ns)),
        (None, None) => "-".into(),
    }
}

/// In percent, to three digits.
fn share(stall_ns_per_s: Option<u64>) -> String {
    let Some(ns) = stall_ns_per_s else {
        return "-".into();
    };
    let millionths = ns / 1_000;
    format!("{}.{:04} %", millionths / 10_000, millionths % 10_000)
}

fn number(number: Option<u32>) -> String {
    number.map_or("-".into(), |number| number.to_string())
}

fn write_picture(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let sides = sides(document);
    let rows: Vec<picture::Row<'_>> = sides
        .iter()
        .map(|(name, side)| (*name, side.durations_ns.as_slice()))
        .collect();
    writeln!(out)?;
    picture::draw(&rows, out)
}

/// The numbers behind the sentences.
fn write_tests(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let tests = &document.tests;
    let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.4} times as before"));
    let percent = |change: f64| format!("{} %", percent(change));
    let interval = tests
        .shift_interval_percent
        .map(|[low, high]| format!("{} to {}", percent(low), percent(high)));
    let p = |p: Option<f64>| p.map(|p| format!("{p:.4}"));
    let lines = [
        ("run time per second (stall)", ratio(tests.stall_ratio)),
        ("  p, that chance alone does as much", p(tests.stall_p)),
        ("longest run", ratio(tests.longest_ratio)),
        (
            "shift of the durations (Hodges-Lehmann)",
            tests.shift_percent.map(percent),
        ),
        ("  its interval", interval),
        ("  p (permutations of the rank sum)", p(tests.p_value)),
        (
            "Cliff's delta (-1 all shorter, 1 all longer)",
            tests.cliffs_delta.map(|delta| format!("{delta:+.2}")),
        ),
    ];
    if document.netns.is_none() {
        return Ok(());
    }
    writeln!(out)?;
    for (name, value) in lines {
        writeln!(out, "{name:<46}{}", value.unwrap_or_else(|| "-".into()))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests;
