//! The numbers for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Bench, ChainRow, Row, What};

impl What {
    /// What a table calls it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::EmptyPair => "an empty BPF kprobe and kretprobe",
            Self::TracefsEvents => "tracefs kprobe events",
            Self::BpftraceHist => "bpftrace, hist() of kprobe and kretprobe",
            Self::Watch => "ipvs-latency watch",
            Self::WatchWithoutLoop => "the same, without bpf_loop",
            Self::WatchWithoutModuleBtf => "the same, without BTF of ip_vs",
            Self::WatchViaPerf => "the same, through perf_event_open",
            Self::WatchViaTracefs => "the same, through tracefs",
            Self::FunctionGraph => "function_graph",
        }
    }
}

/// Everything in two tables, as Markdown has them.
pub fn table(bench: &Bench) -> String {
    let mut text = format!(
        "Instructions of one run of `estimation_timer` on Linux {}: the median of ten, and what that is more than with\n\
         nothing attached; how much dearer the first run after attaching is than that median, and how many instructions\n\
         a program takes from its start until it is attached, both at the most estimators.\n\n",
        bench.kernel
    );
    text.push_str(&aligned(&costs(bench)));
    text.push_str("\nThe shortest and the longest of the ten runs.\n\n");
    text.push_str(&aligned(&spreads(bench)));
    text.push_str(
        "\nInstructions of a timer from its entry to what comes next in the softirq, at the most estimators: a run of the estimator,\n\
         and another timer, which pays for what is attached too.\n\n",
    );
    text.push_str(&aligned(&softirqs(bench)));
    if let Some(kernel) = &bench.threads_kernel {
        let _ = write!(
            text,
            "\nInstructions of one run over a chain, with what the thread does around it, on Linux {kernel}.\n\n"
        );
        text.push_str(&aligned(&chains(&bench.chains)));
    }
    text
}

fn costs(bench: &Bench) -> Vec<Vec<String>> {
    let mut head = vec!["attached".to_owned()];
    for size in bench.sizes() {
        head.extend([estimators(size), "added".into()]);
    }
    head.extend(["first run".into(), "start to attached".into()]);
    let mut lines = vec![head];
    for rows in by_what(bench) {
        let mut line: Vec<String> = rows
            .first()
            .map(|row| row.attached.label().into())
            .into_iter()
            .collect();
        for size in bench.sizes() {
            // Not everything is attached at every number of estimators.
            let row = rows.iter().find(|row| row.estimators == size);
            let cells = row.map(|row| [grouped(row.run_instructions), added(row)]);
            line.extend(cells.unwrap_or_default());
        }
        if let Some(row) = rows.last() {
            let dearer = row.first_instructions.cast_signed() - row.run_instructions.cast_signed();
            line.extend([
                signed(dearer),
                row.start_to_attached_instructions
                    .map(grouped)
                    .unwrap_or_default(),
            ]);
        }
        lines.push(line);
    }
    lines
}

