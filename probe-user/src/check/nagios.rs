//! One line as monitoring plugins print it: a status, the message, and performance data behind a bar
//! (Monitoring Plugins Development Guidelines, "Plugin Output for Nagios").

use std::fmt;

use super::page::{Measured, Page, Verdict};
use model::State;

/// The four states of a service, with the exit codes of their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing is over the lower threshold.
    Ok,
    /// Something is over the lower threshold, or an estimator does not do what it should.
    Warning,
    /// Something is over the upper threshold, or an estimator is DEAD.
    Critical,
    /// It cannot be told.
    Unknown,
}

impl Status {
    /// Returns the exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// Waits over which a service is in another state, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Over it: [`Status::Warning`].
    pub warning_ns: u64,
    /// Over it: [`Status::Critical`].
    pub critical_ns: u64,
}

/// Returns the status of a page.
#[must_use]
pub fn status(page: &Page, thresholds: Thresholds) -> Status {
    let dead = page
        .namespaces
        .iter()
        .any(|one| one.state == Some(State::Dead));
    let worst_ns = page.measured.as_ref().map_or(0, Measured::worst_ns);
    if dead || worst_ns > thresholds.critical_ns {
        Status::Critical
    } else if page.verdict == Verdict::Problem || worst_ns > thresholds.warning_ns {
        Status::Warning
    } else if page.verdict == Verdict::Unknown {
        Status::Unknown
    } else {
        Status::Ok
    }
}

/// Returns the line.
#[must_use]
pub fn line(page: &Page, thresholds: Thresholds) -> String {
    let status = status(page, thresholds);
    // What is behind a bar is data.
    let message = page.message.replace('|', "/");
    let begin = format!("IPVS {status} - {message}");
    let Some(measured) = &page.measured else {
        return begin;
    };
    let run_ns = measured
        .longest_run
        .as_ref()
        .map_or(0, |run| run.duration_ns);
    let data = [
        timed("longest_run", run_ns, thresholds),
        timed("longest_blackout", measured.worst_ns(), thresholds),
        format!("runs={};;;0", measured.runs),
        format!("lost={};;;0", measured.lost),
        format!("missed={};;;0", measured.missed),
    ];
    format!("{begin} | {}", data.join(" "))
}

fn timed(label: &str, value_ns: u64, thresholds: Thresholds) -> String {
    format!(
        "{label}={}s;{};{};0",
        seconds(value_ns),
        seconds(thresholds.warning_ns),
        seconds(thresholds.critical_ns)
    )
}

/// Seconds as a decimal number, to the nanosecond.
fn seconds(duration_ns: u64) -> String {
    let (whole, fraction) = (duration_ns / 1_000_000_000, duration_ns % 1_000_000_000);
    let text = format!("{whole}.{fraction:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
