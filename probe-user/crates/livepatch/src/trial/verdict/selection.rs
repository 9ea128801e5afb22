//! Which namespace a verdict rests on, and which others are heard.

use std::collections::BTreeSet;

use super::{super::ComparedNamespace, comparison::Comparison, costliest::Runs, why};
use model::statistics::{median, real};

/// A namespace whose runs cost at least this share of the most before may be the one that is judged.
const CLOSE: f64 = 0.5;

/// Runs of other namespaces count that typically take at least this share of what those of the judged one take. One
/// below that may become twice as slow, and the node loses a hundredth of what it loses anyway.
const MATTERS: f64 = 0.01;

/// A regression of one of the others is told at this level, all of them taken together.
///
/// Each is one more chance to be regressed by mistake: of 200 idle namespaces at p < 0.05, five would be so on every
/// trial. So the level is divided by their number (Bonferroni; to say whether any did, Holm comes to the same), and it
/// is lower than that of the judged one, whose own 2.5 % it adds to. Six runs a side can say so for four namespaces at
/// most, ten for hundreds.
const LEVEL: f64 = 0.01;

/// The namespaces of a trial.
#[derive(Debug)]
pub struct Selection<'a> {
    /// The one that the verdict rests on.
    pub judged: Comparison<'a>,
    others: Vec<Comparison<'a>>,
}

impl<'a> Selection<'a> {
    /// `None` where nothing ran before.
    pub fn of(
        namespaces: &'a [ComparedNamespace],
        effect: f64,
        changed: Option<&BTreeSet<u32>>,
    ) -> Option<Self> {
        let judged = judged(namespaces, changed)?;
        let least = MATTERS * typical_ns(judged);
        let others = namespaces
            .iter()
            .filter(|other| other.netns != judged.netns && typical_ns(other) >= least)
            .map(|other| Comparison::of(other, effect))
            // Over other lists, their runs say nothing.
            .filter(|other| !other.has_moved());
        Some(Self {
            others: others.collect(),
            judged: Comparison::of(judged, effect),
        })
    }

    /// One of the others that costs more, and in what way.
    pub fn regression_elsewhere(&self) -> Option<(&Comparison<'a>, String)> {
        let level = LEVEL / real(self.others.len().max(1));
        let mut others = self.others.iter();
        others.find_map(|other| Some((other, why::regression(other, level)?)))
    }
}

/// Of those that were changed, the one whose runs cost most before. Of those that are close to it, the one whose runs
/// typically take longest in both phases together: by the phase before alone, of many alike the one that happened to be
/// slow would be chosen, and be faster afterwards whatever was done. Both phases together do not know which is which.
fn judged<'a>(
    namespaces: &'a [ComparedNamespace],
    changed: Option<&BTreeSet<u32>>,
) -> Option<&'a ComparedNamespace> {
    let (candidates, before): (Vec<&ComparedNamespace>, Vec<Runs>) = namespaces
        .iter()
        .filter(|one| changed.is_none_or(|changed| changed.contains(&one.netns)))
        .filter_map(|one| Some((one, Runs::of(&one.before)?)))
        .unzip();
    let costs = Runs::costs(&before);
    let largest = costs.iter().copied().max_by(f64::total_cmp)?;
    let close = candidates
        .into_iter()
        .zip(costs)
        .filter(|(_, cost)| *cost >= CLOSE * largest);
    close
        .map(|(namespace, _)| namespace)
        .max_by(|one, other| typical_ns(one).total_cmp(&typical_ns(other)))
}

/// Returns the median of the runs of both phases, in nanoseconds: whichever run came in which phase, it is the same.
fn typical_ns(namespace: &ComparedNamespace) -> f64 {
    let (before, after) = (&namespace.before, &namespace.after);
    median(&[before.durations_ns(), after.durations_ns()].concat()).unwrap_or(0.0)
}
