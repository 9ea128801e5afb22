//! One namespace before and after.

use serde::Serialize;

use super::super::{Namespace, Phase, Run};
use crate::model::statistics::{Longest, Pace, RankSum, Shift, Tails, real};

/// The numbers, as `--json` tells them. What cannot be told is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tests {
    /// Run time per time, after / before.
    pub stall_ratio: Option<f64>,
    /// The chance of a stall as far off where nothing changed.
    pub stall_p: Option<f64>,
    /// The longest run, after / before.
    pub longest_ratio: Option<f64>,
    /// By how much runs became longer, in percent: 100 x (after / before - 1), never under -100.
    pub shift_percent: Option<f64>,
    /// Where that lies, in percent: never under -100 either.
    pub shift_interval_percent: Option<[f64; 2]>,
    /// The chance of durations as far off where nothing changed.
    pub p_value: Option<f64>,
    /// From -1 (all shorter) to 1 (all longer).
    pub cliffs_delta: Option<f64>,
}

/// One namespace, compared.
#[derive(Debug)]
pub struct Comparison<'a> {
    namespace: &'a Namespace,
    effect: f64,
    paces: Sides<Pace>,
    shift: Option<Shift>,
    ranks: Option<RankSum>,
    longest: Option<Longest>,
    stall_p: Option<f64>,
}

/// Something of both phases.
#[derive(Debug, Clone, Copy)]
pub struct Sides<T> {
    pub before: T,
    pub after: T,
}

impl<'a> Comparison<'a> {
    /// Of a namespace; a change by no more than the share `effect` is too little to matter.
    pub fn of(namespace: &'a Namespace, effect: f64) -> Self {
        let before = namespace.before.durations_ns();
        let after = namespace.after.durations_ns();
        let paces = Sides {
            before: pace(&namespace.before),
            after: pace(&namespace.after),
        };
        let stall_p = Tails::of(&paces.before, &paces.after, 1.0).map(|tails| tails.two_sided());
        Self {
            namespace,
            effect,
            paces,
            shift: Shift::of(&before, &after),
            ranks: RankSum::of(&before, &after),
            longest: Longest::of(&before, &after),
            stall_p,
        }
    }

    pub fn netns(&self) -> u32 {
        self.namespace.netns
    }

