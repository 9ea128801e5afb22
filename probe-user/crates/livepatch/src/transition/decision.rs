//! The way of a livepatch from one code to the other, and when to turn back. Pure: time is an argument.

use std::{io, time::Duration};

use super::stalled::Towards;
use host::livepatch::Livepatch;

/// How long the way back may take. With what else is done after it, the end comes within 15 s of the deadline.
pub const BACK: Duration = Duration::from_secs(10);

/// What is seen of a livepatch in sysfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It has no folder: no task runs its code.
    Gone,
    /// It is in force for every task.
    Patched,
    /// Tasks are on their way.
    Moving,
    /// It is out of force, and its folder is about to go.
    Leaving,
    /// It cannot be seen: neither gone nor through.
    Hidden,
}

impl Seen {
    /// What the kernel says. What it does not say counts as on the way.
    #[must_use]
    pub fn of(look: &io::Result<Option<Livepatch>>) -> Self {
        let Ok(patch) = look else {
            return Self::Hidden;
        };
        match patch
            .as_ref()
            .map(|patch| (patch.enabled, patch.transition))
        {
            None => Self::Gone,
            Some((Some(true), Some(false))) => Self::Patched,
            Some((Some(false), Some(false))) => Self::Leaving,
            Some(_) => Self::Moving,
        }
    }

    fn is_at(self, towards: Towards) -> bool {
        match towards {
            Towards::Patched => self == Self::Patched,
            Towards::Unpatched => self == Self::Gone,
        }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again.
    Wait,
    /// Ask the kernel for the way back.
    TurnBack,
    /// Every task is where it was to go.
    Arrived,
    /// Every task is where it came from.
    BackAgain,
    /// Neither way came to its end in time.
    Stuck,
}

/// One such way.
#[derive(Debug)]
pub struct Transition {
    towards: Towards,
    timeout: Duration,
    turned: Option<Duration>,
}

impl Transition {
    /// Begins at time zero.
    #[must_use]
    pub fn new(towards: Towards, timeout: Duration) -> Self {
        let turned = None;
        Self {
            towards,
            timeout,
            turned,
        }
    }

    /// Where the kernel takes tasks now.
    #[must_use]
    pub fn heading(&self) -> Towards {
        match self.turned {
            None => self.towards,
            Some(_) => self.towards.back(),
        }
    }

    /// What to do at `now`, after what was `seen`; `asking` while the kernel has not answered a request, and
    /// `stop` once a signal asked to end.
    pub fn next(&mut self, now: Duration, seen: Seen, asking: bool, stop: bool) -> Next {
        let Some(turned) = self.turned else {
            return self.forward(now, seen, asking, stop);
        };
        let too_late_to_turn = self.towards == Towards::Unpatched && seen == Seen::Gone;
        match () {
            () if asking && now < turned + BACK => Next::Wait,
            () if asking => Next::Stuck,
            () if too_late_to_turn => Next::Arrived,
            () if seen.is_at(self.towards.back()) => Next::BackAgain,
            () if now >= turned + BACK => Next::Stuck,
            () => Next::Wait,
        }
    }

