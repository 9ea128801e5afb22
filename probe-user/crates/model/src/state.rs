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

impl serde::Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

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
    /// One of the last two runs was over so many estimators, and too short to have looked at them.
    pub skimmed: Option<u32>,
}

impl Signs {
    /// The state: DEAD before SLOWED before SKIPPING.
    #[must_use]
    pub fn state(&self) -> State {
        if self.gone {
            State::Dead
        } else if self.far_expiry_ns.is_some() || self.slow_gap_ns().is_some() {
            State::Slowed
        } else if self.switched_off || self.skimmed.is_some() {
            State::Skipping
        } else {
            State::Active
        }
    }

    /// What the state was told by: a clause without a full stop.
    #[must_use]
    pub fn why(&self) -> String {
        match self.state() {
            State::Dead => {
                "its timer is not pending and no run is under way: it will not come back by itself"
                    .into()
            }
            State::Slowed => match (self.far_expiry_ns, self.slow_gap_ns()) {
                (Some(ahead_ns), _) => format!("its timer expires in {} s", tenths(ahead_ns)),
                (None, gap_ns) => {
                    format!(
                        "its last two runs began {} s apart",
                        tenths(gap_ns.unwrap_or(0))
                    )
                }
            },
            State::Skipping => match self.skimmed.filter(|_| !self.switched_off) {
                Some(estimators) => {
                    format!(
                        "one of its last two runs was too short to visit {estimators} estimators"
                    )
                }
                None => "run_estimation is 0".into(),
            },
            State::Active | State::Kthread | State::Absent => {
                "it runs every two seconds or so".into()
            }
        }
    }

    fn slow_gap_ns(&self) -> Option<u64> {
        self.gap_ns.filter(|gap_ns| *gap_ns > SLOW_PERIOD_NS)
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
        (signs.state(), signs.why())
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
        let skimmed = Signs {
            skimmed: Some(30_001),
            ..Signs::default()
        };
        assert_eq!(
            told(skimmed),
            (
                State::Skipping,
                "one of its last two runs was too short to visit 30001 estimators".into()
            )
        );
    }

    #[test]
    fn a_gap_is_slow_only_above_two_and_a_half_seconds() {
        let gap = |gap_ns| {
            Signs {
                gap_ns: Some(gap_ns),
                ..Signs::default()
            }
            .state()
        };
        assert_eq!(gap(SLOW_PERIOD_NS), State::Active);
        assert_eq!(gap(SLOW_PERIOD_NS + 1), State::Slowed);
    }
}
