//! Commands in a guest, one after the other: each with how it ends and what it says, in one place.

use std::fmt::Write as _;

use serde_json::Value;
use xtask::{
    lab::LabSpec,
    scenario::{self, Sections, Watched},
};

/// Runs a command as `try NAME 'COMMAND'`: its output in section `NAME`, its exit code in `NAME code`, and what it
/// said on standard error in `NAME err`. `left NAME` tells what is there of livepatches, by the kernel's own files.
///
/// `begin 'COMMAND'` runs a command beside the script, as process `$pid`; `said WORDS` succeeds once it said these on
/// standard error, and `end NAME` waits for its end, and tells what `try` tells.
const TOOLS: &str = r#"
try() {
    echo "== $1"; sh -c "$2" 2> /tmp/err; code=$?
    echo; echo "== $1 code"; echo $code; echo "== $1 err"; cat /tmp/err; echo "== rest"
}
left() { echo == left $1; ls /sys/kernel/livepatch; grep -l K /sys/module/*/taint; echo == rest; }
begin() { : > /tmp/begun.err; sh -c "exec $1" > /tmp/begun.out 2> /tmp/begun.err & pid=$!; export pid; }
said() { grep -q "$1" /tmp/begun.err; }
end() {
    wait $pid; code=$?
    echo "== $1"; cat /tmp/begun.out; echo; echo "== $1 code"; echo $code; echo "== $1 err"; cat /tmp/begun.err
    echo "== rest"
}
"#;

/// A guest, and what is done in it.
pub struct Steps {
    spec: LabSpec,
    script: String,
    commands: Vec<Step>,
}

/// Looks at what a command printed, with all that the guest printed beside it.
type Check = Box<dyn FnOnce(&Printed, &Sections)>;

/// What a command printed.
struct Printed<'a> {
    name: &'a str,
    /// On standard output, and a newline of `try` behind it.
    output: &'a str,
    /// On standard error.
    errors: &'a str,
}

/// One command, and what is expected of it.
pub struct Step {
    name: String,
    /// The line of the script that runs it, until it is written there.
    line: Option<String>,
    code: Option<u8>,
    fails: bool,
    words: Vec<String>,
    left: Option<String>,
    checks: Vec<Check>,
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
        self.line(name, format!("try '{name}' {}", quoted(command.as_ref())))
    }

    /// Begins a command that goes on beside the next steps: `$pid` is its process.
    pub fn begin(&mut self, command: impl AsRef<str>) -> &mut Self {
        self.shell(format!("begin {}", quoted(command.as_ref())))
    }

    /// Does something at that moment, which is a command that succeeds then, or when the command that was begun is over.
    pub fn once(&mut self, moment: &str, lines: &str) -> &mut Self {
        self.shell(format!(
            "until {moment} || ! [ -d /proc/$pid ]; do sleep 0.1; done; {lines}"
        ))
    }

    /// Waits for the end of the command that was begun: its output is the section of that name.
    pub fn end(&mut self, name: &str) -> &mut Step {
        self.line(name, format!("end '{name}'"))
    }

    /// Expects that nothing of a livepatch is there at this moment, to which that name is given.
    pub fn nothing_is_left(&mut self, name: &str) -> &mut Self {
        self.step(name, "true").leaves_nothing();
        self
    }

    fn line(&mut self, name: &str, line: String) -> &mut Step {
        self.flush();
        self.commands.push(Step {
            name: name.to_owned(),
            line: Some(line),
            code: None,
            fails: false,
            words: Vec::new(),
            left: None,
            checks: Vec::new(),
        });
        self.commands.last_mut().unwrap()
    }

    /// Writes the last step into the script, once all that is expected of it is known.
    fn flush(&mut self) {
        let Some(step) = self.commands.last_mut() else {
            return;
        };
        let Some(line) = step.line.take() else {
            return;
        };
        self.script.push_str(&line);
        self.script.push('\n');
        if step.left.is_some() {
            let _ = writeln!(self.script, "left '{}'", step.name);
        }
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

/// Returns a word of shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
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

    /// Expects another exit code than 0.
    pub fn fails(&mut self) -> &mut Self {
        self.fails = true;
        self
    }

    /// Expects these words on standard output.
    pub fn shows(&mut self, words: &[&str]) -> &mut Self {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.check_printed(move |printed, sections| {
            printed.has(printed.output, &words, sections);
        })
    }

    /// Expects these words on standard error.
    pub fn complains(&mut self, words: &[&str]) -> &mut Self {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.check_printed(move |printed, sections| {
            printed.has(printed.errors, &words, sections);
        })
    }

    /// Expects none of these words on standard output or standard error.
    pub fn says_not(&mut self, words: &[&str]) -> &mut Self {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.check_printed(move |printed, _| {
            let said = printed.said();
            for word in &words {
                let name = printed.name;
                assert!(!said.contains(word), "{name}: {word:?} in: {said}");
            }
        })
    }

    /// Expects standard output to be exactly this, but for newlines at its end.
    pub fn prints(&mut self, text: impl Into<String>) -> &mut Self {
        let text = text.into();
        self.check_printed(move |printed, sections| {
            let said = format!("{}: {}\n{}", printed.name, printed.said(), sections.noise);
            assert_eq!(printed.output.trim_end_matches('\n'), text, "{said}");
        })
    }

    /// Expects standard output to begin with this.
    pub fn begins(&mut self, text: &'static str) -> &mut Self {
        self.output(move |output, _| {
            assert!(output.starts_with(text), "no {text:?} begins {output}");
        })
    }

    /// Checks standard output, with all that the guest printed beside it.
    pub fn output(&mut self, check: impl FnOnce(&str, &Sections) + 'static) -> &mut Self {
        self.check_printed(|printed, sections| check(printed.output, sections))
    }

    /// Checks standard error.
    pub fn errors(&mut self, check: impl FnOnce(&str) + 'static) -> &mut Self {
        self.check_printed(|printed, _| check(printed.errors))
    }

    /// Expects records of `watch --json` on standard output, and checks them.
    pub fn records(&mut self, check: impl FnOnce(&Watched) + 'static) -> &mut Self {
        self.check_printed(|printed, _| {
            let lines = printed.output.strip_suffix('\n').unwrap();
            let watched = Watched::parse(lines);
            check(&watched.unwrap_or_else(|error| panic!("{}: {error:#}", printed.name)));
        })
    }

    fn check_printed(&mut self, check: impl FnOnce(&Printed, &Sections) + 'static) -> &mut Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Expects that nothing of a livepatch is there afterwards.
    pub fn leaves_nothing(&mut self) -> &mut Self {
        self.leaves("")
    }

    /// Expects that exactly these lines of `left` tell what is there of livepatches afterwards.
    pub fn leaves(&mut self, lines: &str) -> &mut Self {
        self.left = Some(lines.to_owned());
        self
    }

    /// Expects that it is refused with these words, and that nothing of a livepatch is there.
    pub fn is_refused(&mut self, words: &[&str]) -> &mut Self {
        self.exits(2).says(words).leaves_nothing()
    }

    /// Expects one JSON document on standard output, and checks it.
    pub fn document(&mut self, check: impl FnOnce(&Value) + 'static) -> &mut Self {
        self.document_beside(|document, _| check(document))
    }

    /// Expects one JSON document on standard output, and checks it with all that the guest printed beside it.
    pub fn document_beside(
        &mut self,
        check: impl FnOnce(&Value, &Sections) + 'static,
    ) -> &mut Self {
        self.check_printed(|printed, sections| {
            let document = serde_json::from_str(printed.output).unwrap_or_else(|error| {
                let (name, said) = (printed.name, printed.said());
                panic!("{name}: {error}: {said}\n{}", sections.noise)
            });
            check(&document, sections);
        })
    }

    /// Expects a JSON document with this `outcome`.
    pub fn outcome(&mut self, word: &'static str) -> &mut Self {
        self.document(move |document| assert_eq!(document["outcome"], word, "{document}"))
    }

    #[track_caller]
    fn check(self, sections: &Sections) {
        let name = &self.name;
        let text = |section: &str| sections.text(section).unwrap();
        let printed = Printed {
            name,
            output: text(name),
            errors: text(&format!("{name} err")),
        };
        let said = printed.said();
        let ended = text(&format!("{name} code")).trim();
        if let Some(code) = self.code {
            assert_eq!(ended, code.to_string(), "{name}: {said}");
        }
        assert!(!self.fails || ended != "0", "{name}: {said}");
        printed.has(&said, &self.words, sections);
        if let Some(left) = &self.left {
            assert_eq!(text(&format!("left {name}")), left, "{name}");
        }
        for check in self.checks {
            check(&printed, sections);
        }
    }
}

impl Printed<'_> {
    fn said(&self) -> String {
        format!("{}{}", self.output, self.errors)
    }

    #[track_caller]
    fn has(&self, text: &str, words: &[String], sections: &Sections) {
        for word in words {
            assert!(
                text.contains(word),
                "{}: no {word:?} in: {text}\n{}",
                self.name,
                sections.noise
            );
        }
    }
}