    fn forward(&mut self, now: Duration, seen: Seen, asking: bool, stop: bool) -> Next {
        if !asking && seen.is_at(self.towards) {
            return Next::Arrived;
        }
        if !asking && seen == Seen::Gone {
            // Somebody else took it back.
            return Next::BackAgain;
        }
        // Before the kernel has begun, there is nothing that could be turned.
        let has_not_begun = asking && seen == Seen::Gone;
        if now < self.timeout && (!stop || has_not_begun) {
            return Next::Wait;
        }
        self.turned = Some(now);
        match seen {
            // No task is on its way any more; there is nothing to turn.
            Seen::Leaving => Next::Wait,
            _ => Next::TurnBack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds, what is seen, whether a request is open, whether to stop; what follows.
    type Look = (u64, Seen, bool, bool, Next);

    fn walk(towards: Towards, looks: &[Look]) {
        let mut transition = Transition::new(towards, Duration::from_secs(30));
        for (index, (at, seen, asking, stop, expected)) in looks.iter().enumerate() {
            let next = transition.next(Duration::from_secs(*at), *seen, *asking, *stop);
            assert_eq!(next, *expected, "{towards:?}, look {index}");
        }
    }

    #[test]
    fn a_load_arrives_turns_back_or_is_stuck() {
        use {Next::*, Seen::*};
        let tables: [&[Look]; 9] = [
            &[
                (0, Gone, true, false, Wait),
                (1, Moving, false, false, Wait),
                (2, Patched, false, false, Arrived),
            ],
            &[
                (29, Moving, false, false, Wait),
                (30, Moving, false, false, TurnBack),
                (31, Moving, true, false, Wait),
                (32, Gone, false, false, BackAgain),
            ],
            // A signal does what the deadline does.
            &[
                (1, Moving, false, true, TurnBack),
                (2, Gone, false, true, BackAgain),
            ],
            // The request to turn back is never answered.
            &[
                (30, Moving, false, false, TurnBack),
                (39, Moving, true, false, Wait),
                (40, Moving, true, false, Stuck),
            ],
            // It is answered, and tasks still stall.
            &[
                (30, Moving, false, false, TurnBack),
                (39, Moving, false, false, Wait),
                (40, Moving, false, false, Stuck),
            ],
            // The kernel never answers the first request.
            &[
                (30, Gone, true, false, TurnBack),
                (40, Gone, true, false, Stuck),
            ],
            &[(1, Gone, false, false, BackAgain)],
            // A signal that comes once the kernel has begun does not wait for its answer.
            &[
                (0, Moving, true, false, Wait),
                (1, Moving, true, true, TurnBack),
            ],
            // A signal that comes before the kernel has begun waits for that.
            &[
                (0, Gone, true, true, Wait),
                (1, Moving, false, true, TurnBack),
                (2, Gone, false, true, BackAgain),
            ],
        ];
        for looks in tables {
            walk(Towards::Patched, looks);
        }
    }

    #[test]
    fn an_unload_is_turned_back_only_while_tasks_are_on_their_way() {
        use {Next::*, Seen::*};
        let tables: [&[Look]; 5] = [
            &[
                (0, Patched, true, false, Wait),
                (1, Moving, false, false, Wait),
                (2, Leaving, false, false, Wait),
                (3, Gone, false, false, Arrived),
            ],
            &[
                (30, Moving, false, false, TurnBack),
                (31, Moving, false, false, Wait),
                (32, Patched, false, false, BackAgain),
            ],
            // It came to its end while it was being turned.
            &[
                (30, Moving, false, false, TurnBack),
                (31, Gone, false, false, Arrived),
            ],
            &[
                (30, Leaving, false, false, Wait),
                (31, Gone, false, false, Arrived),
            ],
            &[
                (30, Leaving, false, false, Wait),
                (42, Leaving, false, false, Stuck),
            ],
        ];
        for looks in tables {
            walk(Towards::Unpatched, looks);
        }
    }

    #[test]
    fn what_cannot_be_seen_neither_arrives_nor_is_back_again() {
        use {Next::*, Seen::*};
        for towards in [Towards::Patched, Towards::Unpatched] {
            walk(
                towards,
                &[
                    (1, Hidden, false, false, Wait),
                    (30, Hidden, false, false, TurnBack),
                    (31, Hidden, false, false, Wait),
                    (40, Hidden, false, false, Stuck),
                ],
            );
        }
    }

    #[test]
    fn what_the_kernel_does_not_say_counts_as_on_the_way() {
        let patch = |enabled, transition| Livepatch {
            name: "x".into(),
            enabled,
            transition,
            objects: Vec::new(),
        };
        for (enabled, transition, seen) in [
            (Some(true), Some(false), Seen::Patched),
            (Some(true), Some(true), Seen::Moving),
            (Some(false), Some(true), Seen::Moving),
            (Some(false), Some(false), Seen::Leaving),
            (None, Some(false), Seen::Moving),
        ] {
            assert_eq!(Seen::of(&Ok(Some(patch(enabled, transition)))), seen);
        }
        assert_eq!(Seen::of(&Ok(None)), Seen::Gone);
        assert_eq!(Seen::of(&Err(io::ErrorKind::Other.into())), Seen::Hidden);
    }
}
