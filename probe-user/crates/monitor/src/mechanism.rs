//! The mechanisms that can measure the runs, the best first.

use std::{fmt, str::FromStr};

use serde::Serialize;

/// How the runs are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// eBPF programs on the estimator's functions (Linux 5.10 on).
    Bpf,
    /// Trace events of the kernel's timers, read through `perf_event_open` (Linux 3.10 on).
    Perf,
    /// The same events, read through an instance of tracefs.
    Tracefs,
}

/// Something that a mechanism does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacking {
    /// Waits for `est_lock`.
    LockWaits,
    /// What a timer does before its first run.
    TimersBeforeTheirFirstRun,
}

/// A mechanism that was not used, and why: a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// Which.
    pub mechanism: Mechanism,
    /// Why.
    pub why: String,
}

/// The mechanism that measures, and those before it that this node does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The one that measures.
    pub mechanism: Mechanism,
    /// The better ones; none where a person chose.
    pub unavailable: Vec<Unavailable>,
}

impl Mechanism {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Bpf, Self::Perf, Self::Tracefs];

    /// Its name, as people type it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::Perf => "perf",
            Self::Tracefs => "tracefs",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn is(self) -> &'static str {
        match self {
            Self::Bpf => "eBPF programs on the functions of the estimator",
            Self::Perf => "trace events of the kernel's timers, through perf_event_open",
            Self::Tracefs => "trace events of the kernel's timers, through tracefs",
        }
    }

    /// What it does not give.
    #[must_use]
    pub fn cannot(self) -> &'static [Lacking] {
        match self {
            Self::Bpf => &[],
            Self::Perf | Self::Tracefs => &[Lacking::LockWaits, Lacking::TimersBeforeTheirFirstRun],
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Mechanism {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == text);
        found.ok_or_else(|| format!("write one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_is_read_by_its_name_alone() {
        for mechanism in Mechanism::ALL {
            assert_eq!(mechanism.name().parse(), Ok(mechanism));
        }
        for text in ["", "BPF", "perf ", "dtrace"] {
            let error = text.parse::<Mechanism>().unwrap_err();
            assert_eq!(error, "write one of bpf, perf, tracefs", "{text:?}");
        }
    }
}
