//! Which rows the tables have, and in what order.

use std::cmp::Reverse;

use host::netns_owners::NetnsOwners;
use model::{CpuView, NamespaceView};

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Time in runs, most first.
    #[default]
    Stall,
    /// The longest run, longest first.
    Max,
    /// The list's length, longest first.
    Estimators,
    /// The next run, soonest first.
    NextRun,
    /// The number of the namespace, or of the CPU.
    Number,
}

impl Sort {
    /// The criterion that comes after this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Stall => Self::Max,
            Self::Max => Self::Estimators,
            Self::Estimators => Self::NextRun,
            Self::NextRun => Self::Number,
            Self::Number => Self::Stall,
        }
    }
}

/// A text that namespaces are to match; an empty one matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter(String);

impl Filter {
    /// Whatever its case.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_lowercase())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a namespace's number, the word `root` or the name of who lives there has the text in it.
    #[must_use]
    pub fn matches(&self, netns: u32, root_netns: u32, owners: &NetnsOwners) -> bool {
        self.0.is_empty()
            || (netns == root_netns && "root".contains(&self.0))
            || netns.to_string().contains(&self.0)
            || owners
                .who(netns)
                .is_some_and(|who| who.to_lowercase().contains(&self.0))
    }
}

/// The places of the namespaces to show, in the order to show them. `before` is what this returned the last
/// time: what is nearly sorted already is sorted with few comparisons.
#[must_use]
pub fn namespaces(
    views: &[NamespaceView],
    before: Vec<usize>,
    sort: Sort,
    wanted: impl Fn(u32) -> bool,
) -> Vec<usize> {
    // There may have been more namespaces, or a filter: only an order of all that there are now is of use. No
    // place is in it twice.
    let mut rows = before;
    rows.retain(|row| *row < views.len());
    if rows.len() < views.len() {
        rows = (0..views.len()).collect();
    }
    rows.retain(|row| wanted(views[*row].netns));
    match sort {
        Sort::Stall => rows.sort_by_key(|row| (Reverse(views[*row].stall_ns_per_s), *row)),
        Sort::Max => rows.sort_by_key(|row| (Reverse(views[*row].max_ns), *row)),
        Sort::Estimators => rows.sort_by_key(|row| (Reverse(views[*row].estimators), *row)),
        Sort::NextRun => rows.sort_by_key(|row| {
            let next_run = views[*row].next_run;
            (next_run.map_or(u64::MAX, |next| next.due_ns), *row)
        }),
        // They come in the order of their numbers.
        Sort::Number => rows.sort_unstable(),
    }
    rows
}

/// The places of the CPUs, in the order to show them.
#[must_use]
pub fn cpus(views: &[CpuView], sort: Sort) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..views.len()).collect();
    match sort {
        Sort::Stall => rows.sort_by_key(|row| Reverse(views[*row].stall_ns_per_s)),
        Sort::Max => rows.sort_by_key(|row| Reverse(views[*row].max_ns)),
        Sort::Estimators | Sort::NextRun | Sort::Number => {}
    }
    rows
}
