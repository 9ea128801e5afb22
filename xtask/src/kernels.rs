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
    echo == watch; ipvs-latency watch --json --duration 9s 2> /dev/null; code=$?
    echo == code; echo $code
    echo == truth; if has_timer; then truth_runs; fi";

const HEAD: &str = "| kernel | distribution | what estimates | `check` | `watch` | not there |\n|---|---|---|---|---|---|\n";

/// Prints the table. A line that is not available has a row that says why; the exit code is 1 if a guest failed.
#[must_use]
pub fn command() -> ExitCode {
    print!("{HEAD}");
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
    code
}

fn row(line: Line) -> Result<String> {
    match kernel::fetch(&line) {
        Ok(_) => {}
        Err(kernel::Error::Failed(error)) => return Err(error),
        Err(unavailable) => return Ok(format!("| {line} | {unavailable} | | | | |")),
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
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let cells = [
        text(&kernel["release"]),
        line.distribution().to_owned(),
        text(&kernel["estimator"]),
        checked(&page),
        watched(sections)?,
        missing(&page),
    ];
    Ok(format!("| {} |", cells.join(" | ")))
}

/// Returns what `check` told of the namespaces.
fn checked(page: &Value) -> String {
    let namespaces = page["namespaces"].as_array().map_or(&[][..], Vec::as_slice);
    let known = |field: &str| {
        let mut namespaces = namespaces.iter();
        !namespaces.any(|one| one[field].is_null())
    };
    let fields = [
        ("state", "state"),
        ("estimators", "list length"),
        ("next_run_in_ns", "next run"),
        ("run_estimation", "`run_estimation`"),
    ];
    let told: Vec<&str> = fields
        .iter()
        .filter(|(field, _)| known(field))
        .map(|(_, words)| *words)
        .collect();
    format!("{} namespaces: {}", namespaces.len(), told.join(", "))
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
    let matched = watched.matched(&truth)?.len();
    ensure!(matched > 0, "watch saw no run: {summary}");
    let (lost, missed) = (number(summary, "lost")?, number(summary, "missed")?);
    Ok(format!(
        "every run, {matched} of {matched}; lost {lost}, missed {missed}"
    ))
}

/// Returns what `check` could not do.
fn missing(page: &Value) -> String {
    let missing = page["missing"].as_array().map_or(&[][..], Vec::as_slice);
    let sentences: Vec<&str> = missing.iter().filter_map(Value::as_str).collect();
    sentences.join("; ")
}
