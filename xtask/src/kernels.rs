//! `cargo xtask kernels`: what the tool does on each line of kernels that the lab boots, as a table of Markdown.
//!
//! Each row is read off a guest of that line with four network namespaces: what `check` and `watch` said there.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    kernel::{self, Line},
    lab::LabSpec,
    scenario::{self, Sections, number},
};

/// What is run in each guest.
const SCRIPT: &str = "has_timer() { grep -q ' estimation_timer.*ip_vs' /proc/kallsyms; }
    if has_timer; then truth_begin; fi
    echo == check; ipvs-latency check --max 60s --json 2> /dev/null
    has_timer || truth_chains_begin
    echo == watch; ipvs-latency watch --json --duration 9s 2> /dev/null; code=$?
    echo == code; echo $code
    echo == truth; truth_runs";

const HEAD: &str = "| kernel | distribution | measured by | `watch` sees | `check` reports | not available | tested |\n|---|---|---|---|---|---|---|";

/// Kernels that the lab does not boot.
const NOT_RUN: &str = "\
| 5.11 to 5.16 | Ubuntu 22.04 (5.15) | BPF on the timer | as on 5.10 and 6.1 | as on 5.10 and 6.1 | | not run; the same code on 5.10, and on 6.1 without `bpf_loop` |
| 5.17 to 6.0 | own builds | BPF on the timer | as on 6.1 | as on 6.1 | | not run; the same code on 6.1 |
| 6.2 to 6.11, 6.13 and later | Ubuntu 24.04 (6.8) | BPF on kernel threads | as on 6.12 | as on 6.12 | | not run; the same code on 6.12 and on Debian's newest |
| `ip_vs` built in | own builds | as the same version with a module | | | | not run; made lists of functions |
| vendor's `estimation_work` | Alibaba's 4.19 | nothing | | what estimates | all else | not run; made lists of functions |
| before 5.10 | CentOS 7, RHEL 8 | trace events of timers | every run | state, estimators, next run | waits for `est_lock`, `hotfix` | not run; the same code on 6.1, and recorded files of 3.10, 4.18 and 5.15 |";

/// Prints the table, of which the README has a copy. A line that is not available has a row that says why; the exit code is 1 if a guest failed.
#[must_use]
pub fn command() -> ExitCode {
    println!("{HEAD}");
    let mut code = ExitCode::SUCCESS;
    for line in Line::TESTED {
        match row(line) {
            Ok(row) => println!("{row}"),
            Err(error) => {
                eprintln!("error: {line}: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    println!("{NOT_RUN}");
    code
}

fn row(line: Line) -> Result<String> {
    match kernel::fetch(&line) {
        Ok(_) => {}
        Err(kernel::Error::Failed(error)) => return Err(error),
        Err(unavailable) => return Ok(format!("| {line} | {unavailable} | | | | | not run |")),
    }
    let spec = LabSpec {
        kernel: line,
        services: 1_000,
        destinations: 2,
        netns: 3,
        timeout: Duration::from_mins(5),
        ..LabSpec::default()
    };
    of(line, &scenario::run(spec, SCRIPT)?)
}

/// Returns the row of what a guest said.
fn of(line: Line, sections: &Sections) -> Result<String> {
    let page: Value =
        serde_json::from_str(sections.text("check")?).context("check did not print a document")?;
    let kernel = &page["kernel"];
    let release = kernel["release"].as_str().unwrap_or("unknown");
    let cells = [
        release.to_owned(),
        line.distribution().to_owned(),
        mechanism(&kernel["estimator"]).to_owned(),
        watched(sections)?,
        told(&page, |is_known| is_known).join(", "),
        not_there(&page).join("; "),
        tested(line).to_owned(),
    ];
    Ok(format!("| {} |", cells.join(" | ")))
}

fn mechanism(estimator: &Value) -> &'static str {
    match estimator.as_str() {
        Some("timer") => "BPF on the timer",
        Some("kthread") => "BPF on kernel threads",
        _ => "nothing",
    }
}

fn tested(line: Line) -> &'static str {
    if line == Line::V6_1 {
        "CI: all tests"
    } else {
        "CI: runs and durations against the kernel's trace"
    }
}

/// Returns the facts that `check` knows of every namespace, or does not.
fn told(page: &Value, wanted: fn(bool) -> bool) -> Vec<&'static str> {
    let is_timer = page["kernel"]["estimator"] == "timer";
    let namespaces = page["namespaces"].as_array().map_or(&[][..], Vec::as_slice);
    let known = |field: &str| {
        let mut namespaces = namespaces.iter();
        !namespaces.any(|one| one[field].is_null())
    };
    let fields = [
        ("state", "state", true),
        ("estimators", "estimators", true),
        ("next_run_in_ns", "next run", is_timer),
        ("run_estimation", "`run_estimation`", true),
    ];
    let asked = fields.into_iter().filter(|(.., is_asked)| *is_asked);
    let asked = asked.filter(|(field, ..)| wanted(known(field)));
    asked.map(|(_, words, _)| words).collect()
}

/// Returns what this kernel has not, and what `check` could not do.
fn not_there(page: &Value) -> Vec<&str> {
    let missing = page["missing"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all: Vec<&str> = told(page, |is_known| !is_known);
    all.extend(missing.iter().filter_map(Value::as_str));
    all
}

/// Returns how many runs `watch` saw, of those that the tracepoints saw.
fn watched(sections: &Sections) -> Result<String> {
    match sections.text("code")?.trim() {
        "0" => {}
        "2" => return Ok("cannot measure".into()),
        code => bail!("watch ended with {code}: {}", sections.noise),
    }
    let watched = sections.watched("watch")?;
    let summary = watched.only("summary")?;
    let truth = sections.truth("truth")?;
    let (what, matched) = if watched.of("chain_run").next().is_some() {
        ("every run over a chain", watched.chains(&truth)?)
    } else {
        ("every run", watched.matched(&truth)?.len())
    };
    ensure!(matched > 0, "watch saw no run: {summary}");
    let (lost, missed) = (number(summary, "lost")?, number(summary, "missed")?);
    Ok(format!(
        "{what}: {matched} of {matched}, lost {lost}, missed {missed}"
    ))
}
