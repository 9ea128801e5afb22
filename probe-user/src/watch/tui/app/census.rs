//! What all namespaces together come to: counted when they change, not with every frame.

use model::{NamespaceView, State};

/// How many namespaces are in which state, and which stand for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// The place of the one with the longest list, of those that have an estimator.
    pub longest: Option<usize>,
    states: [Group; 6],
}

/// The namespaces in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// How many.
    pub number: usize,
    /// The place of the one with the longest list.
    pub longest: Option<usize>,
}

impl Census {
    /// Counts them.
    #[must_use]
    pub fn of(views: &[NamespaceView]) -> Self {
        let mut census = Self::default();
        for (place, view) in views.iter().enumerate() {
            let is_longer = |than: Option<usize>| {
                than.is_none_or(|than| view.estimators > views[than].estimators)
            };
            if view.state != Some(State::Absent) && is_longer(census.longest) {
                census.longest = Some(place);
            }
            if let Some(state) = view.state {
                let group = &mut census.states[state as usize];
                group.number += 1;
                if is_longer(group.longest) {
                    group.longest = Some(place);
                }
            }
        }
        census
    }

    /// Those in a state.
    #[must_use]
    pub fn in_state(&self, state: State) -> Group {
        self.states[state as usize]
    }
}
