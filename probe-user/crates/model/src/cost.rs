//! What an estimator costs here: told from the latest runs over the longest list, and over lists of one.

use std::collections::VecDeque;

use super::Cost;

/// Runs that a median is told from.
const LATEST: usize = 15;

/// The durations of the latest runs, in nanoseconds.
#[derive(Debug, Default)]
struct Latest(VecDeque<u64>);

impl Latest {
    fn push(&mut self, duration_ns: u64) {
        if self.0.len() == LATEST {
            self.0.pop_front();
        }
        self.0.push_back(duration_ns);
    }

    fn median(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }
}

#[derive(Debug)]
struct Longest {
    netns: u32,
    estimators: u32,
    runs: Latest,
}

/// The runs that a cost is told from. Only those that visited their list are to be added.
#[derive(Debug, Default)]
pub struct Costs {
    of_one: Latest,
    longest: Option<Longest>,
}

impl Costs {
    /// Adds a run over a list of `estimators`.
    pub fn add(&mut self, netns: u32, estimators: u32, duration_ns: u64) {
        if estimators <= 1 {
            self.of_one.push(duration_ns);
            return;
        }
        let same = |longest: &&mut Longest| longest.netns == netns;
        if let Some(longest) = self.longest.as_mut().filter(same) {
            if moved(longest.estimators, estimators) {
                longest.runs = Latest::default();
            }
            longest.estimators = estimators;
            longest.runs.push(duration_ns);
            return;
        }
        let known = self.longest.as_ref();
        if known.is_none_or(|longest| estimators > longest.estimators) {
            let mut runs = Latest::default();
            runs.push(duration_ns);
            self.longest = Some(Longest {
                netns,
                estimators,
                runs,
            });
        }
    }

    /// Forgets a namespace that is gone.
    pub fn forget(&mut self, netns: u32) {
        self.longest.take_if(|longest| longest.netns == netns);
    }

    /// Returns the cost by what a run over a list of `estimators` takes typically, in nanoseconds; `None` where the
    /// list has no more than the total.
    #[must_use]
    pub fn of(&self, estimators: Option<u32>, run_ns: u64) -> Option<Cost> {
        let estimators = estimators.filter(|length| *length > 1)?;
        Some(Cost {
            estimators,
            run_ns,
            base_ns: self.of_one.median(),
        })
    }

    /// What there is to tell: nothing before the first run over more than one estimator.
    #[must_use]
    pub fn cost(&self) -> Option<Cost> {
        let longest = self.longest.as_ref()?;
        Some(Cost {
            estimators: longest.estimators,
            run_ns: longest.runs.median()?,
            base_ns: self.of_one.median(),
        })
    }
}

/// Whether a list changed by so much (5 %) that runs before and after are not alike.
fn moved(before: u32, now: u32) -> bool {
    u64::from(before.abs_diff(now)) * 20 > u64::from(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_that_of_the_longest_list_above_that_of_a_list_of_one() {
        let mut costs = Costs::default();
        assert_eq!(costs.cost(), None);
        costs.add(1, 1, 1_800);
        assert_eq!(costs.cost(), None, "one length makes no slope");
        costs.add(2, 101, 14_700);
        costs.add(3, 30_001, 3_871_800);
        costs.add(2, 101, 14_700);
        let cost = costs.cost().unwrap();
        assert_eq!((cost.estimators, cost.base_ns), (30_001, Some(1_800)));
        assert_eq!(cost.estimator_ps(), 129_000);
    }

    #[test]
    fn after_a_list_has_grown_much_older_runs_do_not_count() {
        let mut costs = Costs::default();
        for _ in 0..20 {
            costs.add(1, 1_001, 100_000);
        }
        costs.add(1, 1_011, 101_000);
        assert_eq!(costs.cost().unwrap().run_ns, 100_000);
        costs.add(1, 2_001, 200_000);
        assert_eq!(costs.cost().unwrap().run_ns, 200_000);
        costs.forget(2);
        assert!(costs.cost().is_some());
        costs.forget(1);
        assert_eq!(costs.cost(), None);
    }
}
