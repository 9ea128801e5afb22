//! What a look at the estimators changes: their states, and what was lost or missed.

use std::collections::BTreeSet;

use probe_ebpf::Snapshot;

use super::{
    Session,
    look::{Moment, estimators_of},
};
use crate::{
    NETNS_UNKNOWN, State, StateChange,
    estimator::{Estimator, Unrecorded},
};

impl Session {
    pub(super) fn look(&mut self, snapshot: &[Snapshot], moment: Moment) -> Vec<StateChange> {
        let first = !std::mem::replace(&mut self.any_snapshot, true);
        self.looks += 1;
        self.is_whole = moment.is_whole;
        let mut changes = Vec::new();
        for found in estimators_of(snapshot) {
            let estimator = self
                .estimators
                .entry(found.ipvs)
                .or_insert_with(|| Box::new(Estimator::new(found.netns)));
            if estimator.is_another(found) {
                self.namespaces.begin_anew(found.netns);
            }
            let unrecorded = estimator.look(found, first, &self.clock);
            estimator.seen_in = self.looks;
            let signs = estimator.signs();
            if self.options.watches(found.netns) {
                let known = self.namespaces.note(found, estimator);
                self.add_unrecorded(found.netns, unrecorded);
                if let Some(signs) = signs
                    && known != Some(signs.state())
                {
                    changes.extend(self.change_state(
                        found.netns,
                        signs.state(),
                        || signs.why(),
                        moment,
                    ));
                }
            }
        }
        if moment.is_whole {
            self.drop_vanished(moment, true, &mut changes);
            self.namespaces.looked_at(moment.now_ns);
            self.note_operations_lost(snapshot.last().map_or(0, |end| end.lost));
        }
        changes
    }

    fn note_operations_lost(&mut self, lost: u64) {
        let more = lost.saturating_sub(self.operations_lost);
        self.operations_lost = lost;
        for sums in [&mut self.whole, &mut self.interval] {
            sums.lock_waits.unrecorded += more;
        }
    }

    fn add_unrecorded(&mut self, netns: u32, Unrecorded { lost, missed }: Unrecorded) {
        for sums in [&mut self.whole, &mut self.interval] {
            sums.tally.add_unrecorded(lost, missed);
        }
        self.namespaces
            .add_unrecorded(netns, Unrecorded { lost, missed });
    }

    /// Drops the estimators that the last snapshot had not: with their namespaces, if `for_good`.
    pub(super) fn drop_vanished(
        &mut self,
        moment: Moment,
        for_good: bool,
        changes: &mut Vec<StateChange>,
    ) {
        let looks = self.looks;
        let vanished: Vec<Box<Estimator>> = self
            .estimators
            .extract_if(|_, estimator| estimator.seen_in != looks)
            .map(|(_, estimator)| estimator)
            .collect();
        if vanished.is_empty() {
            return;
        }
        let still: BTreeSet<u32> = self.estimators.values().map(|one| one.netns()).collect();
        for netns in vanished.iter().map(|one| one.netns()) {
            if self.watches(netns) && !still.contains(&netns) {
                let why = || "the namespace is gone, or ip_vs was unloaded".into();
                changes.extend(self.change_state(netns, State::Absent, why, moment));
                self.namespaces.end(netns, moment.now_ns, for_good);
                self.costs.forget(netns);
            }
        }
    }

    /// At the first look, neither an estimator that does what it should nor none at all is news. A namespace
    /// whose number is not known has no state.
    fn change_state(
        &mut self,
        netns: u32,
        to: State,
        why: impl Fn() -> String,
        moment: Moment,
    ) -> Option<StateChange> {
        let from = self.namespaces.state(netns);
        if netns == NETNS_UNKNOWN || from == Some(to) {
            return None;
        }
        self.namespaces.set_state(netns, to, why());
        if from.is_none() && matches!(to, State::Active | State::Absent) {
            return None;
        }
        Some(StateChange {
            start_ns: moment.now_ns,
            at: self.clock.wall(moment.now_ns),
            netns,
            from,
            to,
            why: why(),
        })
    }
}
