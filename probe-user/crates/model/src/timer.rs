//! The timer of an estimator, as one look finds it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::State;

/// The timer of one namespace's estimator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// The network namespace, by its inode number.
    pub netns: u32,
    /// `DEAD`, `SLOWED` or `ACTIVE`, by the timer alone.
    pub state: State,
    /// `net.ipv4.vs.run_estimation` there; `None` where the kernel has no such switch.
    pub run_estimation: Option<i32>,
    /// In how many nanoseconds it runs; `None` for one that is not pending.
    pub next_run_in_ns: Option<u64>,
    /// The address of what it calls.
    #[serde(skip)]
    pub function: u64,
}

/// Returns the inode numbers of the namespaces whose estimator is dead.
#[must_use]
pub fn dead_estimators(timers: &[Timer]) -> BTreeSet<u32> {
    let dead = timers.iter().filter(|timer| timer.state == State::Dead);
    dead.map(|timer| timer.netns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_dead_whose_timer_says_so() {
        let states = [State::Dead, State::Active, State::Dead, State::Slowed];
        let timers = (7..).zip(states).map(|(netns, state)| Timer {
            netns,
            state,
            run_estimation: Some(1),
            next_run_in_ns: None,
            function: 0,
        });
        let timers: Vec<Timer> = timers.collect();
        assert_eq!(dead_estimators(&timers), [7, 9].into());
    }
}
