//! The verdict, and the line of at most 80 characters that says it: what a monitoring system shows.

use super::page::{Measured, Namespace, Verdict};
use crate::{model::State, watch::durations};

/// What node-problem-detector shows of a plugin's output (`max_output_length` of its custom plugin monitor).
const WIDTH: usize = 80;

/// All that a verdict rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The namespaces, the worst first.
    pub namespaces: &'a [Namespace],
    /// What was seen, where something could be.
    pub measured: Option<&'a Measured>,
    /// Why nothing could be measured, in a few words.
    pub obstacle: Option<&'a str>,
    /// Inode number of the root namespace.
    pub root_netns: Option<u32>,
}

impl Evidence<'_> {
    /// The verdict, and the line that says it.
    #[must_use]
    pub fn judge(&self) -> (Verdict, String) {
        let (verdict, parts) = self.verdict();
        (verdict, line(verdict, &parts))
    }

    fn verdict(&self) -> (Verdict, Vec<String>) {
        let Some(measured) = self.measured else {
            let obstacle = self.obstacle.unwrap_or("it cannot be measured");
            return (Verdict::Unknown, vec![obstacle.into()]);
        };
        if self.namespaces.is_empty() {
            let gone = "ip_vs was unloaded meanwhile";
            return (Verdict::Unknown, vec![gone.into()]);
        }
        if let Some(parts) = self.dead() {
            return (Verdict::Problem, parts);
        }
        match measured.max_ns {
            Some(max_ns) => self.against(measured, max_ns),
            None => (Verdict::Ok, self.states()),
        }
    }

    fn dead(&self) -> Option<Vec<String>> {
        let mut dead = self.in_state(State::Dead);
        let first = dead.next()?;
        let name = self.name(first.netns);
        let begin = match dead.count() {
            0 => format!("estimator DEAD in {name}"),
            more => format!("{} estimators DEAD, first {name}", more + 1),
        };
        let over = first.estimators.map(of_estimators);
        Some([begin].into_iter().chain(over).collect())
    }

    /// Held against the longest that was asked for.
    fn against(&self, measured: &Measured, max_ns: u64) -> (Verdict, Vec<String>) {
        let max = durations::round(max_ns);
        let readable = durations::readable;
        if let Some(run) = measured.longest_run.filter(|run| run.duration_ns > max_ns) {
            let took = readable(run.duration_ns);
            let place = format!("{} on CPU {}", self.name(run.netns), run.cpu);
            let over = run.estimators.map(of_estimators);
            let parts = [format!("run of {took}, max {max}"), place];
            return (Verdict::Problem, parts.into_iter().chain(over).collect());
        }
        let blackout = measured.longest_blackout;
        if let Some(blackout) = blackout.filter(|blackout| blackout.duration_ns > max_ns) {
            let took = readable(blackout.duration_ns);
            let parts = [
                format!("blackout of {took}, max {max}"),
                format!("{} on CPU {}", self.name(blackout.netns), blackout.cpu),
                of(blackout.calls, "run"),
            ];
            return (Verdict::Problem, parts.into());
        }
        if let Some(unseen) = self.unseen(measured) {
            return (Verdict::Unknown, unseen);
        }
        let runs = of(measured.runs, "run");
        let longest = measured.longest_run.map_or(0, |run| run.duration_ns);
        let parts = [
            format!("longest run {}, max {max}", readable(longest)),
            format!("longest blackout {}", readable(measured.worst_ns())),
            format!(
                "{runs} in {}",
                durations::round(rounded(measured.observed_ns))
            ),
        ];
        (Verdict::Ok, parts.into())
    }

    /// Why all that was seen is not enough to say that nothing took too long.
    fn unseen(&self, measured: &Measured) -> Option<Vec<String>> {
        let without = measured.lost + measured.missed;
        if without > 0 {
            let runs = of(without, "run");
            return Some(vec![
                format!("{runs} could not be timed"),
                "measure again, or longer with --duration".into(),
            ]);
        }
        let slow = self.in_state(State::Slowed).find(|slow| slow.runs == 0);
        if let Some(slow) = slow {
            let due = slow
                .next_run_in_ns
                .map(|left_ns| format!("due in {}", seconds(left_ns)));
            let begin = format!("no run was seen in {}", self.name(slow.netns));
            return Some([begin].into_iter().chain(due).collect());
        }
        (measured.runs == 0).then(|| vec!["no run was seen".into()])
    }

    fn states(&self) -> Vec<String> {
        let all = self.namespaces.len();
        let timers = if all == 1 { "timer" } else { "timers" };
        let active = self.in_state(State::Active).count();
        let mut parts = vec![if active == all {
            format!("{all} estimator {timers} ACTIVE")
        } else {
            format!("{active} of {all} estimator {timers} ACTIVE")
        }];
        for state in [State::Slowed, State::Skipping] {
            let count = self.in_state(state).count();
            if count > 0 {
                parts.push(format!("{count} {state}"));
            }
        }
        let longest = self
            .namespaces
            .iter()
            .max_by_key(|namespace| (namespace.estimators, std::cmp::Reverse(namespace.netns)));
        let Some(longest) = longest else {
            return parts;
        };
        parts.extend(
            longest
                .estimators
                .map(|length| format!("longest list {length}")),
        );
        if let (Some(left_ns), Some(cpu)) = (longest.next_run_in_ns, longest.next_cpu) {
            parts.push(format!("next run in {} on CPU {cpu}", seconds(left_ns)));
        }
        parts
    }

    fn in_state(&self, state: State) -> impl Iterator<Item = &Namespace> {
        let namespaces = self.namespaces.iter();
        namespaces.filter(move |namespace| namespace.state == Some(state))
    }

    fn name(&self, netns: u32) -> String {
        let root = if self.root_netns == Some(netns) {
            " (root)"
        } else {
            ""
        };
        format!("netns {netns}{root}")
    }
}

fn of_estimators(estimators: u32) -> String {
    of(u64::from(estimators), "estimator")
}

fn of(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Seconds with one decimal.
pub fn seconds(duration_ns: u64) -> String {
    let tenths = duration_ns.saturating_add(50_000_000) / 100_000_000;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// To a tenth of a second.
fn rounded(duration_ns: u64) -> u64 {
    duration_ns.saturating_add(50_000_000) / 100_000_000 * 100_000_000
}

/// As many parts as fit, the first in any case.
fn line(verdict: Verdict, parts: &[String]) -> String {
    let mut line = format!("{verdict}: ");
    for (index, part) in parts.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        if index > 0 && line.chars().count() + comma.len() + part.chars().count() > WIDTH {
            break;
        }
        line.push_str(comma);
        line.push_str(part);
    }
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests;
