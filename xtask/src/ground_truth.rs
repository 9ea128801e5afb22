//! Ground truth: the estimator's runs as the kernel's own timer tracepoints see them, without any code
//! of ours. Tests and the benchmark hold the product against it.

use anyhow::{Context as _, Result};

use crate::checkout;
use crate::lab::Copy;

/// Where the guest finds the script.
pub const SCRIPT: &str = "/root/truth.sh";

/// The script, for [`crate::lab::LabSpec::copies`]. Guests source it and call `truth_begin`,
/// `truth_runs` and `truth_end`.
#[must_use]
pub fn script() -> Copy {
    Copy {
        source: checkout::file("xtask/src/ground_truth/truth.sh"),
        destination: Some(SCRIPT.into()),
    }
}

/// One run of `estimation_timer`, from `timer:timer_expire_entry` to `timer:timer_expire_exit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub begin_ns: u64,
    /// In nanoseconds.
    pub lasted_ns: u64,
    /// The CPU that it ran on.
    pub cpu: u32,
}

impl Run {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.begin_ns + self.lasted_ns
    }
}

/// Reads what `truth_runs` prints.
///
/// # Errors
/// When a line is none of its lines.
pub fn parse(lines: &str) -> Result<Vec<Run>> {
    lines
        .lines()
        .map(|line| parse_run(line).with_context(|| format!("{line:?} is no run")))
        .collect()
}

fn parse_run(line: &str) -> Option<Run> {
    let mut words = line.split(' ');
    let run = Run {
        begin_ns: words.next()?.parse().ok()?,
        lasted_ns: words.next()?.parse().ok()?,
        cpu: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_begin_duration_and_cpu_and_nothing_else_passes() {
        let run = Run {
            begin_ns: 5_500_002_457,
            lasted_ns: 3_873_182,
            cpu: 1,
        };
        assert_eq!(parse("5500002457 3873182 1\n").unwrap(), [run]);
        for line in ["5500002457 3873182", "1 2 3 4", "a b c", ""] {
            assert!(parse(&format!("{line}\n")).is_err(), "{line:?}");
        }
    }
}