    pub fn before(&self) -> &'a Phase {
        &self.namespace.before
    }

    pub fn after(&self) -> &'a Phase {
        &self.namespace.after
    }

    /// What is too little to matter, as a share.
    pub fn effect(&self) -> f64 {
        self.effect
    }

    pub fn longest(&self) -> Option<Longest> {
        self.longest
    }

    pub fn tests(&self) -> Tests {
        Tests {
            stall_ratio: self.stall_ratio(),
            stall_p: self.stall_p,
            longest_ratio: self.longest.and_then(|longest| longest.ratio()),
            shift_percent: self.shift.map(|shift| percent(shift.ratio)),
            shift_interval_percent: self.interval_percent(),
            p_value: self.ranks.map(|ranks| ranks.p_value),
            cliffs_delta: self.ranks.map(|ranks| ranks.cliffs_delta),
        }
    }

    fn interval_percent(&self) -> Option<[f64; 2]> {
        let interval = self.shift?.interval?;
        Some([percent(interval.low), percent(interval.high)])
    }

    /// How sure the interval of the shift is.
    pub fn confidence(&self) -> Option<f64> {
        Some(self.shift?.interval?.confidence)
    }

    /// Run time per time of both phases.
    pub fn stalls(&self) -> Option<Sides<f64>> {
        Some(Sides {
            before: stall(&self.paces.before, self.before())?,
            after: stall(&self.paces.after, self.after())?,
        })
    }

    /// From one run to the next in both phases, in nanoseconds.
    pub fn periods_ns(&self) -> Option<Sides<f64>> {
        Some(Sides {
            before: period_ns(&self.paces.before, self.before())?,
            after: period_ns(&self.paces.after, self.after())?,
        })
    }

    fn stall_ratio(&self) -> Option<f64> {
        let stalls = self.stalls()?;
        Some(stalls.after / stalls.before)
    }

    /// The mean lengths of `est_list`, if they are too far apart for runs to be compared.
    pub fn moved(&self) -> Option<Sides<f64>> {
        let before = mean_estimators(&self.before().runs)?;
        let after = mean_estimators(&self.after().runs)?;
        let moved = (after - before).abs() > self.effect * before;
        moved.then_some(Sides { before, after })
    }

    /// Runs are longer, by more than the minimum effect for sure.
    pub fn is_longer(&self, level: f64) -> bool {
        let beyond = |[low, _]: [f64; 2]| low > 100.0 * self.effect;
        self.differs(level) && self.interval_percent().is_some_and(beyond)
    }

    /// Runs are shorter, by more than the minimum effect for sure.
    pub fn is_shorter(&self, level: f64) -> bool {
        let beyond = |[_, high]: [f64; 2]| high < -100.0 * self.effect;
        self.differs(level) && self.interval_percent().is_some_and(beyond)
    }

    /// The p of ranks where every run of one side is longer than all of the other: no order of so many says more. Rounded
    /// up, so that it is under it.
    pub fn lowest_p(&self) -> f64 {
        let (one, other) = (self.before().runs.len(), self.after().runs.len());
        let orders = (1..=one).map(|taken| real(other + taken) / real(taken));
        2.001 / orders.product::<f64>()
    }

    fn differs(&self, level: f64) -> bool {
        self.ranks.is_some_and(|ranks| ranks.p_value < level)
    }

    /// They stall more, by more than the minimum effect.
    pub fn stalls_more(&self, level: f64) -> bool {
        let factor = 1.0 + self.effect;
        let above = self.stall_ratio().is_some_and(|ratio| ratio > factor);
        above
            && self
                .tails(factor)
                .is_some_and(|tails| 2.0 * tails.at_least < level)
    }

    /// They stall less, by more than the minimum effect.
    pub fn stalls_less(&self, level: f64) -> bool {
        let factor = 1.0 - self.effect;
        self.is_below()
            && self
                .tails(factor)
                .is_some_and(|tails| 2.0 * tails.at_most < level)
    }

    fn tails(&self, factor: f64) -> Option<Tails> {
        Tails::of(&self.paces.before, &self.paces.after, factor)
    }

    fn is_below(&self) -> bool {
        let factor = 1.0 - self.effect;
        self.stall_ratio().is_some_and(|ratio| ratio < factor)
    }

    /// The longest runs are longer, by more than the minimum effect, and too many of them to be chance.
    pub fn peaks_higher(&self, level: f64) -> bool {
        // To one side, and no more than a fifth of the whole: the other two ways take the rest.
        let chance = level / 5.0;
        self.is_higher() && self.longest.is_some_and(|longest| longest.chance < chance)
    }

    /// The longest run is longer by more than the minimum effect, be it by chance.
    pub fn is_higher(&self) -> bool {
        let ratio = self.longest.and_then(|longest| longest.ratio());
        ratio.is_some_and(|ratio| ratio > 1.0 + self.effect)
    }

    /// Runs are so much further apart that the phase holds fewer than the `runs` asked for, and stall less for it.
    pub fn is_rarer(&self, runs: usize) -> bool {
        let apart = |periods: Sides<f64>| periods.after > (1.0 + self.effect) * periods.before;
        let fewer = self.after().runs.len() < runs;
        fewer && self.periods_ns().is_some_and(apart) && self.is_below()
    }

    /// Runs are as long as before and as far apart, but for less than the minimum effect.
    pub fn is_within(&self) -> bool {
        let most = 100.0 * self.effect;
        let inside = |[low, high]: [f64; 2]| -most <= low && high <= most;
        let steady = |periods: Sides<f64>| {
            (periods.after - periods.before).abs() <= self.effect * periods.before
        };
        self.interval_percent().is_some_and(inside) && self.periods_ns().is_none_or(steady)
    }
}

/// Returns a ratio as a change in percent.
fn percent(ratio: f64) -> f64 {
    100.0 * (ratio - 1.0)
}

pub fn pace(phase: &Phase) -> Pace {
    Pace::of(phase.runs.iter().map(|run| (run.start_ns, run.duration_ns)))
}

/// Run time per time: of a single run, by the period that the timer tells.
pub fn stall(pace: &Pace, phase: &Phase) -> Option<f64> {
    pace.stall()
        .or_else(|| Some(pace.duration_ns()? / period_ns(pace, phase)?))
}

fn period_ns(pace: &Pace, phase: &Phase) -> Option<f64> {
    pace.gap_ns().or_else(|| phase.period_ns.map(real))
}

fn mean_estimators(runs: &[Run]) -> Option<f64> {
    let known: Vec<u32> = runs.iter().filter_map(|run| run.estimators).collect();
    let sum: u64 = known.iter().copied().map(u64::from).sum();
    (!known.is_empty()).then(|| real(sum) / real(known.len()))
}
