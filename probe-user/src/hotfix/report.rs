//! What a command that changes this node tells of one hotfix, or of several.

use std::{path::Path, process::ExitCode};

use serde::Serialize;

use super::terminal::{print, print_folded, say};
use crate::record::Stamp;
use livepatch::{
    operations::all::Each,
    transaction::{outcome::Outcome, report::Report, undo::Undo},
};
use livepatch_image::Digest;

const SCHEMA: u32 = 1;

/// The part of the document that is about one hotfix.
#[derive(Debug, Serialize)]
struct One {
    name: Option<String>,
    outcome: &'static str,
    text: String,
    kernel_log: Vec<String>,
    file: Option<String>,
    sha256: Option<Digest>,
    undo: Option<String>,
}

impl One {
    fn of(report: Report) -> Self {
        Self {
            outcome: report.word(),
            text: report.text(),
            name: report.name,
            kernel_log: report.kernel_log,
            file: report.file,
            sha256: report.sha256,
            undo: report.undo.and_then(Undo::command),
        }
    }
}

/// Tells of one hotfix alone. What went wrong amid the change was told when it did.
///
/// # Errors
///
/// When it was refused before any change.
pub fn alone(report: Report, json: bool, root: &Path) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Document {
        schema: u32,
        #[serde(flatten)]
        stamp: Stamp,
        command: &'static str,
        #[serde(flatten)]
        hotfix: One,
    }
    if !json {
        tell_done(&report);
        return report.outcome.map(|outcome| ExitCode::from(outcome.code()));
    }
    let code = report.code();
    let refusal = report
        .outcome
        .as_ref()
        .err()
        .map(|error| format!("error: {error:#}"));
    write(&Document {
        schema: SCHEMA,
        stamp: Stamp::now(root),
        command: report.command,
        hotfix: One::of(report),
    });
    if let Some(refusal) = refusal {
        say(&refusal);
    }
    Ok(ExitCode::from(code))
}

fn tell_done(report: &Report) {
    if let Ok(Outcome::Done(text)) = &report.outcome {
        print_folded(&format!("{text}."));
    }
    if let Some(undo) = &report.undo {
        print(&undo.line());
    }
}

/// What became of several.
pub struct Reports {
    command: &'static str,
    json: bool,
    worst: u8,
    hotfixes: Vec<One>,
    left_alone: Vec<String>,
}

impl Reports {
    /// None yet.
    pub fn new(command: &'static str, json: bool) -> Self {
        Self {
            command,
            json,
            worst: 0,
            hotfixes: Vec::new(),
            left_alone: Vec::new(),
        }
    }

    /// Tells what became of one more at once, in lines.
    pub fn add(&mut self, each: Each) {
        match each {
            Each::Ended(report) => self.ended(report),
            Each::LeftAlone { name, why } => self.leave_alone(name.to_string(), why),
        }
    }

    fn ended(&mut self, report: Report) {
        self.worst = self.worst.max(report.code());
        if let Err(error) = &report.outcome {
            say(&format!("error: {error:#}"));
        }
        if !self.json {
            tell_done(&report);
        }
        self.hotfixes.push(One::of(report));
    }

    fn leave_alone(&mut self, name: String, why: &str) {
        if !self.json {
            print_folded(&format!("{name} is left alone: {why}."));
        }
        self.left_alone.push(name);
    }

    /// Tells of all, or that there are none, and gives the worst exit code.
    pub fn end(self, none: &str, root: &Path) -> ExitCode {
        #[derive(Serialize)]
        struct Document {
            schema: u32,
            #[serde(flatten)]
            stamp: Stamp,
            command: &'static str,
            hotfixes: Vec<One>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            left_alone: Vec<String>,
        }
        if self.json {
            write(&Document {
                schema: SCHEMA,
                stamp: Stamp::now(root),
                command: self.command,
                hotfixes: self.hotfixes,
                left_alone: self.left_alone,
            });
        } else if self.hotfixes.is_empty() {
            print_folded(&format!("{none}."));
        }
        ExitCode::from(self.worst)
    }
}

fn write(document: &impl Serialize) {
    match serde_json::to_string_pretty(document) {
        Ok(text) => print(&text),
        Err(error) => say(&format!("warning: the document cannot be made ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ended: anyhow::Result<Outcome>) -> Report {
        Report::of("load", "a").ended(ended)
    }

    #[test]
    fn every_end_has_its_word_and_code_and_the_worst_counts() {
        let text = || "so".to_owned();
        let mut reports = Reports::new("load", true);
        for (ended, word, code) in [
            (Ok(Outcome::Done(text())), "done", 0),
            (Ok(Outcome::RolledBack(text())), "given_back", 1),
            (Ok(Outcome::Refused(text())), "refused", 2),
            (Err(anyhow::anyhow!("so")), "refused", 2),
            (Ok(Outcome::HalfDone(text())), "half_done", 3),
            (Ok(Outcome::LeftToGuard(text())), "left_to_guard", 3),
            (Ok(Outcome::LeftAlone(text())), "half_done", 3),
            (Ok(Outcome::Done(text())), "done", 0),
        ] {
            let report = report(ended);
            assert_eq!(report.code(), code, "{word}");
            reports.ended(report);
            let last = reports.hotfixes.last().unwrap();
            assert_eq!((last.outcome, last.text.as_str()), (word, "so"));
        }
        assert_eq!(reports.worst, 3);
    }
}
