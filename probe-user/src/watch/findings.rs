//! What the sums say, in sentences.

use std::io::{self, Write};

use model::durations::readable;
use model::{LockWaitSums, P50_MIN_CALLS, P90_MIN_CALLS, P99_MIN_CALLS, Report, State, Summary};

/// A run comes every two seconds, which the timer wheel and the run itself stretch a little.
const ONE_PERIOD_NS: u64 = 2_200_000_000;

/// Writes how many runs there were, how long they took, and what cannot be told.
pub fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let all = &report.all;
    let observed = readable(report.observed_ns);
    if all.calls == 0 {
        return writeln!(
            out,
            "No run of estimation_timer in {observed}: {}.",
            why_none(report)
        );
    }
    let (Some(min_ns), Some(max_ns), Some(max_at)) = (all.min_ns, all.max_ns, all.max_at) else {
        return writeln!(
            out,
            "{} in {observed}, and none was recorded: the ring buffer was full, so that nothing is \
             known of how long they took.",
            runs(all.calls)
        );
    };
    let stall = all.stall_ns_per_s.map_or("unknown".into(), readable);
    let at_least = if all.is_partial() { "at least " } else { "" };
    writeln!(
        out,
        "{} in {observed}, which took {at_least}{stall} of every second",
        runs(all.calls)
    )?;
    write!(out, "min {}", readable(min_ns))?;
    for (name, _, value_ns) in percentiles(all) {
        if let Some(value_ns) = value_ns {
            write!(out, "   {name} {}", readable(value_ns))?;
        }
    }
    writeln!(out, "   max {} at {max_at}", readable(max_ns))?;
    if let Some(blackout) = report.max_blackout.filter(|blackout| blackout.calls > 1) {
        let (duration, calls) = (readable(blackout.duration_ns), blackout.calls);
        writeln!(
            out,
            "longest blackout of a CPU {duration}, in {calls} runs on each other's heels"
        )?;
    }
    if let Some(needs) = withheld(all) {
        writeln!(
            out,
            "{needs}: max of {} is {}",
            all.recorded,
            readable(max_ns)
        )?;
    }
    write_unrecorded(out, all)?;
    write_lock_waits(out, report.lock_waits)
}

fn write_lock_waits(out: &mut impl Write, waits: LockWaitSums) -> io::Result<()> {
    if waits.count > 0 {
        let (total, longest) = (readable(waits.total_ns), readable(waits.longest_ns));
        let number = waits.count;
        writeln!(
            out,
            "{number} starts or stops waited for a run, {total} in all, the longest {longest}"
        )?;
    }
    if waits.unrecorded > 0 {
        let number = waits.unrecorded;
        writeln!(
            out,
            "{number} starts or stops of 10 us and more have no record: their ring buffer was full"
        )?;
    }
    Ok(())
}

fn runs(number: u64) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} run{s} of estimation_timer")
}

fn percentiles(summary: &Summary) -> [(&'static str, u64, Option<u64>); 3] {
    [
        ("p50", P50_MIN_CALLS, summary.p50_ns),
        ("p90", P90_MIN_CALLS, summary.p90_ns),
        ("p99", P99_MIN_CALLS, summary.p99_ns),
    ]
}

/// The percentiles that there are too few calls for.
fn withheld(summary: &Summary) -> Option<String> {
    let needs: Vec<String> = percentiles(summary)
        .into_iter()
        .filter(|(.., value_ns)| value_ns.is_none())
        .map(|(name, calls, _)| format!("{name} needs {calls} calls"))
        .collect();
    (!needs.is_empty()).then(|| needs.join(", "))
}

fn write_unrecorded(out: &mut impl Write, all: &Summary) -> io::Result<()> {
    if all.lost > 0 {
        writeln!(
            out,
            "lost {}: the ring buffer was full; percentiles are of the {} recorded of {}",
            all.lost, all.recorded, all.calls
        )?;
    }
    if all.missed > 0 {
        writeln!(
            out,
            "missed {} of {} expected: the timer expired and the probes saw no run, or no end of it",
            all.missed, all.expected
        )?;
    }
    if all.lost + all.missed == 0 {
        writeln!(out, "lost 0, missed 0")?;
    }
    Ok(())
}

fn why_none(report: &Report) -> String {
    let count = |wanted: fn(State) -> bool| {
        let states = report
            .namespaces
            .iter()
            .filter_map(|namespace| namespace.state);
        states.filter(|state| wanted(*state)).count()
    };
    let present = count(|state| state != State::Absent);
    let dead = count(|state| state == State::Dead);
    let slowed = count(|state| state == State::Slowed);
    if report.all.missed > 0 {
        return format!(
            "{} expected by the timers' expiry, and the probes saw none of them",
            report.all.missed
        );
    }
    if present == 0 {
        return "there is no IPVS estimator in the network namespaces watched".into();
    }
    if dead > 0 {
        return format!(
            "DEAD in {}: the timer is not pending and will not come back by itself",
            of_namespaces(dead, present)
        );
    }
    if slowed > 0 {
        return format!(
            "SLOWED in {}: the next one is far ahead",
            of_namespaces(slowed, present)
        );
    }
    if report.observed_ns < ONE_PERIOD_NS {
        return "one comes every two seconds or so; watch for longer".into();
    }
    "the timers are pending, and yet none expired".into()
}

fn of_namespaces(number: usize, all: usize) -> String {
    match (number, all) {
        (1, 1) => "the one namespace watched".into(),
        (number, all) if number == all => format!("all {all} namespaces watched"),
        (number, all) => format!("{number} of {all} namespaces watched"),
    }
}
