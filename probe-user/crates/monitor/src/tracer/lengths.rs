//! How long the lists of estimators are: counted, and known for as long as no estimator starts or stops.

use std::{collections::BTreeMap, time::Duration};

/// A count that takes longer than this is made at a check alone: until it is over, nothing else is read.
const QUICK: Duration = Duration::from_millis(200);

/// The lengths that are known.
#[derive(Debug, Default)]
pub struct Lengths {
    known: BTreeMap<u32, u32>,
    /// The number of changes that they were counted at.
    counted_at: Option<u64>,
    /// The number of changes at the last look.
    last: Option<u64>,
    /// Nothing changed between the last two looks.
    is_quiet: bool,
    took: Duration,
}

/// Which kind a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// One every second.
    Tick,
    /// One every ten seconds, or the first.
    Check,
}

impl Lengths {
    /// Returns the length of a namespace's list.
    #[must_use]
    pub fn of(&self, netns: u32) -> Option<u32> {
        self.known.get(&netns).copied()
    }

    /// Notes how many changes there were by now, `None` where that is not seen: lengths from before are not known any more.
    pub fn note(&mut self, changes: Option<u64>) {
        self.is_quiet = self.last == changes;
        self.last = changes;
        if changes.is_none() || self.counted_at != changes {
            self.known.clear();
            self.counted_at = None;
        }
    }

    /// Returns whether they are to be counted, by what was noted last.
    #[must_use]
    pub fn are_wanted(&self, look: Look) -> bool {
        let is_time = look == Look::Check || self.is_quiet && self.took <= QUICK;
        self.last.is_some() && self.counted_at.is_none() && is_time
    }

    /// Takes what was counted between two looks at the number of changes, and how long that took: what changed meanwhile is not
    /// known.
    pub fn take(&mut self, counted: Counted, changes: [Option<u64>; 2]) {
        self.took = counted.took;
        let [before, after] = changes;
        // Runs since the last look had the length of before a change that came after it.
        let is_unchanged = before == self.last && before == after;
        if before.is_some() && is_unchanged {
            self.known = counted.lengths;
            self.counted_at = before;
        }
    }
}

/// The lengths of lists, as they were counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// By namespace; those that could not be counted are missing.
    pub lengths: BTreeMap<u32, u32>,
    /// How long that took.
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes changes at a look, and returns whether lengths are wanted.
    fn noted(lengths: &mut Lengths, changes: Option<u64>, look: Look) -> bool {
        lengths.note(changes);
        lengths.are_wanted(look)
    }

    fn of<const N: usize>(lengths: [(u32, u32); N]) -> Counted {
        Counted {
            lengths: lengths.into(),
            took: Duration::ZERO,
        }
    }

    /// Counted at 5 changes: two namespaces, and one that could not be asked.
    fn counted() -> Lengths {
        let mut lengths = Lengths::default();
        assert!(noted(&mut lengths, Some(5), Look::Check));
        lengths.take(of([(1, 3_001), (2, 1)]), [Some(5); 2]);
        lengths
    }

    #[test]
    fn lengths_are_known_until_something_changes() {
        let mut lengths = counted();
        assert_eq!(
            [1, 2, 3].map(|netns| lengths.of(netns)),
            [Some(3_001), Some(1), None]
        );
        assert!(!noted(&mut lengths, Some(5), Look::Tick));
        assert!(!noted(&mut lengths, Some(5), Look::Check));
        assert_eq!(lengths.of(1), Some(3_001));
        assert!(!noted(&mut lengths, Some(6), Look::Tick), "it may go on");
        assert_eq!(lengths.of(1), None);
        assert!(!noted(&mut lengths, Some(7), Look::Tick), "it goes on");
        assert!(noted(&mut lengths, Some(7), Look::Tick), "it is quiet");
    }

    #[test]
    fn what_changes_while_it_is_counted_is_not_known() {
        let mut lengths = counted();
        assert!(noted(&mut lengths, Some(6), Look::Check));
        lengths.take(of([(1, 9)]), [Some(6), Some(7)]);
        assert_eq!(lengths.of(1), None);
        assert!(!noted(&mut lengths, Some(7), Look::Tick));
        assert!(noted(&mut lengths, Some(7), Look::Tick));
    }

    #[test]
    fn where_changes_are_not_seen_no_length_is_known() {
        let mut lengths = counted();
        assert!(!noted(&mut lengths, None, Look::Check));
        assert_eq!(lengths.of(1), None);
        lengths.take(of([(1, 9)]), [None; 2]);
        assert_eq!(lengths.of(1), None);
        assert!(!noted(&mut lengths, None, Look::Tick));
    }

    #[test]
    fn a_count_that_takes_long_waits_for_a_check() {
        let mut lengths = counted();
        lengths.took = QUICK + Duration::from_millis(1);
        assert!(!noted(&mut lengths, Some(6), Look::Tick));
        assert!(!noted(&mut lengths, Some(6), Look::Tick));
        assert!(noted(&mut lengths, Some(6), Look::Check));
    }
}
