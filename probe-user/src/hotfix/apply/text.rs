//! The report for people: what a change board reads.

use std::io::{self, Write};

use super::{
    document::{Document, NamespaceDocument, SideDocument},
    picture,
};
use crate::width;
use livepatch::trial::{counters::Statistics, trial_outcome::NodeAfter, verdict::shown};
use model::durations::readable;

/// Namespaces with a table of their own.
const TABLES: usize = 4;

/// Writes it.
pub fn write(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let name = document.name.as_deref().unwrap_or("the hotfix");
    let verdict = document.verdict.to_string().to_uppercase();
    sentence(out, &format!("{verdict}: {name}. {}", document.why))?;
    sentence(out, &format!("The node: {}", told_host(document)))?;
    write_undo(document, out)?;
    for warning in &document.warnings {
        sentence(out, &format!("WARNING: {warning}"))?;
    }
    write_request(document, out)?;
    write_tables(document, out)?;
    write_picture(document, out)?;
    write_tests(document, out)?;
    for effect in &document.side_effects {
        sentence(out, &format!("Side effect: {effect}"))?;
    }
    Ok(())
}

/// Commands are not wrapped, so that they can be copied.
fn write_undo(document: &Document, out: &mut impl Write) -> io::Result<()> {
    match document.undo.as_deref().unwrap_or_default() {
        [] => Ok(()),
        [command] => writeln!(out, "Undo: {command}"),
        commands => {
            writeln!(out, "Undo:")?;
            commands
                .iter()
                .try_for_each(|command| writeln!(out, "  {command}"))
        }
    }
}

/// What a change record begins with.
fn write_request(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let request = &document.request;
    let origin = &request.origin;
    let node = origin.source.node.as_deref().unwrap_or("not known");
    let lines = [
        ("node", Some(format!("{node}, Linux {}", origin.kernel))),
        ("at", Some(origin.time())),
        ("user", Some(request.user.clone())),
        ("command", Some(request.command.clone())),
        ("file", request.file.clone()),
        ("sha256", request.sha256.as_ref().map(ToString::to_string)),
        ("tool", Some(origin.source.tool())),
    ];
    writeln!(out)?;
    for (title, value) in lines {
        if let Some(value) = value {
            writeln!(out, "{title:<10}{value}")?;
        }
    }
    Ok(())
}

fn sentence(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "{}", width::folded("", "  ", text))
}

