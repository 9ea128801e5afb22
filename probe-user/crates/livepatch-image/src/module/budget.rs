//! How much work one file may make: a stranger may have made the module's file, and chosen every size and number in it.
//!
//! One budget is shared by all that is read from a file, so that many small questions cost what one big one does.

use std::cell::Cell;

/// What all analyses of a file may take together, in steps: an instruction decoded or followed is one.
/// A livepatch of three hundred functions takes a twentieth of this.
const STEPS: u64 = 1 << 21;

/// How many decoded instructions may be kept: 56 bytes each.
const LINES: usize = 1 << 19;

/// What is left for one file.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    lines: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: Cell::new(STEPS),
            lines: Cell::new(LINES),
        }
    }
}

impl Budget {
    /// Takes steps out of what is left; `None` where there are not so many, and from then on.
    pub fn spend(&self, steps: usize) -> Option<()> {
        let left = self.steps.get().checked_sub(steps as u64);
        self.steps.set(left.unwrap_or(0));
        left.map(drop)
    }

    /// Takes room for instructions that are kept; `None` where there is not so much, and from then on.
    pub fn keep(&self, lines: usize) -> Option<()> {
        let left = self.lines.get().checked_sub(lines);
        if left.is_none() {
            self.steps.set(0);
        }
        self.lines.set(left.unwrap_or(0));
        left.map(drop)
    }

    /// Returns whether nothing is left, so that what was read is not all that there is.
    pub fn is_spent(&self) -> bool {
        self.steps.get() == 0
    }

    /// Returns how many steps were taken.
    #[cfg(test)]
    pub fn spent(&self) -> u64 {
        STEPS - self.steps.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_once_stays_spent() {
        let budget = Budget::default();
        assert!(budget.spend(1000).is_some() && !budget.is_spent());
        assert_eq!(budget.spent(), 1000);
        assert!(budget.spend(usize::MAX).is_none() && budget.is_spent());
        assert!(budget.spend(1).is_none());
        let budget = Budget::default();
        assert!(budget.keep(LINES).is_some() && !budget.is_spent());
        assert!(budget.keep(1).is_none() && budget.is_spent());
    }
}
