//! What a trial comes to: did the change make the estimator cost less, more, or nothing else?
//!
//! **What it promises.** Of changes that change nothing, fewer than 0.7 in a hundred are called `improved`, and fewer
//! than 2.5 `regressed`, with six runs a side and a noise of up to 30 % (`tests/simulation.rs`). Three ways to be
//! `regressed` are three chances to be so by mistake. Each alone at p < 0.05 (that is 2.5 % to its side), and the longest
//! by the four largest of twelve runs on one side (3.0 %), they come to 4 % together. So each is held against the
//! minimum effect, and not against nothing: the whole interval beyond it, the stall's p against a stall that changed by
//! just that, and so many of the longest runs on the after side that chance puts them there in under 1 %: five, of six
//! against six.
//!
//! `improved` takes more than `regressed` does, for a change stays in force by it: p < 0.01,
//! or, of fewer than five runs a side, the lowest p that so many can reach.

mod comparison;
mod costliest;
mod selection;
pub mod shown;
mod why;

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::ComparedNamespace;
use comparison::Comparison;
pub use comparison::Tests;
pub use costliest::Runs;
use selection::Selection;

/// That the namespace that is judged costs more is told at this level.
const LEVEL: f64 = 0.05;

/// That it costs less is told at this one, or at the lowest that so few runs can reach.
const LEVEL_TO_STAY: f64 = 0.01;

/// The verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Before any change.
    Refused,
    /// Ended before it could be judged.
    Aborted,
    /// An estimator no longer runs at all.
    Disabled,
    /// It costs more.
    Regressed,
    /// It costs less.
    Improved,
    /// It costs the same, but for less than the minimum effect.
    Unchanged,
    /// None of these can be told.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::Disabled => "disabled",
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
            Self::Inconclusive => "inconclusive",
        })
    }
}

impl Verdict {
    /// Whether the change stays: `keep` is what was asked for, a `trial` is given back in any case.
    #[must_use]
    pub fn is_kept(self, keep: bool, trial: bool) -> bool {
        match self {
            _ if trial => false,
            Self::Improved => true,
            Self::Unchanged | Self::Inconclusive => keep,
            Self::Refused | Self::Aborted | Self::Disabled | Self::Regressed => false,
        }
    }
}

/// All that a verdict rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The namespaces that were there in both phases.
    pub namespaces: &'a [ComparedNamespace],
    /// Inode numbers of the namespaces that were changed, one of which is judged; `None`: all.
    pub changed: Option<&'a BTreeSet<u32>>,
    /// Inode number of the root namespace.
    pub root_netns: Option<u32>,
    /// How many runs a side were asked for.
    pub runs: usize,
    /// What is too little to matter, in percent.
    pub min_effect_percent: f64,
}

/// A verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in sentences.
    pub why: String,
    /// Inode number of the namespace that it rests on.
    pub netns: Option<u32>,
    /// Inode numbers of the namespaces whose estimators no longer run.
    pub stopped: Vec<u32>,
    /// What was found there.
    pub tests: Tests,
}

impl Judgement {
    /// Nothing was done, for a reason that is a sentence.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        Self::without_tests(Verdict::Refused, why.into())
    }

    /// It ended before it could be judged, for a reason that is a sentence.
    #[must_use]
    pub fn aborted(why: impl Into<String>) -> Self {
        Self::without_tests(Verdict::Aborted, why.into())
    }

    /// Nothing can be told of a namespace, for a reason that is a sentence.
    #[must_use]
    pub fn inconclusive(netns: u32, why: impl Into<String>) -> Self {
        Self {
            netns: Some(netns),
            ..Self::without_tests(Verdict::Inconclusive, why.into())
        }
    }

    fn without_tests(verdict: Verdict, why: String) -> Self {
        Self {
            verdict,
            why,
            netns: None,
            stopped: Vec::new(),
            tests: Tests::default(),
        }
    }
}

impl Evidence<'_> {
    /// The verdict, the first that applies.
    #[must_use]
    pub fn judge(&self) -> Judgement {
        let selection = Selection::of(self.namespaces, self.effect(), self.changed);
        let stopped = self.stopped();
        let (verdict, judged, why) = match (stopped.first(), &selection) {
            (Some(first), selection) => {
                let judged = selection.as_ref().map(|selection| &selection.judged);
                let why = why::disabled(&first.after, &self.name(first.netns), stopped.len());
                (Verdict::Disabled, judged, why)
            }
            (None, Some(selection)) => self.compared(selection),
            (None, None) => (Verdict::Inconclusive, None, why::nothing_before()),
        };
        Judgement {
            verdict,
            why,
            netns: judged.map(Comparison::netns),
            stopped: stopped.iter().map(|namespace| namespace.netns).collect(),
            tests: judged.map(Comparison::tests).unwrap_or_default(),
        }
    }

    fn effect(&self) -> f64 {
        self.min_effect_percent / 100.0
    }

    /// Of those that ran before, the ones that do not any more.
    fn stopped(&self) -> Vec<&ComparedNamespace> {
        let stopped = |namespace: &&ComparedNamespace| {
            let ran = !namespace.before.runs.is_empty() && !namespace.before.dead;
            ran && namespace.after.is_still()
        };
        self.namespaces.iter().filter(stopped).collect()
    }

    /// The verdict, the namespace that it rests on, and why.
    fn compared<'s, 'n>(
        &self,
        selection: &'s Selection<'n>,
    ) -> (Verdict, Option<&'s Comparison<'n>>, String) {
        let judged = &selection.judged;
        let say = |verdict, of: &'s Comparison<'n>, clause: String| {
            let why = format!(
                "In {}, {}{clause}.",
                self.name(of.netns()),
                why::one_run(of)
            );
            (verdict, Some(of), why)
        };
        if judged.has_moved() {
            return say(Verdict::Inconclusive, judged, why::moved(judged));
        }
        if let Some(clause) = why::regression(judged, LEVEL) {
            return say(Verdict::Regressed, judged, clause);
        }
        if let Some((other, clause)) = selection.regression_elsewhere() {
            return say(Verdict::Regressed, other, clause);
        }
        let level = judged.lowest_p().clamp(LEVEL_TO_STAY, LEVEL);
        if let Some(clause) = why::improvement(judged, level, self.runs) {
            return say(Verdict::Improved, judged, clause);
        }
        if judged.is_within() {
            return say(Verdict::Unchanged, judged, why::unchanged(judged));
        }
        let less = why::improvement(judged, LEVEL, self.runs);
        let clause = why::inconclusive(judged, self.runs, less);
        say(Verdict::Inconclusive, judged, clause)
    }

    fn name(&self, netns: u32) -> String {
        let root = if self.root_netns == Some(netns) {
            " (root)"
        } else {
            ""
        };
        format!("netns {netns}{root}")
    }
}

#[cfg(test)]
mod tests;
