//! The verdict, and the line of at most 80 characters that says it: what a monitoring system shows.

use super::{
    page::{Measured, Namespace, Verdict},
    replaced::Replaced,
};
use crate::{
    headline::{self, fitted, seconds},
    kernel_threads::SeenThreads,
    watch::{grouped, short_name},
};
use model::{NETNS_UNKNOWN, State, Worst};

/// All that a verdict rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The namespaces, the worst first.
    pub namespaces: &'a [Namespace],
    /// What was seen, where something could be.
    pub measured: Option<&'a Measured>,
    /// The worst stall, where a run was seen.
    pub worst: Option<&'a Worst>,
    /// The kernel threads that estimate, where they do and could be read.
    pub threads: Option<&'a SeenThreads>,
    /// Why nothing could be measured, in a few words.
    pub obstacle: Option<&'a str>,
    /// Inode number of the root namespace.
    pub root_netns: Option<u32>,
    /// What replaces the estimator's function.
    pub replaced: &'a Replaced,
    /// A signal ended the measurement early.
    pub is_cut_short: bool,
}

impl Evidence<'_> {
    /// Returns the verdict, and the line that says it.
    #[must_use]
    pub fn judge(&self) -> (Verdict, String) {
        if let Some(threads) = self.threads {
            let abandoned = || {
                let what = "estimators without a kernel thread";
                (threads.abandoned > 0).then(|| unknown(what, Some("their statistics are frozen")))
            };
            let doubt = self.cut_short().or_else(abandoned);
            return doubt.unwrap_or_else(|| (Verdict::Ok, of_threads(threads)));
        }
        let Some(measured) = self.measured else {
            return unknown(self.obstacle.unwrap_or("it cannot be measured"), None);
        };
        if self.namespaces.is_empty() {
            return unknown("ip_vs was unloaded meanwhile", None);
        }
        let problem = self
            .dead()
            .or_else(|| self.stall(measured))
            .or_else(|| self.slowed_without_reason())
            .map(|line| (Verdict::Problem, line));
        problem
            .or_else(|| self.cut_short())
            .or_else(|| self.unseen(measured))
            .or_else(|| self.idle())
            .unwrap_or_else(|| (Verdict::Ok, self.calm(measured)))
    }

    fn dead(&self) -> Option<String> {
        let mut dead = self.in_state(State::Dead);
        let first = dead.next()?;
        let name = self.name(first.netns);
        let begin = match dead.count() {
            0 => format!("DEAD estimator in netns {name}"),
            more => format!(
                "DEAD estimators in {} namespaces, first netns {name}",
                more + 1
            ),
        };
        let what = ": its statistics are frozen".to_owned();
        Some(fitted(&begin, over(first).into_iter().chain([what])))
    }

    /// Something took longer than the maximum. A namespace that is gone since counts, too.
    fn stall(&self, measured: &Measured) -> Option<String> {
        let max_ns = measured.max_ns;
        let worst = self.worst.filter(|worst| worst.stall_ns() > max_ns)?;
        Some(self.headline(worst, max_ns))
    }

    /// An estimator is SLOWED, and no hotfix explains it, as far as livepatches can be seen.
    fn slowed_without_reason(&self) -> Option<String> {
        let slowed = self.in_state(State::Slowed).next()?;
        self.replaced.name().is_none().then(|| self.slowed(slowed))
    }

    fn slowed(&self, slowed: &Namespace) -> String {
        let rhythm = slowed.period_ns.map_or(String::new(), |period_ns| {
            format!(" every {}", seconds(period_ns))
        });
        let begin = format!("SLOWED{rhythm} in netns {}", self.name(slowed.netns));
        let why = match self.replaced {
            Replaced::By(hotfix) => format!(", by livepatch {hotfix}"),
            Replaced::ByNone => ", and no livepatch explains it".into(),
            Replaced::Unknown => ", livepatches cannot be seen".into(),
        };
        fitted(&begin, over(slowed).into_iter().chain([why]))
    }

    fn cut_short(&self) -> Option<(Verdict, String)> {
        self.is_cut_short
            .then(|| unknown("a signal ended the measurement", None))
    }

    /// Why all that was seen is not enough to say that nothing took too long.
    fn unseen(&self, measured: &Measured) -> Option<(Verdict, String)> {
        let without = measured.lost + measured.missed;
        if without > 0 {
            let plural = if without == 1 { "" } else { "s" };
            let what = format!("{} run{plural} could not be timed", grouped(without));
            return Some(unknown(
                &what,
                Some("measure again, or longer with --duration"),
            ));
        }
        let due = |namespace: &Namespace| {
            let left_ns = namespace.next_run_in_ns?;
            Some(format!("due in {}", seconds(left_ns)))
        };
        // Without eBPF, nothing is known of a timer before its first run.
        let is_untold = |one: &&Namespace| matches!(one.state, Some(State::Slowed) | None);
        let mut untold = self.namespaces.iter().filter(is_untold);
        let unseen = untold.find(|one| one.runs == 0);
        if let Some(unseen) = unseen {
            let what = format!("no run was seen in netns {}", self.name(unseen.netns));
            return Some(unknown(&what, due(unseen).as_deref()));
        }
        (measured.runs == 0).then(|| unknown("no run was seen", None))
    }

    /// No estimator is ACTIVE. That is as it should be only where `run_estimation` is 0.
    fn idle(&self) -> Option<(Verdict, String)> {
        let mut states = self.namespaces.iter().filter_map(|one| one.state);
        if states.any(|state| state == State::Active) {
            return None;
        }
        if let Some(slowed) = self.in_state(State::Slowed).next() {
            return Some((Verdict::Problem, self.slowed(slowed)));
        }
        let mut skipping = self.in_state(State::Skipping);
        let unexplained = skipping.find(|one| one.run_estimation != Some(0));
        if let Some(one) = unexplained {
            let begin = format!("SKIPPING in netns {}", self.name(one.netns));
            let hotfix = self.replaced.name();
            let why = hotfix.map(|hotfix| format!(", by livepatch {hotfix}"));
            let what = ": statistics are frozen".to_owned();
            let parts = over(one).into_iter().chain(why).chain([what]);
            return Some((Verdict::Problem, fitted(&begin, parts)));
        }
        if self.in_state(State::Skipping).next().is_none() {
            return Some(unknown("the state of the estimators cannot be seen", None));
        }
        let begin = "OK run_estimation is 0: runs leave the lists out".to_owned();
        let longest = self.worst.map(|worst| {
            let took = model::durations::readable(worst.stall_ns());
            format!(", the longest took {took}")
        });
        Some((Verdict::Ok, fitted(&begin, longest.into_iter())))
    }

    fn calm(&self, measured: &Measured) -> String {
        match self.worst {
            Some(worst) => self.headline(worst, measured.max_ns),
            None => "OK".into(),
        }
    }

    fn headline(&self, worst: &Worst, max_ns: u64) -> String {
        let found = self.namespaces.iter().find(|one| one.netns == worst.netns);
        let who = found.and_then(|one| one.named.who.as_deref());
        let who = who.filter(|_| self.root_netns != Some(worst.netns));
        headline::line(worst, max_ns, &self.name(worst.netns), who)
    }

    fn in_state(&self, state: State) -> impl Iterator<Item = &Namespace> {
        let namespaces = self.namespaces.iter();
        namespaces.filter(move |namespace| namespace.state == Some(state))
    }

    fn name(&self, netns: u32) -> String {
        short_name(netns, self.root_netns.unwrap_or(NETNS_UNKNOWN))
    }
}

fn over(namespace: &Namespace) -> Option<String> {
    namespace.estimators.map(headline::estimators)
}

fn of_threads(threads: &SeenThreads) -> String {
    let counted = |count: u64, word: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{} {word}{plural}", grouped(count))
    };
    let running = threads.threads.iter().filter(|one| one.tid.is_some());
    let estimators: u64 = running.clone().map(|one| u64::from(one.estimators)).sum();
    let begin = "OK estimation does not block softirqs here";
    let parts = [
        format!(": {}", counted(running.count() as u64, "kernel thread")),
        format!(", {}", counted(estimators, "estimator")),
    ];
    fitted(begin, parts.into_iter())
}

fn unknown(what: &str, more: Option<&str>) -> (Verdict, String) {
    let more = more.map(|more| format!(", {more}"));
    (
        Verdict::Unknown,
        fitted(&format!("unknown: {what}"), more.into_iter()),
    )
}

#[cfg(test)]
mod tests;
