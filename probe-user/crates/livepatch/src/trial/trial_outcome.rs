//! How a trial ended, and what became of the node.

use serde::Serialize;

use super::verdict::{Judgement, Verdict};
use crate::transaction::outcome::Outcome;

/// What became of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeAfter {
    /// Nothing was done to it.
    Unchanged,
    /// The change is in place.
    Patched,
    /// It was, and is rolled back.
    #[serde(rename = "given_back")]
    RolledBack,
    /// It is neither.
    NeedsPerson,
}

impl NodeAfter {
    /// What it is after something ended, and what is to be told of that.
    #[must_use]
    pub fn after(ending: &Outcome) -> (Self, String) {
        match ending {
            Outcome::Done(text) | Outcome::RolledBack(text) => (Self::RolledBack, text.clone()),
            Outcome::Refused(text)
            | Outcome::HalfDone(text)
            | Outcome::LeftToGuard(text)
            | Outcome::LeftAlone(text) => (Self::NeedsPerson, text.clone()),
        }
    }
}

/// What became of the node, in the words that all documents share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// As [`NodeAfter::Unchanged`].
    Unchanged,
    /// As [`NodeAfter::Patched`].
    Kept,
    /// As [`NodeAfter::RolledBack`].
    RolledBack,
    /// As [`NodeAfter::NeedsPerson`].
    NeedsPerson,
}

impl From<NodeAfter> for Fate {
    fn from(host: NodeAfter) -> Self {
        match host {
            NodeAfter::Unchanged => Self::Unchanged,
            NodeAfter::Patched => Self::Kept,
            NodeAfter::RolledBack => Self::RolledBack,
            NodeAfter::NeedsPerson => Self::NeedsPerson,
        }
    }
}

/// How a trial ended.
#[derive(Debug)]
pub struct TrialOutcome {
    /// The verdict, and what it rests on.
    pub judged: Judgement,
    /// What else moved: whole sentences.
    pub warnings: Vec<String>,
    /// What became of the node.
    pub host: NodeAfter,
    /// How the way back went.
    pub back: Option<String>,
    /// The kernel has not let go yet.
    pub is_left: bool,
}

impl TrialOutcome {
    /// As judged.
    #[must_use]
    pub fn of(judged: Judgement, host: NodeAfter, back: Option<String>) -> Self {
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
    #[must_use]
    pub fn aborted(reason: String, host: NodeAfter) -> Self {
        Self::of(Judgement::aborted(reason), host, None)
    }

    /// Nothing was done.
    #[must_use]
    pub fn refused(reason: String) -> Self {
        Self::of(Judgement::refused(reason), NodeAfter::Unchanged, None)
    }

    /// It never came into place, by how that ended.
    #[must_use]
    pub fn left(ending: &Outcome) -> Self {
        if let Outcome::Refused(text) = ending {
            return Self::refused(text.clone());
        }
        let (host, text) = NodeAfter::after(ending);
        let back = Some(text.clone()).filter(|_| host == NodeAfter::NeedsPerson);
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
    #[must_use]
    pub fn needs_log(&self) -> bool {
        self.host == NodeAfter::NeedsPerson
            || matches!(self.judged.verdict, Verdict::Aborted | Verdict::Refused)
    }
}