fn told_host(document: &Document) -> String {
    let back = document.back.as_deref();
    let told = |text: &str| match back {
        Some(back) => format!("{text} {back}."),
        None => text.to_owned(),
    };
    match document.host {
        NodeAfter::Unchanged => "nothing was changed.".into(),
        NodeAfter::Patched => "it stays in place.".into(),
        NodeAfter::RolledBack => told("it is taken back."),
        NodeAfter::NeedsPerson => told("it needs a person."),
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

/// The namespace that the verdict rests on first, then the first that stopped, then those that stalled most before.
fn in_order(document: &Document) -> Vec<u32> {
    let before = document.before.iter().flat_map(|side| &side.namespaces);
    let mut order: Vec<u32> = document.netns.into_iter().collect();
    let stopped = document.stopped.iter().take(1).copied();
    for netns in stopped.chain(before.map(|namespace| namespace.netns)) {
        if !order.contains(&netns) {
            order.push(netns);
        }
    }
    order
}

fn write_tables(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let sides = sides(document);
    if sides.is_empty() {
        return Ok(());
    }
    let shown = in_order(document);
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
            // A CPU without such a softirq has no entry.
            let ns_per_s = time.map_or(0, |time| time.ns_per_s);
            write!(out, "{:>22}", readable(ns_per_s))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A line of a namespace's table.
struct Row {
    title: &'static str,
    /// It is of runs: there is none where none came.
    is_of_runs: bool,
    cell: fn(&SideDocument, &NamespaceDocument) -> Option<String>,
}

impl Row {
    const fn of_runs(
        title: &'static str,
        cell: fn(&SideDocument, &NamespaceDocument) -> Option<String>,
    ) -> Self {
        Self {
            title,
            is_of_runs: true,
            cell,
        }
    }

    const fn of_node(
        title: &'static str,
        cell: fn(&SideDocument, &NamespaceDocument) -> Option<String>,
    ) -> Self {
        Self {
            title,
            is_of_runs: false,
            cell,
        }
    }

    /// Returns the cells of the sides; `None` where too few runs came to say it, so that there is no such row.
    fn cells(&self, netns: u32, sides: &[(&'static str, &SideDocument)]) -> Option<Vec<String>> {
        let mut is_known = false;
        let cells = sides.iter().map(|(_, side)| {
            let Some(one) = side.of_netns(netns) else {
                return Some("not there".to_owned());
            };
            let cell = (self.cell)(side, one);
            is_known |= cell.is_some();
            let without_runs = self.is_of_runs && one.compared == 0;
            cell.or_else(|| without_runs.then(|| "no run".to_owned()))
        });
        let cells: Option<Vec<String>> = cells.collect();
        cells.filter(|_| is_known)
    }
}

const ROWS: [Row; 15] = [
    Row::of_node("state", |_, one| {
        let state = one.state.map(|state| state.to_string());
        Some(state.unwrap_or_else(|| "unknown".into()))
    }),
    Row::of_node("watched for", |side, _| Some(readable(side.observed_ns))),
    Row::of_node("runs seen of expected", |_, one| {
        Some(format!("{} of {}", one.sums.calls, one.sums.expected))
    }),
    Row::of_node("runs compared", |_, one| Some(one.compared.to_string())),
    Row::of_runs("period", |_, one| one.period_ns.map(readable)),
    Row::of_runs("shortest", |_, one| one.sums.min_ns.map(readable)),
    Row::of_runs("median", |_, one| one.sums.p50_ns.map(readable)),
    Row::of_runs("p90", |_, one| one.sums.p90_ns.map(readable)),
    Row::of_runs("p99", |_, one| one.sums.p99_ns.map(readable)),
    Row::of_runs("longest", |_, one| one.sums.max_ns.map(readable)),
    Row::of_runs("stall per second", |_, one| {
        one.sums.stall_ns_per_s.map(readable)
    }),
    Row::of_runs("share of a CPU", |_, one| {
        one.sums.stall_ns_per_s.map(share)
    }),
    Row::of_node("estimators", |_, one| {
        one.estimators.map(|length| length.to_string())
    }),
    Row::of_node("run_estimation", |_, one| {
        one.run_estimation.map(|value| value.to_string())
    }),
    Row::of_node("statistics", |_, one| {
        let word = match one.statistics {
            Some(Statistics::Live) => "live",
            Some(Statistics::Frozen) => "frozen",
            None => "no traffic to tell by",
        };
        Some(word.into())
    }),
];

fn write_table(
    netns: u32,
    sides: &[(&'static str, &SideDocument)],
    out: &mut impl Write,
) -> io::Result<()> {
    write!(out, "\n{:<24}", format!("netns {netns}"))?;
    for (name, _) in sides {
        write!(out, "{name:>22}")?;
    }
    writeln!(out)?;
    for row in ROWS {
        let Some(cells) = row.cells(netns, sides) else {
            continue;
        };
        write!(out, "{:<24}", row.title)?;
        for cell in cells {
            write!(out, "{cell:>22}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// In percent, to three digits.
fn share(stall_ns_per_s: u64) -> String {
    let millionths = stall_ns_per_s / 1_000;
    format!("{}.{:04} %", millionths / 10_000, millionths % 10_000)
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

/// The numbers behind the sentences: what cannot be told has no line.
fn write_tests(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let tests = &document.tests;
    let ratio = |ratio: f64| format!("{} as before", shown::times(ratio));
    let interval = tests
        .shift_interval_percent
        .zip(tests.shift_confidence_percent);
    let above = tests.longest_above.filter(|above| *above > 0);
    let moved = tests
        .estimators_change_percent
        .filter(|change| change.abs() > 0.0);
    let stopped = Some(document.stopped.len()).filter(|stopped| *stopped > 0);
    let lines = [
        ("run time per second (stall)", tests.stall_ratio.map(ratio)),
        (
            "  p, that chance alone does as much",
            tests.stall_p.map(shown::chance),
        ),
        ("longest run", tests.longest_ratio.map(ratio)),
        (
            "  runs after, longer than any before",
            above.map(|above| above.to_string()),
        ),
        (
            "shift of the durations (Hodges-Lehmann)",
            tests.shift_percent.map(shown::percent),
        ),
        (
            "  its interval",
            interval.map(|(interval, confidence)| shown::interval(interval, confidence)),
        ),
        (
            "  p (permutations of the rank sum)",
            tests.p_value.map(shown::chance),
        ),
        (
            "Cliff's delta (-1 all shorter, 1 all longer)",
            tests.cliffs_delta.map(|delta| format!("{delta:+.2}")),
        ),
        ("length of the list", moved.map(shown::percent)),
        (
            "estimators that no longer run",
            stopped.map(|stopped| stopped.to_string()),
        ),
        (
            "too little to matter (--min-effect)",
            document.min_effect_percent.map(shown::effect),
        ),
    ];
    if document.netns.is_none() && document.stopped.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for (name, value) in lines {
        if let Some(value) = value {
            writeln!(out, "{name:<46}{value}")?;
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests;
