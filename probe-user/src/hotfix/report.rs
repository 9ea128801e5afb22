//! What a command that changes this node tells of one hotfix, or of several.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::{ending::Ending, progress::say, undo::Undo};
use crate::{record::Stamp, width};
use livepatch_image::Digest;

const SCHEMA: u32 = 1;

/// Refused before any change.
const REFUSED: u8 = 2;

/// What became of one hotfix.
pub struct Report {
    command: &'static str,
    /// The module's name, once it is known.
    pub name: Option<String>,
    /// The file, where one was named.
    pub file: Option<String>,
    /// That of its content.
    pub sha256: Option<Digest>,
    /// The way back from what stays.
    pub undo: Option<Undo>,
    /// What the kernel wrote to its log meanwhile.
    pub kernel_log: Vec<String>,
    /// The error is a refusal before any change.
    ended: anyhow::Result<Ending>,
}

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

impl Report {
    /// Of a hotfix whose name is not known yet.
    pub fn new(command: &'static str) -> Self {
        Self {
            command,
            name: None,
            file: None,
            sha256: None,
            undo: None,
            kernel_log: Vec::new(),
            ended: Err(anyhow::anyhow!("nothing was done")),
        }
    }

    /// Of the hotfix of that name.
    pub fn of(command: &'static str, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::new(command)
        }
    }

    /// With its end.
    pub fn ended(self, ended: anyhow::Result<Ending>) -> Self {
        Self { ended, ..self }
    }

    /// What is said of its end.
    pub fn text(&self) -> String {
        match &self.ended {
            Ok(ending) => ending.text().to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    fn one(self) -> One {
        One {
            outcome: self.ended.as_ref().map_or("refused", Ending::word),
            text: self.text(),
            name: self.name,
            kernel_log: self.kernel_log,
            file: self.file,
            sha256: self.sha256,
            undo: self.undo.and_then(Undo::command),
        }
    }

    /// Tells of one hotfix alone. What went wrong amid the change was told when it did.
    ///
    /// # Errors
    ///
    /// When it was refused before any change.
    pub fn alone(self, json: bool, root: &Path) -> anyhow::Result<ExitCode> {
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
            self.tell_done();
            return self.ended.map(|ending| ExitCode::from(ending.code()));
        }
        let code = self.code();
        let refusal = self
            .ended
            .as_ref()
            .err()
            .map(|error| format!("error: {error:#}"));
        write(&Document {
            schema: SCHEMA,
            stamp: Stamp::now(root),
            command: self.command,
            hotfix: self.one(),
        });
        if let Some(refusal) = refusal {
            say(&refusal);
        }
        Ok(ExitCode::from(code))
    }

    fn tell_done(&self) {
        if let Ok(Ending::Done(text)) = &self.ended {
            sentence(&format!("{text}."));
        }
        if let Some(undo) = &self.undo {
            print(&undo.line());
        }
    }

    fn code(&self) -> u8 {
        self.ended.as_ref().map_or(REFUSED, Ending::code)
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

    /// One more: lines tell it at once.
    pub fn add(&mut self, report: Report) {
        self.worst = self.worst.max(report.code());
        if let Err(error) = &report.ended {
            say(&format!("error: {error:#}"));
        }
        if !self.json {
            report.tell_done();
        }
        self.hotfixes.push(report.one());
    }

    /// One that is none of ours.
    pub fn leave_alone(&mut self, name: String, why: &str) {
        if !self.json {
            sentence(&format!("{name} is left alone: {why}."));
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
            sentence(&format!("{none}."));
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

/// Tells a sentence on standard output, folded for a person.
pub fn sentence(text: &str) {
    print(&width::for_stdout(text));
}

/// Tells on standard output, or on standard error where that cannot be written: what was done is done.
pub fn print(text: &str) {
    if let Err(error) = crate::output::print(|out| writeln!(out, "{text}")) {
        say(&format!(
            "warning: {error:#}; the report follows here, on standard error:"
        ));
        let _ = writeln!(io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ended: anyhow::Result<Ending>) -> Report {
        Report::of("load", "a").ended(ended)
    }

    #[test]
    fn every_end_has_its_word_and_code_and_the_worst_counts() {
        let text = || "so".to_owned();
        let mut reports = Reports::new("load", true);
        for (ended, word, code) in [
            (Ok(Ending::Done(text())), "done", 0),
            (Ok(Ending::GivenBack(text())), "given_back", 1),
            (Ok(Ending::Refused(text())), "refused", 2),
            (Err(anyhow::anyhow!("so")), "refused", 2),
            (Ok(Ending::HalfDone(text())), "half_done", 3),
            (Ok(Ending::LeftToGuard(text())), "left_to_guard", 3),
            (Ok(Ending::LeftAlone(text())), "half_done", 3),
            (Ok(Ending::Done(text())), "done", 0),
        ] {
            let report = report(ended);
            assert_eq!(report.code(), code, "{word}");
            reports.add(report);
            let last = reports.hotfixes.last().unwrap();
            assert_eq!((last.outcome, last.text.as_str()), (word, "so"));
        }
        assert_eq!(reports.worst, 3);
    }
}
