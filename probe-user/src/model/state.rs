//! The states that a namespace's estimator can be in.

use std::fmt;

/// What a namespace's estimator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It runs every two seconds or so.
    Active,
    /// It runs, but leaves the estimators alone.
    Skipping,
    /// It runs, but more than [`SLOW_PERIOD_NS`] apart.
    Slowed,
    /// Its timer is not pending: it will not run again by itself.
    Dead,
    /// Kernel threads estimate here, and no timer does.
    Kthread,
    /// There is none.
    Absent,
}

/// The kernel's own period, to which the timer wheel adds up to 64 ms.
pub const PERIOD_NS: u64 = 2_000_000_000;

/// The period from which on an estimator is called slowed: the kernel's own is two seconds, which its
/// timer wheel rounds up by at most 64 ms, and a long run stretches.
pub const SLOW_PERIOD_NS: u64 = 2_500_000_000;

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "ACTIVE",
            Self::Skipping => "SKIPPING",
            Self::Slowed => "SLOWED",
            Self::Dead => "DEAD",
            Self::Kthread => "KTHREAD",
            Self::Absent => "ABSENT",
        })
    }
}

/// What the state is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Two looks in a row found the timer not pending, and no run went on or came between them.
    pub gone: bool,
    /// The timer expires this far ahead, in nanoseconds: more than [`SLOW_PERIOD_NS`].
    pub far_expiry_ns: Option<u64>,
    /// The last two runs began this far apart, in nanoseconds.
    pub gap_ns: Option<u64>,
    /// `run_estimation` is 0.
    pub switched_off: bool,
    /// The last run was over so many estimators, and too short to have looked at them.
    pub skimmed: Option<u32>,
}

impl Signs {
    /// The state, and the clause that says what it was told by.
    #[must_use]
    pub fn state(&self) -> (State, String) {
        if self.gone {
            let why =
                "its timer is not pending and no run is under way: it will not come back by itself";
            return (State::Dead, why.into());
        }
        if let Some(ahead_ns) = self.far_expiry_ns {
            let why = format!("its timer expires in {} s", tenths(ahead_ns));
            return (State::Slowed, why);
        }
        if let Some(gap_ns) = self.gap_ns.filter(|gap_ns| *gap_ns > SLOW_PERIOD_NS) {
            let why = format!("its last two runs began {} s apart", tenths(gap_ns));
            return (State::Slowed, why);
        }
        if self.switched_off {
            return (State::Skipping, "run_estimation is 0".into());
        }
        if let Some(estimators) = self.skimmed {
            let why = format!("its last run was too short to have visited {estimators} estimators");
            return (State::Skipping, why);
        }
        (State::Active, "it runs every two seconds or so".into())
    }
}

/// Seconds with one decimal.
fn tenths(duration_ns: u64) -> String {
    let tenths = (duration_ns + 50_000_000) / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(signs: Signs) -> (State, String) {
        signs.state()
    }

    #[test]
    fn dead_comes_before_slowed_and_slowed_before_skipping() {
        let all = Signs {
            gone: true,
            far_expiry_ns: Some(298_040_000_000),
            gap_ns: Some(5_000_000_000),
            switched_off: true,
            skimmed: None,
        };
        assert_eq!(told(all).0, State::Dead);
        let alive = Signs { gone: false, ..all };
        assert_eq!(
            told(alive),
            (State::Slowed, "its timer expires in 298.0 s".into())
        );
        let near = Signs {
            far_expiry_ns: None,
            ..alive
        };
        assert_eq!(
            told(near),
            (State::Slowed, "its last two runs began 5.0 s apart".into())
        );
        let quick = Signs {
            gap_ns: Some(SLOW_PERIOD_NS),
            ..near
        };
        assert_eq!(told(quick), (State::Skipping, "run_estimation is 0".into()));
        assert_eq!(told(Signs::default()).0, State::Active);
    }

    #[test]
    fn a_gap_is_slow_only_above_two_and_a_half_seconds() {
        let gap = |gap_ns| {
            Signs {
                gap_ns: Some(gap_ns),
                ..Signs::default()
            }
            .state()
            .0
        };
        assert_eq!(gap(SLOW_PERIOD_NS), State::Active);
        assert_eq!(gap(SLOW_PERIOD_NS + 1), State::Slowed);
    }
}
