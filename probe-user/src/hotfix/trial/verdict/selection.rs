//! Which namespace a verdict rests on, and which others are heard.

use std::collections::BTreeSet;

use super::{
    super::Namespace,
    comparison::{self, Comparison},
    why,
};
use crate::model::statistics::real;

/// A namespace that stalls at least this share of the most before may be the one that is judged.
const CLOSE: f64 = 0.5;

/// Runs of other namespaces count that take at least this share of the time that those of the judged one take. One
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
        namespaces: &'a [Namespace],
        effect: f64,
        changed: Option<&BTreeSet<u32>>,
    ) -> Option<Self> {
        let judged = judged(namespaces, changed)?;
        let least = MATTERS * run_time(judged);
        let others = namespaces
            .iter()
            .filter(|other| other.netns != judged.netns && run_time(other) >= least)
            .map(|other| Comparison::of(other, effect))
            // Over other lists, their runs say nothing.
            .filter(|other| other.moved().is_none());
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

/// Of those that were changed, the one with the largest stall before. Of those that are close to it, the one whose runs take the most time in both
/// phases together: by the phase before alone, of many alike the one that happened to be slow would be chosen, and be
/// faster afterwards whatever was done. Both phases together do not know which is which.
fn judged<'a>(
    namespaces: &'a [Namespace],
    changed: Option<&BTreeSet<u32>>,
) -> Option<&'a Namespace> {
    let candidates = || {
        let all = namespaces.iter();
        all.filter(|one| changed.is_none_or(|changed| changed.contains(&one.netns)))
    };
    let largest = candidates()
        .filter_map(stall_before)
        .max_by(f64::total_cmp)?;
    let close = candidates()
        .filter(|namespace| stall_before(namespace).is_some_and(|stall| stall >= CLOSE * largest));
    close.max_by(|one, other| run_time(one).total_cmp(&run_time(other)))
}

fn stall_before(namespace: &Namespace) -> Option<f64> {
    comparison::stall(&comparison::pace(&namespace.before), &namespace.before)
}

/// Time spent in runs in both phases, in nanoseconds.
fn run_time(namespace: &Namespace) -> f64 {
    real(namespace.before.run_time_ns()) + real(namespace.after.run_time_ns())
}
