//! What became of one livepatch that a command was to change.

use super::{outcome::Outcome, undo::Undo};
use livepatch_image::Digest;

/// The exit code of a refusal before any change.
const REFUSED: u8 = 2;

/// What became of one livepatch.
pub struct Report {
    /// What was asked for: `load` or `unload`.
    pub command: &'static str,
    /// The module's name, once it is known.
    pub name: Option<String>,
    /// The file, where one was named.
    pub file: Option<String>,
    /// The digest of its content.
    pub sha256: Option<Digest>,
    /// The way back from what stays.
    pub undo: Option<Undo>,
    /// What the kernel wrote to its log meanwhile.
    pub kernel_log: Vec<String>,
    /// How it ended; the error is a refusal before any change.
    pub outcome: anyhow::Result<Outcome>,
}

impl Report {
    /// Returns the report on a livepatch whose name is not known yet.
    #[must_use]
    pub fn new(command: &'static str) -> Self {
        Self {
            command,
            name: None,
            file: None,
            sha256: None,
            undo: None,
            kernel_log: Vec::new(),
            outcome: Err(anyhow::anyhow!("nothing was done")),
        }
    }

    /// Returns the report on the livepatch of that name.
    #[must_use]
    pub fn of(command: &'static str, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::new(command)
        }
    }

    /// Returns it with its outcome.
    #[must_use]
    pub fn ended(self, outcome: anyhow::Result<Outcome>) -> Self {
        Self { outcome, ..self }
    }

    /// Returns what is said of its outcome.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.outcome {
            Ok(outcome) => outcome.text().to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    /// Returns its outcome in a word, as JSON has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.outcome.as_ref().map_or("refused", Outcome::word)
    }

    /// Returns the exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.outcome.as_ref().map_or(REFUSED, Outcome::code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_livepatch_has_its_name_from_the_beginning_and_a_new_one_none() {
        let of = Report::of("unload", "made");
        assert_eq!((of.command, of.name.as_deref()), ("unload", Some("made")));
        let new = Report::new("load");
        assert_eq!((new.command, new.name), ("load", None));
        assert_eq!((of.word(), of.code()), ("refused", REFUSED));
    }
}
