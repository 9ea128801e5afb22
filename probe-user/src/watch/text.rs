//! The line mode: a line a call, and the sums at the end.

use std::io::{self, Write};

use super::{
    bars, findings,
    marks::{Colour, DURATION_COLUMNS, marked},
    namespace_name::netns_name,
    table,
};
use model::durations::readable;
use model::{Call, LockWait, Notice, Operation, Output, Report, StateChange};

/// Columns of a namespace: ten digits, and whether it is the root's.
pub const NETNS_COLUMNS: usize = "4026531840 (root)".len();

/// Writes lines for reading.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// Whether marks are coloured.
    pub colour: Colour,
    /// Inode number of the root network namespace.
    pub root_netns: u32,
}

impl Lines {
    /// One thing that happened.
    pub fn output(self, out: &mut impl Write, output: &Output) -> io::Result<()> {
        match output {
            Output::Call(call) => self.call(out, call),
            Output::LockWait(wait) => self.lock_wait(out, wait),
            Output::StateChange(change) => self.state_change(out, change),
            Output::Notice(happened) => notice(out, happened),
        }
    }

    fn call(self, out: &mut impl Write, call: &Call) -> io::Result<()> {
        let estimators = call
            .estimators
            .map_or("?".into(), |number| number.to_string());
        let s = if call.estimators == Some(1) { " " } else { "s" };
        let over = match (call.interrupted_pid, &call.interrupted_comm) {
            (0, _) => "idle".into(),
            (pid, Some(comm)) => format!("{comm} ({pid})"),
            (pid, None) => format!("pid {pid}"),
        };
        write!(
            out,
            "{} |  {}  cpu {:>3}  {}  {estimators:>7} estimator{s}  over {over}",
            marked(call.duration_ns, self.colour),
            call.at.time_of_day(),
            call.cpu,
            self.netns(call.netns),
        )?;
        match call.blackout {
            Some(blackout) if blackout.calls > 1 => writeln!(
                out,
                "  blackout {} in {} runs",
                readable(blackout.duration_ns),
                blackout.calls
            ),
            _ => writeln!(out),
        }
    }

    fn netns(self, netns: u32) -> String {
        format!(
            "netns {:<NETNS_COLUMNS$}",
            netns_name(netns, self.root_netns)
        )
    }

    fn lock_wait(self, out: &mut impl Write, wait: &LockWait) -> io::Result<()> {
        let function = match wait.operation {
            Operation::Start => "ip_vs_start_estimator",
            Operation::Stop => "ip_vs_stop_estimator",
        };
        writeln!(
            out,
            "{:<DURATION_COLUMNS$} |  {}  cpu {:>3}  {}  {function} of pid {} waited {} for a run on another CPU",
            "lock wait",
            wait.at.time_of_day(),
            wait.cpu,
            self.netns(wait.netns),
            wait.pid,
            readable(wait.duration_ns),
        )
    }

    fn state_change(self, out: &mut impl Write, change: &StateChange) -> io::Result<()> {
        let from = change
            .from
            .map_or(String::new(), |from| format!(" (was {from})"));
        writeln!(
            out,
            "{:<DURATION_COLUMNS$} |  {}           {}  {}{from}: {}",
            "state",
            change.at.time_of_day(),
            self.netns(change.netns),
            change.to,
            change.why,
        )
    }

    /// The sums of the session: a histogram, what it says, and a table by namespace.
    pub fn summary(self, out: &mut impl Write, report: &Report) -> io::Result<()> {
        writeln!(out)?;
        if report.all.recorded > 0 {
            bars::draw(out, &report.histogram)?;
            writeln!(out)?;
        }
        findings::write(out, report)?;
        writeln!(out)?;
        table::draw(out, report, self.root_netns)
    }
}

/// Writes a notice.
pub fn notice(out: &mut impl Write, notice: &Notice) -> io::Result<()> {
    writeln!(
        out,
        "{:<DURATION_COLUMNS$} |  {}           {}",
        notice.topic,
        notice.at.time_of_day(),
        notice.text,
    )
}

/// The titles of the columns.
pub fn header(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<DURATION_COLUMNS$} |  {:<12}  {:<7}  {:<23}  {:<18}  INTERRUPTED",
        "  DURATION", "TIME (UTC)", "CPU", "NETWORK NAMESPACE", "LENGTH OF EST_LIST",
    )
}

/// The sums of an interval, in one line.
pub fn interval(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let all = &report.all;
    let s = if all.calls == 1 { "" } else { "s" };
    write!(
        out,
        "{:<DURATION_COLUMNS$} |  {}  {} run{s} in {}",
        "interval",
        report.at.time_of_day(),
        all.calls,
        readable(report.observed_ns),
    )?;
    if let (Some(max_ns), Some(stall_ns_per_s)) = (all.max_ns, all.stall_ns_per_s) {
        let (longest, stall) = (readable(max_ns), readable(stall_ns_per_s));
        write!(out, ", the longest {longest}, {stall} of every second")?;
    }
    writeln!(out, ", lost {}, missed {}", all.lost, all.missed)
}

#[cfg(test)]
mod tests;
