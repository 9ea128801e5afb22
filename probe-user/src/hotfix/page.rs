//! What `hotfix inspect` found, as text and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::{record::Origin, width};
use livepatch::preflight::{
    findings::{Finding, Findings, replaces_atomically},
    node::Node,
    period,
};
use livepatch_image::{Answer, Digest, Layout, Module, Rearms, Replaced};

/// Columns of a title.
const TITLES: usize = 20;

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub struct Inspection {
    schema: u32,
    #[serde(flatten)]
    origin: Origin,
    #[serde(flatten)]
    facts: Facts,
    #[serde(flatten)]
    findings: Findings,
}

/// What a module's file says.
#[derive(Debug, Serialize)]
pub struct Facts {
    file: String,
    sha256: Digest,
    name: Option<String>,
    vermagic: Option<String>,
    signed: bool,
    livepatch: bool,
    layout: Layout,
    replaces: Vec<Replaced>,
    rearms: Rearms,
    period_ns: Option<u64>,
    address_escapes: Answer,
    atomic_replace: Option<bool>,
}

impl Inspection {
    /// Puts together what the file and the node say.
    pub fn new(origin: Origin, file: String, sha256: Digest, module: Module, node: &Node) -> Self {
        Self {
            schema: 1,
            origin,
            findings: Findings::of(&module, node),
            facts: Facts::new(file, sha256, module, node),
        }
    }

    /// Whether nothing speaks against it.
    pub fn is_clean(&self) -> bool {
        self.findings.blockers.is_empty() && self.findings.warnings.is_empty()
    }

    /// Writes the JSON document.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn json(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out)
    }

    /// Writes the page for people.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn text(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "{}: {}\n", self.facts.file, self.summary())?;
        for (title, value) in self.facts.lines() {
            writeln!(out, "{}", titled(title, &value))?;
        }
        let lists = [
            ("BLOCKER", &self.findings.blockers),
            ("WARNING", &self.findings.warnings),
            ("note", &self.findings.notes),
        ];
        for (title, findings) in lists {
            for Finding { name, text } in findings {
                let text = format!("{title} {name}: {text}.");
                writeln!(out, "\n{}", width::folded("", "  ", &text))?;
            }
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        let (blockers, warnings) = (self.findings.blockers.len(), self.findings.warnings.len());
        match (blockers, warnings) {
            (0, 0) => "nothing speaks against it".into(),
            (0, _) => format!("{}, to be accepted by name", counted(warnings, "warning")),
            (_, 0) => format!("{}, not to be loaded here", counted(blockers, "blocker")),
            _ => format!(
                "{} and {}, not to be loaded here",
                counted(blockers, "blocker"),
                counted(warnings, "warning")
            ),
        }
    }
}

impl Facts {
    /// Puts together what the file says; the node tells how long a jiffy is, and how `klp_patch` is laid out.
    pub fn new(file: String, sha256: Digest, module: Module, node: &Node) -> Self {
        Self {
            file,
            sha256,
            period_ns: period::period_ns(&module, node),
            atomic_replace: replaces_atomically(&module, node),
            signed: module.signed,
            livepatch: module.marked,
            layout: module.layout,
            rearms: module.rearms,
            address_escapes: module.escapes(replaces_atomically(&module, node)),
            name: module.name,
            vermagic: module.vermagic,
            replaces: module.replaces,
        }
    }

    /// The module's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// For people: a title and a value each.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let unknown = || "unknown".to_owned();
        let replaces: Vec<String> = self
            .replaces
            .iter()
            .map(|one| format!("{} of {}", one.function, one.object))
            .collect();
        let replaces = if replaces.is_empty() {
            unknown()
        } else {
            replaces.join(", ")
        };
        let layout = match self.layout {
            Layout::Headers => "from kernel headers",
            Layout::KpatchBuild => "by kpatch-build",
            Layout::Unknown => "unknown",
        };
        let period = self.period_ns.map_or_else(
            || "for an unknown time".into(),
            |period_ns| format!("for {}", period::shown(period_ns)),
        );
        let sets = match self.rearms {
            Rearms::Yes => format!("yes, {period}"),
            Rearms::SomePaths => format!("on some paths, {period}"),
            Rearms::No => "no".into(),
            Rearms::Unknown => unknown(),
        };
        vec![
            ("name", self.name.clone().unwrap_or_else(unknown)),
            ("sha256", self.sha256.to_string()),
            (
                "built for",
                self.vermagic
                    .clone()
                    .unwrap_or_else(unknown)
                    .trim()
                    .to_owned(),
            ),
            ("made", layout.into()),
            ("signed", yes_no(self.signed).into()),
            ("marked livepatch", yes_no(self.livepatch).into()),
            ("replaces", replaces),
            ("sets the timer", sets),
            ("address escapes", word(self.address_escapes).into()),
            (
                "replaces others",
                self.atomic_replace.map_or("unknown", yes_no).into(),
            ),
        ]
    }
}

/// Returns a title and its value for people, folded to the terminal.
pub fn titled(title: &str, value: &str) -> String {
    let begin = format!("{title:<TITLES$}");
    width::folded(&begin, &" ".repeat(TITLES), value)
}

fn yes_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Unknown => "unknown",
    }
}
