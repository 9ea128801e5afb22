//! One namespace before and after.

use serde::Serialize;

use super::super::{
    ComparedNamespace, EstimatorPhase,
    figures::{Figures, pace},
};
use model::statistics::{Longest, Pace, RankSum, Shift, Tails, real};

/// The numbers, as `--json` tells them. What cannot be told is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tests {
    /// Run time per time, after / before.
    pub stall_ratio: Option<f64>,
    /// The chance of a stall as far off where nothing changed.
    pub stall_p: Option<f64>,
    /// The longest run, after / before.
    pub longest_ratio: Option<f64>,
    /// How many runs after took longer than every run before.
    pub longest_above: Option<usize>,
    /// By how much runs became longer, in percent: 100 x (after / before - 1), never under -100.
    pub shift_percent: Option<f64>,
    /// Where that lies, in percent: never under -100 either.
    pub shift_interval_percent: Option<[f64; 2]>,
    /// How sure that is, in percent.
    pub shift_confidence_percent: Option<f64>,
    /// The chance of durations as far off where nothing changed.
    pub p_value: Option<f64>,
    /// From -1 (all shorter) to 1 (all longer).
    pub cliffs_delta: Option<f64>,
    /// By how much the list of estimators became longer, in percent.
    pub estimators_change_percent: Option<f64>,
}

/// One namespace, compared.
#[derive(Debug)]
pub struct Comparison<'a> {
    namespace: &'a ComparedNamespace,
    effect: f64,
    figures: Sides<Figures>,
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
    pub fn of(namespace: &'a ComparedNamespace, effect: f64) -> Self {
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
            figures: Sides {
                before: Figures::of(&namespace.before),
                after: Figures::of(&namespace.after),
            },
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

    pub fn before(&self) -> &'a EstimatorPhase {
        &self.namespace.before
    }

    pub fn after(&self) -> &'a EstimatorPhase {
        &self.namespace.after
    }

    /// What is too little to matter, as a share.
    pub fn effect(&self) -> f64 {
        self.effect
    }

    pub fn tests(&self) -> Tests {
        Tests {
            stall_ratio: self.stall_ratio(),
            stall_p: self.stall_p,
            longest_ratio: self.longest.and_then(|longest| longest.ratio()),
            longest_above: self.longest.map(|longest| longest.above),
            shift_percent: self.shift.map(|shift| percent(shift.ratio)),
            shift_interval_percent: self.interval_percent(),
            shift_confidence_percent: self.confidence_percent(),
            p_value: self.ranks.map(|ranks| ranks.p_value),
            cliffs_delta: self.ranks.map(|ranks| ranks.cliffs_delta),
            estimators_change_percent: self
                .lengths()
                .map(|lengths| percent(lengths.after / lengths.before)),
        }
    }

    fn interval_percent(&self) -> Option<[f64; 2]> {
        let interval = self.shift?.interval?;
        Some([percent(interval.low), percent(interval.high)])
    }

    /// How sure the interval of the shift is, in percent.
    fn confidence_percent(&self) -> Option<f64> {
        Some(100.0 * self.shift?.interval?.confidence)
    }

    /// The numbers of both phases.
    pub fn figures(&self) -> Sides<Figures> {
        self.figures
    }

    /// From one run to the next in both phases, in nanoseconds.
    fn periods_ns(&self) -> Option<Sides<f64>> {
        self.of_both(|figures| figures.period_ns)
    }

    fn stall_ratio(&self) -> Option<f64> {
        let stalls = self.of_both(|figures| figures.stall)?;
        Some(stalls.after / stalls.before)
    }

    /// The mean lengths of `est_list`.
    fn lengths(&self) -> Option<Sides<f64>> {
        self.of_both(|figures| figures.estimators)
    }

    fn of_both(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Sides<f64>> {
        Some(Sides {
            before: figure(&self.figures.before)?,
            after: figure(&self.figures.after)?,
        })
    }

    /// The lists are too far apart for runs to be compared.
    pub fn has_moved(&self) -> bool {
        let moved = |lengths: Sides<f64>| {
            (lengths.after - lengths.before).abs() > self.effect * lengths.before
        };
        self.lengths().is_some_and(moved)
    }

    /// Runs are further apart, by more than the minimum effect.
    pub fn is_apart(&self) -> bool {
        let apart = |periods: Sides<f64>| periods.after > (1.0 + self.effect) * periods.before;
        self.periods_ns().is_some_and(apart)
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
        let fewer = self.after().runs.len() < runs;
        fewer && self.is_apart() && self.is_below()
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