fn softirqs(bench: &Bench) -> Vec<Vec<String>> {
    let head = ["attached", "run", "added", "another timer", "added"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let Some(most) = bench.sizes().into_iter().max() else {
        return lines;
    };
    let Some(nothing) = bench.row(What::Nothing, most) else {
        return lines;
    };
    let rows = bench.rows.iter().filter(|row| row.estimators == most);
    lines.extend(rows.map(|row| {
        let cells = |of: fn(&Row) -> u64| {
            let more = of(row).cast_signed() - of(nothing).cast_signed();
            let is_nothing = row.attached == What::Nothing;
            let more = if is_nothing {
                String::new()
            } else {
                signed(more)
            };
            [grouped(of(row)), more]
        };
        let with = cells(|row| row.softirq_instructions);
        let without = cells(|row| row.other_softirq_instructions);
        let label = row.attached.label().to_owned();
        [label].into_iter().chain(with).chain(without).collect()
    }));
    lines
}

fn chains(rows: &[ChainRow]) -> Vec<Vec<String>> {
    let mut lines = vec![vec!["attached".to_owned(), "run".into(), "added".into()]];
    lines.extend(rows.iter().map(|row| {
        let added = match row.attached {
            What::Nothing => String::new(),
            _ => signed(row.added_instructions),
        };
        vec![
            row.attached.label().into(),
            grouped(row.run_instructions),
            added,
        ]
    }));
    lines
}

fn spreads(bench: &Bench) -> Vec<Vec<String>> {
    let head = ["attached".to_owned()]
        .into_iter()
        .chain(bench.sizes().into_iter().map(estimators))
        .collect();
    let line = |rows: Vec<&Row>| {
        let label = rows.first().map(|row| row.attached.label().to_owned());
        let spread = |size| {
            let row = rows.iter().find(|row| row.estimators == size);
            row.map(|row| {
                let (shortest, longest) = (row.min_instructions, row.max_instructions);
                format!("{}..{}", grouped(shortest), grouped(longest))
            })
        };
        let spreads = bench.sizes().into_iter().map(spread);
        label
            .into_iter()
            .chain(spreads.map(Option::unwrap_or_default))
            .collect()
    };
    std::iter::once(head)
        .chain(by_what(bench).into_iter().map(line))
        .collect()
}

/// The rows of each thing together.
fn by_what(bench: &Bench) -> Vec<Vec<&Row>> {
    let mut groups: BTreeMap<What, Vec<&Row>> = BTreeMap::new();
    for row in &bench.rows {
        groups.entry(row.attached).or_default().push(row);
    }
    groups.into_values().collect()
}

/// A number of estimators in words.
pub fn estimators(count: u32) -> String {
    format!(
        "{} estimator{}",
        grouped(count.into()),
        if count == 1 { "" } else { "s" }
    )
}

fn added(row: &Row) -> String {
    if row.attached == What::Nothing {
        String::new()
    } else {
        signed(row.added_instructions)
    }
}

fn signed(number: i64) -> String {
    format!(
        "{}{}",
        if number < 0 { "-" } else { "+" },
        grouped(number.unsigned_abs())
    )
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lays lines out as a table whose head is the first one: words to the left, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a String does not fail.
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} |")
            } else {
                write!(text, " {cell:>width$} |")
            };
        }
        text.push('\n');
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (left, right) = if column == 0 {
                    ("|-", "-|")
                } else {
                    ("-", ":|")
                };
                text.extend([left, &"-".repeat(*width), right]);
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(attached: What, estimators: u32, run: u64, added: i64, start: Option<u64>) -> Row {
        Row {
            attached,
            estimators,
            run_instructions: run,
            added_instructions: added,
            min_instructions: run - 36,
            max_instructions: run,
            first_instructions: run - 15,
            start_to_attached_instructions: start,
            start_to_attached_ns: start,
            softirq_instructions: run + 2_000,
            other_softirq_instructions: 1_108,
        }
    }

    #[test]
    fn the_tables_are_aligned() {
        let rows = vec![
            row(What::Nothing, 1, 1_773, 0, None),
            row(What::Watch, 1, 3_171, 1_398, Some(105_000_000)),
            row(What::Nothing, 30_001, 3_871_777, 0, None),
            row(What::Watch, 30_001, 3_873_175, 1_398, Some(106_000_000)),
        ];
        let text = table(&Bench {
            schema: 1,
            kind: "bench",
            kernel: "6.1.0".into(),
            rows,
            threads_kernel: Some("6.12.1".into()),
            chains: [(What::Nothing, 0), (What::Watch, 1_686)]
                .map(|(attached, added)| ChainRow {
                    attached,
                    chains: 21,
                    run_instructions: 214_320 + added,
                    added_instructions: added.cast_signed(),
                })
                .into(),
        });
        let tables: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let expected = [
            "| attached           | 1 estimator |  added | 30,001 estimators |  added | first run | start to attached |",
            "|--------------------|------------:|-------:|------------------:|-------:|----------:|------------------:|",
            "| nothing            |       1,773 |        |         3,871,777 |        |       -15 |                   |",
            "| ipvs-latency watch |       3,171 | +1,398 |         3,873,175 | +1,398 |       -15 |       106,000,000 |",
            "| attached           |  1 estimator |    30,001 estimators |",
            "|--------------------|-------------:|---------------------:|",
            "| nothing            | 1,737..1,773 | 3,871,741..3,871,777 |",
            "| ipvs-latency watch | 3,135..3,171 | 3,873,139..3,873,175 |",
            "| attached           |       run |  added | another timer | added |",
            "|--------------------|----------:|-------:|--------------:|------:|",
            "| nothing            | 3,873,777 |        |         1,108 |       |",
            "| ipvs-latency watch | 3,875,175 | +1,398 |         1,108 |    +0 |",
            "| attached           |     run |  added |",
            "|--------------------|--------:|-------:|",
            "| nothing            | 214,320 |        |",
            "| ipvs-latency watch | 216,006 | +1,686 |",
        ];
        assert_eq!(tables, expected);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!((signed(-1_398), signed(0)), ("-1,398".into(), "+0".into()));
    }
}
