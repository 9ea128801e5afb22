//! A session as of one moment.

use super::Session;
use crate::{Focus, Overview, Span, State, Worst};

impl Session {
    /// All that a screen shows, as of `now_ns`.
    #[must_use]
    pub fn overview(&self, now_ns: u64) -> Overview {
        let observed_ns = now_ns.saturating_sub(self.started_ns);
        let namespaces = self.namespaces.views(&(self.started_ns..now_ns));
        let next_run = namespaces
            .iter()
            .filter_map(|namespace| namespace.next_run)
            .min_by_key(|run| (run.due_ns, run.netns));
        let mut overview = Overview {
            at: self.clock.wall(now_ns),
            now_ns,
            clock: self.clock,
            observed_ns,
            all: self.whole.tally.summary(observed_ns),
            histogram: self.whole.tally.histogram().clone(),
            max_blackout: self.whole.max_blackout,
            latest_blackout: self.latest_blackouts.longest(),
            namespaces,
            cpus: self.cpus.views(observed_ns),
            next_run,
            cost: self.costs.cost(),
            focus: None,
            lock_waits: self.whole.lock_waits,
            attached: self.attached,
        };
        let worst = overview.worst(Span::Latest, u64::MAX);
        overview.focus = worst.and_then(|worst| self.focus(&overview, worst));
        overview
    }

    fn focus(&self, overview: &Overview, worst: Worst) -> Option<Focus> {
        let view = overview.view(worst.netns)?;
        let time = self.started_ns..overview.now_ns;
        let (summary, histogram) = self.namespaces.runs(worst.netns, &time)?;
        let visits = view.state == Some(State::Active);
        Some(Focus {
            netns: worst.netns,
            summary,
            histogram,
            cost: self
                .costs
                .of(view.estimators.filter(|_| visits), worst.typical_ns),
        })
    }
}
