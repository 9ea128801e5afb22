//! How a trial ended, and what became of the node.

use serde::Serialize;

use super::verdict::{Judgement, Verdict};
use crate::hotfix::ending::Ending;

/// What became of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// Nothing was done to it.
    Unchanged,
    /// The change is in place.
    Patched,
    /// It was, and is taken back.
    GivenBack,
    /// It is neither.
    NeedsPerson,
}

impl Host {
    /// What it is after something ended, and what is to be told of that.
    pub fn after(ending: &Ending) -> (Self, String) {
        match ending {
            Ending::Done(text) | Ending::GivenBack(text) => (Self::GivenBack, text.clone()),
            Ending::Refused(text)
            | Ending::HalfDone(text)
            | Ending::LeftToGuard(text)
            | Ending::LeftAlone(text) => (Self::NeedsPerson, text.clone()),
        }
    }
}

/// What became of the node, in the words that all documents share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// As [`Host::Unchanged`].
    Unchanged,
    /// As [`Host::Patched`].
    Kept,
    /// As [`Host::GivenBack`].
    RolledBack,
    /// As [`Host::NeedsPerson`].
    NeedsPerson,
}

impl From<Host> for Fate {
    fn from(host: Host) -> Self {
        match host {
            Host::Unchanged => Self::Unchanged,
            Host::Patched => Self::Kept,
            Host::GivenBack => Self::RolledBack,
            Host::NeedsPerson => Self::NeedsPerson,
        }
    }
}

/// How a trial ended.
#[derive(Debug)]
pub struct Outcome {
    pub judged: Judgement,
    /// What else moved: whole sentences.
    pub warnings: Vec<String>,
    /// What became of the node.
    pub host: Host,
    /// How the way back went.
    pub back: Option<String>,
    /// The kernel has not let go yet.
    pub is_left: bool,
}

impl Outcome {
    /// As judged.
    pub fn of(judged: Judgement, host: Host, back: Option<String>) -> Self {
        Self {
            judged,
            warnings: Vec::new(),
            host,
            back,
            is_left: false,
        }
    }

    /// With what a reader should know besides.
    #[must_use]
    pub fn warned(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// It was ended early.
    pub fn aborted(reason: String, host: Host) -> Self {
        Self::of(Judgement::aborted(reason), host, None)
    }

    /// Nothing was done.
    pub fn refused(reason: String) -> Self {
        Self::of(Judgement::refused(reason), Host::Unchanged, None)
    }

    /// It never came into place, by how that ended.
    pub fn left(ending: &Ending) -> Self {
        if let Ending::Refused(text) = ending {
            return Self::refused(text.clone());
        }
        let (host, text) = Host::after(ending);
        let back = Some(text.clone()).filter(|_| host == Host::NeedsPerson);
        Self::of(Judgement::aborted(text), host, back)
    }

    /// Adds a sentence.
    pub fn add(&mut self, sentence: &str) {
        let back = self.back.get_or_insert_default();
        if !back.is_empty() {
            back.push_str(". ");
        }
        back.push_str(sentence);
    }

    /// It was ended after it had been judged.
    pub fn abort(&mut self, reason: String) {
        self.judged = Judgement::aborted(reason);
    }

    /// Whether the kernel's log is to be shown with it.
    pub fn needs_log(&self) -> bool {
        self.host == Host::NeedsPerson
            || matches!(self.judged.verdict, Verdict::Aborted | Verdict::Refused)
    }
}
