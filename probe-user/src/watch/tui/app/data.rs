//! What was measured, as far as the screen shows it.

use super::{census::Census, log::Log, timeline::Timeline};
use crate::watch::bars::{Row, Scale};
use model::{Cost, Focus, Overview, Summary};

/// How high the bars of the histogram are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bars {
    /// As high as their counts.
    Linear,
    /// As high as the logarithms of their counts: to see the rare beside the frequent.
    Logarithmic,
}

/// Whose runs the histogram, the percentiles and the cost are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of the namespace whose runs cost most.
    Worst,
    /// Those of all namespaces together.
    All,
}

/// All that was measured, as far as it is shown.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// The moment that the screen shows, in nanoseconds of `CLOCK_MONOTONIC`.
    pub now_ns: u64,
    /// The sums.
    pub overview: Option<Overview>,
    /// What the namespaces of the sums come to together.
    pub census: Census,
    /// The histogram, cut as finely as it is ever shown.
    pub slots: Vec<Row>,
    /// The latest calls, and what happened among them.
    pub log: Log,
    /// The last hour.
    pub timeline: Timeline,
}

impl Data {
    /// Returns whose runs the numbers are of, where a single namespace is in focus.
    pub fn focus(&self, scope: Scope) -> Option<&Focus> {
        let focus = self.overview.as_ref()?.focus.as_ref()?;
        (scope == Scope::Worst).then_some(focus)
    }

    /// Returns the sums of the runs in focus.
    pub fn summary(&self, scope: Scope) -> Option<&Summary> {
        let overview = self.overview.as_ref()?;
        Some(
            self.focus(scope)
                .map_or(&overview.all, |focus| &focus.summary),
        )
    }

    /// Returns what an estimator costs the runs in focus.
    pub fn cost(&self, scope: Scope) -> Option<Cost> {
        match self.focus(scope) {
            Some(focus) => focus.cost,
            None => self.overview.as_ref()?.cost,
        }
    }

    /// Cuts the histogram of the runs in focus into rows.
    pub fn cut(&mut self, scope: Scope) {
        let Some(overview) = &self.overview else {
            return;
        };
        let focus = self.focus(scope);
        let histogram = focus.map_or(&overview.histogram, |focus| &focus.histogram);
        self.slots = Scale::TwoDigits.rows(histogram);
    }
}
