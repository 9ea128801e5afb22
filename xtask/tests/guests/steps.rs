//! Commands in a guest, one after the other: each with how it ends and what it says, in one place.

use std::fmt::Write as _;

use serde_json::Value;
use xtask::{
    lab::LabSpec,
    scenario::{self, Sections},
};

/// Runs a command as `try NAME 'COMMAND'`: its output in section `NAME`, its exit code in `NAME code`, and what it
/// said on standard error in `NAME err`. `left NAME` tells what is there of livepatches, by the kernel's own files.
const TOOLS: &str = r#"
try() {
    echo "== $1"; sh -c "$2" 2> /tmp/err; code=$?
    echo; echo "== $1 code"; echo $code; echo "== $1 err"; cat /tmp/err; echo "== rest"
}
left() { echo == left $1; ls /sys/kernel/livepatch; grep -l K /sys/module/*/taint; echo == rest; }
"#;

/// A guest, and what is done in it.
pub struct Steps {
    spec: LabSpec,
    script: String,
    commands: Vec<Step>,
}

/// Looks at a JSON document.
type Check = Box<dyn FnOnce(&Value)>;

/// One command, and what is expected of it.
pub struct Step {
    name: String,
    command: String,
    code: Option<u8>,
    words: Vec<String>,
    leaves_nothing: bool,
    documents: Vec<Check>,
}

impl Steps {
    /// Begins in a guest of that kind.
    pub fn on(spec: LabSpec) -> Self {
        Self {
            spec,
            script: TOOLS.to_owned(),
            commands: Vec::new(),
        }
    }

    /// Does something of which nothing is expected but that it succeeds at the end of the script.
    pub fn shell(&mut self, lines: impl AsRef<str>) -> &mut Self {
        self.flush();
        self.script.push_str(lines.as_ref());
        self.script.push('\n');
        self
    }

    /// Runs a command, whose output is the section of that name.
    pub fn step(&mut self, name: &str, command: impl AsRef<str>) -> &mut Step {
        self.flush();
        self.commands.push(Step {
            name: name.to_owned(),
            command: command.as_ref().to_owned(),
            code: None,
            words: Vec::new(),
            leaves_nothing: false,
            documents: Vec::new(),
        });
        self.commands.last_mut().unwrap()
    }

    /// Writes the last step into the script, once all that is expected of it is known.
    fn flush(&mut self) {
        let Some(step) = self.commands.last_mut() else {
            return;
        };
        if step.command.is_empty() {
            return;
        }
        let quoted = step.command.replace('\'', r"'\''");
        let _ = writeln!(self.script, "try '{}' '{quoted}'", step.name);
        if step.leaves_nothing {
            let _ = writeln!(self.script, "left '{}'", step.name);
        }
        step.command.clear();
    }

    /// Runs all of it, and checks every step.
    #[track_caller]
    pub fn run(mut self) -> Sections {
        self.flush();
        let sections = scenario::run(self.spec, &self.script).unwrap();
        for step in self.commands {
            step.check(&sections);
        }
        sections
    }
}

impl Step {
    /// Expects this exit code.
    pub fn exits(&mut self, code: u8) -> &mut Self {
        self.code = Some(code);
        self
    }

    /// Expects these words on standard output or standard error.
    pub fn says(&mut self, words: &[&str]) -> &mut Self {
        self.words
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Expects that nothing of a livepatch is there afterwards.
    pub fn leaves_nothing(&mut self) -> &mut Self {
        self.leaves_nothing = true;
        self
    }

    /// Expects that it is refused with these words, and that nothing of a livepatch is there.
    pub fn is_refused(&mut self, words: &[&str]) -> &mut Self {
        self.exits(2).says(words).leaves_nothing()
    }

    /// Expects one JSON document on standard output, and checks it.
    pub fn document(&mut self, check: impl FnOnce(&Value) + 'static) -> &mut Self {
        self.documents.push(Box::new(check));
        self
    }

    /// Expects a JSON document with this `outcome`.
    pub fn outcome(&mut self, word: &'static str) -> &mut Self {
        self.document(move |document| assert_eq!(document["outcome"], word, "{document}"))
    }

    #[track_caller]
    fn check(self, sections: &Sections) {
        let name = &self.name;
        let text = |section: &str| sections.text(section).unwrap();
        let said = format!("{}{}", text(name), text(&format!("{name} err")));
        if let Some(code) = self.code {
            let ended = text(&format!("{name} code"));
            assert_eq!(ended.trim(), code.to_string(), "{name}: {said}");
        }
        for word in &self.words {
            let noise = &sections.noise;
            assert!(
                said.contains(word),
                "{name}: no {word:?} in: {said}\n{noise}"
            );
        }
        if self.leaves_nothing {
            assert_eq!(text(&format!("left {name}")), "", "{name}");
        }
        for check in self.documents {
            let document = serde_json::from_str(text(name));
            check(&document.unwrap_or_else(|error| panic!("{name}: {error}: {said}")));
        }
    }
}
